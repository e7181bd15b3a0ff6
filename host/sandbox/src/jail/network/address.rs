//! Addresses as a worker writes them, and whether they are granted. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// Longest address that is looked at: `struct sockaddr_in6`.
pub(super) const MAX_BYTES: usize = 28;
/// `struct sockaddr_in`, and `struct sockaddr_in6` without its scope, which old programs leave out.
const V4_BYTES: usize = 16;
const V6_BYTES: usize = 24;

/// Reads a `struct sockaddr` of ip(7) or ipv6(7): family in the machine's order, port and address in the network's. Scope and
/// flow are not read. `None` for anything else.
pub(super) fn parse(bytes: &[u8]) -> Option<SocketAddr> {
    let family = i32::from(u16::from_ne_bytes(*bytes.first_chunk()?));
    let port = u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?);
    let ip: IpAddr = match family {
        libc::AF_INET if bytes.len() >= V4_BYTES => {
            Ipv4Addr::from(*bytes.get(4..)?.first_chunk::<4>()?).into()
        }
        libc::AF_INET6 if bytes.len() >= V6_BYTES => {
            Ipv6Addr::from(*bytes.get(8..)?.first_chunk::<16>()?).into()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// What to connect to, if it is granted: the grant itself, in the notation of the socket, so that nothing but the choice
/// comes from the worker.
pub(super) fn granted(granted: &[SocketAddr], wanted: SocketAddr, is_v6: bool) -> Option<SocketAddr> {
    // `::ffff:192.0.2.1` is 192.0.2.1 (RFC 4291, 2.5.5.2), on a socket of IPv6.
    let canonical = SocketAddr::new(wanted.ip().to_canonical(), wanted.port());
    let grant = granted
        .iter()
        .find(|grant| (grant.ip().to_canonical(), grant.port()) == (canonical.ip(), canonical.port()))?;
    match (grant.ip().to_canonical(), is_v6) {
        (IpAddr::V4(ip), false) => Some(SocketAddr::new(ip.into(), grant.port())),
        (IpAddr::V4(ip), true) => Some(SocketAddrV6::new(ip.to_ipv6_mapped(), grant.port(), 0, 0).into()),
        // With its scope, which link-local addresses need.
        (IpAddr::V6(_), true) => Some(*grant),
        (IpAddr::V6(_), false) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn raw(address: SocketAddr) -> Vec<u8> {
        let port = address.port().to_be_bytes();
        match address.ip() {
            IpAddr::V4(ip) => [&2_u16.to_ne_bytes()[..], &port, &ip.octets(), &[0; 8]].concat(),
            IpAddr::V6(ip) => [&10_u16.to_ne_bytes()[..], &port, &[0; 4], &ip.octets(), &[0; 4]].concat(),
        }
    }

    #[test]
    fn only_what_is_granted_is_connected_to() {
        let grants: Vec<SocketAddr> =
            ["192.0.2.1:80", "[2001:db8::1]:443"].map(|a| a.parse().unwrap()).into();
        let ask =
            |wanted: &str, is_v6| granted(&grants, wanted.parse().unwrap(), is_v6).map(|a| a.to_string());
        assert_eq!(ask("192.0.2.1:80", false).as_deref(), Some("192.0.2.1:80"));
        assert_eq!(ask("[::ffff:192.0.2.1]:80", true).as_deref(), Some("[::ffff:192.0.2.1]:80"));
        assert_eq!(ask("[2001:db8::1]:443", true).as_deref(), Some("[2001:db8::1]:443"));
        for refused in ["192.0.2.1:81", "192.0.2.2:80", "[2001:db8::1]:80", "0.0.0.0:80", "[::192.0.2.1]:80"]
        {
            assert!(ask(refused, refused.starts_with('[')).is_none(), "{refused}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(ip: IpAddr, port: u16) {
            let address = SocketAddr::new(ip, port);
            prop_assert_eq!(parse(&raw(address)), Some(address));
        }

        #[test]
        fn nothing_else_is_read(bytes in proptest::collection::vec(any::<u8>(), 0..MAX_BYTES)) {
            let is_one = bytes.len() >= V4_BYTES && [[2, 0], [10, 0]].contains(&[bytes[0], bytes[1]]);
            prop_assert!(parse(&bytes).is_none() || is_one);
        }
    }
}
