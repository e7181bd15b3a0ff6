//! The rules, applied to this repository.

use hypermesh_tests_tidy::licences::Policy;
use hypermesh_tests_tidy::{assert_none, layers, metadata, sources, tree};
use std::path::Path;

/// Endings of files that people write and read.
const WRITTEN: [&str; 10] = ["rs", "toml", "md", "wit", "sh", "json", "yml", "yaml", "py", "txt"];

#[test]
fn every_edge_between_crates_points_down() {
    assert_none("layers", &layers::check(&metadata::members()));
}

#[test]
fn every_rust_file_has_a_head_and_a_bearable_length() {
    let files = tree::files(&["rs"]);
    let texts: Vec<_> = files.iter().map(|path| (path, tree::text(path))).collect();
    let findings: Vec<_> =
        texts.iter().flat_map(|(path, text)| sources::head_and_length(path, text)).collect();
    assert_none("heads and lengths", &findings);
    let median = sources::median(texts.iter().map(|(_, text)| text.lines().count()).collect());
    println!("{} Rust files, {median} lines in the median", files.len());
    assert!(median <= sources::MAX_MEDIAN_LINES, "the median file has {median} lines");
}

#[test]
fn nothing_is_left_for_later() {
    let files = tree::files(&WRITTEN);
    let findings: Vec<_> = files.iter().flat_map(|path| sources::markers(path, &tree::text(path))).collect();
    assert_none("markers", &findings);
}

#[test]
fn no_file_names_a_path_of_some_machine() {
    let files = tree::files(&WRITTEN);
    let findings: Vec<_> =
        files.iter().flat_map(|path| sources::machine_paths(path, &tree::text(path))).collect();
    assert_none("paths", &findings);
}

#[test]
fn git_holds_sources_only() {
    let files = match tree::tracked() {
        Ok(files) => files,
        Err(reason) => {
            eprintln!("SKIPPED git_holds_sources_only: {reason}");
            return;
        }
    };
    let check =
        |path: &std::path::PathBuf| sources::built(path, &std::fs::read(tree::root().join(path)).unwrap());
    let findings: Vec<_> = files.iter().filter_map(check).collect();
    assert_none("built files", &findings);
}

#[test]
fn every_member_takes_the_lints_of_the_workspace() {
    let manifests =
        metadata::members().into_iter().map(|member| Path::new(&member.folder).join("Cargo.toml"));
    let findings: Vec<_> =
        manifests.filter_map(|path| sources::lints_of_workspace(&path, &tree::text(&path))).collect();
    assert_none("lints", &findings);
}

#[test]
fn every_dependency_may_be_built_in() {
    let policy = Policy::parse(&tree::text(Path::new("deny.toml")));
    assert_none("licences", &policy.unlicensed(&metadata::licensed()));
    assert_none("bans", &policy.banned(&metadata::built()));
    assert_none("sources", &policy.from_elsewhere(&tree::text(Path::new("Cargo.lock"))));
}
