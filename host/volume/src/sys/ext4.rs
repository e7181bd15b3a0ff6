//! Growing a mounted ext4: `EXT4_IOC_RESIZE_FS`, as resize2fs(8) does it.
#![allow(unsafe_code)]

use rustix::ioctl::{Opcode, Setter, ioctl, opcode};
use std::fs::File;
use std::io;

/// `_IOW('f', 16, __u64)`, `fs/ext4/ext4.h`.
const EXT4_IOC_RESIZE_FS: Opcode = opcode::write::<u64>(b'f', 16);

/// Grows the filesystem that holds `folder` to a number of blocks. The kernel leaves out a last group that would be too
/// small for its own metadata.
///
/// # Errors
/// EPERM without `CAP_SYS_RESOURCE`.
pub(crate) fn grow(folder: &File, blocks: u64) -> io::Result<()> {
    // SAFETY: the request reads one u64.
    unsafe { ioctl(folder, Setter::<EXT4_IOC_RESIZE_FS, u64>::new(blocks)) }.map_err(io::Error::from)
}
