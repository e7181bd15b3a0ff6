//! Loading a compiled artefact: the one unsafe step, since it maps machine code.
#![allow(unsafe_code)]

use rustix::process::geteuid;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use thiserror::Error;
use wasmtime::Engine;
use wasmtime::component::Component;

/// Write permission for group and others (`inode(7)`).
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Why an artefact was not loaded.
#[derive(Debug, Error)]
pub(crate) enum LoadError {
    /// It is not there or cannot be read.
    #[error("cannot read the compiled artefact {path}")]
    Read {
        path: String,
        #[source]
        source: io::Error,
    },
    /// Somebody else could have written it.
    #[error("the compiled artefact {path} could have been written by others (owner {owner}, mode {mode:o})")]
    Untrusted { path: String, owner: u32, mode: u32 },
    /// It was made by another wasmtime or another configuration, or is damaged.
    #[error("the compiled artefact {path} does not fit this engine")]
    Mismatch {
        path: String,
        #[source]
        source: wasmtime::Error,
    },
}

/// Maps an artefact that our own compiler wrote.
///
/// # Errors
/// [`LoadError`]; also for a file that anybody but this process's user owns or may write.
pub(crate) fn load(engine: &Engine, path: &Path) -> Result<Component, LoadError> {
    let shown = || path.display().to_string();
    let metadata = fs::metadata(path).map_err(|source| LoadError::Read { path: shown(), source })?;
    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    if owner != geteuid().as_raw() || mode & WRITABLE_BY_OTHERS != 0 || !metadata.is_file() {
        return Err(LoadError::Untrusted { path: shown(), owner, mode });
    }
    // SAFETY: `deserialize_file` needs a file that `Component::serialize` made and that doesn't change while mapped.
    // Only our own compile process makes these, users' precompiled files are refused at upload, the store replaces
    // files by rename and never writes into one, and the check above leaves no other user who could.
    unsafe { Component::deserialize_file(engine, path) }
        .map_err(|source| LoadError::Mismatch { path: shown(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::engine;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_others_may_write_is_not_mapped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.cwasm");
        let engine = engine().unwrap();
        assert!(matches!(load(&engine, &path), Err(LoadError::Read { .. })));
        fs::write(&path, b"not an artefact").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o620)).unwrap();
        assert!(matches!(load(&engine, &path), Err(LoadError::Untrusted { .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(load(&engine, &path), Err(LoadError::Mismatch { .. })));
    }
}
