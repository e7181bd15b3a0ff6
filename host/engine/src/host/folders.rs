//! Granted folders, from descriptors.
//!
//! wasmtime-wasi opens a folder by path. A path that works everywhere, even in an empty root, is `.`: so the thread goes
//! to the folder, lets it be opened, and goes to the root again. Its working directory is made its own first, since
//! that of a process is shared by all threads.
#![allow(unsafe_code)]

use crate::GrantedFolder;
use rustix::process::{chdir, fchdir};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use std::io;
use std::os::fd::OwnedFd;
use thiserror::Error;
use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

/// A folder that a guest can't be given.
#[derive(Debug, Error)]
pub(crate) enum FolderError {
    /// Not as many descriptors as folders.
    #[error("{granted} folders are granted, and {given} came")]
    Count { granted: usize, given: usize },
    /// The thread can't get a working directory of its own, or can't leave the folder.
    #[error("cannot change the working directory")]
    Directory(#[source] io::Error),
    /// It can't be opened.
    #[error("the granted folder {guest_path} cannot be opened")]
    Open {
        guest_path: String,
        #[source]
        source: io::Error,
    },
    /// wasmtime-wasi can't open it.
    #[error("the granted folder {guest_path} cannot be opened")]
    Preopen {
        guest_path: String,
        #[source]
        source: wasmtime::Error,
    },
}

/// Gives a guest its folders.
pub(super) fn grant(
    wasi: &mut WasiCtxBuilder,
    folders: &[GrantedFolder],
    descriptors: Vec<OwnedFd>,
) -> Result<(), FolderError> {
    if folders.len() != descriptors.len() {
        return Err(FolderError::Count { granted: folders.len(), given: descriptors.len() });
    }
    if folders.is_empty() {
        return Ok(());
    }
    let directory = |error: rustix::io::Errno| FolderError::Directory(error.into());
    // SAFETY: `CLONE_FS` ends the sharing of root, working directory and umask with other threads. Nothing here relies
    // on that, and descriptors, which would be unsafe to unshare, stay as they are.
    unsafe { unshare_unsafe(UnshareFlags::FS) }.map_err(directory)?;
    let opened = folders.iter().zip(descriptors).try_for_each(|(folder, descriptor)| {
        let guest_path = || folder.guest_path.clone();
        fchdir(&descriptor)
            .map_err(|error| FolderError::Open { guest_path: guest_path(), source: error.into() })?;
        let permissions = if folder.writable { FsPerms::ReadWrite } else { FsPerms::ReadOnly };
        wasi.preopened_dir(".", &folder.guest_path, permissions)
            .map(drop)
            .map_err(|source| FolderError::Preopen { guest_path: guest_path(), source })
    });
    chdir("/").map_err(directory)?;
    opened
}
