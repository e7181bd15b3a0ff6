//! Disks: what they are (sysfs, kernel `Documentation/ABI/stable/sysfs-block`) and what they moved
//! (`/proc/diskstats`, kernel `Documentation/admin-guide/iostats.rst`).
//!
//! A disk is a whole block device with a device behind it: loop devices, RAM disks, device mapper and partitions only
//! show the same bytes again. The space that files can have is left to [`mod@crate::filesystem`].

use crate::root::SystemRoot;
use hypermesh_model::Bytes;
use serde::Serialize;

/// The unit of sysfs' `size` and of diskstats' sectors, whatever the disk's own sector is.
const SECTOR: u64 = 512;

/// One disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DiskInfo {
    /// The kernel's name, e.g. `nvme0n1`.
    pub name: String,
    /// Its size in bytes, above zero.
    pub size: Bytes,
    /// What it calls itself; virtio disks have no name.
    pub model: Option<String>,
    /// Whether it turns. Hypervisors may say so of disks that don't.
    pub rotational: Option<bool>,
}

/// What a disk moved since boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DiskCounters {
    /// The kernel's name.
    pub name: String,
    /// Bytes read from it.
    pub read_bytes: u64,
    /// Bytes written to it.
    pub written_bytes: u64,
}

/// All disks that hold a medium, by name.
pub(crate) fn disks(root: &SystemRoot) -> Vec<DiskInfo> {
    let names = root.names("/sys/block").into_iter();
    let read = |name: String| {
        let folder = format!("/sys/block/{name}");
        let sectors: u64 = root.value(format!("{folder}/size"))?;
        let size = Bytes(sectors.checked_mul(SECTOR).filter(|size| *size > 0)?);
        let model = root.line(format!("{folder}/device/model"));
        let rotational = root.value(format!("{folder}/queue/rotational")).map(|flag: u8| flag != 0);
        Some(DiskInfo { name, size, model, rotational })
    };
    names.filter(|name| is_disk(root, name)).filter_map(read).collect()
}

/// The counters of all disks, in the kernel's order.
pub(crate) fn counters(root: &SystemRoot) -> Vec<DiskCounters> {
    let Some(stats) = root.parse::<procfs::DiskStats>("/proc/diskstats") else { return Vec::new() };
    let of_disks = stats.0.into_iter().filter(|stat| is_disk(root, &stat.name));
    let bytes = |sectors: u64| sectors.saturating_mul(SECTOR);
    of_disks
        .map(|stat| DiskCounters {
            read_bytes: bytes(stat.sectors_read),
            written_bytes: bytes(stat.sectors_written),
            name: stat.name,
        })
        .collect()
}

fn is_disk(root: &SystemRoot, name: &str) -> bool {
    // sysfs has `!` where a device's name has `/` (`cciss/c0d0`).
    root.exists(format!("/sys/block/{}/device", name.replace('/', "!")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::fixture::Fixture;

    fn machine() -> Fixture {
        Fixture::new(&[
            ("/sys/block/sda/size", "2048\n"),
            ("/sys/block/sda/device/model", "SPINNER 9000  \n"),
            ("/sys/block/sda/queue/rotational", "1\n"),
            ("/sys/block/sr0/size", "0\n"),
            ("/sys/block/sr0/device/model", "EMPTY TRAY\n"),
            ("/sys/block/loop0/size", "4096\n"),
            ("/sys/block/vda/size", "8\n"),
            ("/sys/block/vda/device/vendor", "0x0\n"),
            (
                "/proc/diskstats",
                "   7 0 loop0 9 0 9 0 9 0 9 0 0 0 0\n   8 0 sda 5 0 10 0 4 0 3 0 0 0 0\n   8 1 sda1 5 0 10 0 4 0 3 0 0 0 0\n",
            ),
        ])
    }

    #[test]
    fn only_disks_with_a_device_and_a_medium_count() {
        let disks = disks(&machine().root());
        let spinner = DiskInfo {
            name: "sda".to_owned(),
            size: Bytes(1 << 20),
            model: Some("SPINNER 9000".to_owned()),
            rotational: Some(true),
        };
        let virtio = DiskInfo { name: "vda".to_owned(), size: Bytes(4096), model: None, rotational: None };
        assert_eq!(disks, [spinner, virtio]);
    }

    #[test]
    fn partitions_and_loops_are_not_counted_twice() {
        let counters = counters(&machine().root());
        assert_eq!(
            counters,
            [DiskCounters { name: "sda".to_owned(), read_bytes: 5120, written_bytes: 1536 }]
        );
    }
}
