//! The device filter on the real kernel, by whichever mechanism the machine has: v1 `devices`, a program on the cgroup2
//! group, and on hybrid machines both, one after the other. Needs root and writable cgroups.
//!
//! No GPU is needed: the filter decides about numbers, and a node with the number of a GPU can be made or not. What the
//! driver would say about them is a fixture below a system root whose `sys` is the real one.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use hypermesh_model::{EnforcementEntry, EnforcementState, LeaseId, NodeId};
use hypermesh_sandbox::{CgroupBackend, CgroupSettings, CgroupVersion, GpuAccess, Limits, MigAccess, open};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

/// Majors that the fixture's driver has.
const CAPS: u32 = 3901;
const UVM: u32 = 3902;

/// What holds the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mechanism {
    /// The file of the v1 controller.
    V1,
    /// A program on the cgroup2 group.
    Program,
}

/// A machine with three GPUs, the first cut into instances; its cgroups are the real ones.
struct Machine {
    root: tempfile::TempDir,
    node: NodeId,
}

impl Machine {
    fn new(mechanism: Mechanism) -> Self {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        std::os::unix::fs::symlink("/sys", root.path().join("sys")).unwrap();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let hidden = match mechanism {
            Mechanism::V1 => "no line has this",
            Mechanism::Program => " - cgroup cgroup rw,devices",
        };
        let mounts = mounts.lines().filter(|line| !line.contains(hidden)).map(|line| format!("{line}\n"));
        write("proc/self/mountinfo", &mounts.collect::<String>());
        write("proc/self/cgroup", &fs::read_to_string("/proc/self/cgroup").unwrap());
        let devices = format!("Character devices:\n195 nvidia\n{CAPS} nvidia-caps\n{UVM} nvidia-uvm\n");
        write("proc/devices", &devices);
        for (instance, minor) in [("gi1", 12), ("gi1/ci0", 13), ("gi2", 21), ("gi2/ci0", 22)] {
            let file = format!("proc/driver/nvidia/capabilities/gpu0/mig/{instance}/access");
            write(&file, &format!("DeviceFileMinor: {minor}\nDeviceFileMode: 256\n"));
        }
        let minors = "config 1\nmonitor 2\ngpu0/gi1/access 12\ngpu0/gi1/ci0/access 13\ngpu0/gi2/access 21\n\
                      gpu0/gi2/ci0/access 22\n";
        write("proc/driver/nvidia-caps/mig-minors", minors);
        Self { root, node: NodeId::generate() }
    }

    fn start(&self) -> Arc<dyn CgroupBackend> {
        let (system_root, node) = (self.root.path().to_owned(), self.node.clone());
        open(CgroupSettings { system_root, parent: None, node, gpu_minors: vec![0, 1, 2] })
    }

    /// Runs the test with every mechanism of this machine; says which it does not have.
    fn each(test: &str, run: impl Fn(&Self, &Node, Mechanism)) {
        for mechanism in [Mechanism::V1, Mechanism::Program] {
            let machine = Self::new(mechanism);
            let node = Node(machine.start());
            let has_it = match node.0.version() {
                CgroupVersion::V1 => mechanism == Mechanism::V1,
                CgroupVersion::V2 => mechanism == Mechanism::Program,
                CgroupVersion::Hybrid => true,
                CgroupVersion::None => false,
            };
            let lacks = if has_it { node.lacks_rights() } else { node.0.unavailable_reason() };
            match lacks {
                Some(reason) => skip(test, mechanism, &reason),
                None if has_it => run(&machine, &node, mechanism),
                None => skip(test, mechanism, &format!("cgroups are {} here", node.0.version())),
            }
        }
    }
}

fn skip(test: &str, mechanism: Mechanism, reason: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED {test} ({mechanism:?}): {reason}");
}

/// A node, whose groups go away with it.
struct Node(Arc<dyn CgroupBackend>);

impl Node {
    /// Why the filter can't be set up: both ways need capabilities.
    fn lacks_rights(&self) -> Option<String> {
        if rustix::process::geteuid().is_root() {
            return None;
        }
        let (lease, entry) = self.lease(&GpuAccess::default());
        self.0.remove(&lease).unwrap();
        assert_eq!((entry.state, entry.actual), (EnforcementState::Unenforced, None));
        entry.reason
    }

    fn lease(&self, access: &GpuAccess) -> (LeaseId, EnforcementEntry) {
        let lease = LeaseId::generate();
        let entry = self.set(&lease, access);
        self.0.create_leaf(&lease, "exec-1", None).unwrap();
        (lease, entry)
    }

