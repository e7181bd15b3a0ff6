//! The files of the repository.
//!
//! Two views: what lies in the folders, which needs nothing, and what git holds or would add, which needs git and a
//! repository. Panics when a folder can't be read.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Folders that hold what is built or fetched, not what is written.
const SKIPPED: [&str; 3] = ["target", "node_modules", ".git"];

/// The root of the repository.
///
/// # Panics
/// When this crate no longer lies two folders below it.
pub fn root() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    folder.ancestors().nth(2).expect("this crate lies in tests/tidy").to_path_buf()
}

/// Every written file with one of these endings, relative to the root, in order.
///
/// # Panics
/// See the module.
pub fn files(extensions: &[&str]) -> Vec<PathBuf> {
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the tree can be read") {
            let path = entry.expect("a folder of the tree can be listed").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_symlink() || SKIPPED.contains(&name) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .and_then(|ending| ending.to_str())
                .is_some_and(|e| extensions.contains(&e))
            {
                found.push(path.strip_prefix(&root).expect("it lies below the root").to_path_buf());
            }
        }
    }
    found.sort();
    found
}

/// The text of a file. Bytes that aren't UTF-8 are replaced: they break no rule about words.
///
/// # Panics
/// When it can't be read.
pub fn text(path: &Path) -> String {
    let bytes = fs::read(root().join(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What git holds, and what `git add` would add. `Err` says why it can't be known, e.g. in an unpacked archive.
///
/// # Errors
/// One line for people.
pub fn tracked() -> Result<Vec<PathBuf>, String> {
    let mut git = Command::new("git");
    git.current_dir(root()).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let output = git.output().map_err(|error| format!("git can't be run: {error}"))?;
    if !output.status.success() {
        return Err(format!("git ls-files: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    let names = output.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let paths = names.map(|name| PathBuf::from(String::from_utf8_lossy(name).into_owned()));
    // What was removed but not yet committed is still listed.
    Ok(paths.filter(|path| root().join(path).is_file()).collect())
}
