//! A node without root, in a group that was given to it: the leases are enforced there, also after it was started again.
//! And without such a group: it enforces nothing and says why. Real cgroups of this machine's layout; needs root, to
//! give a group away.
//!
//! The test starts this program again, as another user, for each start of the node; what a start finds it prints as one
//! line of JSON. It ends without closing anything, like a crash or a service with `KillMode=process` that is stopped.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "a start of the node answers on standard output")]

mod groups;

use groups::Groups;
use hypermesh_model::{Bytes, LeaseId, MilliCpu, NodeId};
use hypermesh_sandbox::{CgroupBackend, CgroupSettings, CgroupVersion, GpuAccess, Limits, open};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

/// In the environment of a start: the node, and the lease that it makes or finds.
const NODE: &str = "SANDBOX_TEST_NODE";
const LEASE: &str = "SANDBOX_TEST_LEASE";
/// Comes before the answer of a start, among what the test harness prints.
const ANSWER: &str = "answer: ";
/// A user that has nothing: `nobody` of most distributions.
const USER: u32 = 65534;

fn limits() -> Limits {
    Limits { cpu: Some(MilliCpu(500)), memory: Some(Bytes::mib(64)), pids: Some(16), ..Limits::default() }
}

fn backend(node: NodeId, gpu_minors: Vec<u32>) -> Arc<dyn CgroupBackend> {
    open(CgroupSettings { system_root: PathBuf::from("/"), parent: None, node, gpu_minors })
}

/// Not a test by itself: what a start of the node does.
#[test]
fn one_start_of_the_node() {
    let (Ok(node), Ok(lease)) = (std::env::var(NODE), std::env::var(LEASE)) else { return };
    let lease = LeaseId::parse(lease).unwrap();
    let backend = backend(NodeId::parse(node).unwrap(), vec![0]);
    let found: Vec<String> = backend.leases().unwrap().into_iter().map(|found| found.id).collect();
    if found.is_empty() {
        backend.create(&lease, &limits(), "{}").unwrap();
        backend.create_leaf(&lease, "exec-1", None).unwrap();
    }
    let receipt = backend.read_back(&lease, &limits()).unwrap();
    let joins = backend.join_files(&lease, "exec-1");
    let join: String = joins.iter().map(|f| format!("echo 0 > '{}' || exit 99\n", f.display())).collect();
    let ran = Command::new("sh").args(["-c", &(join + "cat /proc/self/cgroup")]).output().unwrap();
    let filtered = Limits { gpus: Some(GpuAccess::default()), ..limits() };
    let gpu = backend.create(&LeaseId::generate(), &filtered, "").unwrap().entries.pop().unwrap();
    let answer = serde_json::json!({
        "reason": backend.unavailable_reason(),
        "found": found,
        "enforced": receipt.is_enforced(),
        "entries": receipt.entries.iter().map(|e| e.file.clone().unwrap_or_default()).collect::<Vec<_>>(),
        "own": fs::read_to_string("/proc/self/cgroup").unwrap(),
        "ran": ran.status.success().then(|| String::from_utf8(ran.stdout).unwrap()),
        "gpu": (format!("{:?}", gpu.state), gpu.reason),
    });
    println!("\n{ANSWER}{answer}");
}

/// What a machine needs for these tests: its layout, and this program where any user may start it.
struct Setup {
    version: CgroupVersion,
    folder: tempfile::TempDir,
}

impl Setup {
    fn of(test: &str) -> Option<Self> {
        let probe = backend(NodeId::generate(), vec![]);
        probe.close();
        let root = rustix::process::geteuid().is_root();
        let lacks = probe.unavailable_reason().or_else(|| (!root).then(|| "not root".to_owned()));
        if let Some(reason) = lacks {
            let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {reason}");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        fs::copy(std::env::current_exe().unwrap(), folder.path().join("node")).unwrap();
        Some(Self { version: probe.version(), folder })
    }

    fn start(&self, groups: &Groups, name: &str, node: &NodeId, lease: &LeaseId) -> serde_json::Value {
        let exe = self.folder.path().join("node");
        let command = [exe.to_str().unwrap(), "--exact", "--nocapture", "one_start_of_the_node"];
        let environment = [(NODE, node.as_str()), (LEASE, lease.as_str())];
        let output = groups.start(name, USER, &command, &environment).wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}");
        let answer = text.lines().find_map(|line| line.split_once(ANSWER)).unwrap().1;
        let answer = serde_json::from_str(answer).unwrap();
        eprintln!("{answer:#}");
        answer
    }
}

