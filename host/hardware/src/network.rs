//! Network interfaces: what they are (`/sys/class/net`, kernel `Documentation/ABI/testing/sysfs-class-net`) and what
//! they moved (`/proc/net/dev`).
//!
//! Only interfaces with a device behind them count; bridges, veth pairs and the like carry the same bytes again, and
//! `lo` leaves the machine never. In a container there may be no such interface: then those that hold a default route
//! count, for they are its way out. Addresses come from the running kernel, and so only where the system root is `/`.

use crate::addresses::{InterfaceAddress, addresses};
use crate::root::SystemRoot;
use procfs::net::{InterfaceDeviceStatus, RouteEntries};
use serde::Serialize;
use std::collections::BTreeSet;

const CLASS: &str = "/sys/class/net";

/// One interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InterfaceInfo {
    /// The kernel's name, e.g. `eth0`.
    pub name: String,
    /// The hardware address, six hexadecimal pairs for Ethernet.
    pub mac: Option<String>,
    /// Longest packet, in bytes.
    pub mtu: Option<u32>,
    /// Link speed in Mbit/s. `None` where the link is down or the driver doesn't know, as virtio.
    pub speed: Option<u32>,
    /// RFC 2863 state: `up`, `down`, `unknown`, ….
    pub operstate: Option<String>,
    /// The kernel driver, e.g. `ixgbe`. `None` where nothing is behind the interface.
    pub driver: Option<String>,
    /// The NUMA node of its device. `None` on machines with one node, and without a device.
    pub numa_node: Option<u32>,
    /// Its addresses, IPv4 first. `None`: not known.
    pub addresses: Option<Vec<InterfaceAddress>>,
}

/// What an interface moved since it came up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InterfaceCounters {
    /// The kernel's name.
    pub name: String,
    /// Bytes received.
    pub received_bytes: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
}

/// The interfaces that count, by name.
pub(crate) fn interfaces(root: &SystemRoot) -> Vec<InterfaceInfo> {
    let known = root.is_running().then(addresses).flatten();
    let read = |name: String| {
        let folder = format!("{CLASS}/{name}");
        let index: Option<u32> = root.value(format!("{folder}/ifindex"));
        let of = |all: &Vec<(u32, InterfaceAddress)>| {
            let own = all.iter().filter(|(of, _)| Some(*of) == index).map(|(_, address)| *address);
            let mut own: Vec<InterfaceAddress> = own.collect();
            own.sort();
            own
        };
        InterfaceInfo {
            mac: root
                .line(format!("{folder}/address"))
                .filter(|mac| mac.bytes().any(|b| b != b'0' && b != b':')),
            mtu: root.value(format!("{folder}/mtu")),
            // -1 for unknown since Linux 3.2; it and 4294967295 (its older form) name no speed.
            speed: root.value::<i64>(format!("{folder}/speed")).and_then(|speed| match speed {
                1..=0xffff_fffe => u32::try_from(speed).ok(),
                _ => None,
            }),
            operstate: root.line(format!("{folder}/operstate")),
            driver: root.link_name(format!("{folder}/device/driver")),
            // -1 where the firmware doesn't say.
            numa_node: root.value(format!("{folder}/device/numa_node")),
            addresses: index.and(known.as_ref()).map(of),
            name,
        }
    };
    names(root).into_iter().map(read).collect()
}

/// The counters of the interfaces that count, by name.
pub(crate) fn counters(root: &SystemRoot) -> Vec<InterfaceCounters> {
    let Some(InterfaceDeviceStatus(mut status)) = root.parse("/proc/net/dev") else { return Vec::new() };
    let read = |name: String| {
        let status = status.remove(&name)?;
        Some(InterfaceCounters { name, received_bytes: status.recv_bytes, sent_bytes: status.sent_bytes })
    };
    names(root).into_iter().filter_map(read).collect()
}

fn names(root: &SystemRoot) -> Vec<String> {
    let all = root.names(CLASS);
    let has_device = |name: &&String| root.exists(format!("{CLASS}/{name}/device"));
    let physical: Vec<String> = all.iter().filter(has_device).cloned().collect();
    if !physical.is_empty() {
        return physical;
    }
    let routes = default_routes(root);
    all.into_iter().filter(|name| routes.contains(name)).collect()
}

