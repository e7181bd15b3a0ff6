//! Using the lease's folder as it is meant, filling it, and trying to get out of it.
//!
//! Reports what happened and judges nothing: the test that runs it knows what should. Natively there is no such folder,
//! and a path of that name would be the machine's own, so nothing is tried there.

use hypermesh_guest::{JobError, LEASE_FOLDER};
use serde::Deserialize;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Text {
    name: String,
    text: String,
}

pub(crate) fn folder() -> Result<&'static Path, JobError> {
    if cfg!(target_family = "wasm") {
        Ok(Path::new(LEASE_FOLDER))
    } else {
        Err(JobError::failed("only a guest has the folder of a lease"))
    }
}

/// Writes a file, reads it back and lists what is there.
pub(crate) fn use_it(Text { name, text }: Text) -> Result<Value, JobError> {
    let folder = folder()?;
    let written = fs::write(folder.join(&name), &text);
    let read = fs::read_to_string(folder.join(&name));
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(json!({ "written": said(&written), "read": read.ok(), "names": names }))
}

/// Writes until the host refuses: how much, and with which error.
pub(crate) fn fill() -> Result<Value, JobError> {
    let mut file = File::create(folder()?.join("filling"))?;
    let chunk = [b'x'; 4096];
    let mut written = 0_usize;
    let refused = loop {
        match file.write(&chunk) {
            Ok(count) => written += count,
            Err(error) => break error,
        }
    };
    Ok(json!({ "written": written, "error": refused.to_string() }))
}

/// Every way out that the standard library knows, by name, and what came of it. `link` and `up` are symbolic links that
/// the test laid out: to a file outside, and to the folder above.
pub(crate) fn escape() -> Result<Value, JobError> {
    let folder = folder()?;
    let reads =
        ["../secret", "inner/../../secret", "link", "up/secret", "/secret", "./../../../../../../etc/passwd"];
    let read: Vec<Value> = reads
        .into_iter()
        .map(|path| json!({ "path": path, "outcome": said(&fs::read(folder.join(path))) }))
        .collect();
    let target = PathBuf::from("..").join("secret");
    // The standard library has no other for this platform yet.
    #[expect(deprecated, reason = "on WASI it makes a symbolic link, which is what is wanted")]
    let linked = fs::soft_link(&target, folder.join("made"));
    Ok(json!({
        "read": read,
        "through_own_link": said(&linked.and_then(|()| fs::read(folder.join("made")))),
        "written_above": said(&fs::write(folder.join("../written"), b"x")),
        "written_through_link": said(&fs::write(folder.join("up/written"), b"x")),
        "renamed_out": said(&File::create(folder.join("mine")).and_then(|_| fs::rename(folder.join("mine"), folder.join("../mine")))),
        "linked_in": said(&fs::hard_link(folder.join("../secret"), folder.join("hard"))),
        "listed_above": said(&fs::read_dir(folder.join(".."))),
        "removed_above": said(&fs::remove_file(folder.join("../secret"))),
    }))
}

/// Keeps files open until the host refuses another one: how many, and with which error.
pub(crate) fn handles() -> Result<Value, JobError> {
    let folder = folder()?;
    let mut held = Vec::new();
    let refused = loop {
        match File::create(folder.join(format!("held-{}", held.len()))) {
            Ok(file) => held.push(file),
            Err(error) => break error,
        }
    };
    // One of them must still do what it is for.
    let written = held.first_mut().map(|file| file.write_all(b"here"));
    let last = written.as_ref().map(said);
    Ok(json!({ "held": held.len(), "error": refused.to_string(), "last": last }))
}

/// Creates empty files until there are so many or the host refuses: how many there are, and with which error.
pub(crate) fn crowd(count: u64) -> Result<Value, JobError> {
    let folder = folder()?;
    let create = |n: u64| File::create(folder.join(format!("{n}"))).err().map(|error| (n, error));
    let refused = (0..count).find_map(create);
    let (made, error) = refused.map_or((count, None), |(made, error)| (made, Some(error.to_string())));
    Ok(json!({ "made": made, "error": error }))
}

/// The kind of the error; `None` when there was none.
pub(crate) fn said<T>(outcome: &io::Result<T>) -> Option<String> {
    outcome.as_ref().err().map(|error| format!("{:?}", error.kind()))
}
