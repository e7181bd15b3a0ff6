//! Forking, and closing everything else in the child: clone3(2), clone(2) where clone3 is not to be had, close_range(2).
//!
//! Sound because the zygote has one thread (it checks): no lock is held by somebody who is not there in the child, so the
//! child may allocate and do whatever it likes. The C library isn't told of the fork; of what it keeps about the thread
//! only its id is stale then, which glibc reads for nothing but robust mutexes, and asks the kernel for on `raise`.
#![allow(unsafe_code)]

use rustix::io::Errno;
use rustix::process::{Pid, Resource, getrlimit};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// `struct clone_args` of clone(2), 88 bytes: `CLONE_ARGS_SIZE_VER2`, Linux 5.7.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// `CLONE_INTO_CGROUP` of `include/uapi/linux/sched.h`.
const INTO_CGROUP: u64 = 0x2_0000_0000;
/// `CLONE_ARGS_SIZE_VER0`: what kernels before 5.7 know, and all that is used without a cgroup.
const SIZE_WITHOUT_CGROUP: usize = 64;

/// Namespaces that a child is to have of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Own {
    pub(crate) pids: bool,
    pub(crate) users: bool,
}

/// Who returned from a fork.
pub(crate) enum Forked {
    Child,
    Parent { pid: Pid, pidfd: OwnedFd },
}

/// Forks; the child begins in the cgroup2 folder `into`, if given.
///
/// # Errors
/// EPERM without the right to make the namespaces; EACCES, EBUSY or EOPNOTSUPP when the group takes no process; EAGAIN at a
/// limit on processes.
pub(crate) fn fork(own: Own, into: Option<BorrowedFd<'_>>) -> io::Result<Forked> {
    let mut pidfd: RawFd = -1;
    let mut flags = libc::CLONE_PIDFD.cast_unsigned();
    if own.pids {
        flags |= libc::CLONE_NEWPID.cast_unsigned();
    }
    if own.users {
        flags |= libc::CLONE_NEWUSER.cast_unsigned();
    }
    let pid = match clone3(flags.into(), &mut pidfd, into) {
        // A container's filter from before clone3(2) says so.
        Err(error) if into.is_none() && error.raw_os_error() == Some(libc::ENOSYS) => {
            clone(flags, &mut pidfd)?
        }
        result => result?,
    };
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Ok(Forked::Child) };
    // SAFETY: the kernel has just opened it for this call and wrote its number; nobody else owns it.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Forked::Parent { pid, pidfd })
}

fn clone3(flags: u64, pidfd: &mut RawFd, into: Option<BorrowedFd<'_>>) -> io::Result<libc::c_long> {
    let mut arguments = CloneArgs {
        flags,
        pidfd: address(pidfd),
        exit_signal: u64::from(libc::SIGCHLD.cast_unsigned()),
        ..CloneArgs::default()
    };
    let mut size = SIZE_WITHOUT_CGROUP;
    if let Some(group) = into {
        arguments.flags |= INTO_CGROUP;
        arguments.cgroup = u64::from(group.as_raw_fd().cast_unsigned());
        size = size_of::<CloneArgs>();
    }
    // SAFETY: a fork: neither CLONE_VM nor a stack, so the child goes on here in a copy of this memory, with the only
    // thread; `arguments` is a beginning of the kernel's structure and lives during the call, `size` says how much of it
    // there is, and the pointer in it is to a `c_int` that outlives the call.
    let answer = unsafe { libc::syscall(libc::SYS_clone3, std::ptr::from_mut(&mut arguments), size) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

/// clone(2): with CLONE_PIDFD the third argument is where the descriptor goes; those after it are not used by these flags
/// and zero, so that their order, which differs between architectures, is none.
fn clone(flags: u32, pidfd: &mut RawFd) -> io::Result<libc::c_long> {
    let flags = flags | libc::SIGCHLD.cast_unsigned();
    // SAFETY: as in `clone3`.
    let answer =
        unsafe { libc::syscall(libc::SYS_clone, libc::c_ulong::from(flags), 0, address(pidfd), 0, 0) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

/// A pointer as the kernel's structures have it: 64 bits on every machine.
fn address<T>(pointer: *mut T) -> u64 {
    pointer.expose_provenance() as u64
}

/// Whether this kernel can fork into a cgroup: it is asked to do so with a descriptor that can't be one, and answers
/// EBADF when it looks at it (Linux 5.7), something else when it does not know what that is.
pub(crate) fn can_fork_into_group() -> Result<(), io::Error> {
    let mut arguments = CloneArgs {
        flags: INTO_CGROUP,
        exit_signal: u64::from(libc::SIGCHLD.cast_unsigned()),
        cgroup: u64::from(i32::MAX.cast_unsigned()),
        ..CloneArgs::default()
    };
    let size = size_of::<CloneArgs>();
    // SAFETY: as in `clone3`; no process can come of it, since no table of descriptors is that large.
    let answer = unsafe { libc::syscall(libc::SYS_clone3, std::ptr::from_mut(&mut arguments), size) };
    let error = io::Error::last_os_error();
    if answer < 0 && error.raw_os_error() == Some(libc::EBADF) { Ok(()) } else { Err(error) }
}

/// Closes every descriptor from 3 up but those in `keep`.
///
/// # Safety
/// Nothing in this process may use or drop an owner of a closed descriptor afterwards.
pub(crate) unsafe fn close_all_but(keep: &[BorrowedFd<'_>]) {
    let mut kept: Vec<u32> = keep.iter().map(|fd| fd.as_raw_fd().cast_unsigned()).collect();
    kept.sort_unstable();
    let mut first = 3_u32;
    for fd in kept.into_iter().chain([u32::MAX]) {
        if fd > first {
            // SAFETY: the caller's promise.
            unsafe { close_from_to(first, fd - 1) };
        }
        first = first.max(fd.saturating_add(1));
    }
}

/// # Safety
/// As for [`close_all_but`].
unsafe fn close_from_to(first: u32, last: u32) {
    // SAFETY: it takes numbers only; that nobody uses them is the caller's promise.
    let answer = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if answer == 0 {
        return;
    }
    // Before Linux 5.9: one by one, up to where there can be any.
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::from(u32::MAX));
    let end = last.min(u32::try_from(limit).unwrap_or(u32::MAX));
    for fd in (first..=end).filter_map(|fd| RawFd::try_from(fd).ok()) {
        // SAFETY: the caller's promise; one that is not open says EBADF, which is fine.
        let _ = unsafe { libc::close(fd) };
    }
}

/// unshare(2), for the namespaces of the zygote.
///
/// # Errors
/// EPERM without the right to; EINVAL or ENOSPC where the kernel has no more or none of that kind.
pub(crate) fn unshare(what: rustix::thread::UnshareFlags) -> Result<(), Errno> {
    // SAFETY: only descriptor tables make this unsafe, and no caller asks for those.
    unsafe { rustix::thread::unshare_unsafe(what) }
}
