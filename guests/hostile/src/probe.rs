//! Looking for what a guest was not given.
//!
//! Reports what it found and judges nothing: the test that runs it knows what should be there.

use hypermesh_guest::{Context, JobError};
use serde_json::{Value, json};
use std::io::{Read, Seek, SeekFrom};
use std::{env, fs, io};

/// Counts or outcomes of every ambient thing that the standard library can ask for.
pub(crate) fn everything() -> Value {
    let mut standard_input = Vec::new();
    let stdin = io::stdin().take(16).read_to_end(&mut standard_input);
    json!({
        "environment": env::vars_os().count(),
        "arguments": env::args_os().count(),
        "standard_input_bytes": stdin.ok(),
        "read_root": fs::read_dir("/").is_ok(),
        "read_here": fs::read_dir(".").is_ok(),
        "read_passwd": fs::read("/etc/passwd").is_ok(),
        // Not on the host, where the native test runs and it would work.
        "write_file": cfg!(target_family = "wasm") && fs::write("hostile.txt", b"here").is_ok(),
    })
}

/// Reads an input from beyond its end, which must give nothing.
pub(crate) fn read_past_end(context: &mut dyn Context) -> Result<Value, JobError> {
    let blob = context.inputs().into_iter().next().ok_or_else(|| JobError::failed("needs an input"))?;
    let mut input = context.open(&blob.name)?;
    let mut bytes = Vec::new();
    for offset in [blob.size, blob.size + 1, u64::MAX] {
        input.seek(SeekFrom::Start(offset))?;
        input.by_ref().take(16).read_to_end(&mut bytes)?;
    }
    Ok(json!({ "bytes": bytes.len() }))
}
