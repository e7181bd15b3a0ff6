//! A descriptor for one process (pidfd_open(2), Linux 5.3): signals through it can't hit another process that got the
//! same id, and it becomes readable when the process ends, whether or not it is our child.

use super::identity::{ProcessId, identify};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};
use thiserror::Error;

/// A process that has no descriptor.
#[derive(Debug, Error)]
pub enum PidFdError {
    /// It has ended, or its id belongs to another process now.
    #[error("process {pid} is gone")]
    Gone {
        /// Its id.
        pid: u32,
    },
    /// The kernel refused: too many open files, or a kernel before 5.3 (ENOSYS).
    #[error("cannot open a descriptor for process {pid}")]
    Open {
        /// Its id.
        pid: u32,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

/// A process, as a descriptor.
#[derive(Debug)]
pub struct PidFd(OwnedFd);

impl PidFd {
    /// Opens the process. The name is checked after opening: from then on the descriptor can only mean that process.
    ///
    /// # Errors
    /// [`PidFdError`]. A child that has ended but was not reaped can be opened; any other that has ended is `Gone`.
    pub fn open(process: &ProcessId) -> Result<Self, PidFdError> {
        let pid = process.pid;
        let target = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(PidFdError::Gone { pid })?;
        let fd = match pidfd_open(target, PidfdFlags::empty()) {
            Ok(fd) => fd,
            Err(rustix::io::Errno::SRCH) => return Err(PidFdError::Gone { pid }),
            Err(error) => return Err(PidFdError::Open { pid, source: error.into() }),
        };
        if identify(pid).as_ref() == Some(process) { Ok(Self(fd)) } else { Err(PidFdError::Gone { pid }) }
    }

    /// Takes over a descriptor that the kernel made with the process (clone3(2), CLONE_PIDFD).
    pub(crate) fn of_clone(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// SIGKILL. A process that has ended is `Ok`.
    ///
    /// # Errors
    /// When it belongs to another user.
    pub fn kill(&self) -> io::Result<()> {
        match pidfd_send_signal(&self.0, Signal::KILL) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether it has ended.
    ///
    /// # Errors
    /// As poll(2).
    pub fn has_ended(&self) -> io::Result<bool> {
        self.wait(Duration::ZERO)
    }

    /// Blocks until it has ended or the time is over; whether it has ended.
    ///
    /// # Errors
    /// As poll(2).
    pub fn wait(&self, longest: Duration) -> io::Result<bool> {
        let deadline = Instant::now() + longest;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout: Timespec = left.try_into().map_err(io::Error::other)?;
            match poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&timeout)) {
                Ok(ready) => return Ok(ready > 0),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for PidFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// For tokio's `AsyncFd`, which asks for the number.
impl AsRawFd for PidFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
