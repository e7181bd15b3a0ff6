//! A network for a worker that has none: the node makes its sockets and connects them, to granted addresses only.
//!
//! The worker stays in its empty network namespace. Its calls of socket(2) and connect(2) stop until the node has answered
//! them here: it makes a TCP socket in its own namespace and puts it into the worker; it reads the address that the worker
//! wants once, and connects its own copy of the worker's socket to the *grant* that it equals. So there is nothing to change
//! between check and use (the trap of seccomp_unotify(2)). Everything else that could reach a network is EACCES, or not
//! on the list of calls at all.
//!
//! What flows through a connection, the node never sees. Memory of its buffers is charged to the node's group, where the
//! socket was made. Needs Linux 5.9; without root, that the node may look into the worker (ptrace(2), "Ptrace access mode
//! checking": the same user, in a namespace below). Left to others: names (they are resolved before), which are granted.

mod address;
mod notify;

use crate::zygote::Worker;
use crate::{PidFd, is_alive};
use notify::Call;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, ipproto, socket_with, sockopt};
use rustix::process::{PidfdGetfdFlags, pidfd_getfd};
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Answers one worker's network calls. Dropped, they fail with ENOSYS.
#[derive(Debug)]
pub struct NetSupervisor {
    listener: OwnedFd,
    pidfd: Arc<PidFd>,
    memory: File,
    granted: Vec<SocketAddr>,
}

impl NetSupervisor {
    /// For a worker, with the listener that came over its link, and what it may connect to.
    ///
    /// # Errors
    /// When the worker has ended, or its memory can't be opened: EACCES or EPERM where the node may not look into it.
    pub fn new(worker: &Worker, listener: OwnedFd, granted: Vec<SocketAddr>) -> io::Result<Self> {
        let memory = File::open(format!("/proc/{}/mem", worker.id.pid))?;
        // The file is of the process that it was opened for; that this was the worker is checked after.
        if !is_alive(&worker.id) {
            return Err(Errno::SRCH.into());
        }
        Ok(Self { listener, pidfd: Arc::clone(&worker.pidfd), memory, granted })
    }

    /// Answers the next call; to be called when the listener is readable. Waits for nothing: connections are begun, not
    /// awaited. Whether the worker may call again: when not, it has ended and this can be dropped.
    ///
    /// # Errors
    /// When the kernel fails at more than this call.
    pub fn handle_one(&self) -> io::Result<bool> {
        let listener = self.listener.as_fd();
        let gone = |error: &io::Error| error.raw_os_error() == Some(libc::ENOENT);
        let call = match notify::next(listener) {
            Ok(call) => call,
            Err(error) if gone(&error) => return Ok(!self.pidfd.has_ended()?),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(true),
            Err(error) => return Err(error),
        };
        let answer = self.decide(&call).map_err(|error| {
            tracing::debug!(call = call.number, %error, "a network call is refused");
            error.raw_os_error()
        });
        match notify::answer(listener, &call, answer) {
            Err(error) if !gone(&error) => Err(error),
            Ok(()) | Err(_) => Ok(true),
        }
    }

    fn decide(&self, call: &Call) -> Result<i32, Errno> {
        match call.number {
            libc::SYS_socket => self.socket(call),
            libc::SYS_connect => self.connect(call),
            // Listening, and whatever else is answered: there is no grant for it.
            _ => Err(Errno::ACCESS),
        }
    }

    /// socket(2): TCP over IPv4 or IPv6, that does not block.
    fn socket(&self, call: &Call) -> Result<i32, Errno> {
        let [domain, kind, protocol, ..] = call.arguments.map(int);
        let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        let domain = match domain {
            libc::AF_INET => AddressFamily::INET,
            libc::AF_INET6 => AddressFamily::INET6,
            _ => return Err(Errno::ACCESS),
        };
        let is_tcp = kind & !flags == libc::SOCK_STREAM && (protocol == 0 || protocol == libc::IPPROTO_TCP);
        if !is_tcp || kind & libc::SOCK_NONBLOCK == 0 || self.granted.is_empty() {
            return Err(Errno::ACCESS);
        }
        let made = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(domain, SocketType::STREAM, made, Some(ipproto::TCP))?;
        let given = notify::give(self.listener.as_fd(), call, socket.as_fd(), kind & libc::SOCK_CLOEXEC != 0);
        given.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
    }

    /// connect(2), on a copy of the worker's socket.
    fn connect(&self, call: &Call) -> Result<i32, Errno> {
        let [fd, at, length, ..] = call.arguments;
        let length =
            usize::try_from(length).map_or(address::MAX_BYTES, |length| length.min(address::MAX_BYTES));
        let mut bytes = vec![0; length];
        self.memory.read_exact_at(&mut bytes, at).map_err(|_| Errno::FAULT)?;
        // The caller waited while its memory was read.
        notify::still_waits(self.listener.as_fd(), call).map_err(|_| Errno::NOENT)?;
        let wanted = address::parse(&bytes).ok_or(Errno::ACCESS)?;
        let socket = pidfd_getfd(&*self.pidfd, int(fd), PidfdGetfdFlags::empty())?;
        let domain = tcp_domain(&socket)?;
        let grant =
            address::granted(&self.granted, wanted, domain == AddressFamily::INET6).ok_or(Errno::ACCESS)?;
        // The worker waits and has one thread, so that this stays as it is; it must not make the node wait.
        if !rustix::fs::fcntl_getfl(&socket)?.contains(OFlags::NONBLOCK) {
            return Err(Errno::ACCESS);
        }
        connect(&socket, &grant).map(|()| 0)
    }
}

/// The address family of what has to be a TCP socket.
fn tcp_domain(socket: &OwnedFd) -> Result<AddressFamily, Errno> {
    let is_tcp = sockopt::socket_protocol(socket)? == Some(ipproto::TCP)
        && sockopt::socket_type(socket)? == SocketType::STREAM;
    let domain = sockopt::socket_domain(socket)?;
    if is_tcp && (domain == AddressFamily::INET || domain == AddressFamily::INET6) {
        Ok(domain)
    } else {
        Err(Errno::ACCESS)
    }
}

/// An argument of type `int`: the kernel looks at its lower half.
#[expect(clippy::cast_possible_truncation, reason = "as the kernel does")]
fn int(argument: u64) -> i32 {
    (argument as u32).cast_signed()
}

impl AsFd for NetSupervisor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

/// For tokio's `AsyncFd`, which asks for the number: that of the listener.
impl AsRawFd for NetSupervisor {
    fn as_raw_fd(&self) -> RawFd {
        self.listener.as_raw_fd()
    }
}
