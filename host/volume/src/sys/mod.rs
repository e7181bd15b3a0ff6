//! The kernel's interfaces that a volume needs, one file each, and nothing decided here.
//!
//! Kernel files are found below a settable root, so that a test's fixture is a temporary folder. Fails with what the
//! kernel said, as an `io::Error`; callers add what they were doing.

pub(crate) mod ext4;
pub(crate) mod loop_device;
pub(crate) mod mounts;
pub(crate) mod project;
pub(crate) mod quotactl;

use std::path::{Path, PathBuf};

/// The folder that holds `proc`, `sys` and `dev`.
#[derive(Debug, Clone)]
pub(crate) struct SystemRoot(PathBuf);

impl SystemRoot {
    pub(crate) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Where an absolute path of the machine lies.
    pub(crate) fn path(&self, absolute: &str) -> PathBuf {
        self.0.join(absolute.trim_start_matches('/'))
    }
}
