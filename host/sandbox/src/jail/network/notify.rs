//! The node's end of calls that it answers (seccomp_unotify(2)): the next one, whether it still waits, a descriptor for
//! it, the answer.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// A call that waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Call {
    /// Names it in the answers.
    pub(super) id: u64,
    /// Which.
    pub(super) number: libc::c_long,
    pub(super) arguments: [u64; 6],
}

/// Every request but an addition: how the kernel changes `argument`, and answers.
fn ask<T>(listener: BorrowedFd<'_>, request: libc::Ioctl, argument: &mut T) -> io::Result<i32> {
    // SAFETY: each request is paired, by the callers below, with the structure that its number has the size of; the kernel
    // reads and writes that much of it during the call.
    let answer = unsafe { libc::ioctl(listener.as_raw_fd(), request, std::ptr::from_mut(argument)) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

/// Takes the next call; to be asked when the listener is readable, since it waits otherwise.
///
/// # Errors
/// ENOENT when the caller was killed in between, or has ended.
pub(super) fn next(listener: BorrowedFd<'_>) -> io::Result<Call> {
    let mut raw = libc::seccomp_notif {
        id: 0,
        pid: 0,
        flags: 0,
        data: libc::seccomp_data { nr: 0, arch: 0, instruction_pointer: 0, args: [0; 6] },
    };
    ask(listener, libc::SECCOMP_IOCTL_NOTIF_RECV, &mut raw)?;
    Ok(Call { id: raw.id, number: raw.data.nr.into(), arguments: raw.data.args })
}

/// Whether the caller still waits, so that what was read from its memory was read while it did.
///
/// # Errors
/// ENOENT when it doesn't.
pub(super) fn still_waits(listener: BorrowedFd<'_>, call: &Call) -> io::Result<()> {
    ask(listener, libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &mut call.id.clone()).map(|_zero| ())
}

/// Gives the caller a copy of a descriptor; its number there.
///
/// # Errors
/// ENOENT when the caller no longer waits, EMFILE at its limit.
pub(super) fn give(
    listener: BorrowedFd<'_>,
    call: &Call,
    fd: BorrowedFd<'_>,
    is_close_on_exec: bool,
) -> io::Result<i32> {
    let mut addition = libc::seccomp_notif_addfd {
        id: call.id,
        flags: 0,
        srcfd: fd.as_raw_fd().cast_unsigned(),
        newfd: 0,
        newfd_flags: if is_close_on_exec { libc::O_CLOEXEC.cast_unsigned() } else { 0 },
    };
    ask(listener, libc::SECCOMP_IOCTL_NOTIF_ADDFD, &mut addition)
}

/// Answers: a value, or an error number.
///
/// # Errors
/// ENOENT when the caller no longer waits.
pub(super) fn answer(listener: BorrowedFd<'_>, call: &Call, answer: Result<i32, i32>) -> io::Result<()> {
    let (val, error) = answer.map_or_else(|error| (0, -error), |value| (value.into(), 0));
    let mut raw = libc::seccomp_notif_resp { id: call.id, val, error, flags: 0 };
    ask(listener, libc::SECCOMP_IOCTL_NOTIF_SEND, &mut raw).map(|_zero| ())
}
