//! What can go wrong with a volume. A refusal names the numbers; what the kernel said is the source, never in the text.

use hypermesh_model::{Bytes, LeaseId};
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// A volume that was not made, changed, measured or removed.
#[derive(Debug, Error)]
pub enum VolumeError {
    /// This machine can't bound a folder.
    #[error("no folder of bounded size is possible here: {reason}")]
    Unavailable {
        /// What is missing.
        reason: String,
    },
    /// Too small to hold a filesystem.
    #[error("a volume of {size} is too small, it has at least {least}")]
    TooSmall {
        /// What was asked.
        size: Bytes,
        /// The smallest.
        least: Bytes,
    },
    /// The host's filesystem has not that much to give away.
    #[error("the volume needs {needed} on the host's filesystem, {free} are free for volumes")]
    NoRoom {
        /// What would have to be reserved, with the filesystem's own overhead.
        needed: Bytes,
        /// What is free, less what other volumes have been promised.
        free: Bytes,
    },
    /// No volume of that lease.
    #[error("lease {lease} has no volume")]
    Unknown {
        /// The lease.
        lease: LeaseId,
    },
    /// It exists with another size: that is what `resize` is for.
    #[error("lease {lease} has a volume of {size} already")]
    Exists {
        /// The lease.
        lease: LeaseId,
        /// Its size.
        size: Bytes,
    },
    /// It holds more than it should be able to hold.
    #[error("the volume of lease {lease} holds {used}, it can't shrink to {requested}")]
    InUse {
        /// The lease.
        lease: LeaseId,
        /// What its files take.
        used: Bytes,
        /// What was asked.
        requested: Bytes,
    },
    /// ext4 shrinks only unmounted, and by moving data: an image never does.
    #[error("the volume of lease {lease} is an image of {size}, and images only grow")]
    ShrinkImage {
        /// The lease.
        lease: LeaseId,
        /// Its size.
        size: Bytes,
    },
    /// Growing a mounted ext4 takes `CAP_SYS_RESOURCE`, and unmounting it for that is impossible while it is used.
    #[error(
        "the volume of lease {lease} can't grow while a process uses it: this node has no CAP_SYS_RESOURCE"
    )]
    Busy {
        /// The lease.
        lease: LeaseId,
    },
    /// It is being removed, and a process still holds it open.
    #[error("the volume of lease {lease} is being removed, and a process still holds it open")]
    Removing {
        /// The lease.
        lease: LeaseId,
    },
    /// Two nodes can't share a folder of volumes.
    #[error("another process manages the volumes in {}", folder.display())]
    FolderTaken {
        /// The folder.
        folder: PathBuf,
    },
    /// Something else is mounted where the volume belongs. It is left alone.
    #[error("{source_device} is mounted on {}, which is not the volume's own", path.display())]
    NotOurs {
        /// Where.
        path: PathBuf,
        /// What mountinfo names as its source.
        source_device: String,
    },
    /// All loop devices were taken away between being offered and being used.
    #[error("no free loop device after {tries} tries")]
    NoLoopDevice {
        /// How many.
        tries: u32,
    },
    /// No free project id: all that were tried have files or limits.
    #[error("no free project id after {tries} tries")]
    NoProject {
        /// How many.
        tries: u32,
    },
    /// `mkfs.ext4` makes filesystems whose size this version can't steer.
    #[error("mkfs.ext4 made no filesystem for {size}: closest was {closest}")]
    Format {
        /// What its files should be able to hold.
        size: Bytes,
        /// What they could hold in the closest below.
        closest: Bytes,
    },
    /// A filesystem that is not one of ours.
    #[error("{} has no ext4 superblock of ours", path.display())]
    Superblock {
        /// The image or device.
        path: PathBuf,
    },
    /// A program of e2fsprogs failed.
    #[error("{program} ended with {status}: {stderr}")]
    Program {
        /// Which.
        program: &'static str,
        /// Its exit status, as text.
        status: String,
        /// What it said, cut to 2,000 bytes.
        stderr: String,
    },
    /// The limit that was written is not the one that the kernel holds.
    #[error("{} should have a limit of {requested}, the kernel holds {actual}", path.display())]
    NotHeld {
        /// The folder.
        path: PathBuf,
        /// What was written.
        requested: Bytes,
        /// What was read back.
        actual: Bytes,
    },
    /// A record that can't be read. Its volume is left alone.
    #[error("{} is not a volume's record", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// The kernel refused.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was tried, e.g. "mount".
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

/// Turns what the kernel said into an error with its context.
pub(crate) trait Doing<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, VolumeError>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, VolumeError> {
        self.map_err(|source| VolumeError::Io { doing, path: path.to_owned(), source: source.into() })
    }
}
