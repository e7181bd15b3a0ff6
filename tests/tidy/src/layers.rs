//! Which crate may name which.
//!
//! An edge points down, so that each layer can be understood, tested and replaced without what is above it; and each
//! foreign world (HTTP, WebAssembly, SQLite, NVML) is named by one crate, so that its types can't leak. A new host
//! crate takes its place in [`LAYERS`]; one that isn't there is an error, never a guess.

use crate::metadata::{Dependency, Kind, Member};
use std::collections::BTreeMap;

/// Every folder of `host` and its layer.
const LAYERS: [(&str, u8); 22] = [
    // Domain types and the contract's types.
    ("model", 0),
    ("wire", 0),
    // One foreign world each.
    ("hardware", 1),
    ("sandbox", 1),
    ("engine", 1),
    ("store", 1),
    ("telemetry", 1),
    ("volume", 1),
    // An author's side of `wasm-tools`: bytes in, bytes out.
    ("componentize", 1),
    ("registry", 1),
    // Who may have a certificate: RFC 8555 without sockets, and probes that go out.
    ("acme", 1),
    // No foreign world: what fits, and who is next, decided from values alone.
    ("planner", 1),
    // No foreign world either: keys and signed bytes, aws-lc-rs' arithmetic below them.
    ("pki", 1),
    // Certificate Transparency: a Merkle tree and its files.
    ("ctlog", 1),
    // Names: messages in, messages out, and the sockets they come by.
    ("dns", 1),
    // The domains. They don't name each other.
    ("mesh", 2),
    ("trustchain", 2),
    // The edges.
    ("api", 3),
    ("client", 3),
    ("dashboard", 3),
    // Configuration and wiring, then the binary over it.
    ("node", 4),
    ("hypermesh", 5),
];

/// Who may name a foreign crate.
#[derive(Debug)]
enum Allowed {
    /// Host crates of this layer and above, and everything outside `host`.
    FromLayer(u8),
    /// The same, and these folders.
    FromLayerAnd(u8, &'static [&'static str]),
    /// These folders only.
    Only(&'static [&'static str]),
}

/// Foreign crates with a home. A name that ends in `*` stands for all that begin so.
const FOREIGN: [(&str, Allowed, &str); 20] = [
    ("axum*", Allowed::FromLayer(3), "HTTP is the edge's"),
    // A guest that answers HTTP does so over the engine, which speaks it with that guest alone.
    ("hyper", Allowed::FromLayerAnd(3, &["host/engine"]), "HTTP is the edge's"),
    ("hyper-util", Allowed::FromLayer(3), "HTTP is the edge's"),
    ("http", Allowed::FromLayerAnd(3, &["host/engine"]), "HTTP is the edge's"),
    ("tower*", Allowed::FromLayer(3), "HTTP is the edge's"),
    (
        "ureq*",
        Allowed::Only(&["host/client", "host/registry"]),
        "HTTP is the edge's; of others' services a registry's is spoken in `registry`",
    ),
    (
        "rustls*",
        Allowed::Only(&["host/registry", "host/acme", "host/api", "host/client"]),
        "TLS is where other machines are talked to",
    ),
    (
        "aws-lc-rs",
        Allowed::Only(&["host/registry", "host/pki", "host/ctlog", "host/dns", "host/acme"]),
        "signatures are made and verified where what is signed is understood",
    ),
    // `wire` derives schemas, because the OpenAPI document is part of the contract; it serves nothing.
    (
        "utoipa*",
        Allowed::Only(&["host/wire", "host/api"]),
        "schemas are the contract's, the document is the edge's",
    ),
    ("wasmtime*", Allowed::Only(&["host/engine"]), "the engine hides the runtime"),
    ("cranelift*", Allowed::Only(&["host/engine"]), "the engine hides the runtime"),
    (
        "wasmparser",
        Allowed::Only(&["host/engine", "host/componentize", "host/registry"]),
        "the engine vets components, componentize makes them, the registry reads what they say of themselves",
    ),
    ("wasm-encoder", Allowed::Only(&["host/componentize"]), "componentize makes components"),
    ("wasm-metadata", Allowed::Only(&["host/componentize"]), "componentize makes components"),
    ("wit-component", Allowed::Only(&["host/componentize"]), "componentize makes components"),
    ("wit-bindgen*", Allowed::Only(&["guest-sdk"]), "the SDK owns the bindings"),
    ("rusqlite", Allowed::Only(&["host/store"]), "the store hides the database"),
    ("libsqlite3-sys", Allowed::Only(&["host/store"]), "the store hides the database"),
    ("nvml-wrapper*", Allowed::Only(&["host/hardware"]), "measuring is hardware's"),
    ("prometheus-client", Allowed::Only(&["host/telemetry"]), "metrics are telemetry's"),
];

