//! What each import would let a guest do, and whether this host offers it.

use hypermesh_model::{Capability, World};

/// Interfaces that a job may import: name without version, the versions offered, and what it means here.
const OFFERED_TO_JOBS: &[(&str, &str, &str)] = &[
    ("hypermesh:guest/logging", "0.1", "write to its execution's log"),
    ("hypermesh:guest/progress", "0.1", "report its execution's progress"),
    ("hypermesh:guest/blobs", "0.1", "read the files granted to it and write outputs"),
    ("wasi:cli/environment", "0.2", "see an empty environment and no arguments"),
    ("wasi:cli/exit", "0.2", "end itself"),
    ("wasi:cli/stdin", "0.2", "read standard input, which is closed"),
    ("wasi:cli/stdout", "0.2", "print to its execution's log"),
    ("wasi:cli/stderr", "0.2", "print to its execution's log"),
    ("wasi:cli/terminal-input", "0.2", "ask for a terminal, which it has not"),
    ("wasi:cli/terminal-output", "0.2", "ask for a terminal, which it has not"),
    ("wasi:cli/terminal-stdin", "0.2", "ask for a terminal, which it has not"),
    ("wasi:cli/terminal-stdout", "0.2", "ask for a terminal, which it has not"),
    ("wasi:cli/terminal-stderr", "0.2", "ask for a terminal, which it has not"),
    ("wasi:clocks/monotonic-clock", "0.2", "measure time and sleep"),
    ("wasi:clocks/wall-clock", "0.2", "read the time of day"),
    ("wasi:filesystem/types", "0.2", "use files, of which it is given those of its lease's folder"),
    ("wasi:filesystem/preopens", "0.2", "see which folder it is given: its lease's, or none"),
    ("wasi:io/error", "0.2", "handle errors of streams"),
    ("wasi:io/poll", "0.2", "wait"),
    ("wasi:io/streams", "0.2", "use the streams that it has"),
    ("wasi:random/random", "0.2", "draw random bytes"),
    ("wasi:random/insecure", "0.2", "draw pseudo-random bytes"),
    ("wasi:random/insecure-seed", "0.2", "seed its hash tables"),
];

/// What well-known interfaces would give that this host does not offer. Matched by prefix, first match counts.
const NOT_OFFERED: &[(&str, &str)] = &[
    ("wasi:sockets/ip-name-lookup", "would resolve host names; guests have no network"),
    ("wasi:sockets/", "would open network connections; guests have no network"),
    ("wasi:http/", "would send or serve HTTP requests; guests have no network"),
    ("wasi:keyvalue/", "would use a key-value store"),
    ("wasi:blobstore/", "would use a blob store; files are granted by hypermesh:guest/blobs"),
    ("wasi:config/", "would read the host's configuration"),
    ("wasi:nn/", "would run machine-learning models of the host"),
    ("wasi:webgpu/", "would use the GPU"),
    ("wasi:logging/", "would log; use hypermesh:guest/logging"),
    ("hypermesh:guest/", "is no interface that a guest of this host imports"),
];

/// Says of every import what it means and whether it is allowed. A validator may import nothing.
pub(super) fn judge(imports: &[String], world: World) -> Vec<Capability> {
    imports.iter().map(|import| judge_one(import, world)).collect()
}

fn judge_one(import: &str, world: World) -> Capability {
    let (name, _) = split_version(import);
    let offer = OFFERED_TO_JOBS.iter().find(|(interface, ..)| *interface == name);
    let (meaning, allowed) = match (offer, world) {
        (Some((_, version, meaning)), World::Job) if is_version(import, name, version) => {
            ((*meaning).to_owned(), true)
        }
        (Some((_, version, meaning)), World::Job) => {
            (format!("would {meaning}, and this host offers version {version} of it"), false)
        }
        (Some((_, _, meaning)), World::Validator) => {
            (format!("would {meaning}; a validator imports nothing"), false)
        }
        (None, World::Job | World::Validator) => (refused(name).to_owned(), false),
    };
    Capability { import: import.to_owned(), meaning, allowed }
}

fn refused(name: &str) -> &'static str {
    let known = NOT_OFFERED.iter().find(|(prefix, _)| name.starts_with(prefix));
    known.map_or("is unknown to this host", |(_, meaning)| meaning)
}

/// Whether `full` is `interface` in a version 0.1.x.
pub(super) fn is_version_0_1(full: &str, interface: &str) -> bool {
    is_version(full, interface, "0.1")
}

/// Whether `full` is `interface@<minor>.x`, where `minor` is of the form `0.1`. Below 1.0 the minor version is what
/// decides on compatibility (semver.org, item 4); pre-releases promise none.
fn is_version(full: &str, interface: &str, minor: &str) -> bool {
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

    fn allowed(import: &str, world: World) -> bool {
        judge_one(import, world).allowed
    }

    #[test]
    fn what_a_job_may_import() {
        for import in ["hypermesh:guest/blobs@0.1.0", "hypermesh:guest/blobs@0.1.7", "wasi:io/poll@0.2.9"] {
            assert!(allowed(import, World::Job), "{import}");
            assert!(!allowed(import, World::Validator), "{import}");
        }
    }

    #[test]
    fn what_nobody_may_import() {
        for import in [
            "wasi:sockets/tcp@0.2.6",
            "wasi:http/outgoing-handler@0.2.6",
            "wasi:io/poll",
            "wasi:io/poll@0.3.0",
            "wasi:io/poll@0.2.0-rc-2023-11-10",
            "wasi:io/poll@0.20.0",
            "hypermesh:guest/blobs@0.2.0",
            "hypermesh:guest/handler@0.1.0",
            "wasi:cli/command@0.2.6",
            "root",
            "",
        ] {
            assert!(!allowed(import, World::Job), "{import}");
        }
        assert!(judge_one("wasi:io/poll@0.3.0", World::Job).meaning.contains("version 0.2"));
    }

    proptest! {
        #[test]
        fn only_listed_interfaces_are_ever_allowed(import in "[a-z:/@0-9.-]{0,40}") {
            let (name, _) = split_version(&import);
            if allowed(&import, World::Job) {
                prop_assert!(OFFERED_TO_JOBS.iter().any(|(interface, ..)| *interface == name));
            }
            prop_assert!(!allowed(&import, World::Validator));
        }
    }
}
