//! The filesystem in which a folder lies: what the storage asset offers.
//!
//! A question to the running kernel about a real path, so it has no system root. statvfs(3) on a network filesystem
//! whose server is gone blocks, as every later use of the folder would.

use crate::block::{self, BlockDevice};
use crate::cgroup::unescape;
use crate::root::SystemRoot;
use hypermesh_model::Bytes;
use procfs::FromRead;
use procfs::process::{MountInfo, MountInfos};
use rustix::fs::{AtFlags, CWD, Statx, StatxFlags, statvfs, statx};
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
    /// The whole disk that it lies on, for I/O limits. `None` where there is none: network, overlay, memory.
    pub device: Option<BlockDevice>,
    /// Whether it holds projects to their quota (mounted with `prjquota`), so that a folder can be bounded by it. `None`
    /// where [`Self::mount_point`] is.
    pub project_quota: Option<bool>,
}

/// Measures the filesystem in which `path` lies, by statvfs(3), statx(2) and `/proc/self/mountinfo`.
///
/// # Errors
/// [`MeasureError::Filesystem`] when the path can't be reached.
pub fn filesystem(path: &Path) -> Result<Filesystem, MeasureError> {
    let failed =
        |error: rustix::io::Errno| MeasureError::Filesystem { path: path.to_owned(), source: error.into() };
    let sizes = statvfs(path).map_err(failed)?;
    // Without it (before Linux 4.11, or behind a filter of system calls) the sizes are still worth having.
    let found = statx(CWD, path, AtFlags::empty(), StatxFlags::MNT_ID).ok();
    let mount = found.as_ref().and_then(mount_of);
    let source = mount.as_ref().and_then(|mount| mount.mount_source.as_deref()).map(unescape);
    let root = SystemRoot::new("/".into());
    Ok(Filesystem {
        total: Bytes(sizes.f_blocks.saturating_mul(sizes.f_frsize)),
        free: Bytes(sizes.f_bavail.saturating_mul(sizes.f_frsize)),
        mount_point: mount.as_ref().map(|mount| unescape(&mount.mount_point.to_string_lossy())),
        device: found.and_then(|found| {
            block::device(&root, found.stx_dev_major, found.stx_dev_minor, source.as_deref())
        }),
        project_quota: mount.as_ref().map(has_project_quota),
        fs_type: mount.map(|mount| mount.fs_type),
    })
}

/// The mount, by its number: names would be fooled by mounts on top of mounts.
fn mount_of(found: &Statx) -> Option<MountInfo> {
    (found.stx_mask & StatxFlags::MNT_ID.bits() != 0).then_some(())?;
    let mounts = MountInfos::from_file("/proc/self/mountinfo").ok()?;
    mounts.into_iter().find(|mount| u64::try_from(mount.mnt_id) == Ok(found.stx_mnt_id))
}

/// ext4, f2fs and xfs show `prjquota` when limits are enforced; xfs's `pqnoenforce` only counts (xfs(5), ext4(5)).
fn has_project_quota(mount: &MountInfo) -> bool {
    ["prjquota", "pquota"].iter().any(|option| mount.super_options.contains_key(*option))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error;
    use std::io::Write as _;

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
    fn the_disk_behind_a_folder_is_one_of_sysfs() {
        let Some(disk) = filesystem(tempfile::tempdir().unwrap().path()).unwrap().device else {
            let _ = writeln!(
                io::stderr(),
                "SKIPPED the_disk_behind_a_folder_is_one_of_sysfs: temporary folders lie on no disk"
            );
            return;
        };
        let folder = Path::new("/sys/block").join(disk.name.replace('/', "!"));
        let number = std::fs::read_to_string(folder.join("dev")).unwrap();
        assert_eq!(number.trim(), format!("{}:{}", disk.major, disk.minor));
        assert_eq!(filesystem(Path::new("/proc")).unwrap().device, None);
    }

    #[test]
    fn project_quotas_are_seen_where_they_are_enforced() {
        let quota = |options: &str| {
            let line = format!("36 35 98:0 / /mnt rw,noatime shared:1 - xfs /dev/sda1 {options}\n");
            let MountInfos(mounts) = MountInfos::from_read(line.as_bytes()).unwrap();
            has_project_quota(&mounts[0])
        };
        assert!(quota("rw,attr2,prjquota") && quota("rw,pquota"));
        assert!(!quota("rw,usrquota,grpquota") && !quota("rw,pqnoenforce"));
    }

    #[test]
    fn a_missing_folder_is_an_error_that_names_it_and_keeps_the_cause() {
        let error = filesystem(Path::new("/does/not/exist")).unwrap_err();
        assert!(error.to_string().contains("/does/not/exist"));
        assert!(!error.to_string().contains("No such file"));
        assert!(error.source().is_some());
    }
}
