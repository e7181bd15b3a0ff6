//! What each import would let a guest do, and whether this host offers it.

use hypermesh_model::{Capability, World};

/// An interface that this host offers to every world but validators.
struct Offer {
    /// Its name, without version.
    name: &'static str,
    /// The versions offered, as major and minor number.
    version: &'static str,
    /// What it means here.
    meaning: &'static str,
}

const fn offer(name: &'static str, version: &'static str, meaning: &'static str) -> Offer {
    Offer { name, version, meaning }
}

const OFFERED: &[Offer] = &[
    offer("hypermesh:guest/logging", "0.1", "write to its execution's log"),
    offer("hypermesh:guest/progress", "0.1", "report its execution's progress"),
    offer("hypermesh:guest/blobs", "0.1", "read the files granted to it and write outputs"),
    offer("wasi:cli/environment", "0.2", "see the arguments and the environment given to it"),
    offer("wasi:cli/exit", "0.2", "end itself"),
    offer("wasi:cli/stdin", "0.2", "read the standard input given to it"),
    offer("wasi:cli/stdout", "0.2", "print to its standard output, or to its execution's log"),
    offer("wasi:cli/stderr", "0.2", "print to its execution's log"),
    offer("wasi:cli/terminal-input", "0.2", "ask for a terminal, which it has not"),
    offer("wasi:cli/terminal-output", "0.2", "ask for a terminal, which it has not"),
    offer("wasi:cli/terminal-stdin", "0.2", "ask for a terminal, which it has not"),
    offer("wasi:cli/terminal-stdout", "0.2", "ask for a terminal, which it has not"),
    offer("wasi:cli/terminal-stderr", "0.2", "ask for a terminal, which it has not"),
    offer("wasi:clocks/monotonic-clock", "0.2", "measure time and sleep"),
    offer("wasi:clocks/wall-clock", "0.2", "read the time of day"),
    offer("wasi:filesystem/types", "0.2", "use files of the folders granted to it"),
    offer("wasi:filesystem/preopens", "0.2", "see which folders are granted to it"),
    offer("wasi:http/types", "0.2", "handle HTTP requests and responses"),
    offer("wasi:http/outgoing-handler", "0.2", "send HTTP requests to the hosts granted to it"),
    offer("wasi:io/error", "0.2", "handle errors of streams"),
    offer("wasi:io/poll", "0.2", "wait"),
    offer("wasi:io/streams", "0.2", "use the streams that it has"),
    offer("wasi:random/random", "0.2", "draw random bytes"),
    offer("wasi:random/insecure", "0.2", "draw pseudo-random bytes"),
    offer("wasi:random/insecure-seed", "0.2", "seed its hash tables"),
    offer("wasi:sockets/network", "0.2", "name its network, which reaches the hosts granted to it"),
    offer(
        "wasi:sockets/instance-network",
        "0.2",
        "ask for its network, which reaches the hosts granted to it",
    ),
    offer("wasi:sockets/ip-name-lookup", "0.2", "look up the hosts granted to it"),
    offer("wasi:sockets/tcp", "0.2", "open network connections to the hosts granted to it"),
    offer("wasi:sockets/tcp-create-socket", "0.2", "open network connections to the hosts granted to it"),
    offer("wasi:sockets/udp", "0.2", "ask for UDP sockets, which it is denied"),
    offer("wasi:sockets/udp-create-socket", "0.2", "ask for UDP sockets, which it is denied"),
];

/// What well-known interfaces would give that this host does not offer. Matched by prefix, first match counts.
const NOT_OFFERED: &[(&str, &str)] = &[
    ("wasi:sockets/", "would use the network in a way that this host does not offer"),
    ("wasi:http/", "would use HTTP in a way that this host does not offer"),
    ("wasi:keyvalue/", "would use a key-value store"),
    ("wasi:blobstore/", "would use a blob store; files are granted by hypermesh:guest/blobs"),
    ("wasi:config/", "would read the host's configuration"),
    ("wasi:nn/", "would run machine-learning models of the host"),
    ("wasi:webgpu/", "would use the GPU"),
    ("wasi:logging/", "would log; use hypermesh:guest/logging"),
    ("hypermesh:guest/", "is no interface that a guest of this host imports"),
];