    /// Makes the lease, or gives it other GPUs.
    fn set(&self, lease: &LeaseId, access: &GpuAccess) -> EnforcementEntry {
        let receipt = self.0.create(lease, &limits(access), "").unwrap();
        let again = self.0.read_back(lease, &limits(access)).unwrap();
        assert_eq!(again, receipt, "read back");
        let [entry] = receipt.entries.as_slice() else { panic!("{receipt:#?}") };
        eprintln!("{entry:#?}");
        entry.clone()
    }

    /// Those of the devices of which a node can be made in the lease.
    fn may_make(&self, lease: &LeaseId, devices: &[(u32, u32)]) -> Vec<(u32, u32)> {
        let folder = tempfile::tempdir().unwrap();
        let joins = self.0.join_files(lease, "exec-1");
        let join: String = joins.iter().map(|f| format!("echo 0 > '{}' || exit 99\n", f.display())).collect();
        let make = |(major, minor): &(u32, u32)| format!("mknod {major}-{minor} c {major} {minor}\n");
        let script = devices.iter().fold(join, |script, device| script + &make(device)) + "exit 0";
        let status =
            Command::new("sh").args(["-c", &script]).current_dir(&folder).stderr(Stdio::null()).status();
        assert!(status.unwrap().success());
        let made = |(major, minor): &&(u32, u32)| folder.path().join(format!("{major}-{minor}")).exists();
        devices.iter().filter(made).copied().collect()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        for found in self.0.leases().unwrap() {
            let lease = LeaseId::parse(found.id).unwrap();
            self.0.kill(&lease, None).unwrap();
            self.0.remove(&lease).unwrap();
        }
        self.0.close();
    }
}

fn limits(access: &GpuAccess) -> Limits {
    Limits { gpus: Some(access.clone()), ..Limits::default() }
}

fn instance(gpu_instance: u32) -> GpuAccess {
    let instances = vec![MigAccess { minor: 0, gpu_instance, compute_instance: Some(0) }];
    GpuAccess { minors: Vec::new(), instances }
}

/// One of every kind that is NVIDIA's, and one that is not.
const ALL: [(u32, u32); 15] = [
    (195, 0),
    (195, 1),
    (195, 2),
    (195, 31),
    (195, 254),
    (195, 255),
    (CAPS, 1),
    (CAPS, 12),
    (CAPS, 13),
    (CAPS, 21),
    (CAPS, 22),
    (UVM, 0),
    (UVM, 1),
    (1, 3),
    (1, 5),
];
const FOREIGN: [(u32, u32); 2] = [(1, 3), (1, 5)];

fn with_foreign(granted: &[(u32, u32)]) -> Vec<(u32, u32)> {
    granted.iter().chain(&FOREIGN).copied().collect()
}

fn check_mechanism(entry: &EnforcementEntry, mechanism: Mechanism) {
    assert_eq!((entry.state, &entry.reason), (EnforcementState::Enforced, &None));
    let (file, actual) = (Path::new(entry.file.as_ref().unwrap()), entry.actual.as_ref().unwrap());
    match mechanism {
        Mechanism::V1 => assert!(file.ends_with("devices.deny") && *actual == entry.requested),
        Mechanism::Program => assert!(file.is_dir() && actual.starts_with("bpf program "), "{actual}"),
    }
}

#[test]
fn a_lease_without_a_gpu_opens_nothing_of_nvidia() {
    Machine::each("a_lease_without_a_gpu_opens_nothing_of_nvidia", |_machine, node, mechanism| {
        let (lease, entry) = node.lease(&GpuAccess::default());
        check_mechanism(&entry, mechanism);
        assert_eq!(entry.requested, "deny c 195:* rwm, deny c 3901:* rwm, deny c 3902:* rwm");
        assert_eq!(node.may_make(&lease, &ALL), FOREIGN);
    });
}

#[test]
fn a_lease_with_a_gpu_opens_that_one() {
    Machine::each("a_lease_with_a_gpu_opens_that_one", |_machine, node, mechanism| {
        let (lease, entry) = node.lease(&GpuAccess::whole([1]));
        check_mechanism(&entry, mechanism);
        let granted = [(195, 1), (195, 254), (195, 255), (UVM, 0), (UVM, 1)];
        assert_eq!(node.may_make(&lease, &ALL), with_foreign(&granted));
    });
}

#[test]
fn a_lease_with_an_instance_opens_its_capabilities() {
    Machine::each("a_lease_with_an_instance_opens_its_capabilities", |_machine, node, mechanism| {
        let (lease, entry) = node.lease(&instance(1));
        check_mechanism(&entry, mechanism);
        let granted = [(195, 0), (195, 255), (CAPS, 12), (CAPS, 13), (UVM, 0), (UVM, 1)];
        assert_eq!(node.may_make(&lease, &ALL), with_foreign(&granted));
    });
}

