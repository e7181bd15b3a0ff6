//! Puts into the binary what `guest new` writes: the SDK's sources, its WIT, the examples, and the versions of dependencies
//! that this build was made with.
//!
//! Each becomes an entry of a table of paths and texts, by `include_str!`, so that a file that is added to one of the
//! folders is in the next build. What was built or fetched in an example is left out. Fails when a folder can't be read.
#![allow(clippy::print_stdout, reason = "how a build script talks to cargo")]

use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// What builds leave in an example, and the versions that it was tested with: a new project gets those of this build.
const NOT_WRITTEN: [&str; 7] =
    ["target", "build", "node_modules", "wit", ".venv", "__pycache__", "Cargo.lock"];

fn main() -> Result<(), Box<dyn Error>> {
    let here = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let root = here.join("../..").canonicalize()?;
    let mut code = String::new();
    let sdk = root.join("guest-sdk");
    let readme = ["README.md".into()];
    table(&mut code, "SDK", &sdk, &[files(&sdk, Path::new("src"))?, readme.into()].concat())?;
    table(&mut code, "WIT", &root.join("wit"), &files(&root.join("wit"), Path::new(""))?)?;
    table(&mut code, "EXAMPLES", &root.join("examples"), &files(&root.join("examples"), Path::new(""))?)?;
    for folder in ["guest-sdk/src", "wit"] {
        println!("cargo::rerun-if-changed={}", root.join(folder).display());
    }
    let lock = root.join("Cargo.lock");
    println!("cargo::rerun-if-changed={}", lock.display());
    writeln!(code, "/// The versions that this build was made with.")?;
    writeln!(code, "pub(super) const LOCK: &str = include_str!({lock:?});")?;
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("embedded.rs"), code)?;
    Ok(())
}

/// Every file below `root/below`, relative to `root`, in order.
fn files(root: &Path, below: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        if NOT_WRITTEN.iter().any(|name| path.ends_with(name)) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            // Not the examples' own folders: what is built in one would be looked through each time.
            if path.ends_with("src") || path.ends_with("tests") {
                println!("cargo::rerun-if-changed={}", root.join(&path).display());
            }
            found.extend(files(root, &path)?);
        } else {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn table(code: &mut String, name: &str, root: &Path, files: &[PathBuf]) -> Result<(), Box<dyn Error>> {
    writeln!(code, "/// Paths and texts.\npub(super) const {name}: &[(&str, &str)] = &[")?;
    for file in files {
        let path = root.join(file);
        println!("cargo::rerun-if-changed={}", path.display());
        writeln!(code, "    ({file:?}, include_str!({path:?})),")?;
    }
    writeln!(code, "];")?;
    Ok(())
}