/// The interfaces that hold a default route, IPv4 or IPv6.
fn default_routes(root: &SystemRoot) -> BTreeSet<String> {
    let v4 = root.parse("/proc/net/route").map(|RouteEntries(routes)| routes).unwrap_or_default();
    let v4 = v4.into_iter().filter(|route| route.destination.is_unspecified() && route.mask.is_unspecified());
    let v6 = root.text("/proc/net/ipv6_route").unwrap_or_default();
    // Destination and prefix length, both hexadecimal, come first and the interface last; `lo` holds the null route.
    let v6 = v6.lines().filter(|line| line.starts_with(&format!("{:032} 00 ", 0)));
    let v6 = v6.filter_map(|line| line.split_ascii_whitespace().last()).filter(|name| *name != "lo");
    v4.map(|route| route.iface).chain(v6.map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::fixture::Fixture;

    const DEV: &str = "Inter-|   Receive                                                |  Transmit\n \
        face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    \
        lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0\n  \
        eth0:    7000      50    0    0    0     0          0         0     3000      20    0    0    0     0       0          0\n";

    #[test]
    fn only_interfaces_with_a_device_count() {
        let fixture = Fixture::new(&[
            ("/sys/class/net/eth0/device/vendor", "0x1af4"),
            ("/sys/class/net/eth0/address", "02:fc:00:00:00:01\n"),
            ("/sys/class/net/eth0/mtu", "1400\n"),
            ("/sys/class/net/eth0/speed", "-1\n"),
            ("/sys/class/net/eth0/operstate", "up\n"),
            ("/sys/class/net/eth0/ifindex", "2\n"),
            ("/sys/class/net/eth0/device/numa_node", "1\n"),
            ("/sys/bus/virtio/drivers/virtio_net/bind", ""),
            ("/sys/class/net/lo/mtu", "65536\n"),
            ("/sys/class/net/veth1/mtu", "1500\n"),
            ("/proc/net/dev", DEV),
        ]);
        let driver = "../../../../bus/virtio/drivers/virtio_net";
        std::os::unix::fs::symlink(driver, fixture.path().join("sys/class/net/eth0/device/driver")).unwrap();
        let expected = InterfaceInfo {
            name: "eth0".to_owned(),
            mac: Some("02:fc:00:00:00:01".to_owned()),
            mtu: Some(1400),
            speed: None,
            operstate: Some("up".to_owned()),
            driver: Some("virtio_net".to_owned()),
            numa_node: Some(1),
            addresses: None,
        };
        assert_eq!(interfaces(&fixture.root()), [expected]);
        let moved = InterfaceCounters { name: "eth0".to_owned(), received_bytes: 7000, sent_bytes: 3000 };
        assert_eq!(counters(&fixture.root()), [moved]);
    }

    #[test]
    fn a_known_speed_is_given_and_a_null_address_is_not() {
        let fixture = Fixture::new(&[
            ("/sys/class/net/ib0/device/vendor", "0x15b3"),
            ("/sys/class/net/ib0/speed", "100000\n"),
            ("/sys/class/net/ib0/address", "00:00:00:00:00:00\n"),
        ]);
        let found = interfaces(&fixture.root());
        assert_eq!((found[0].speed, found[0].mac.as_deref()), (Some(100_000), None));
    }

    #[test]
    fn a_container_has_the_interface_of_its_default_route() {
        let route = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
                     eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                     br1\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        let nil = "0".repeat(32);
        let route6 = format!(
            "{nil} 00 {nil} 00 {nil} 00000400 00000002 00000000 00000003     net6\n\
                              {nil} 00 {nil} 00 {nil} ffffffff 00000001 00000000 00200200       lo\n"
        );
        let fixture = Fixture::new(&[("/proc/net/route", route), ("/proc/net/ipv6_route", &route6)]);
        for name in ["eth0", "br1", "lo", "net6"] {
            fixture.write(&format!("/sys/class/net/{name}/mtu"), "1500");
        }
        let names: Vec<String> = interfaces(&fixture.root()).into_iter().map(|i| i.name).collect();
        assert_eq!(names, ["eth0", "net6"]);
    }
}
