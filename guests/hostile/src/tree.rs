//! What a lease's folder may be left with: trees that are deeper than any path is long, and links to everywhere.
//!
//! The guest gets nothing out of these; who measures or removes the folder may.

use crate::folder::{folder, said};
use hypermesh_guest::JobError;
use serde_json::{Value, json};
use std::fs;
use std::io;
use std::path::Path;

/// Folders in a path that the host still takes (PATH_MAX is 4096 bytes, with the folder's own name in front).
const STEPS: usize = 1500;

/// Makes a row of folders inside each other, `count` times, and moves the rows before it to its end.
pub(crate) fn pit(count: u64) -> Result<Value, JobError> {
    let folder = folder()?;
    let mut refused = None;
    let mut made = 0;
    for row in 0..count {
        let path = folder.join(format!("row-{row}"));
        match dig(folder, &path, row) {
            Ok(()) => made += 1,
            Err(error) => {
                refused = Some(error.to_string());
                break;
            }
        }
    }
    Ok(json!({ "rows": made, "steps": STEPS, "error": refused }))
}

fn dig(folder: &Path, path: &Path, row: u64) -> io::Result<()> {
    fs::create_dir(path)?;
    // Made from above, a folder at a time: the path is always shorter than the limit.
    let mut deepest = path.to_owned();
    for _ in 0..STEPS {
        deepest.push("d");
        fs::create_dir(&deepest)?;
    }
    match row.checked_sub(1) {
        Some(before) => fs::rename(folder.join(format!("row-{before}")), deepest.join("e")),
        None => Ok(()),
    }
}

/// Leaves links to files and folders outside, to itself, to nothing, and a file under many names.
pub(crate) fn links() -> Result<Value, JobError> {
    let folder = folder()?;
    let mut outcomes = Vec::new();
    let targets = [
        "/",
        "..",
        ".",
        "loop",
        "/etc/passwd",
        "../../node.sqlite",
        "../../../token",
        "/proc/self/root",
        "nothing",
    ];
    for (index, target) in targets.iter().enumerate() {
        let name = if *target == "loop" { "loop".to_owned() } else { format!("link-{index}") };
        // The standard library has no other for this platform yet.
        #[expect(deprecated, reason = "on WASI it makes a symbolic link, which is what is wanted")]
        let linked = fs::soft_link(target, folder.join(&name));
        // Through what was made, where it was.
        let written = fs::write(folder.join(&name).join("written"), b"x");
        outcomes.push(json!({ "target": target, "linked": said(&linked), "written": said(&written) }));
    }
    let written = fs::write(folder.join("one"), b"x");
    let named =
        (0..50).filter(|n| fs::hard_link(folder.join("one"), folder.join(format!("also-{n}"))).is_ok());
    let names = named.count();
    Ok(json!({ "links": outcomes, "written": said(&written), "names": names }))
}
