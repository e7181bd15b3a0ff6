//! Limits on the block device: named in the receipt, held in the kernel's file, and changed with the lease.

use hypermesh_harness::{Inside, Node, allocation, require_cgroups, skip};
use hypermesh_wire::allocations::{EnforcementEntry, EnforcementState, IoLimits, ResizeAllocation};
use std::fs;

const RATE: u64 = 1 << 20;

fn entry<'a>(entries: &'a [EnforcementEntry], limit: &str) -> &'a EnforcementEntry {
    entries.iter().find(|entry| entry.limit == limit).unwrap_or_else(|| panic!("{limit}: {entries:?}"))
}

#[test]
fn limits_on_the_block_device_are_held_and_counted() {
    let node = Node::start();
    require_cgroups!(node);
    let mut request = allocation("cpu", 10.0);
    let io = IoLimits { write_bps: Some(RATE), read_iops: Some(500), ..IoLimits::default() };
    request.requirements.io = Some(io.clone());
    let lease = match node.client().allocate(&request) {
        Ok(lease) => lease,
        // No controller for it, or the data folder has no block device of its own; it is said, not ignored.
        Err(error) if error.status() == Some(422) => skip!("{error}"),
        Err(error) => panic!("{error}"),
    };
    assert_eq!(lease.resources.io, Some(io));
    let receipt = node.enforcement(&lease.id);
    for (limit, value) in [("io_write_bps", RATE), ("io_read_iops", 500)] {
        let entry = entry(&receipt.entries, limit);
        assert!(
            matches!(entry.state, EnforcementState::Enforced | EnforcementState::BestEffort),
            "{entry:?}"
        );
        let file = fs::read_to_string(entry.file.as_ref().unwrap()).unwrap();
        assert!(file.contains(&value.to_string()), "{file:?}: {entry:?}");
    }
    let faster = ResizeAllocation {
        io: Some(IoLimits { write_bps: Some(64 * RATE), ..IoLimits::default() }),
        ..ResizeAllocation::default()
    };
    let resized = node.client().resize(&lease.id, &faster, None).unwrap();
    let io = resized.resources.io.unwrap();
    assert_eq!((io.write_bps, io.read_iops), (Some(64 * RATE), Some(500)), "what is not named stays");
    let entries = node.enforcement(&lease.id).entries;
    let file = fs::read_to_string(entry(&entries, "io_write_bps").file.as_ref().unwrap()).unwrap();
    assert!(file.contains(&(64 * RATE).to_string()), "{file:?}");

    let target = node.data_dir().join("written");
    let script = format!("dd if=/dev/zero of='{}' bs=64k count=32 oflag=direct", target.display());
    let mut writer = Inside::join(&node.enforcement(&lease.id), &script);
    if writer.code() != 0 {
        skip!("no direct I/O to the data folder's file system");
    }
    let written = node.client().usage(&lease.id).unwrap().io.write_bytes;
    assert!(written.is_none_or(|bytes| bytes >= 2 << 20), "{written:?}");
}