/// The part of the tree that a member belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// A host crate of this layer.
    Host(u8),
    /// The library of guest authors.
    Sdk,
    /// A guest.
    Guest,
    /// The guests as constants.
    Artifacts,
    /// A test crate.
    Test,
    /// A foreign world made for tests: it knows nothing of the host, and the crate that wraps the real one is tested with
    /// it.
    Fake,
}

/// Every broken rule about who names whom.
pub fn check(members: &[Member]) -> Vec<String> {
    let mut findings = Vec::new();
    let mut parts = BTreeMap::new();
    for member in members {
        match part(&member.folder) {
            Ok(part) => drop(parts.insert(member.package.as_str(), part)),
            Err(finding) => findings.push(finding),
        }
    }
    for member in members {
        let Some(from) = parts.get(member.package.as_str()) else { continue };
        for dependency in &member.dependencies {
            let to = parts.get(dependency.package.as_str());
            let refusal = match to {
                Some(to) => edge(*from, *to, dependency.kind),
                None => foreign(member, *from, dependency),
            };
            let file = format!("{}/Cargo.toml", member.folder);
            findings.extend(
                refusal.map(|why| format!("{file}: may not depend on {}: {why}", dependency.package)),
            );
        }
    }
    findings
}

fn part(folder: &str) -> Result<Part, String> {
    match folder.split_once('/') {
        None if folder == "guest-sdk" => Ok(Part::Sdk),
        Some(("guests", "artifacts")) => Ok(Part::Artifacts),
        Some(("guests", _)) => Ok(Part::Guest),
        Some(("tests", name)) if name.starts_with("fake-") => Ok(Part::Fake),
        Some(("tests", _)) => Ok(Part::Test),
        Some(("host", name)) => {
            let layer = LAYERS.iter().find(|(known, _)| *known == name).map(|(_, layer)| Part::Host(*layer));
            layer.ok_or_else(|| format!("{folder}: has no layer; add it to LAYERS in {}", file!()))
        }
        _ => Err(format!("{folder}: is no part of the tree; see {}", file!())),
    }
}

/// Why one member may not name another; `None` if it may.
fn edge(from: Part, to: Part, kind: Kind) -> Option<String> {
    match (from, to) {
        (Part::Test, _) | (Part::Guest, Part::Sdk) => None,
        (Part::Fake, _) => Some("a fake knows nothing of what is tested with it".into()),
        (Part::Host(_), Part::Fake) if kind == Kind::Dev => None,
        (_, Part::Test | Part::Fake) => Some("test crates are for tests".into()),
        (Part::Guest | Part::Sdk | Part::Artifacts, _) => Some("guests know the SDK and nothing else".into()),
        (Part::Host(from), Part::Host(to)) if from > to => None,
        (Part::Host(from), Part::Host(to)) => Some(format!("layer {from} may not name layer {to}")),
        // The binary carries the sample catalog; all other host code sees guests in its tests only.
        (Part::Host(4), Part::Artifacts) => None,
        (Part::Host(_), Part::Sdk | Part::Guest | Part::Artifacts) => {
            (kind != Kind::Dev).then(|| "guests are for the node's catalog and for tests".into())
        }
    }
}