#[test]
fn other_gpus_take_the_place_of_the_first_ones() {
    Machine::each("other_gpus_take_the_place_of_the_first_ones", |_machine, node, mechanism| {
        let (lease, first) = node.lease(&GpuAccess::whole([1]));
        let second = node.set(&lease, &GpuAccess::whole([2]));
        check_mechanism(&second, mechanism);
        assert_ne!(first.actual, second.actual);
        let granted = [(195, 2), (195, 254), (195, 255), (UVM, 0), (UVM, 1)];
        assert_eq!(node.may_make(&lease, &ALL), with_foreign(&granted), "in a leaf made before");
        check_mechanism(&node.set(&lease, &GpuAccess::default()), mechanism);
        assert_eq!(node.may_make(&lease, &ALL), FOREIGN);
        check_mechanism(&node.set(&lease, &instance(2)), mechanism);
        if mechanism == Mechanism::V1 {
            // The leaf keeps the denial of the whole major.
            assert_eq!(node.may_make(&lease, &[(195, 0), (195, 2)]), []);
            node.0.remove_leaf(&lease, "exec-1").unwrap();
            node.0.create_leaf(&lease, "exec-1", None).unwrap();
        }
        let granted = [(195, 0), (195, 255), (CAPS, 21), (CAPS, 22), (UVM, 0), (UVM, 1)];
        assert_eq!(node.may_make(&lease, &ALL), with_foreign(&granted));
    });
}

#[test]
fn a_node_started_again_finds_the_filter() {
    Machine::each("a_node_started_again_finds_the_filter", |machine, node, mechanism| {
        let (lease, first) = node.lease(&GpuAccess::whole([1]));
        check_mechanism(&first, mechanism);
        let again = machine.start();
        let found = again.read_back(&lease, &limits(&GpuAccess::whole([1]))).unwrap();
        assert_eq!(found.entries, std::slice::from_ref(&first));
        let made = again.create(&lease, &limits(&GpuAccess::whole([1])), "").unwrap();
        assert_eq!(made.entries, [first], "the same program, if it is one");
        let other = again.read_back(&lease, &limits(&GpuAccess::whole([2]))).unwrap();
        assert_eq!(other.entries[0].state, EnforcementState::Unenforced);
        assert!(other.entries[0].reason.is_some(), "{other:?}");
    });
}

#[test]
fn leases_that_may_open_the_same_share_a_program() {
    Machine::each("leases_that_may_open_the_same_share_a_program", |_machine, node, mechanism| {
        let [(_, one), (_, two)] = [node.lease(&GpuAccess::default()), node.lease(&GpuAccess::default())];
        assert_eq!(one.actual, two.actual);
        assert_ne!(one.file, two.file);
        check_mechanism(&two, mechanism);
    });
}

/// A driver module that is loaded while the lease lives brings a major that the filter does not know.
#[test]
fn a_module_that_is_loaded_later_shows_and_is_closed_too() {
    let test = "a_module_that_is_loaded_later_shows_and_is_closed_too";
    Machine::each(test, |machine, node, mechanism| {
        let (lease, _) = node.lease(&GpuAccess::default());
        let devices = machine.root.path().join("proc/devices");
        let with_switch = fs::read_to_string(&devices).unwrap() + "3903 nvidia-nvswitch\n";
        fs::write(&devices, with_switch).unwrap();
        let drifted = node.0.read_back(&lease, &limits(&GpuAccess::default())).unwrap();
        assert_eq!(drifted.entries[0].state, EnforcementState::Unenforced, "{drifted:?}");
        assert_eq!(node.may_make(&lease, &[(3903, 0)]), [(3903, 0)]);
        check_mechanism(&node.set(&lease, &GpuAccess::default()), mechanism);
        assert_eq!(node.may_make(&lease, &[(3903, 0)]), []);
    });
}

#[test]
fn an_instance_that_does_not_exist_is_said_and_the_rest_stays_closed() {
    let test = "an_instance_that_does_not_exist_is_said_and_the_rest_stays_closed";
    Machine::each(test, |_machine, node, _mechanism| {
        let (lease, entry) = node.lease(&instance(7));
        assert_eq!(entry.state, EnforcementState::Unenforced);
        assert!(entry.reason.unwrap().contains("gi7/access"));
        let granted = [(195, 0), (195, 255), (UVM, 0), (UVM, 1)];
        assert_eq!(node.may_make(&lease, &ALL), with_foreign(&granted));
    });
}
