//! A mount that is nowhere: a copy of a folder's, held by a descriptor, gone with its last user (open_tree(2)).

use super::sys::{attribute, set_mount};
use rustix::mount::{OpenTreeFlags, open_tree};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The mount.
#[derive(Debug)]
pub(crate) struct Mount(OwnedFd);

impl Mount {
    /// Of a folder, without what is mounted below it.
    ///
    /// # Errors
    /// With the call that was refused: EPERM without root.
    pub(crate) fn of(folder: BorrowedFd<'_>, is_writable: bool) -> Result<Self, (&'static str, io::Error)> {
        let flags =
            OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
        let mount = open_tree(folder, "", flags).map_err(|error| ("open_tree(2)", error.into()))?;
        let mut set = attribute::NO_SET_UID | attribute::NO_DEVICES | attribute::NO_EXECUTION;
        if !is_writable {
            set |= attribute::READ_ONLY;
        }
        set_mount(mount.as_fd(), set, None).map_err(|error| ("mount_setattr(2)", error))?;
        Ok(Self(mount))
    }

    /// Shows its users as a namespace maps them. Once, before anything is opened in it.
    ///
    /// # Errors
    /// EINVAL when its file system can't.
    pub(crate) fn map_users(&self, users: BorrowedFd<'_>) -> io::Result<()> {
        set_mount(self.0.as_fd(), 0, Some(users))
    }

    pub(crate) fn into_fd(self) -> OwnedFd {
        self.0
    }
}
