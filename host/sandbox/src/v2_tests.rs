//! The v2 backend on a fixture: where it makes its groups, what it writes there, and what it says when it can't.

use crate::fixture::{FixtureFolders, machine};
use crate::kernel_backend::KernelBackend;
use crate::{CgroupBackend, CgroupError, CgroupSettings, CgroupVersion, GpuAccess, Limits};
use hypermesh_model::{Bytes, EnforcementState, LeaseId, MilliCpu, NodeId};
use std::fs;
use std::path::{Path, PathBuf};

const ALL: &str = "cpuset cpu io memory pids";

fn open(root: &Path, parent: Option<&str>) -> Result<KernelBackend, CgroupError> {
    let node = NodeId::parse("n1").unwrap();
    let parent = parent.map(str::to_owned);
    let settings = CgroupSettings { system_root: root.to_owned(), parent, node, gpu_minors: vec![0, 1] };
    KernelBackend::open(&settings, Box::new(FixtureFolders))
}

fn limits() -> Limits {
    Limits { cpu: Some(MilliCpu(500)), memory: Some(Bytes::mib(8)), pids: Some(16), ..Limits::default() }
}

fn text(path: PathBuf) -> String {
    fs::read_to_string(path).unwrap().trim().to_owned()
}

fn me() -> u32 {
    std::process::id()
}

fn fixture(controllers: &str, own: &str, pids: &[u32]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    machine(folder.path(), controllers, own, pids);
    let top = folder.path().join("sys/fs/cgroup");
    (folder, top)
}

#[test]
fn alone_in_its_delegated_group_the_node_makes_room_and_works_there() {
    let (root, top) = fixture(ALL, "/unit.service", &[me()]);
    let backend = open(root.path(), None).unwrap();
    let unit = top.join("unit.service");
    assert_eq!(backend.version(), CgroupVersion::V2);
    assert_eq!(text(unit.join("node/cgroup.procs")), me().to_string());
    assert_eq!(text(unit.join("cgroup.subtree_control")), "+cpu +memory +pids +io +cpuset");
    assert_eq!(text(unit.join("hypermesh/n1/cgroup.controllers")), "cpu memory pids io cpuset");
    assert_eq!(text(top.join("cgroup.subtree_control")), "", "the root was not touched");
}

#[test]
fn in_the_delegated_subgroup_it_works_beside_itself() {
    let (root, top) = fixture(ALL, "/unit.service/node", &[me()]);
    fs::write(top.join("unit.service/cgroup.procs"), "").unwrap();
    fs::write(top.join("unit.service/cgroup.controllers"), "cpu memory pids").unwrap();
    fs::write(top.join("unit.service/cgroup.subtree_control"), "").unwrap();
    open(root.path(), None).unwrap();
    assert!(top.join("unit.service/hypermesh/n1").is_dir());
    assert!(!top.join("unit.service/node/node").exists());
}

#[test]
fn beside_foreign_processes_it_goes_to_the_root_and_moves_nobody() {
    let (root, top) = fixture(ALL, "/user.slice", &[1, me()]);
    open(root.path(), None).unwrap();
    assert!(top.join("hypermesh/n1").is_dir());
    assert_eq!(text(top.join("user.slice/cgroup.procs")), format!("1\n{}", me()));
    assert_eq!(text(top.join("user.slice/cgroup.subtree_control")), "");
}

#[test]
fn a_configured_parent_is_used_and_made() {
    let (root, top) = fixture(ALL, "/user.slice", &[1, me()]);
    fs::write(top.join("cgroup.subtree_control"), "cpu memory pids").unwrap();
    let backend = open(root.path(), Some("/hypermesh.slice")).unwrap();
    assert!(top.join("hypermesh.slice/hypermesh/n1").is_dir());
    backend.close();
    assert!(!top.join("hypermesh.slice/hypermesh").exists(), "empty folders go");
    assert!(top.join("hypermesh.slice").exists(), "the operator's stays");
    assert!(open(root.path(), Some("/../etc")).is_err());
}

