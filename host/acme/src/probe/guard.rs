//! Which addresses a probe may connect to.
//!
//! Names come from strangers, so their addresses do too: one that leads to this machine, to its neighbours or to a
//! cloud's metadata service would let a stranger send requests from inside. Allowed is what is globally reachable by
//! the registries of IANA (RFC 6890 and its updates); addresses that carry an IPv4 address in them are judged by that
//! one too. On a node that is bound to loopback, loopback is allowed as well, and nothing else.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Networks of IPv4 that are not globally reachable: address, prefix length.
const BLOCKED_V4: [([u8; 4], u32); 16] = [
    ([0, 0, 0, 0], 8),       // this network
    ([10, 0, 0, 0], 8),      // private
    ([100, 64, 0, 0], 10),   // shared by carriers; a cloud's metadata service is in it
    ([127, 0, 0, 0], 8),     // loopback
    ([169, 254, 0, 0], 16),  // link-local; metadata services
    ([172, 16, 0, 0], 12),   // private
    ([192, 0, 0, 0], 24),    // protocol assignments
    ([192, 0, 2, 0], 24),    // documentation
    ([192, 31, 196, 0], 24), // AS112
    ([192, 88, 99, 0], 24),  // 6to4 relays
    ([192, 168, 0, 0], 16),  // private
    ([192, 175, 48, 0], 24), // AS112
    ([198, 18, 0, 0], 15),   // benchmarks
    ([198, 51, 100, 0], 24), // documentation
    ([203, 0, 113, 0], 24),  // documentation
    ([224, 0, 0, 0], 3),     // multicast, reserved, broadcast
];

/// Networks of IPv6 in 2000::/3 that are not globally reachable: first two groups, prefix length up to 32.
const BLOCKED_V6: [([u16; 2], u32); 3] = [
    ([0x2001, 0x0000], 23), // protocol assignments, Teredo among them
    ([0x2001, 0x0db8], 32), // documentation
    ([0x3fff, 0x0000], 20), // documentation
];

/// The metadata service that a large cloud has at a public address.
const METADATA: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);

/// Whether a probe may connect to the address.
pub(super) fn may_connect(address: IpAddr, loopback: bool) -> bool {
    match address {
        IpAddr::V4(address) => is_global_v4(address) || (loopback && address.is_loopback()),
        // ::1 only: a loopback address in the clothes of IPv6 is nobody's real address.
        IpAddr::V6(address) => is_global_v6(address) || (loopback && address == Ipv6Addr::LOCALHOST),
    }
}

fn is_global_v4(address: Ipv4Addr) -> bool {
    let within = |(network, bits): &([u8; 4], u32)| {
        let mask = u32::MAX << (32 - bits);
        u32::from(address) & mask == u32::from(Ipv4Addr::from(*network))
    };
    address != METADATA && !BLOCKED_V4.iter().any(within)
}

fn is_global_v6(address: Ipv6Addr) -> bool {
    let [a, b, c, d, ..] = address.segments();
    let octets = address.octets();
    let last = || Ipv4Addr::new(octets[12], octets[13], octets[14], octets[15]);
    // NAT64 (RFC 6052): a gateway connects to the address in the last 32 bits.
    if [a, b, c, d, address.segments()[4], address.segments()[5]] == [0x64, 0xff9b, 0, 0, 0, 0] {
        return is_global_v4(last());
    }
    // 6to4 (RFC 3056): a relay connects to the address in bits 16 to 48.
    if a == 0x2002 {
        return is_global_v4(Ipv4Addr::new(octets[2], octets[3], octets[4], octets[5]));
    }
    let head = u32::from(a) << 16 | u32::from(b);
    let within = |([x, y], bits): &([u16; 2], u32)| {
        let mask = u32::MAX << (32 - bits);
        head & mask == (u32::from(*x) << 16 | u32::from(*y)) & mask
    };
    // Only 2000::/3 is given out for global unicast. Mapped and compatible IPv4, ::1, fc00::/7, fe80::/10, ff00::/8 and
    // NAT64's local prefix (64:ff9b:1::/48) are all outside of it.
    (a & 0xe000) == 0x2000 && !BLOCKED_V6.iter().any(within)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_leads_inside_is_refused_in_every_form() {
        for address in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "192.0.0.192",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:8.8.8.8",
            "::127.0.0.1",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "fec0::1",
            "ff02::1",
            "64:ff9b::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "2002:a9fe:a9fe::",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "2001:db8::1",
            "3fff::1",
            "100::1",
        ] {
            assert!(!may_connect(address.parse().unwrap(), false), "{address}");
        }
    }

    #[test]
    fn what_everybody_can_reach_is_allowed() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "172.32.0.1",
            "192.169.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "64:ff9b::808:808",
            "2002:808:808::1",
            "2001:4860:4860::8888",
        ] {
            assert!(may_connect(address.parse().unwrap(), false), "{address}");
        }
    }

    #[test]
    fn a_node_on_loopback_reaches_loopback_and_no_other_inside() {
        for (address, may) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("::1", true),
            ("::ffff:127.0.0.1", false),
            ("10.0.0.1", false),
            ("169.254.169.254", false),
            ("fe80::1", false),
            ("0.0.0.0", false),
            ("::", false),
        ] {
            assert_eq!(may_connect(address.parse().unwrap(), true), may, "{address}");
        }
    }

    proptest! {
        #[test]
        fn no_address_of_ipv4_inside_ipv6_is_reached_that_is_not_in_itself(address in any::<u32>()) {
            let v4 = Ipv4Addr::from(address);
            let may = may_connect(v4.into(), false);
            prop_assert!(!may_connect(v4.to_ipv6_mapped().into(), false));
            let [a, b, c, d] = v4.octets().map(u16::from);
            let nat64 = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, a << 8 | b, c << 8 | d);
            prop_assert_eq!(may_connect(nat64.into(), false), may);
            let six_to_four = Ipv6Addr::new(0x2002, a << 8 | b, c << 8 | d, 0, 0, 0, 0, 1);
            prop_assert_eq!(may_connect(six_to_four.into(), false), may);
            if may {
                prop_assert!(!v4.is_private() && !v4.is_loopback() && !v4.is_link_local() && !v4.is_multicast());
            }
        }
    }
}
