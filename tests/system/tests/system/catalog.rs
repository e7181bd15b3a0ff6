//! The catalog through the real binary: versions, search, deprecation, removal, quotas.

use hypermesh_artifacts::{Artifact, HASH_FILES, MATRIX_MULTIPLY};
use hypermesh_client::Upload;
use hypermesh_harness::{Node, Options, problem};
use hypermesh_wire::catalog::{
    CatalogApplication, CatalogQuery, Deprecate, Install, ResolveQuery, UploadQuery,
};
use std::process::Output;

fn add(node: &Node, artifact: &Artifact, name: &str, version: &str) -> CatalogApplication {
    let about = UploadQuery {
        name: Some(name.into()),
        version: Some(version.into()),
        description: Some(artifact.description.into()),
    };
    node.upload_package(&about, artifact.component).unwrap()
}

#[track_caller]
fn exits(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
}

fn versions(node: &Node, query: CatalogQuery) -> Vec<String> {
    let found = node.client().applications(&query).unwrap();
    found.into_iter().map(|a| format!("{}@{}", a.name, a.version)).collect()
}

#[test]
fn versions_are_listed_newest_first_and_chosen_by_requirement() {
    let node = Node::start();
    for version in ["1.2.0", "1.10.0", "2.0.0-rc.1", "1.9.1"] {
        add(&node, &HASH_FILES, "hash", version);
    }
    add(&node, &MATRIX_MULTIPLY, "matrix", "0.1.0");
    let all = ["hash@2.0.0-rc.1", "hash@1.10.0", "hash@1.9.1", "hash@1.2.0", "matrix@0.1.0"];
    assert_eq!(versions(&node, CatalogQuery::default()), all);
    // Page by page it is the same.
    let mut paged: Vec<String> = Vec::new();
    for _ in 0..3 {
        let after = paged.last().cloned();
        paged.extend(versions(&node, CatalogQuery { limit: Some(2), after, ..CatalogQuery::default() }));
    }
    assert_eq!(paged, all);
    let of_matrix = CatalogQuery { q: Some("MULTIPLIES two".into()), ..CatalogQuery::default() };
    assert_eq!(versions(&node, of_matrix), ["matrix@0.1.0"]);

    let client = node.client();
    let resolve = |package: &str, prerelease| {
        let query = ResolveQuery { package: package.into(), prerelease };
        client.resolve(&query).map(|application| application.version)
    };
    assert_eq!(resolve("hash", false).unwrap(), "1.10.0");
    assert_eq!(resolve("hash@~1.9", false).unwrap(), "1.9.1");
    assert_eq!(resolve("hash", true).unwrap(), "2.0.0-rc.1");
    let nothing = problem(resolve("hash@^3", false));
    assert!(nothing.status == 404 && nothing.detail.contains("1.10.0"), "{nothing:?}");

    let install =
        Install { catalog_id: "hash@^1.2, <1.9".into(), privacy_level: None, resource_limits: None };
    let metadata = client.install(&install).unwrap().vm_asset.catalog_metadata.unwrap();
    assert_eq!(metadata.version, "1.2.0");
    let shown = node.cli(&["-o", "json", "catalog", "show", "hash@~1.9"]);
    exits(&shown, 0);
    let shown: CatalogApplication = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown.version, "1.9.1");
    let none = node.cli(&["catalog", "show", "hash@9"]);
    exits(&none, 2);
}

