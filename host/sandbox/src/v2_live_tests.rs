//! Changing live leases of the v2 backend on a fixture: what is written, in which state a refusal leaves the files.

use crate::fixture::{FixtureFolders, machine};
use crate::kernel_backend::KernelBackend;
use crate::{CgroupBackend, CgroupError, CgroupSettings, CpuSet, IoRule, Limits};
use hypermesh_model::{Bytes, CpuMode, EnforcementState, IoLimits, LeaseId, MilliCpu, NodeId};
use std::fs;
use std::path::{Path, PathBuf};

struct Fixture {
    root: tempfile::TempDir,
    backend: KernelBackend,
}

impl Fixture {
    fn new(controllers: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        machine(root.path(), controllers, "/", &[1]);
        let backend = Self::open(root.path());
        Self { root, backend }
    }

    fn open(root: &Path) -> KernelBackend {
        let (system_root, node) = (root.to_owned(), NodeId::parse("n1").unwrap());
        let settings = CgroupSettings { system_root, parent: None, node, gpu_minors: vec![] };
        KernelBackend::open(&settings, Box::new(FixtureFolders)).unwrap()
    }

    /// As a node that was killed.
    fn restart(&mut self) {
        self.backend = Self::open(self.root.path());
    }

    fn dir(&self, below: &str) -> PathBuf {
        self.root.path().join("sys/fs/cgroup/hypermesh/n1").join(below)
    }

    fn text(&self, lease: &LeaseId, file: &str) -> String {
        fs::read_to_string(self.dir(lease.as_str()).join(file)).unwrap().trim().to_owned()
    }

    fn lease(&self, limits: &Limits) -> LeaseId {
        let lease = LeaseId::generate();
        self.backend.create(&lease, limits, "").unwrap();
        lease
    }
}

const ALL: &str = "cpuset cpu io memory pids";

fn limited(mib: u64) -> Limits {
    Limits {
        cpu: Some(MilliCpu(500)),
        memory: Some(Bytes::mib(mib)),
        memory_request: Some(Bytes::mib(2)),
        pids: Some(16),
        ..Limits::default()
    }
}

/// The fixture's effective CPUs are always CPU 1.
fn pinned() -> Limits {
    Limits {
        cpu_mode: CpuMode::Pinned,
        cpuset: Some(CpuSet { cpus: vec![1], mems: vec![0] }),
        ..Limits::default()
    }
}

#[test]
fn a_resize_writes_what_changed_and_takes_away_what_is_not_asked() {
    let fixture = Fixture::new(ALL);
    let lease = fixture.lease(&Limits { cpu_burst_us: Some(5000), ..limited(64) });
    assert_eq!(fixture.text(&lease, "cpu.max.burst"), "5000");
    let receipt = fixture.backend.resize(&lease, &limited(16), false, "").unwrap();
    assert!(receipt.is_enforced(), "{receipt:#?}");
    let held = ["memory.max", "memory.high", "cpu.max.burst"].map(|file| fixture.text(&lease, file));
    assert_eq!(held, ["16777216", "max", "0"], "memory.high only helped");
    fixture.backend.resize(&lease, &Limits::default(), false, "").unwrap();
    let files = ["cpu.max", "cpu.weight", "memory.max", "memory.low", "pids.max"];
    assert_eq!(files.map(|file| fixture.text(&lease, file)), ["max 100000", "100", "max", "0", "max"]);
}

#[test]
fn below_what_is_used_nothing_is_written() {
    let fixture = Fixture::new(ALL);
    let lease = fixture.lease(&limited(64));
    // The fixture's working set is 3.5 MiB, and 3 processes are counted.
    let refused = fixture.backend.resize(&lease, &limited(3), false, "").unwrap_err();
    assert!(matches!(refused, CgroupError::InUse { limit: "memory", .. }), "{refused}");
    let few = Limits { pids: Some(2), ..limited(64) };
    let refused = fixture.backend.resize(&lease, &few, false, "").unwrap_err();
    assert!(matches!(refused, CgroupError::InUse { limit: "pids", wanted: 2, used: 3 }), "{refused}");
    assert!(fixture.backend.read_back(&lease, &limited(64)).unwrap().is_enforced());
    assert!(fixture.backend.resize(&lease, &limited(3), true, "").unwrap().is_enforced());
    // 4 MiB are in use now: that is more than the limit, which does not shrink.
    assert!(fixture.backend.resize(&lease, &limited(3), false, "").unwrap().is_enforced());
}