/// The lease is enforced, below the unit, and a process of it runs in its leaf.
fn check_enforced(answer: &serde_json::Value, lease: &LeaseId) {
    assert_eq!((&answer["reason"], &answer["enforced"]), (&serde_json::Value::Null, &true.into()));
    for file in answer["entries"].as_array().unwrap() {
        assert!(file.as_str().unwrap().contains("/unit/hypermesh/"), "{file}");
    }
    let leaf = format!("/{lease}/exec-1");
    assert!(answer["ran"].as_str().unwrap().lines().any(|line| line.ends_with(&leaf)));
    let (state, reason) = (answer["gpu"][0].as_str().unwrap(), answer["gpu"][1].as_str().unwrap());
    // The filter needs capabilities, which a group does not give.
    let is_said = reason.contains("CAP_SYS_ADMIN") || reason.contains("bpf(BPF_PROG_LOAD) failed");
    assert!(state == "Unenforced" && is_said, "{state}: {reason}");
}

#[test]
fn an_unprivileged_node_enforces_in_its_delegated_group() {
    let Some(setup) = Setup::of("an_unprivileged_node_enforces_in_its_delegated_group") else { return };
    let groups = Groups::make("own", setup.version, &["unit"]);
    groups.delegate("unit", USER);
    let (node, lease) = (NodeId::generate(), LeaseId::generate());
    let first = setup.start(&groups, "unit", &node, &lease);
    check_enforced(&first, &lease);
    assert_eq!(first["found"], serde_json::json!([]));
    let own = first["own"].as_str().unwrap();
    // On v2 a group that hands controllers down holds no process: the node made room.
    assert_eq!(own.lines().any(|line| line.ends_with("/unit/node")), setup.version == CgroupVersion::V2);
    if setup.version == CgroupVersion::V2 {
        // So the session manager can't put the next start where it put the first: that is what a subgroup is for.
        let unit = &groups.folders("unit")[0];
        let mut late = Command::new("sleep").arg("60").stdout(Stdio::null()).spawn().unwrap();
        let refused = fs::write(unit.join("cgroup.procs"), late.id().to_string()).unwrap_err();
        late.kill().unwrap();
        late.wait().unwrap();
        assert_eq!(refused.raw_os_error(), Some(rustix::io::Errno::BUSY.raw_os_error()));
    }
}

/// systemd's `DelegateSubgroup=node`.
#[test]
fn in_the_delegated_subgroup_it_enforces_and_finds_its_leases_again() {
    let test = "in_the_delegated_subgroup_it_enforces_and_finds_its_leases_again";
    let Some(setup) = Setup::of(test) else { return };
    let groups = Groups::make("subgroup", setup.version, &["unit", "unit/node"]);
    groups.delegate("unit", USER);
    groups.delegate("unit/node", USER);
    let (node, lease) = (NodeId::generate(), LeaseId::generate());
    // v1 knows no subgroup: there systemd starts it in the unit itself.
    let place = if setup.version == CgroupVersion::V2 { "unit/node" } else { "unit" };
    let first = setup.start(&groups, place, &node, &lease);
    check_enforced(&first, &lease);
    assert_eq!(first["found"], serde_json::json!([]));
    let second = setup.start(&groups, place, &node, &lease);
    check_enforced(&second, &lease);
    assert!(second["found"].as_array().unwrap().contains(&lease.as_str().into()));
    assert_eq!((&second["entries"], &second["own"]), (&first["entries"], &first["own"]));
}

#[test]
fn without_a_delegated_group_it_says_so() {
    let Some(setup) = Setup::of("without_a_delegated_group_it_says_so") else { return };
    let groups = Groups::make("foreign", setup.version, &["unit"]);
    let answer = setup.start(&groups, "unit", &NodeId::generate(), &LeaseId::generate());
    let reason = answer["reason"].as_str().unwrap();
    assert!(reason.contains("Permission denied") && reason.contains("Delegate=yes"), "{reason}");
    assert_eq!((&answer["enforced"], &answer["found"]), (&false.into(), &serde_json::json!([])));
    for group in groups.folders("unit") {
        assert!(!group.join("node").exists() && !group.join("hypermesh").exists());
    }
}
