//! What can go wrong with a cgroup, always with the path, so that a person can look at the same file.

use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// A cgroup operation that failed.
#[derive(Debug, Error)]
pub enum CgroupError {
    /// A file or folder could not be read, made, removed or listed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// The verb: `read`, `create`, `remove`, `list`, ...
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The kernel refused a value.
    #[error("cannot write `{value}` to {}", path.display())]
    Write {
        /// The kernel file.
        path: PathBuf,
        /// What was written.
        value: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A kernel file holds something that it never should.
    #[error("{} holds `{text}`, which is not {expected}", path.display())]
    Malformed {
        /// The kernel file.
        path: PathBuf,
        /// What it holds, cut to 80 characters.
        text: String,
        /// What would have been right.
        expected: &'static str,
    },
    /// Processes outlived the deadline of a kill.
    #[error("{} process(es) in {} are still there after {waited_ms} ms, e.g. {:?}", pids.len(), path.display(), pids.first())]
    StillPopulated {
        /// The group.
        path: PathBuf,
        /// Who is left.
        pids: Vec<u32>,
        /// How long was waited, in milliseconds.
        waited_ms: u128,
    },
    /// A name that cannot be a group's, or that is the name of one of the kernel's own files.
    #[error(
        "`{name}` cannot name a group: use 1 to 128 of a-z, A-Z, 0-9, '-', '_', '.', starting with a letter or digit"
    )]
    InvalidName {
        /// What was given.
        name: String,
    },
    /// A configured parent that is not an absolute path without `..`.
    #[error("the cgroup parent `{parent}` is not an absolute path below the cgroup mount")]
    InvalidParent {
        /// What was configured.
        parent: String,
    },
    /// The place of a group is taken by a file.
    #[error("{} exists and is not a group", path.display())]
    NotAGroup {
        /// Where.
        path: PathBuf,
    },
    /// A limit would go below what is in use.
    #[error("the {limit} limit cannot become {wanted}: {used} are in use")]
    InUse {
        /// Its name in the receipt.
        limit: &'static str,
        /// What was asked, in bytes or processes.
        wanted: u64,
        /// What is in use, in the same unit.
        used: u64,
    },
    /// A group whose processes did not all stop; it runs on.
    #[error("{} did not freeze within {waited_ms} ms; it runs on", path.display())]
    NotFrozen {
        /// The group.
        path: PathBuf,
        /// How long was waited, in milliseconds.
        waited_ms: u128,
    },
    /// A process that has ended or never was.
    #[error("there is no process {pid}")]
    NoProcess {
        /// Its id.
        pid: u32,
    },
    /// A process that must not be moved.
    #[error("process {pid} cannot be attached: {reason}")]
    NotAttachable {
        /// Its id.
        pid: u32,
        /// Why, for people.
        reason: &'static str,
    },
    /// Leases that are not pinned need a CPU too.
    #[error("no CPU would be left for leases that are not pinned")]
    NoSharedCpu,
    /// Nothing to work with.
    #[error("{reason}")]
    Unavailable {
        /// Why, for people.
        reason: String,
    },
}

impl CgroupError {
    /// Whether the group or file does not exist (any more). The kernel says ENODEV when a group vanished while one
    /// of its files was open.
    pub fn is_missing(&self) -> bool {
        match self {
            Self::Io { source, .. } | Self::Write { source, .. } => is_missing(source),
            Self::Malformed { .. }
            | Self::StillPopulated { .. }
            | Self::InvalidName { .. }
            | Self::InvalidParent { .. }
            | Self::NotAGroup { .. }
            | Self::InUse { .. }
            | Self::NotFrozen { .. }
            | Self::NoProcess { .. }
            | Self::NotAttachable { .. }
            | Self::NoSharedCpu
            | Self::Unavailable { .. } => false,
        }
    }

    /// Whether it is the process that can't be attached, and not the kernel that failed.
    pub fn is_about_process(&self) -> bool {
        matches!(self, Self::NoProcess { .. } | Self::NotAttachable { .. })
    }

    /// The error and its sources in one line: a reason for a receipt or for `doctor`.
    pub(crate) fn reason(&self) -> String {
        let mut text = self.to_string();
        let mut next = std::error::Error::source(self);
        while let Some(source) = next {
            text = format!("{text}: {source}");
            next = source.source();
        }
        text
    }
}

/// ENOENT, or ENODEV as kernfs answers for a group that is gone.
pub(crate) fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error())
}
