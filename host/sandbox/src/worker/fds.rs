//! Closing what a worker inherited. The one unsafe edge of this crate.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::RawFd;

/// Closes every descriptor from 3 up, as listed in `/proc/self/fd` (works before `close_range(2)`, Linux 5.9, too).
///
/// # Errors
/// When `/proc/self/fd` cannot be read.
///
/// # Safety
/// Nothing in this process may own a descriptor from 3 up: no `File`, no thread that opens one. So it is the first
/// thing that a fresh process does.
pub(super) unsafe fn close_inherited() -> io::Result<()> {
    let mut open: Vec<RawFd> = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        open.extend(entry?.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok()));
    }
    for fd in open.into_iter().filter(|fd| *fd > 2) {
        // The listing's own descriptor was among them and is closed by now.
        if std::fs::symlink_metadata(format!("/proc/self/fd/{fd}")).is_ok() {
            // SAFETY: it is open, and the caller promises that nobody owns it.
            unsafe { rustix::io::close(fd) };
        }
    }
    Ok(())
}
