//! Which whole disk is behind a filesystem: I/O limits are set on disks, and the kernel refuses partitions
//! (`io.max` in kernel `Documentation/admin-guide/cgroup-v2.rst`).
//!
//! A partition leads to its disk (kernel `Documentation/ABI/stable/sysfs-block`). RAID, device mapper and loop devices are
//! whole disks to the block layer and stay as they are. Filesystems with device numbers of their own (major 0: btrfs and
//! the like) are followed through the source of their mount; of one on several disks that is one of them. Network
//! filesystems, overlays and memory have no disk: `None`.

use crate::root::SystemRoot;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// A whole block device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BlockDevice {
    /// The kernel's name, e.g. `nvme0n1`.
    pub name: String,
    /// With [`Self::minor`] its number, as I/O controllers take it: `MAJ:MIN`.
    pub major: u32,
    /// See [`Self::major`].
    pub minor: u32,
}

/// The disk behind the device number of a file, or behind the source of its mount where the number is none of a disk.
pub(crate) fn device(root: &SystemRoot, major: u32, minor: u32, source: Option<&str>) -> Option<BlockDevice> {
    let folder = if major == 0 {
        format!("/sys/class/block/{}", source_name(root, source?)?)
    } else {
        format!("/sys/dev/block/{major}:{minor}")
    };
    whole(&root.path(folder))
}

/// The kernel's name of the device at a path such as `/dev/mapper/data`, which links to `/dev/dm-0`.
fn source_name(root: &SystemRoot, source: &str) -> Option<String> {
    let path = root.path(source.strip_prefix("/dev/").map(|_| source)?).canonicalize().ok()?;
    // sysfs has `!` where a device's name has `/` (`cciss/c0d0`).
    let below_dev = path.strip_prefix(root.path("/dev").canonicalize().ok()?).ok()?;
    Some(below_dev.to_str()?.replace('/', "!"))
}

/// The device of a folder of sysfs, or the one that it is a partition of.
fn whole(folder: &Path) -> Option<BlockDevice> {
    let folder = folder.canonicalize().ok()?;
    let disk: PathBuf = if folder.join("partition").exists() { folder.parent()?.to_owned() } else { folder };
    let number = std::fs::read_to_string(disk.join("dev")).ok()?;
    let (major, minor) = number.trim().split_once(':')?;
    let name = disk.file_name()?.to_str()?.replace('!', "/");
    Some(BlockDevice { name, major: major.parse().ok()?, minor: minor.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::fixture::Fixture;
    use std::os::unix::fs::symlink;

    /// A disk with a partition, a device-mapper device over it, and a RAID controller's disk.
    fn machine() -> Fixture {
        let fixture = Fixture::new(&[
            ("/sys/devices/pci0/block/nvme0n1/dev", "259:0\n"),
            ("/sys/devices/pci0/block/nvme0n1/nvme0n1p2/dev", "259:2\n"),
            ("/sys/devices/pci0/block/nvme0n1/nvme0n1p2/partition", "2\n"),
            ("/sys/devices/virtual/block/dm-0/dev", "252:0\n"),
            ("/sys/devices/pci1/block/cciss!c0d0/dev", "104:0\n"),
            ("/sys/dev/block/x", ""),
            ("/sys/class/block/x", ""),
            ("/dev/mapper/x", ""),
            ("/dev/dm-0", ""),
            ("/dev/nvme0n1p2", ""),
            ("/dev/cciss/c0d0", ""),
        ]);
        let link = |from: &str, to: &str| symlink(to, fixture.path().join(from)).unwrap();
        link("sys/dev/block/259:0", "../../devices/pci0/block/nvme0n1");
        link("sys/dev/block/259:2", "../../devices/pci0/block/nvme0n1/nvme0n1p2");
        link("sys/dev/block/252:0", "../../devices/virtual/block/dm-0");
        link("sys/class/block/nvme0n1p2", "../../devices/pci0/block/nvme0n1/nvme0n1p2");
        link("sys/class/block/dm-0", "../../devices/virtual/block/dm-0");
        link("sys/class/block/cciss!c0d0", "../../devices/pci1/block/cciss!c0d0");
        link("dev/mapper/data", "../dm-0");
        fixture
    }

    fn found(major: u32, minor: u32, source: Option<&str>) -> Option<(String, u32, u32)> {
        device(&machine().root(), major, minor, source).map(|disk| (disk.name, disk.major, disk.minor))
    }

    #[test]
    fn a_partition_leads_to_its_disk_and_other_devices_to_themselves() {
        let nvme = Some(("nvme0n1".to_owned(), 259, 0));
        assert_eq!(found(259, 2, Some("/dev/nvme0n1p2")), nvme);
        assert_eq!(found(259, 0, None), nvme);
        assert_eq!(found(252, 0, Some("/dev/mapper/data")), Some(("dm-0".to_owned(), 252, 0)));
    }

    #[test]
    fn a_number_of_no_disk_is_followed_through_the_mounts_source() {
        assert_eq!(found(0, 42, Some("/dev/nvme0n1p2")), Some(("nvme0n1".to_owned(), 259, 0)));
        assert_eq!(found(0, 42, Some("/dev/mapper/data")), Some(("dm-0".to_owned(), 252, 0)));
        assert_eq!(found(0, 42, Some("/dev/cciss/c0d0")), Some(("cciss/c0d0".to_owned(), 104, 0)));
    }

    #[test]
    fn what_has_no_disk_has_none() {
        let sources = [
            "overlay",
            "tmpfs",
            "server:/share",
            "/dev/root",
            "/dev/../sys/class/block/dm-0",
            "",
            "pool/data",
        ];
        for source in sources {
            assert_eq!(found(0, 42, Some(source)), None, "{source}");
        }
        assert_eq!((found(0, 42, None), found(8, 0, Some("/dev/nvme0n1p2"))), (None, None));
    }
}
