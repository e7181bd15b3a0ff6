//! The binary under test.
//!
//! Cargo tells a test where the binaries of its own package are, and no others. `cargo test --workspace` builds this one
//! too; where a test runs without that, it is built here. It isn't built here when it is newer than everything that its
//! dependency file names: cargo may choose other features for one package than for all, and would build half of it again.
//! Set `HYPERMESH_BIN` to test another one, as it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

/// The root of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("this crate is two folders below the root")
}

/// The binary under test.
///
/// # Panics
/// When it can't be built.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| std::env::var_os("HYPERMESH_BIN").map_or_else(build, PathBuf::from))
}

fn build() -> PathBuf {
    let test = std::env::current_exe().expect("the test's own file");
    // `<target>/<profile>/deps/<test>`, and for an ordinary binary `<target>/<profile>/<name>`.
    let folder = test.parent().expect("a folder");
    let folder = if folder.ends_with("deps") { folder.parent().expect("a folder") } else { folder };
    let binary = folder.join("hypermesh");
    if is_fresh(&binary) != Some(true) {
        // Cargo's own lock lets one process build at a time; `cargo test` has given it back before tests run.
        run_cargo(folder);
    }
    binary
}

/// Whether the binary is newer than what it was made from; `None` when that can't be known.
fn is_fresh(binary: &Path) -> Option<bool> {
    let built = modified(binary)?;
    let rule = fs::read_to_string(binary.with_extension("d")).ok()?;
    let locked = ["Cargo.toml", "Cargo.lock"].map(|name| repository().join(name));
    let mut sources = sources(&rule)?.into_iter().chain(locked);
    Some(sources.all(|source| modified(&source).is_some_and(|changed| changed <= built)))
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).ok()?.modified().ok()
}

/// What stands behind the colon of a make rule: paths, whose own spaces are escaped.
fn sources(rule: &str) -> Option<Vec<PathBuf>> {
    let (_, list) = rule.lines().next()?.split_once(": ")?;
    let list = list.replace("\\ ", "\0");
    Some(list.split_whitespace().map(|path| PathBuf::from(path.replace('\0', " "))).collect())
}

fn run_cargo(folder: &Path) {
    let profile = match folder.file_name().and_then(|name| name.to_str()).expect("a profile") {
        "debug" => "dev",
        other => other,
    };
    let target = folder.parent().expect("the target folder");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .current_dir(repository())
        .args(["build", "--quiet", "--workspace", "--bin", "hypermesh", "--profile", profile])
        .arg("--target-dir")
        .arg(target)
        .output()
        .expect("cargo starts");
    assert!(built.status.success(), "building hypermesh: {}", String::from_utf8_lossy(&built.stderr));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_names_its_sources() {
        let found = sources("/t/hypermesh: /a/b.rs /with\\ space/c.rs\n").unwrap();
        assert_eq!(found, [Path::new("/a/b.rs"), Path::new("/with space/c.rs")]);
        assert!(sources("").is_none());
    }
}
