//! The IP addresses of the network interfaces, as rtnetlink(7) lists them.
//!
//! No file of `/proc` or `/sys` has the IPv4 addresses of an interface, so the running kernel is asked by a message. What
//! it answers is parsed here, message by message, with every length checked; the socket is left at the first trouble, and
//! the addresses are then unknown.

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};
use serde::{Serialize, Serializer};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// Largest datagram: the kernel fills at most 32 KiB of a dump at once.
const DATAGRAM: usize = 32 << 10;
/// Most datagrams of a dump; a machine with more addresses than fit has them left unknown.
const MAX_DATAGRAMS: usize = 256;
/// The kernel answers at once or not at all.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);

/// Numbers of `linux/netlink.h` and `linux/rtnetlink.h`.
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const REQUEST_DUMP: u16 = 0x301;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
/// Length of `nlmsghdr`.
const HEADER: usize = 16;
/// Length of `ifaddrmsg`.
const ADDRESS_HEADER: usize = 8;
/// Length of `rtattr`.
const ATTRIBUTE_HEADER: usize = 4;

/// An address and the length of its network's prefix. Serialises as people write it: `192.0.2.7/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct InterfaceAddress {
    /// The address.
    pub address: IpAddr,
    /// Length of the prefix in bits, at most 32 or 128.
    pub prefix: u8,
}

impl fmt::Display for InterfaceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl Serialize for InterfaceAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// All addresses of the running kernel's network namespace, each with its interface's number.
pub(crate) fn addresses() -> Option<Vec<(u32, InterfaceAddress)>> {
    ask().inspect_err(|error| tracing::debug!(%error, "the kernel doesn't list its addresses")).ok()
}

fn ask() -> std::io::Result<Vec<(u32, InterfaceAddress)>> {
    // No protocol is NETLINK_ROUTE.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    set_socket_timeout(&socket, Timeout::Recv, Some(ANSWER_LIMIT))?;
    send(&socket, &request(), SendFlags::empty())?;
    let mut found = Vec::new();
    let mut datagram = vec![0; DATAGRAM];
    for _ in 0..MAX_DATAGRAMS {
        let (length, _) = recv(&socket, datagram.as_mut_slice(), RecvFlags::empty())?;
        let part = datagram.get(..length).unwrap_or_default();
        match parse(part, &mut found) {
            Some(true) => return Ok(found),
            Some(false) => {}
            None => break,
        }
    }
    Err(std::io::ErrorKind::InvalidData.into())
}

/// A header and an `ifaddrmsg` of zeros: all families, all interfaces.
fn request() -> [u8; HEADER + ADDRESS_HEADER] {
    let mut request = [0; HEADER + ADDRESS_HEADER];
    request[0] = 24;
    request[4..6].copy_from_slice(&RTM_GETADDR.to_ne_bytes());
    request[6..8].copy_from_slice(&REQUEST_DUMP.to_ne_bytes());
    request
}

/// Takes a datagram's addresses. Whether it was the last; `None` when it is an error or none of the kernel's.
fn parse(mut datagram: &[u8], found: &mut Vec<(u32, InterfaceAddress)>) -> Option<bool> {
    while !datagram.is_empty() {
        let length = usize::try_from(u32_at(datagram, 0)?).ok()?;
        let message = datagram.get(..length).filter(|message| message.len() >= HEADER)?;
        match u16_at(message, 4)? {
            NLMSG_DONE => return Some(true),
            NLMSG_ERROR => return None,
            RTM_NEWADDR => found.extend(address(message.get(HEADER..)?)),
            _ => {}
        }
        datagram = datagram.get(aligned(length)..).unwrap_or_default();
    }
    Some(false)
}

/// The address of an `ifaddrmsg` and its attributes. On a point-to-point link IFA_LOCAL is ours and IFA_ADDRESS the
/// other end's; IPv6 has no IFA_LOCAL elsewhere.
fn address(message: &[u8]) -> Option<(u32, InterfaceAddress)> {
    let (prefix, index) = (*message.get(1)?, u32_at(message, 4)?);
    let (mut local, mut other) = (None, None);
    let mut attributes = message.get(ADDRESS_HEADER..)?;
    while attributes.len() >= ATTRIBUTE_HEADER {
        let length = usize::from(u16_at(attributes, 0)?);
        let value = attributes.get(ATTRIBUTE_HEADER..length)?;
        match u16_at(attributes, 2)? {
            IFA_LOCAL => local = ip(value),
            IFA_ADDRESS => other = ip(value),
            _ => {}
        }
        attributes = attributes.get(aligned(length)..).unwrap_or_default();
    }
    Some((index, InterfaceAddress { address: local.or(other)?, prefix }))
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = || <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    <[u8; 16]>::try_from(bytes).map(IpAddr::from).or_else(|_| v4()).ok()
}

/// Messages and attributes begin at multiples of four.
fn aligned(length: usize) -> usize {
    length.saturating_add(3) & !3
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(HEADER + body.len()).unwrap();
        let mut bytes = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), &[0; 10], body].concat();
        bytes.resize(aligned(bytes.len()), 0);
        bytes
    }

    fn new_address(index: u32, prefix: u8, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = [&[0, prefix, 0, 0][..], &index.to_ne_bytes()].concat();
        for (kind, value) in attributes {
            let length = u16::try_from(ATTRIBUTE_HEADER + value.len()).unwrap();
            body.extend([&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat());
            body.resize(aligned(body.len()), 0);
        }
        message(RTM_NEWADDR, &body)
    }

    fn shown(datagram: &[u8]) -> (Option<bool>, Vec<(u32, String)>) {
        let mut found = Vec::new();
        let last = parse(datagram, &mut found);
        (last, found.into_iter().map(|(index, address)| (index, address.to_string())).collect())
    }

    #[test]
    fn addresses_of_both_families_are_read_to_the_end() {
        let v6: [u8; 16] = "2001:db8::7".parse::<std::net::Ipv6Addr>().unwrap().octets();
        let datagram = [
            new_address(
                2,
                24,
                &[(IFA_ADDRESS, &[192, 0, 2, 9]), (3, b"eth0\0"), (IFA_LOCAL, &[192, 0, 2, 7])],
            ),
            new_address(3, 64, &[(IFA_ADDRESS, &v6)]),
            new_address(4, 8, &[(IFA_ADDRESS, &[1, 2, 3])]),
            message(NLMSG_DONE, &[0; 4]),
        ];
        let expected = vec![(2, "192.0.2.7/24".to_owned()), (3, "2001:db8::7/64".to_owned())];
        assert_eq!(shown(&datagram.concat()), (Some(true), expected.clone()));
        assert_eq!(shown(&datagram[..2].concat()), (Some(false), expected));
    }

    #[test]
    fn an_error_is_no_list() {
        assert_eq!(shown(&message(NLMSG_ERROR, &[255; 20])).0, None);
        assert_eq!(shown(&[16, 0, 0]).0, None);
        assert_eq!(shown(&[0; 16]).0, None, "a message of no length would never end");
    }

    #[test]
    fn the_running_kernel_has_a_loopback_address() {
        let found = addresses().unwrap();
        assert!(found.iter().any(|(_, address)| address.address.is_loopback()), "{found:?}");
    }

    proptest! {
        #[test]
        fn no_datagram_panics_or_loops(
            head in proptest::collection::vec(any::<u8>(), 0..8),
            rest in proptest::collection::vec(0u8..40, 0..120),
        ) {
            let _ = shown(&[head.clone(), rest.clone()].concat());
            let _ = shown(&message(RTM_NEWADDR, &rest));
        }
    }
}