#[test]
fn a_node_started_again_in_another_group_keeps_its_leases() {
    let (root, top) = fixture(ALL, "/session-1", &[me()]);
    let lease = LeaseId::generate();
    open(root.path(), None).unwrap().create(&lease, &limits(), "").unwrap();
    // The crash: nothing was closed. The new session is another group, in which the node is alone again.
    machine(root.path(), ALL, "/session-2", &[me()]);
    let backend = open(root.path(), None).unwrap();
    assert_eq!(backend.leases().unwrap()[0].id, lease.as_str());
    assert!(backend.read_back(&lease, &limits()).unwrap().is_enforced());
    assert!(!top.join("session-2/hypermesh").exists() && !top.join("session-2/node").exists());
    assert_eq!(text(top.join("session-2/cgroup.procs")), me().to_string(), "no need to move");
    backend.remove(&lease).unwrap();
    backend.close();
    open(root.path(), None).unwrap();
    assert!(top.join("session-2/hypermesh/n1").is_dir(), "nothing was left, so the own group it is");
}

#[test]
fn an_earlier_group_that_hands_nothing_down_is_left_unless_it_has_leases() {
    let (root, top) = fixture(ALL, "/session-2", &[me()]);
    let old = top.join("session-1/hypermesh/n1");
    fs::create_dir_all(&old).unwrap();
    for group in [top.join("session-1"), top.join("session-1/hypermesh"), old.clone()] {
        fs::write(group.join("cgroup.procs"), "").unwrap();
        fs::write(group.join("cgroup.subtree_control"), "").unwrap();
        fs::write(group.join("cgroup.controllers"), "io").unwrap();
    }
    fs::create_dir(old.join("lease")).unwrap();
    fs::write(old.join("lease/cgroup.procs"), "").unwrap();
    let Err(error) = open(root.path(), None) else { panic!("opened") };
    assert!(error.to_string().contains("session-1 hands down none of"), "{error}");
    fs::remove_dir_all(old.join("lease")).unwrap();
    open(root.path(), None).unwrap();
    assert!(top.join("session-2/hypermesh/n1").is_dir() && !old.exists());
}

#[test]
fn a_lease_is_written_read_back_and_gone() {
    let (root, top) = fixture(ALL, "/", &[1]);
    let backend = open(root.path(), None).unwrap();
    let lease = LeaseId::generate();
    let receipt = backend.create(&lease, &limits(), "{\"who\":1}").unwrap();
    assert!(receipt.is_enforced(), "{receipt:?}");
    let dir = top.join("hypermesh/n1").join(lease.as_str());
    assert_eq!(text(dir.join("cpu.max")), "50000 100000");
    assert_eq!(text(dir.join("memory.swap.max")), "0");
    assert_eq!(text(dir.join("memory.oom.group")), "1");
    let held: Vec<_> = receipt.entries.iter().map(|e| e.limit.as_str()).collect();
    assert_eq!(held, ["cpu", "cpu_weight", "memory", "swap", "oom_group", "pids"]);
    backend.create_leaf(&lease, "exec-1", None).unwrap();
    assert_eq!(text(dir.join("exec-1/cgroup.controllers")), "cpu memory pids io");
    assert_eq!(backend.join_files(&lease, "exec-1"), [dir.join("exec-1/cgroup.procs")]);
    let usage = backend.usage(&lease, None).unwrap();
    assert_eq!((usage.cpu_time_ns, usage.throttled_periods), (Some(1_500_000), Some(4)));
    assert_eq!((usage.periods, usage.throttled_ns), (Some(9), Some(70_000)));
    let memory = (usage.memory_peak, usage.memory_working_set, usage.memory_anon, usage.swap);
    assert_eq!(memory, (Some(Bytes::mib(8)), Some(Bytes(7 << 19)), Some(Bytes::mib(3)), Some(Bytes(0))));
    assert_eq!((usage.memory_limit_hits, usage.oom, usage.oom_kills), (Some(5), Some(2), Some(1)));
    assert_eq!((usage.io_bytes, usage.io_read_bytes, usage.io_write_bytes), (Some(128), Some(100), Some(28)));
    assert_eq!((usage.io_read_ops, usage.pids_current, usage.pids_limit_hits), (Some(7), Some(3), Some(2)));
    let pressure = backend.pressure(&lease).unwrap();
    assert_eq!(pressure.memory.unwrap().some.unwrap().total_us, 1234);
    assert!(pressure.cpu.unwrap().full.is_none(), "older kernels have no such line");
    assert_eq!(backend.usage(&lease, Some("exec-1")).unwrap().throttled_periods, None, "no quota of its own");
    let found = backend.leases().unwrap();
    assert_eq!((found.len(), found[0].id.as_str(), found[0].populated), (1, lease.as_str(), false));
    backend.kill(&lease, None).unwrap();
    assert_eq!(text(dir.join("cgroup.kill")), "1");
    backend.remove(&lease).unwrap();
    backend.remove(&lease).unwrap();
    assert!(!dir.exists() && backend.leases().unwrap().is_empty());
    assert!(backend.usage(&lease, None).unwrap_err().is_missing());
}

