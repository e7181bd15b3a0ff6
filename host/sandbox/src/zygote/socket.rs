//! Messages with descriptors over a SOCK_SEQPACKET socket (unix(7)): a message arrives whole or not at all, and the end
//! of the other side reads as an empty one.
//!
//! Both ends are programs of this crate, of one build: what does not parse is a mistake, and an error.

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::Serialize;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Most descriptors a message: the kernel's own limit (`SCM_MAX_FD` of `include/net/scm.h`).
pub(crate) const MAX_FDS: usize = 253;
/// Longest message; those of this crate are far below.
const MAX_BYTES: usize = 65536;

/// A message as it arrived.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) bytes: Vec<u8>,
    pub(crate) fds: Vec<OwnedFd>,
}

/// Two connected sockets, close-on-exec.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// Sends a value as JSON with descriptors.
///
/// # Errors
/// EPIPE when the other side has ended, never SIGPIPE.
pub(crate) fn send<T: Serialize>(socket: impl AsFd, value: &T, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    send_bytes(socket, &serde_json::to_vec(value).map_err(io::Error::other)?, fds)
}

/// Sends bytes, at least one, with descriptors.
///
/// # Errors
/// As [`send`].
pub(crate) fn send_bytes(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(Errno::TOOMANYREFS.into());
    }
    loop {
        match sendmsg(&socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL) {
            Ok(_all) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Sends one byte, by a call that carries no address and no descriptors, and so may be on a jailed worker's list.
///
/// # Errors
/// As [`send`].
pub(crate) fn say(socket: impl AsFd, byte: u8) -> io::Result<()> {
    loop {
        match rustix::net::send(&socket, &[byte], SendFlags::NOSIGNAL) {
            Ok(_one) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Receives one message; `None` at the end of the other side.
///
/// # Errors
/// EAGAIN from a socket that does not block; EMSGSIZE for what is longer than anything that this crate sends, or had
/// more descriptors than this process may have.
pub(crate) fn receive(socket: impl AsFd) -> io::Result<Option<Message>> {
    let mut bytes = vec![0; MAX_BYTES];
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        match recvmsg(&socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            // What a socket says whose other side ended without reading everything.
            Err(Errno::CONNRESET) => return Ok(None),
            result => break result?,
        }
    };
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(Errno::MSGSIZE.into());
    }
    bytes.truncate(received.bytes);
    Ok((received.bytes > 0).then_some(Message { bytes, fds }))
}

/// Reads a message's JSON.
///
/// # Errors
/// When it is not what the other side would send.
pub(crate) fn parse<T: serde::de::DeserializeOwned>(message: &Message) -> io::Result<T> {
    serde_json::from_slice(&message.bytes).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_message_arrives_with_its_descriptors_and_the_end_reads_as_none() {
        let (one, other) = pair().unwrap();
        let (reader, writer) = io::pipe().unwrap();
        send(&one, &"hello", &[writer.as_fd()]).unwrap();
        drop(writer);
        let message = receive(&other).unwrap().unwrap();
        assert_eq!(parse::<String>(&message).unwrap(), "hello");
        assert_eq!(message.fds.len(), 1);
        assert!(rustix::io::fcntl_getfd(&message.fds[0]).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
        drop(message);
        let mut rest = String::new();
        let mut reader = reader;
        assert_eq!(reader.read_to_string(&mut rest).unwrap(), 0, "no copy of the writer is left");
        drop(one);
        assert!(receive(&other).unwrap().is_none());
        assert_eq!(send_bytes(&other, b"x", &[]).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
