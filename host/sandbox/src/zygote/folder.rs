//! A folder for a worker: a mount of its own that is nowhere in the tree, so that `..` does not leave it, without set-user-id
//! programs, devices and executables, read-only unless granted otherwise; and its owner appears as the worker's user
//! where the file system can do that (`Documentation/filesystems/idmappings.rst`).
//!
//! Each of the two may be impossible: mounting without root, mapping on a file system that can't. What is left then is a
//! plain descriptor, in which Landlock keeps the worker, or the folder as it is, with its owner's rights. The layers say so.

use super::protocol::IdMap;
use super::{Zygote, ZygoteError};
use crate::jail::{Mount, layer};
use hypermesh_model::JailLayer;
use rustix::fs::{CWD, Mode, OFlags, fstat, openat};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// A folder that can't be granted at all.
#[derive(Debug, Error)]
#[error("cannot open the folder {}", path.display())]
pub struct FolderError {
    /// Where.
    pub path: PathBuf,
    /// What the kernel said.
    #[source]
    pub source: io::Error,
}

/// A folder to be sent with an order.
#[derive(Debug)]
pub struct GrantedFolder {
    /// For lookups only (O_PATH): what is in it is opened relative to it, the folder itself as `.`.
    pub fd: OwnedFd,
    /// `folder_mount`, and `folder_owner` where a user was asked for.
    pub layers: Vec<JailLayer>,
}

impl Zygote {
    /// Makes a folder ready to be granted. `uid`: the user that its owner, and its owner's group, are to appear as, that of
    /// the order. Other users appear as nobody (65534). What is mounted below is not seen. Blocks for system calls and,
    /// with a user that was not asked for lately, for a fork of the zygote's.
    ///
    /// # Errors
    /// [`FolderError`] when it can't be opened, or is no folder.
    pub fn grant_folder(
        &self,
        path: &Path,
        is_writable: bool,
        uid: Option<u32>,
    ) -> Result<GrantedFolder, FolderError> {
        let failed = |error: rustix::io::Errno| FolderError { path: path.to_owned(), source: error.into() };
        let plain = openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(failed)?;
        let owner = fstat(&plain).map_err(failed)?;
        let mount = match Mount::of(plain.as_fd(), is_writable) {
            Ok(mount) => mount,
            Err((what, error)) => {
                let reason = Err(format!("{what}: {error}"));
                let mut layers = vec![layer("folder_mount", &reason, "")];
                layers.extend(uid.map(|_| layer("folder_owner", &reason, "")));
                return Ok(GrantedFolder { fd: plain, layers });
            }
        };
        let how = if is_writable { "a mount of its own" } else { "a mount of its own, read-only" };
        let mut layers = vec![layer("folder_mount", &Ok(()), how)];
        if let Some(to) = uid {
            let ids = IdMap { from_uid: owner.st_uid, from_gid: owner.st_gid, to };
            let mapped = self.show_owner(&mount, ids);
            layers.push(layer("folder_owner", &mapped, "its owner appears as the worker's user"));
        }
        Ok(GrantedFolder { fd: mount.into_fd(), layers })
    }

    fn show_owner(&self, mount: &Mount, ids: IdMap) -> Result<(), String> {
        if (ids.from_uid, ids.from_gid) == (ids.to, ids.to) {
            return Ok(());
        }
        let users = self.users(ids).map_err(|error| {
            if let ZygoteError::Map { reason } = error { reason } else { error.to_string() }
        })?;
        mount.map_users(users.as_fd()).map_err(|error| format!("mount_setattr(2), users: {error}"))
    }
}