/// Says of every import what it means and whether it is allowed. A validator may import nothing; of what fits no world
/// it is said what a job could do with it.
pub(super) fn judge(imports: &[String], world: Option<World>) -> Vec<Capability> {
    imports.iter().map(|import| judge_one(import, world)).collect()
}

fn judge_one(import: &str, world: Option<World>) -> Capability {
    let (name, _) = split_version(import);
    let offer = OFFERED.iter().find(|offer| offer.name == name);
    let (meaning, allowed) = match (offer, world) {
        (Some(Offer { meaning, .. }), Some(World::Validator)) => {
            (format!("would {meaning}; a validator imports nothing"), false)
        }
        (Some(Offer { version, meaning, .. }), Some(World::Job | World::Command | World::Http) | None) => {
            if is_version(import, name, version) {
                ((*meaning).to_owned(), true)
            } else {
                (format!("would {meaning}, and this host offers version {version} of it"), false)
            }
        }
        (None, _) => (refused(name).to_owned(), false),
    };
    Capability { import: import.to_owned(), meaning, allowed }
}

fn refused(name: &str) -> &'static str {
    let known = NOT_OFFERED.iter().find(|(prefix, _)| name.starts_with(prefix));
    known.map_or("is unknown to this host", |(_, meaning)| meaning)
}

/// Whether `full` is `interface@<minor>.x`, where `minor` is of the form `0.1`. Below 1.0 the minor version is what
/// decides on compatibility (semver.org, item 4); pre-releases promise none.
pub(super) fn is_version(full: &str, interface: &str, minor: &str) -> bool {
    let (name, version) = split_version(full);
    let patch =
        version.and_then(|version| version.strip_prefix(minor)).and_then(|rest| rest.strip_prefix('.'));
    name == interface && patch.is_some_and(|patch| patch.parse::<u64>().is_ok())
}

fn split_version(full: &str) -> (&str, Option<&str>) {
    full.split_once('@').map_or((full, None), |(name, version)| (name, Some(version)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WITH_IMPORTS: [World; 3] = [World::Job, World::Command, World::Http];

    fn allowed(import: &str, world: World) -> bool {
        judge_one(import, Some(world)).allowed
    }

    #[test]
    fn what_all_but_validators_may_import() {
        for import in [
            "hypermesh:guest/blobs@0.1.0",
            "hypermesh:guest/blobs@0.1.7",
            "wasi:io/poll@0.2.9",
            "wasi:sockets/tcp@0.2.6",
            "wasi:http/outgoing-handler@0.2.0",
        ] {
            assert!(WITH_IMPORTS.iter().all(|&world| allowed(import, world)), "{import}");
            assert!(!allowed(import, World::Validator), "{import}");
        }
    }

    #[test]
    fn what_nobody_may_import() {
        for import in [
            "wasi:io/poll",
            "wasi:io/poll@0.3.0",
            "wasi:io/poll@0.2.0-rc-2023-11-10",
            "wasi:io/poll@0.20.0",
            "wasi:http/handler@0.3.0",
            "wasi:http/incoming-handler@0.2.0",
            "wasi:nn/graph@0.2.0-rc",
            "hypermesh:guest/blobs@0.2.0",
            "hypermesh:guest/handler@0.1.0",
            "wasi:cli/command@0.2.6",
            "root",
            "",
        ] {
            assert!(!WITH_IMPORTS.iter().any(|&world| allowed(import, world)), "{import}");
        }
        assert!(judge_one("wasi:io/poll@0.3.0", Some(World::Job)).meaning.contains("version 0.2"));
    }

    proptest! {
        #[test]
        fn only_listed_interfaces_are_ever_allowed(import in "[a-z:/@0-9.-]{0,40}") {
            let (name, _) = split_version(&import);
            if allowed(&import, World::Job) {
                prop_assert!(OFFERED.iter().any(|offer| offer.name == name));
            }
            prop_assert!(!allowed(&import, World::Validator));
        }
    }
}