fn foreign(member: &Member, part: Part, dependency: &Dependency) -> Option<String> {
    let names = |pattern: &str| match pattern.strip_suffix('*') {
        Some(prefix) => dependency.package.starts_with(prefix),
        None => dependency.package == pattern,
    };
    let (_, allowed, why) = FOREIGN.iter().find(|(pattern, ..)| names(pattern))?;
    let from_layer = |lowest| !matches!(part, Part::Host(layer) if layer < lowest);
    let among = |folders: &[&str]| folders.contains(&member.folder.as_str());
    let may = match allowed {
        Allowed::FromLayer(lowest) => from_layer(*lowest),
        Allowed::FromLayerAnd(lowest, folders) => from_layer(*lowest) || among(folders),
        Allowed::Only(folders) => among(folders),
    };
    (!may).then(|| (*why).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(package: &str, folder: &str, dependencies: &[(&str, Kind)]) -> Member {
        let dependencies =
            dependencies.iter().map(|(name, kind)| Dependency { package: (*name).into(), kind: *kind });
        Member { package: package.into(), folder: folder.into(), dependencies: dependencies.collect() }
    }

    /// What is found when one member is changed in a tree that is right.
    fn with(changed: Member) -> Vec<String> {
        let mut members = vec![
            member("model", "host/model", &[]),
            member("wire", "host/wire", &[("utoipa", Kind::Normal)]),
            member("engine", "host/engine", &[("model", Kind::Normal), ("artifacts", Kind::Dev)]),
            member("mesh", "host/mesh", &[("engine", Kind::Normal)]),
            member("api", "host/api", &[("mesh", Kind::Normal), ("axum", Kind::Normal)]),
            member("node", "host/node", &[("api", Kind::Normal), ("artifacts", Kind::Normal)]),
            member("hypermesh", "host/hypermesh", &[("node", Kind::Normal)]),
            member("sdk", "guest-sdk", &[("wit-bindgen", Kind::Normal)]),
            member("hash", "guests/hash", &[("sdk", Kind::Normal)]),
            member("artifacts", "guests/artifacts", &[]),
            member("system", "tests/system", &[("hypermesh", Kind::Normal), ("hyper", Kind::Dev)]),
        ];
        members.retain(|known| known.package != changed.package);
        members.push(changed);
        check(&members)
    }

    #[test]
    fn a_right_tree_has_no_findings() {
        assert_eq!(with(member("model", "host/model", &[])), Vec::<String>::new());
    }

    #[test]
    fn an_edge_that_does_not_point_down_is_found() {
        for (package, folder, target) in [
            ("model", "host/model", "wire"),
            ("engine", "host/engine", "mesh"),
            ("mesh", "host/mesh", "api"),
            ("node", "host/node", "hypermesh"),
            ("mesh", "host/mesh", "system"),
            ("hash", "guests/hash", "model"),
            ("sdk", "guest-sdk", "model"),
        ] {
            for kind in [Kind::Normal, Kind::Dev, Kind::Build] {
                let findings = with(member(package, folder, &[(target, kind)]));
                assert_eq!(findings.len(), 1, "{package} → {target}: {findings:?}");
                assert!(findings[0].starts_with(&format!("{folder}/Cargo.toml: ")), "{findings:?}");
            }
        }
    }

    #[test]
    fn a_fake_is_known_to_tests_alone_and_knows_nobody() {
        let hardware = |kind| {
            let hardware = member("hardware", "host/hardware", &[("fake", kind)]);
            let fake = member("fake", "tests/fake-nvml", &[("serde", Kind::Normal)]);
            check(&[hardware, fake]).len()
        };
        assert_eq!([Kind::Dev, Kind::Normal, Kind::Build].map(hardware), [0, 1, 1]);
        assert_eq!(with(member("fake", "tests/fake-nvml", &[("model", Kind::Dev)])).len(), 1);
    }

    #[test]
    fn guests_are_test_material_except_for_the_catalog() {
        assert_eq!(with(member("engine", "host/engine", &[("artifacts", Kind::Normal)])).len(), 1);
        assert_eq!(with(member("engine", "host/engine", &[("hash", Kind::Build)])).len(), 1);
        assert_eq!(with(member("engine", "host/engine", &[("hash", Kind::Dev)])).len(), 0);
    }

    #[test]
    fn a_foreign_crate_outside_its_home_is_found() {
        for (package, folder, target) in [
            ("mesh", "host/mesh", "axum"),
            ("mesh", "host/mesh", "tower-http"),
            ("engine", "host/engine", "hyper-util"),
            ("sandbox", "host/sandbox", "http"),
            ("model", "host/model", "utoipa"),
            ("node", "host/node", "utoipa-axum"),
            ("mesh", "host/mesh", "wasmtime-wasi"),
            ("mesh", "host/mesh", "rusqlite"),
            ("hash", "guests/hash", "wit-bindgen"),
        ] {
            assert_eq!(
                with(member(package, folder, &[(target, Kind::Dev)])).len(),
                1,
                "{package} → {target}"
            );
        }
        assert_eq!(with(member("engine", "host/engine", &[("hyper", Kind::Normal)])).len(), 0);
        assert_eq!(with(member("node", "host/node", &[("hyper", Kind::Normal)])).len(), 0);
        assert_eq!(with(member("mesh", "host/mesh", &[("httparse", Kind::Normal)])).len(), 0);
    }

    #[test]
    fn a_folder_without_a_layer_is_told_where_to_go() {
        let findings = with(member("new", "host/new", &[]));
        assert!(findings.len() == 1 && findings[0].contains("add it to LAYERS"), "{findings:?}");
        assert_eq!(with(member("stray", "stray", &[])).len(), 1);
    }
}
