//! Calls that no crate here makes: asking for Landlock's version, and mount_setattr(2).
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// `LANDLOCK_CREATE_RULESET_VERSION` of `include/uapi/linux/landlock.h`.
const ASK_VERSION: u32 = 1;

/// The version of Landlock's interface that this kernel speaks.
///
/// # Errors
/// ENOSYS from a kernel without it, EOPNOTSUPP when it was not chosen at boot (`lsm=`).
pub(super) fn landlock_version() -> io::Result<i64> {
    // SAFETY: with this flag the kernel reads no structure: none is passed, of no length.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<libc::c_void>(),
            0_usize,
            ASK_VERSION,
        )
    };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

/// `struct mount_attr` of mount_setattr(2), `MOUNT_ATTR_SIZE_VER0`.
#[repr(C)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    users: u64,
}

/// What a mount is to be (`include/uapi/linux/mount.h`).
pub(super) mod attribute {
    /// `MOUNT_ATTR_RDONLY`
    pub(in super::super) const READ_ONLY: u64 = 0x1;
    /// `MOUNT_ATTR_NOSUID`
    pub(in super::super) const NO_SET_UID: u64 = 0x2;
    /// `MOUNT_ATTR_NODEV`
    pub(in super::super) const NO_DEVICES: u64 = 0x4;
    /// `MOUNT_ATTR_NOEXEC`
    pub(in super::super) const NO_EXECUTION: u64 = 0x8;
    /// `MOUNT_ATTR_IDMAP`
    pub(super) const ID_MAP: u64 = 0x0010_0000;
}

/// Sets attributes of one mount, and shows its users as the namespace maps them, if given.
///
/// # Errors
/// EPERM without the right to; EINVAL when the file system can't map users; ENOSYS before Linux 5.12.
pub(super) fn set_mount(mount: BorrowedFd<'_>, set: u64, users: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let attributes = MountAttributes {
        set: set | if users.is_some() { attribute::ID_MAP } else { 0 },
        clear: 0,
        propagation: 0,
        users: users.map_or(0, |fd| u64::from(fd.as_raw_fd().cast_unsigned())),
    };
    // SAFETY: the kernel reads the structure, whose length is passed, and an empty name that ends with zero, during the
    // call.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            std::ptr::from_ref(&attributes),
            size_of::<MountAttributes>(),
        )
    };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
