//! A folder's project: `FS_IOC_FSGETXATTR` and `FS_IOC_FSSETXATTR` of `<linux/fs.h>`.
#![allow(unsafe_code)]

use rustix::ioctl::{Getter, Opcode, Setter, ioctl, opcode};
use std::fs::File;
use std::io;

const FS_IOC_FSGETXATTR: Opcode = opcode::read::<Attributes>(b'X', 31);
const FS_IOC_FSSETXATTR: Opcode = opcode::write::<Attributes>(b'X', 32);
/// What is made in the folder gets its project.
const FS_XFLAG_PROJINHERIT: u32 = 0x200;

/// `struct fsxattr`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct Attributes {
    flags: u32,
    extent_size: u32,
    extents: u32,
    project: u32,
    cow_extent_size: u32,
    padding: [u8; 8],
}

fn read(folder: &File) -> io::Result<Attributes> {
    // SAFETY: the request writes one `struct fsxattr`, which `Attributes` is.
    unsafe { ioctl(folder, Getter::<FS_IOC_FSGETXATTR, Attributes>::new()) }.map_err(io::Error::from)
}

/// The project that the folder passes on to what is made in it; `None` if it passes none on.
pub(crate) fn inherited(folder: &File) -> io::Result<Option<u32>> {
    let held = read(folder)?;
    Ok((held.flags & FS_XFLAG_PROJINHERIT != 0).then_some(held.project))
}

/// Gives an empty folder a project that it passes on.
pub(crate) fn assign(folder: &File, project: u32) -> io::Result<()> {
    let held = read(folder)?;
    let wanted = Attributes { flags: held.flags | FS_XFLAG_PROJINHERIT, project, ..held };
    // SAFETY: the request reads one `struct fsxattr`, which `Attributes` is.
    unsafe { ioctl(folder, Setter::<FS_IOC_FSSETXATTR, Attributes>::new(wanted)) }.map_err(io::Error::from)
}

/// Stops a folder from passing its project on: with that, what was given another project can't be moved into it (EXDEV).
pub(crate) fn release(folder: &File) -> io::Result<()> {
    let held = read(folder)?;
    let wanted = Attributes { flags: held.flags & !FS_XFLAG_PROJINHERIT, ..held };
    // SAFETY: the request reads one `struct fsxattr`, which `Attributes` is.
    unsafe { ioctl(folder, Setter::<FS_IOC_FSSETXATTR, Attributes>::new(wanted)) }.map_err(io::Error::from)
}
