//! Rates of a block device hold for direct I/O.

use crate::node::{Node, busy, end, shell, skip, status, until};
use hypermesh_model::{EnforcementState, IoLimits};
use hypermesh_sandbox::{CgroupVersion, IoRule, Limits};
use rustix::fs::{major, minor, stat};
use std::path::Path;
use std::time::Instant;

/// The whole disk that holds the current folder; `None` where that is no disk (tmpfs, overlay, network).
pub(crate) fn whole_disk() -> Option<(u32, u32)> {
    let device = stat(".").ok()?.st_dev;
    let sysfs = std::fs::canonicalize(format!("/sys/dev/block/{}:{}", major(device), minor(device))).ok()?;
    let disk = if sysfs.join("partition").exists() { sysfs.parent()? } else { Path::new(&sysfs) };
    let numbers = std::fs::read_to_string(disk.join("dev")).ok()?;
    let (major, minor) = numbers.trim().split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[test]
fn a_direct_writer_is_held_to_its_rate() {
    let test = "a_direct_writer_is_held_to_its_rate";
    let Some(node) = Node::start(test, vec![]) else { return };
    let Some(device) = whole_disk() else { return skip(test, "the current folder is on no disk") };
    let _turn = busy();
    let rate: u64 = 2 << 20;
    let limits = IoLimits { write_bps: Some(rate), read_iops: Some(500), ..IoLimits::default() };
    let limits = Limits { io: Some(IoRule { device, limits }), ..Limits::default() };
    let lease = node.lease(&limits);
    let receipt = node.0.read_back(&lease, &limits).unwrap();
    assert!(receipt.is_enforced(), "{receipt:#?}");
    let state = |limit| receipt.entries.iter().find(|e| e.limit == limit).unwrap().state;
    assert_eq!(state("io_read_iops"), EnforcementState::Enforced);
    let is_v2 = node.0.version() == CgroupVersion::V2;
    let write = if is_v2 { EnforcementState::Enforced } else { EnforcementState::BestEffort };
    assert_eq!(state("io_write_bps"), write);
    let folder = tempfile::tempdir_in(".").unwrap();
    let file = folder.path().join("file");
    let mut writer = node.shell(
        &lease,
        &format!("exec dd if=/dev/zero of='{}' bs=64k count=4096 oflag=direct", file.display()),
    );
    let written = || node.0.usage(&lease, None).unwrap().io_write_bytes.unwrap_or(0);
    until("writing", || written() > 0 || writer.try_wait().unwrap().is_some());
    if written() == 0 {
        end(writer);
        return skip(test, "this file system takes no direct writes, or the kernel counts none");
    }
    let (from, began) = (written(), Instant::now());
    until("three seconds' worth", || written() >= from + 3 * rate || writer.try_wait().unwrap().is_some());
    let (done, took) = (written() - from, began.elapsed());
    let per_second = u128::from(done) * 1000 / took.as_millis().max(1);
    eprintln!("{done} bytes in {took:?}: {per_second} bytes/s of {rate}");
    assert!(per_second < u128::from(rate) * 3 / 2, "{per_second}");
    node.0.kill(&lease, None).unwrap();
    end(writer);
}

/// As `hypermesh alloc exec` does: a folder in each of the receipt's groups. v1 does not hold a rate there.
#[test]
fn what_runs_beside_its_rate_is_found_and_put_right() {
    let test = "what_runs_beside_its_rate_is_found_and_put_right";
    let Some(node) = Node::start(test, vec![]) else { return };
    let Some(device) = whole_disk() else { return skip(test, "the current folder is on no disk") };
    let limits = IoLimits { read_bps: Some(1 << 20), ..IoLimits::default() };
    let limits = Limits { io: Some(IoRule { device, limits }), ..Limits::default() };
    let lease = hypermesh_model::LeaseId::generate();
    let receipt = node.0.create(&lease, &limits, "").unwrap();
    let leaves: Vec<_> = receipt.cgroups.iter().map(|dir| Path::new(dir).join("cli-4711")).collect();
    leaves.iter().for_each(|leaf| std::fs::create_dir(leaf).unwrap());
    let join: String = leaves
        .iter()
        .map(|leaf| format!("echo 0 > '{}/cgroup.procs' || exit 99\n", leaf.display()))
        .collect();
    let child = shell(&format!("{join} exec sleep 600"));
    until("executing", || status(child.id(), "Name") == "sleep");
    let beside = node.0.read_back(&lease, &limits).unwrap();
    assert_eq!(beside.is_enforced(), node.0.version() == CgroupVersion::V2, "{beside:#?}");
    assert!(node.0.create(&lease, &limits, "").unwrap().is_enforced());
    assert_eq!(node.0.read_back(&lease, &limits).unwrap().entries, receipt.entries);
    node.0.kill(&lease, None).unwrap();
    end(child);
}

#[test]
fn a_device_that_is_no_whole_disk_is_not_enforced_and_says_so() {
    let Some(node) = Node::start("a_device_that_is_no_whole_disk_is_not_enforced_and_says_so", vec![]) else {
        return;
    };
    let limits = IoLimits { read_bps: Some(1 << 20), ..IoLimits::default() };
    // Major 4095 is nobody's.
    let rule = IoRule { device: (4095, 0), limits };
    let lease = hypermesh_model::LeaseId::generate();
    let receipt = node.0.create(&lease, &Limits { io: Some(rule), ..Limits::default() }, "").unwrap();
    assert!(!receipt.is_enforced());
    assert!(receipt.entries[0].reason.is_some(), "{receipt:?}");
}
