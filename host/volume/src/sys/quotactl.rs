//! Project quotas: quotactl_fd(2) (Linux 5.14) with the `Q_X…` commands of `<linux/dqblk_xfs.h>`.
//!
//! The kernel answers these commands for every filesystem with quotas, ext4 among them, so that one set does for both.
//! An older kernel answers ENOSYS, and volumes are images there.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// The same number on every architecture that is younger than the unified table.
const SYS_QUOTACTL_FD: libc::c_long = 443;
const PROJECT: u32 = 2;
const Q_XGETQUOTA: u32 = 0x5803;
const Q_XSETQLIM: u32 = 0x5804;
const Q_XGETQSTATV: u32 = 0x5808;
/// `FS_QUOTA_PDQ_ENFD`: limits of projects are enforced.
const PROJECT_ENFORCED: u16 = 1 << 5;
/// `FS_DQ_ISOFT | FS_DQ_IHARD | FS_DQ_BSOFT | FS_DQ_BHARD`.
const ALL_LIMITS: u16 = 0xF;
/// `XFS_PROJ_QUOTA`, as `d_flags` has it.
const DQUOT_PROJECT: i8 = 2;
/// The unit of block counts, in bytes.
pub(crate) const BASIC_BLOCK: u64 = 512;

/// `struct fs_disk_quota`, version 1.
#[repr(C)]
#[derive(Debug, Default, Clone, Copy)]
struct DiskQuota {
    version: i8,
    flags: i8,
    field_mask: u16,
    id: u32,
    block_hard: u64,
    block_soft: u64,
    inode_hard: u64,
    inode_soft: u64,
    blocks: u64,
    inodes: u64,
    inode_timer: i32,
    block_timer: i32,
    inode_warnings: u16,
    block_warnings: u16,
    timers_high: [i8; 4],
    realtime_hard: u64,
    realtime_soft: u64,
    realtime_blocks: u64,
    realtime_timer: i32,
    realtime_warnings: u16,
    padding: i16,
    padding_end: [u8; 8],
}

/// `struct fs_quota_statv`; only its beginning matters here.
#[repr(C)]
#[derive(Debug)]
struct QuotaState {
    version: i8,
    padding: u8,
    flags: u16,
    rest: [u32; 39],
}

/// What a project holds and may hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Project {
    /// The limit in bytes; 0 is none.
    pub(crate) limit: u64,
    /// The limit in files; 0 is none.
    pub(crate) file_limit: u64,
    /// Bytes held.
    pub(crate) used: u64,
    /// Files and folders held, the granted folder itself among them.
    pub(crate) files: u64,
}

/// Whether the filesystem that holds `folder` enforces limits of projects.
pub(crate) fn is_enforced(folder: &File) -> io::Result<bool> {
    // Version 1 of the structure: the kernel asks for it.
    let mut state = QuotaState { version: 1, padding: 0, flags: 0, rest: [0; 39] };
    // SAFETY: the command reads and writes one `struct fs_quota_statv`, of which `QuotaState` has size and beginning.
    unsafe { quotactl(folder, Q_XGETQSTATV, 0, (&raw mut state).cast()) }?;
    Ok(state.flags & PROJECT_ENFORCED != 0)
}

/// What the kernel holds of a project. XFS knows none that it never counted: that is one without limits and files.
pub(crate) fn read(folder: &File, project: u32) -> io::Result<Project> {
    let mut quota = DiskQuota::default();
    // SAFETY: the command writes one `struct fs_disk_quota`, which `DiskQuota` is.
    match unsafe { quotactl(folder, Q_XGETQUOTA, project, (&raw mut quota).cast()) } {
        Ok(()) => Ok(Project {
            limit: quota.block_hard.saturating_mul(BASIC_BLOCK),
            file_limit: quota.inode_hard,
            used: quota.blocks.saturating_mul(BASIC_BLOCK),
            files: quota.inodes,
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Project::default()),
        Err(error) => Err(error),
    }
}

/// Sets the limits of a project in bytes (a multiple of [`BASIC_BLOCK`]) and files; 0 lifts one.
pub(crate) fn limit(folder: &File, project: u32, bytes: u64, files: u64) -> io::Result<()> {
    let mut quota = DiskQuota {
        version: 1,
        flags: DQUOT_PROJECT,
        field_mask: ALL_LIMITS,
        id: project,
        block_hard: bytes / BASIC_BLOCK,
        inode_hard: files,
        ..DiskQuota::default()
    };
    // SAFETY: the command reads one `struct fs_disk_quota`, which `DiskQuota` is.
    unsafe { quotactl(folder, Q_XSETQLIM, project, (&raw mut quota).cast()) }
}

/// # Safety
/// `data` points to what the command reads and writes, for the whole call.
unsafe fn quotactl(folder: &File, command: u32, id: u32, data: *mut libc::c_void) -> io::Result<()> {
    let command = (command << 8) | PROJECT;
    // SAFETY: the caller's; the descriptor is open for the whole call.
    let answer = unsafe { libc::syscall(SYS_QUOTACTL_FD, folder.as_raw_fd(), command, id, data) };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structures_have_the_kernels_sizes() {
        assert_eq!((size_of::<DiskQuota>(), size_of::<QuotaState>()), (112, 160));
    }
}