#[test]
fn a_value_that_the_kernel_changed_is_not_enforced() {
    let (root, top) = fixture(ALL, "/", &[1]);
    let backend = open(root.path(), None).unwrap();
    let lease = LeaseId::generate();
    let limits = Limits { memory: Some(Bytes::mib(8)), ..Limits::default() };
    assert!(backend.create(&lease, &limits, "").unwrap().is_enforced());
    let file = top.join("hypermesh/n1").join(lease.as_str()).join("memory.max");
    fs::write(&file, "max\n").unwrap();
    let receipt = backend.read_back(&lease, &limits).unwrap();
    let memory = receipt.entries.iter().find(|e| e.limit == "memory").unwrap();
    assert_eq!((memory.state, memory.actual.as_deref()), (EnforcementState::Unenforced, Some("max")));
    assert_eq!(text(file), "max", "reading back writes nothing");
}

#[test]
fn a_controller_that_is_missing_is_said() {
    let (root, _top) = fixture("cpu memory", "/", &[1]);
    let backend = open(root.path(), None).unwrap();
    let lease = LeaseId::generate();
    let gpu = Limits { gpus: Some(GpuAccess::whole([1])), ..limits() };
    let receipt = backend.create(&lease, &gpu, "").unwrap();
    let entry = |limit: &str| receipt.entries.iter().find(|e| e.limit == limit).unwrap();
    assert_eq!(entry("cpu").state, EnforcementState::Enforced);
    assert_eq!(entry("pids").state, EnforcementState::Unenforced);
    assert!(entry("pids").reason.as_ref().unwrap().contains("no pids controller"));
    // A folder of a fixture is no group, and the kernel says so; without the rights it says that first.
    let gpu = entry("gpu");
    assert_eq!((gpu.state, gpu.actual.as_deref()), (EnforcementState::Unenforced, None));
    assert!(gpu.reason.as_ref().unwrap().contains("bpf("), "{gpu:?}");
    assert!(gpu.requested.starts_with("allow c 195:1 rwm, "), "{gpu:?}");
}

#[test]
fn what_a_failed_create_made_is_gone() {
    let (root, top) = fixture(ALL, "/", &[1]);
    let backend = open(root.path(), None).unwrap();
    let node = top.join("hypermesh/n1");
    // A lease that asks the kernel for a quota it can't write: the fixture makes cpu.max a folder.
    fs::write(node.join("cgroup.subtree_control"), "refusing").unwrap();
    let lease = LeaseId::generate();
    assert!(backend.create(&lease, &limits(), "").is_err());
    assert!(!node.join(lease.as_str()).exists());
    // A leaf of a lease that does not exist, or with a name that leaves it, makes nothing.
    assert!(backend.create_leaf(&lease, "exec-1", None).unwrap_err().is_missing());
    assert!(!node.join(lease.as_str()).exists());
    assert!(backend.create_leaf(&lease, "../n2", None).is_err());
    assert!(!top.join("hypermesh/n2").exists());
}

#[test]
fn a_machine_that_hands_nothing_down_is_refused_with_the_reason() {
    let (root, top) = fixture("io", "/user.slice", &[1, me()]);
    let Err(error) = open(root.path(), None) else { panic!("opened") };
    assert!(error.to_string().contains("hands down none of cpu, memory and pids"), "{error}");
    assert!(error.to_string().contains("not the node's"), "{error}");
    assert!(!top.join("hypermesh").exists());
}
