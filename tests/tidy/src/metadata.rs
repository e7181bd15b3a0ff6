//! What cargo knows of the workspace, by `cargo metadata` and `cargo tree`.
//!
//! The format is stable as version 1 (the Cargo book, "cargo metadata"). Panics when cargo can't be run or refuses,
//! with cargo's own words: without it none of the rules can be checked.

use crate::tree;
use serde_json::Value;
use std::collections::BTreeSet;
use std::env;
use std::path::Path;
use std::process::Command;

/// How a dependency is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// By the library or binary.
    Normal,
    /// By tests, examples and benches only.
    Dev,
    /// By the build script.
    Build,
}

/// One line of a member's dependencies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The package's name, whatever the member calls it.
    pub package: String,
    /// How it is used.
    pub kind: Kind,
}

/// A member of the workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The package's name.
    pub package: String,
    /// Its folder, relative to the root.
    pub folder: String,
    /// What its manifest names.
    pub dependencies: Vec<Dependency>,
}

/// A package in the dependency graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Licensed {
    /// Name and version.
    pub package: String,
    /// Its SPDX expression, where it has one.
    pub licence: Option<String>,
}

/// The members of the workspace.
///
/// # Panics
/// See the module.
pub fn members() -> Vec<Member> {
    packages(&["--no-deps"]).iter().map(member).collect()
}

/// Every package that a build on this platform uses. Others are not built, and may not even be downloaded.
///
/// # Panics
/// See the module.
pub fn licensed() -> Vec<Licensed> {
    let platform = format!("--filter-platform={}", host());
    let read = |package: &Value| Licensed {
        package: format!("{} {}", text(package, "name"), text(package, "version")),
        licence: package["license"].as_str().map(str::to_owned),
    };
    packages(&[&platform]).iter().map(read).collect()
}

/// The names of the packages that a build on this platform builds, by `cargo tree`.
///
/// A lock file and `cargo metadata` also list what no build has: a dependency that only a feature of it could turn on
/// (`ring?/alloc` in rustls-webpki) is in both though nothing turns it on.
///
/// # Panics
/// See the module.
pub fn built() -> Vec<String> {
    let arguments =
        ["tree", "--workspace", "--locked", "--prefix=none", "--format={p}", "--edges=normal,build,dev"];
    let output = cargo(&arguments);
    let names = output.lines().filter_map(|line| line.split_whitespace().next().map(str::to_owned));
    names.collect::<BTreeSet<_>>().into_iter().collect()
}

fn member(package: &Value) -> Member {
    let manifest = Path::new(text(package, "manifest_path"));
    let folder = manifest.parent().and_then(|folder| folder.strip_prefix(tree::root()).ok());
    let folder = folder.expect("a member lies below the root").to_string_lossy().into_owned();
    let dependencies = package["dependencies"].as_array().into_iter().flatten().map(dependency).collect();
    Member { package: text(package, "name").to_owned(), folder, dependencies }
}

fn dependency(dependency: &Value) -> Dependency {
    let kind = match dependency["kind"].as_str() {
        None => Kind::Normal,
        Some("dev") => Kind::Dev,
        Some("build") => Kind::Build,
        Some(other) => panic!("cargo metadata has a new kind of dependency: {other}"),
    };
    Dependency { package: text(dependency, "name").to_owned(), kind }
}

/// The platform that this test was built for, which is the one that is checked.
fn host() -> String {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output().expect("rustc runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.expect("rustc -vV names the host").to_owned()
}

fn packages(arguments: &[&str]) -> Vec<Value> {
    let output = cargo(&[&["metadata", "--format-version=1", "--locked"], arguments].concat());
    let document: Value = serde_json::from_str(&output).expect("cargo metadata is JSON");
    document["packages"].as_array().cloned().expect("cargo metadata has a list of packages")
}

fn cargo(arguments: &[&str]) -> String {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(tree::root()).args(arguments);
    let output = command.output().expect("cargo runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {} failed:\n{said}", arguments[0]);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_else(|| panic!("cargo metadata has no text `{member}`"))
}