#[test]
fn a_deprecated_version_is_no_choice_and_still_runs() {
    let node = Node::start();
    add(&node, &HASH_FILES, "hash", "1.0.0");
    let newer = add(&node, &HASH_FILES, "hash", "1.1.0");
    let reason = || Deprecate { reason: "hashes backwards".into() };
    let shown = node.client().deprecate(&newer.id, &reason()).unwrap();
    assert_eq!((shown.status.as_str(), shown.deprecated.unwrap().by.as_str()), ("deprecated", "admin"));
    let resolve = |package: &str| {
        let query = ResolveQuery { package: package.into(), prerelease: false };
        node.client().resolve(&query).unwrap().version
    };
    assert_eq!((resolve("hash"), resolve("hash@1.1.0")), ("1.0.0".into(), "1.1.0".into()));
    let installed = node.cli(&["catalog", "install", "hash@1.1.0"]);
    exits(&installed, 0);
    let said = String::from_utf8_lossy(&installed.stderr).into_owned();
    assert!(said.contains("deprecated: hashes backwards"), "{said}");
    let install = Install { catalog_id: newer.id.clone(), privacy_level: None, resource_limits: None };
    let logs = node.client().install(&install).unwrap().installation.logs;
    assert!(logs.iter().any(|line| line.starts_with("warning") && line.contains("backwards")), "{logs:?}");
    let events = node
        .client()
        .applications(&CatalogQuery { status: Some("deprecated".into()), ..CatalogQuery::default() });
    assert_eq!(events.unwrap().len(), 1);
    node.client().undeprecate(&newer.id).unwrap();
    assert_eq!(resolve("hash"), "1.1.0");
    assert_eq!(problem(node.client().undeprecate(&newer.id)).status, 409);
}

#[test]
fn a_package_is_removed_once_nothing_uses_it_and_its_component_with_the_last_one() {
    let mut node = Node::start();
    let first = add(&node, &HASH_FILES, "hash", "1.0.0");
    let second = add(&node, &HASH_FILES, "same-component", "1.0.0");
    let install = Install { catalog_id: first.id.clone(), privacy_level: None, resource_limits: None };
    let vm = node.client().install(&install).unwrap().vm_asset.id;
    let used = problem(node.client().remove_application(&first.id));
    assert!(used.status == 409 && used.detail.contains(&vm), "{used:?}");
    node.client().delete_asset(&vm).unwrap();
    node.client().remove_application(&first.id).unwrap();
    assert_eq!(node.client().application(&first.id).unwrap_err().status(), Some(404));

    let component = node.data_dir().join("components").join(&second.digest);
    let compiled = || {
        let engines = std::fs::read_dir(node.data_dir().join("compiled")).unwrap();
        let codes = engines.flat_map(|engine| std::fs::read_dir(engine.unwrap().path()).unwrap());
        codes.count()
    };
    assert!(component.exists() && compiled() == 1, "the other package has it");
    node.client().remove_application(&second.id).unwrap();
    assert!(!component.exists() && compiled() == 0);

    // Refused or without a package: nothing stays behind, at the latest after a restart.
    let about = UploadQuery { name: Some("broken".into()), ..UploadQuery::default() };
    assert!(node.upload_package(&about, b"\0asm").is_err());
    let components = node.data_dir().join("components");
    assert_eq!(std::fs::read_dir(&components).unwrap().count(), 0);
    std::fs::write(components.join("0".repeat(64)), b"left over").unwrap();
    node.stop();
    node.restart();
    assert_eq!(std::fs::read_dir(&components).unwrap().count(), 0);
}

#[test]
fn a_full_catalog_says_with_numbers_whose_limit_it_is() {
    let options = Options::default()
        .environment("HYPERMESH_CATALOG_MAX_PACKAGES", "3")
        .environment("HYPERMESH_CATALOG_MAX_PACKAGES_PER_REQUESTER", "2")
        .environment("HYPERMESH_CATALOG_MAX_BYTES", "1MiB");
    let node = Node::configured(options);
    add(&node, &HASH_FILES, "a", "1.0.0");
    add(&node, &HASH_FILES, "a", "1.0.1");
    let about = UploadQuery { name: Some("b".into()), ..UploadQuery::default() };
    let mut bytes = MATRIX_MULTIPLY.component;
    let length = bytes.len() as u64;
    let upload = Upload { reader: &mut bytes, length, progress: &mut |_| {} };
    let full = problem(node.client().upload_package(&about, upload));
    assert_eq!((full.status, full.problem_type.as_str()), (409, "urn:hypermesh:problem:not-enough-capacity"));
    assert!(full.detail.contains("admin holds 2 of 2 packages"), "{full:?}");
    let reason = &full.reasons[0];
    assert_eq!(
        (&reason["dimension"], &reason["requested"], &reason["available"]),
        (&"catalog_packages".into(), &1.0.into(), &0.0.into())
    );
    // The same once more is no further package.
    add(&node, &HASH_FILES, "a", "1.0.1");
}
