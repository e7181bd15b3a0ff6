//! The node's side of a worker: parked, then started with one order.
//!
//! A parked worker ends when its [`Parked`] is dropped, since the other end of its link closes. A started one doesn't: it
//! outlives the node, and a [`Worker`] is only what the node knows of it.

use super::protocol::{LISTENER, Order, Start};
use super::socket::{self, MAX_FDS};
use super::{MAX_JOB_BYTES, ZygoteError};
use crate::{PidFd, ProcessId};
use rustix::fs::{MemfdFlags, memfd_create};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;

/// A process that waits for its order, in its group already.
#[derive(Debug)]
pub struct Parked {
    pub(crate) worker: Worker,
}

/// A process that has its order. Dropping this neither ends nor reaps it.
#[derive(Debug)]
pub struct Worker {
    pub(crate) id: ProcessId,
    pub(crate) pidfd: Arc<PidFd>,
    pub(crate) link: OwnedFd,
}

/// What came from a worker. It is believed no more than its worth: a byte, a descriptor.
#[derive(Debug)]
pub enum FromWorker {
    /// It said a byte ([`crate::Task::say`]).
    Said(u8),
    /// The listener of its network calls, for [`crate::NetSupervisor`]: first of all, when its order allows a network.
    Listener(OwnedFd),
    /// Its end of the link is closed: it has ended, or is about to.
    Ended,
}

impl Parked {
    /// Its name for ever.
    pub fn id(&self) -> ProcessId {
        self.worker.id
    }

    /// Its descriptor: readable when it has ended.
    pub fn pidfd(&self) -> &PidFd {
        &self.worker.pidfd
    }

    /// Has it start: `job` is what its code gets, `fds` are the descriptors that it gets, in this order, as copies.
    /// Doesn't wait for the worker; takes microseconds and the time to copy the job.
    ///
    /// # Errors
    /// [`ZygoteError::BadOrder`] for more than 252 descriptors or an index that is none of them;
    /// [`ZygoteError::JobTooLong`]; [`ZygoteError::Io`] when it has ended. The worker ends then.
    pub fn start(self, order: &Order, job: &[u8], fds: &[BorrowedFd<'_>]) -> Result<Worker, ZygoteError> {
        let named = order.folders.iter().map(|folder| folder.fd).chain(order.stderr).max();
        if fds.len() >= MAX_FDS || named.is_some_and(|named| named >= fds.len()) {
            return Err(ZygoteError::BadOrder { fds: fds.len(), named: named.unwrap_or_default() });
        }
        if job.len() > MAX_JOB_BYTES {
            return Err(ZygoteError::JobTooLong { bytes: job.len() });
        }
        let memory = in_memory(job).map_err(ZygoteError::io("copy the job"))?;
        let all: Vec<BorrowedFd<'_>> = [memory.as_fd()].into_iter().chain(fds.iter().copied()).collect();
        let start = Start { order: order.clone(), job_bytes: job.len() };
        socket::send(&self.worker.link, &start, &all).map_err(ZygoteError::io("send the order"))?;
        Ok(self.worker)
    }
}

/// A file of memory, so that a job may be longer than a message.
fn in_memory(job: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create(c"job", MemfdFlags::CLOEXEC)?);
    file.write_all(job)?;
    Ok(file)
}

impl Worker {
    /// Its name for ever.
    pub fn id(&self) -> ProcessId {
        self.id
    }

    /// Its descriptor: readable when it has ended.
    pub fn pidfd(&self) -> &PidFd {
        &self.pidfd
    }

    /// The node's end of the link, SOCK_SEQPACKET and not blocking: readable when [`Worker::receive`] has something.
    pub fn link(&self) -> BorrowedFd<'_> {
        self.link.as_fd()
    }

    /// What it sent next; `None` when there is nothing now.
    ///
    /// # Errors
    /// When the socket fails; or EBADMSG for what no worker of this build sends, after which it should be ended.
    pub fn receive(&self) -> io::Result<Option<FromWorker>> {
        let message = match socket::receive(&self.link) {
            Ok(Some(message)) => message,
            Ok(None) => return Ok(Some(FromWorker::Ended)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut fds = message.fds.into_iter();
        match (message.bytes.as_slice(), fds.next()) {
            ([byte], None) => Ok(Some(FromWorker::Said(*byte))),
            (LISTENER, Some(listener)) => Ok(Some(FromWorker::Listener(listener))),
            (_, _) => Err(rustix::io::Errno::BADMSG.into()),
        }
    }
}

/// For tokio's `AsyncFd`, which asks for the number: that of the link.
impl AsRawFd for Worker {
    fn as_raw_fd(&self) -> RawFd {
        self.link.as_raw_fd()
    }
}
