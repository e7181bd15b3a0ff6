//! A lease opens the device nodes of its own GPUs and of no other, however it names them.

use crate::gpu::{idle, start, wish};
use hypermesh_fake_nvml::FakeDriver;
use hypermesh_harness::{Inside, Node, allocation, require_cgroups, require_root, skip};
use hypermesh_wire::allocations::{EnforcementState, GpuWish};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// NVIDIA's character devices (`Documentation/admin-guide/devices.txt`).
const MAJOR: &str = "195";

/// A device node of a GPU; no driver is behind it here.
fn node_of(folder: &Path, minor: u32) -> PathBuf {
    let path = folder.join(format!("nvidia{minor}"));
    let made = Command::new("mknod").arg(&path).args(["c", MAJOR, &minor.to_string()]).status().unwrap();
    assert!(made.success(), "mknod");
    path
}

/// What the shell says of opening a device, inside a lease.
fn opening(node: &Node, lease: &str, device: &Path, folder: &Path) -> String {
    let said = folder.join("said");
    let script = format!("exec 2>'{}'; exec 3<>'{}'; echo opened >&2", said.display(), device.display());
    Inside::join(&node.enforcement(lease), &script).code();
    fs::read_to_string(&said).unwrap()
}

#[test]
fn a_lease_opens_its_own_gpus_and_no_other() {
    require_root!();
    let world = idle("two-gpus");
    let first = world.gpus[0].uuid.clone().unwrap();
    let node = start(&FakeDriver::new(&world));
    require_cgroups!(node);
    let only_first = GpuWish { uuids: vec![first], ..GpuWish::default() };
    let lease = node.client().allocate(&wish(1, only_first)).unwrap();
    let without = node.client().allocate(&allocation("cpu", 5.0)).unwrap();
    for lease in [&lease, &without] {
        let receipt = node.enforcement(&lease.id);
        let entry = receipt.entries.iter().find(|entry| entry.limit.starts_with("gpu"));
        let entry = entry.unwrap_or_else(|| panic!("{receipt:?}"));
        assert!(entry.state == EnforcementState::Enforced && entry.actual.is_some(), "{entry:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    let [mine, other] = [0, 1].map(|minor| node_of(folder.path(), minor));
    if fs::File::open(&mine).is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied) {
        skip!("device nodes can't be opened in the temporary folder at all");
    }
    // It may be opened, and there is nothing behind it (ENXIO); or a driver is there, and opens it.
    let said = opening(&node, &lease.id, &mine, folder.path());
    assert!(said.contains("No such device") || said.contains("opened"), "{said}");
    for (lease, device) in [(&lease, &other), (&without, &mine), (&without, &other)] {
        let said = opening(&node, &lease.id, device, folder.path());
        assert!(said.contains("not permitted"), "{}: {said}", device.display());
    }
    assert!(opening(&node, &without.id, Path::new("/dev/null"), folder.path()).contains("opened"));
}