#[test]
fn a_refusal_in_the_middle_leaves_every_file_as_it_was() {
    let fixture = Fixture::new(ALL);
    let lease = fixture.lease(&limited(64));
    let before = fixture.backend.read_back(&lease, &limited(64)).unwrap();
    // The last file of the plan can't be written any more.
    let file = fixture.dir(lease.as_str()).join("io.max");
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    let limits = IoLimits { read_bps: Some(1), ..IoLimits::default() };
    let wanted =
        Limits { cpu_mode: CpuMode::Shared, io: Some(IoRule { device: (8, 0), limits }), ..limited(8) };
    fixture.backend.resize(&lease, &wanted, false, "").unwrap_err();
    assert_eq!(fixture.backend.read_back(&lease, &limited(64)).unwrap(), before);
    assert_eq!(fixture.text(&lease, "memory.high"), "max");
    assert_eq!(fs::read_to_string(fixture.dir("memory.low")).unwrap().trim(), "2097152");
}

#[test]
fn what_leases_ask_to_keep_adds_up_in_the_groups_above() {
    let mut fixture = Fixture::new(ALL);
    let kept = |fixture: &Fixture| fs::read_to_string(fixture.dir("memory.low")).unwrap().trim().to_owned();
    let (a, _b) = (fixture.lease(&limited(64)), fixture.lease(&limited(64)));
    assert_eq!(kept(&fixture), "4194304");
    fixture.restart();
    fixture.backend.create_leaf(&a, "exec-1", None).unwrap();
    assert_eq!(fixture.text(&a, "exec-1/memory.low"), "max", "all of it is for the leaves");
    fixture.backend.remove(&a).unwrap();
    assert_eq!(kept(&fixture), "2097152");
}

#[test]
fn pinned_and_shared_leases_are_told_apart_over_a_restart() {
    let mut fixture = Fixture::new(ALL);
    let before = fixture.lease(&Limits::default());
    fixture.backend.share_cpus(&[0]).unwrap();
    let alone = fixture.lease(&pinned());
    fixture.restart();
    let after = fixture.lease(&Limits::default());
    let receipt = fixture.backend.read_back(&alone, &pinned()).unwrap();
    assert_eq!(receipt.entries[0].state, EnforcementState::Enforced, "{receipt:#?}");
    let cpus = |lease: &LeaseId| fixture.text(lease, "cpuset.cpus");
    assert_eq!([cpus(&before), cpus(&alone), cpus(&after)], ["0", "1", "0"]);
    assert_eq!(fixture.text(&alone, "cpuset.mems"), "0");
    fixture.backend.resize(&alone, &Limits::default(), false, "").unwrap();
    assert_eq!((cpus(&alone).as_str(), fixture.text(&alone, "cpuset.mems").as_str()), ("0", "0"));
    // All that the machine has: nothing needs to be written to new leases any more.
    fixture.backend.share_cpus(&[1]).unwrap();
    assert_eq!([cpus(&before), cpus(&alone), cpus(&after)], ["1", "1", "1"]);
    assert_eq!(fixture.text(&fixture.lease(&Limits::default()), "cpuset.cpus"), "");
}

#[test]
fn without_cpuset_nothing_is_pinned_and_the_receipt_says_so() {
    let fixture = Fixture::new("cpu memory pids");
    fixture.backend.share_cpus(&[0]).unwrap();
    let receipt = fixture.backend.create(&LeaseId::generate(), &pinned(), "").unwrap();
    let entry = &receipt.entries[0];
    assert_eq!((entry.limit.as_str(), entry.state), ("cpuset", EnforcementState::Unenforced));
    assert!(entry.reason.as_ref().unwrap().contains("no cpuset controller"), "{entry:?}");
}

#[test]
fn a_rate_is_one_word_in_a_file_that_others_may_be_in_too() {
    let fixture = Fixture::new(ALL);
    let limits = IoLimits { write_bps: Some(5), ..IoLimits::default() };
    let rated = Limits { io: Some(IoRule { device: (8, 0), limits }), ..Limits::default() };
    let lease = fixture.lease(&rated);
    let file = fixture.dir(lease.as_str()).join("io.max");
    fs::write(&file, "254:0 rbps=9 wbps=max\n8:0 rbps=max wbps=5 riops=max wiops=max\n").unwrap();
    let entry = fixture.backend.read_back(&lease, &rated).unwrap().entries.remove(0);
    assert_eq!((entry.limit.as_str(), entry.actual.as_deref()), ("io_write_bps", Some("8:0 wbps=5")));
    assert_eq!(entry.state, EnforcementState::Enforced);
    fs::write(&file, "254:0 rbps=9 wbps=5\n").unwrap();
    let entry = fixture.backend.read_back(&lease, &rated).unwrap().entries.remove(0);
    assert_eq!((entry.state, entry.actual), (EnforcementState::Unenforced, None));
}
