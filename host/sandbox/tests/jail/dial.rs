//! The worker's side of the network tests.
#![allow(unsafe_code, reason = "an address that points nowhere, which no safe interface makes")]

use crate::worker::close;
use hypermesh_sandbox::Task;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SendFlags, SocketFlags, SocketType, bind, connect, listen, sendto, socket_with, sockopt,
};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};

/// The task of this name, if it is one of these.
pub(crate) fn work(task: &mut Task, name: &str, argument: Option<&str>) -> Option<u8> {
    let address = || argument.unwrap().parse::<SocketAddr>().unwrap();
    let act: fn(SocketAddr) = match name {
        "talk" => talk,
        "refused" => |address| assert_eq!(dial(address).unwrap_err(), Errno::ACCESS),
        "blocking" => |address| {
            let blocking = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None);
            assert_eq!(blocking.unwrap_err(), Errno::ACCESS);
            let socket = socket(address).unwrap();
            rustix::io::ioctl_fionbio(&socket, false).unwrap();
            assert_eq!(connect(&socket, &address).unwrap_err(), Errno::ACCESS);
        },
        "listen" => |address| {
            let socket = socket(address).unwrap();
            assert_eq!(bind(&socket, &address).unwrap_err(), Errno::ACCESS);
            assert_eq!(listen(&socket, 1).unwrap_err(), Errno::ACCESS);
            // Its link is a socket too, and no TCP one; standard error is none.
            assert_eq!(connect(rustix::stdio::stderr(), &address).unwrap_err(), Errno::NOTSOCK);
        },
        "wild-address" => wild_address,
        "fast-open" => |address| {
            let _ =
                sendto(socket(address).unwrap(), b"x", SendFlags::from_bits_retain(0x2000_0000), &address);
        },
        "no-sockets" => {
            close(task);
            no_sockets();
            return Some(0);
        }
        "options" => {
            close(task);
            let socket = socket("127.0.0.1:1".parse().unwrap()).unwrap();
            sockopt::set_tcp_nodelay(&socket, true).unwrap();
            // IP_TOS is not on the list, as IP_OPTIONS isn't.
            let _ = sockopt::set_ip_tos(&socket, 0);
            return Some(0);
        }
        _ => return None,
    };
    close(task);
    act(address());
    Some(0)
}

fn socket(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)
}

fn dial(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let socket = socket(address)?;
    match connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(error) => return Err(error),
    }
    poll(&mut [PollFd::new(&socket, PollFlags::OUT)], None)?;
    sockopt::socket_error(&socket)?.map(|()| socket)
}

fn talk(address: SocketAddr) {
    let socket = dial(address).map_err(|error| std::io::Error::from(error).kind()).unwrap();
    rustix::net::send(&socket, b"ping", SendFlags::NOSIGNAL).unwrap();
    poll(&mut [PollFd::new(&socket, PollFlags::IN)], None).unwrap();
    let mut word = [0; 4];
    assert_eq!(rustix::io::read(&socket, &mut word).unwrap(), 4);
    assert_eq!(&word, b"pong");
}

fn no_sockets() {
    let ask = |family: i32, kind: i32, protocol: i32| {
        // SAFETY: numbers.
        let fd = unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, protocol) };
        let error = std::io::Error::last_os_error().raw_os_error();
        assert!(fd < 0 && error == Some(libc::EACCES), "{family} {kind} {protocol}: {fd} {error:?}");
    };
    for family in [libc::AF_INET, libc::AF_INET6] {
        ask(family, libc::SOCK_DGRAM, 0);
        ask(family, libc::SOCK_RAW, libc::IPPROTO_RAW);
        ask(family, libc::SOCK_STREAM, libc::IPPROTO_SCTP);
        ask(family, libc::SOCK_STREAM, libc::IPPROTO_MPTCP);
    }
    for family in [libc::AF_UNIX, libc::AF_NETLINK, libc::AF_PACKET, libc::AF_VSOCK, libc::AF_ALG] {
        ask(family, libc::SOCK_STREAM, 0);
    }
}

fn wild_address(address: SocketAddr) {
    let socket = socket(address).unwrap();
    for (at, length) in [(0_usize, 16_u32), (0x10, 16), (usize::MAX - 64, 28), (0x7fff_ffff_f000, 28)] {
        let at = std::ptr::with_exposed_provenance::<libc::sockaddr>(at);
        // SAFETY: the kernel reads from there, or says EFAULT.
        let answer = unsafe { libc::connect(socket.as_raw_fd(), at, length) };
        let error = std::io::Error::last_os_error().raw_os_error();
        assert!(answer < 0 && error == Some(libc::EFAULT), "{at:?} {length} {error:?}");
    }
    // Too short, and another family: AF_UNSPEC, AF_UNIX.
    for bytes in [&[2_u8, 0, 0][..], &[0; 16], &[1, 0, b'/', b'x']] {
        let length = libc::socklen_t::try_from(bytes.len()).unwrap();
        // SAFETY: as many bytes as there are.
        let answer = unsafe { libc::connect(socket.as_raw_fd(), bytes.as_ptr().cast(), length) };
        let error = std::io::Error::last_os_error().raw_os_error();
        assert!(answer < 0 && error == Some(libc::EACCES), "{bytes:?} {error:?}");
    }
}
