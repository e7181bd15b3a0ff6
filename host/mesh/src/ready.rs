//! Waiting for a descriptor without a thread: it sits in the runtime's epoll.

#![allow(unsafe_code)]

use hypermesh_sandbox::{NetSupervisor, PidFd, Worker};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Becomes ready when the process has ended (pidfd_open(2): the descriptor is readable then).
///
/// # Errors
/// When the descriptor can't be registered.
pub(crate) async fn has_ended(process: &PidFd) -> io::Result<()> {
    let fd = process.as_fd();
    // SAFETY: the descriptor must stay open and be the same for as long as it is registered. The borrow of `process`,
    // which owns it and has no way to replace it, outlives `registered`.
    let registered = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
    let registered = registered.map_err(|error| error.into_parts().1)?;
    let _ready = registered.readable().await?;
    Ok(())
}

/// What owns one descriptor from its making to its drop, and can't replace it.
pub(crate) trait Steady: AsRawFd {}

impl Steady for OwnedFd {}
impl Steady for Worker {}
impl Steady for NetSupervisor {}

/// Registers what owns a descriptor, to wait until it is readable.
///
/// # Errors
/// When the descriptor can't be registered.
pub(crate) fn readable<T: Steady>(owner: T) -> io::Result<AsyncFd<T>> {
    // SAFETY: the descriptor must stay open and be the same for as long as it is registered. `Steady` says that it is so
    // while its owner lives, and the owner lives in what is returned.
    let registered = unsafe { AsyncFd::register_with_interest(owner, Interest::READABLE) };
    registered.map_err(|error| error.into_parts().1)
}
