//! The filesystem in which a folder lies: what the storage asset offers.
//!
//! A question to the running kernel about a real path, so it has no system root. statvfs(3) on a network filesystem
//! whose server is gone blocks, as every later use of the folder would.

use crate::cgroup::unescape;
use hypermesh_model::Bytes;
use procfs::FromRead;
use procfs::process::MountInfos;
use rustix::fs::{AtFlags, CWD, StatxFlags, statvfs, statx};
use serde::Serialize;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why something could not be measured.
#[derive(Debug, Error)]
pub enum MeasureError {
    /// The kernel gave no numbers for a path: it doesn't exist, may not be searched, or its filesystem fails.
    #[error("the filesystem of {} can't be measured", path.display())]
    Filesystem {
        /// What was asked for.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

/// A mounted filesystem. Serialises as the `specifications` of the storage asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Filesystem {
    /// Its size in bytes.
    pub total: Bytes,
    /// What this user may still write, in bytes; root's reserve is not in it.
    pub free: Bytes,
    /// Where it is mounted. `None` before Linux 5.8, which can't say.
    pub mount_point: Option<String>,
    /// Its type, e.g. `ext4`. `None` where [`Self::mount_point`] is.
    pub fs_type: Option<String>,
}

/// Measures the filesystem in which `path` lies, by statvfs(3), statx(2) and `/proc/self/mountinfo`.
///
/// # Errors
/// [`MeasureError::Filesystem`] when the path can't be reached.
pub fn filesystem(path: &Path) -> Result<Filesystem, MeasureError> {
    let failed =
        |error: rustix::io::Errno| MeasureError::Filesystem { path: path.to_owned(), source: error.into() };
    let sizes = statvfs(path).map_err(failed)?;
    let mount = mount_of(path);
    Ok(Filesystem {
        total: Bytes(sizes.f_blocks.saturating_mul(sizes.f_frsize)),
        free: Bytes(sizes.f_bavail.saturating_mul(sizes.f_frsize)),
        mount_point: mount.as_ref().map(|(point, _)| point.clone()),
        fs_type: mount.map(|(_, fs_type)| fs_type),
    })
}

/// Mount point and type, by the mount's number: names would be fooled by mounts on top of mounts.
fn mount_of(path: &Path) -> Option<(String, String)> {
    let found = statx(CWD, path, AtFlags::empty(), StatxFlags::MNT_ID).ok()?;
    (found.stx_mask & StatxFlags::MNT_ID.bits() != 0).then_some(())?;
    let mounts = MountInfos::from_file("/proc/self/mountinfo").ok()?;
    let mount = mounts.into_iter().find(|mount| u64::try_from(mount.mnt_id) == Ok(found.stx_mnt_id))?;
    Some((unescape(&mount.mount_point.to_string_lossy()), mount.fs_type))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error;

    #[test]
    fn proc_and_a_real_folder_are_told_apart() {
        let proc = filesystem(Path::new("/proc/self")).unwrap();
        assert_eq!((proc.mount_point.as_deref(), proc.fs_type.as_deref()), (Some("/proc"), Some("proc")));
        let folder = tempfile::tempdir().unwrap();
        let real = filesystem(folder.path()).unwrap();
        assert!(real.total > Bytes(0) && real.free <= real.total, "{real:?}");
        assert!(folder.path().starts_with(real.mount_point.unwrap()));
    }

    #[test]
    fn a_missing_folder_is_an_error_that_names_it_and_keeps_the_cause() {
        let error = filesystem(Path::new("/does/not/exist")).unwrap_err();
        assert!(error.to_string().contains("/does/not/exist"));
        assert!(!error.to_string().contains("No such file"));
        assert!(error.source().is_some());
    }
}
