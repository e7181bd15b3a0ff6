//! A node that crashes and is started again in another cgroup, for real: each start is a process of its own, moved into
//! a group of its own before it opens anything. Needs root and writable cgroups.
//!
//! The test starts this program again for each start of the node; what a start finds it prints as one line of JSON.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "a start of the node answers on standard output")]

mod groups;

use groups::Groups;
use hypermesh_model::{Bytes, LeaseId, MilliCpu, NodeId};
use hypermesh_sandbox::{CgroupBackend, CgroupSettings, CgroupVersion, Limits, open};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// In the environment of a start: the node, and the lease that it makes or finds.
const NODE: &str = "SANDBOX_TEST_NODE";
const LEASE: &str = "SANDBOX_TEST_LEASE";
/// Comes before the answer of a start, among what the test harness prints.
const ANSWER: &str = "answer: ";

fn limits() -> Limits {
    Limits { cpu: Some(MilliCpu(500)), memory: Some(Bytes::mib(64)), pids: Some(16), ..Limits::default() }
}

fn backend(node: NodeId) -> Arc<dyn CgroupBackend> {
    open(CgroupSettings { system_root: PathBuf::from("/"), parent: None, node, gpu_minors: vec![] })
}

/// The groups of this process, one a hierarchy, as the kernel says.
fn own_paths() -> Vec<String> {
    let text = fs::read_to_string("/proc/self/cgroup").unwrap();
    text.lines().map(|line| line.splitn(3, ':').nth(2).unwrap().to_owned()).collect()
}

/// Starts the node in a group, waits for its end, and gives its answer.
fn start(groups: &Groups, session: &str, node: &NodeId, lease: &LeaseId) -> serde_json::Value {
    let exe = std::env::current_exe().unwrap();
    let command = [exe.to_str().unwrap(), "--exact", "--nocapture", "one_start_of_the_node"];
    let environment = [(NODE, node.as_str()), (LEASE, lease.as_str())];
    let output = groups.start(session, 0, &command, &environment).wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    let answer = text.lines().find_map(|line| line.split_once(ANSWER)).unwrap().1;
    serde_json::from_str(answer).unwrap()
}

/// Not a test by itself: what a start of the node does. It ends without closing anything, like a crash.
#[test]
fn one_start_of_the_node() {
    let (Ok(node), Ok(lease)) = (std::env::var(NODE), std::env::var(LEASE)) else { return };
    let lease = LeaseId::parse(lease).unwrap();
    let backend = backend(NodeId::parse(node).unwrap());
    let found = backend.leases().unwrap();
    let receipt = if found.is_empty() {
        backend.create(&lease, &limits(), "{\"made\":1}").unwrap()
    } else {
        backend.read_back(&lease, &limits()).unwrap()
    };
    let found: Vec<_> = found.iter().map(|f| (f.id.as_str(), f.record.as_deref())).collect();
    let groups = backend.join_files(&lease, "x");
    let answer = serde_json::json!({
        "found": found, "groups": groups, "enforced": receipt.is_enforced(), "own": own_paths(),
    });
    println!("\n{ANSWER}{answer}");
}

#[test]
fn a_node_started_again_in_another_group_finds_its_leases() {
    let test = "a_node_started_again_in_another_group_finds_its_leases";
    let (node, lease) = (NodeId::generate(), LeaseId::generate());
    let version = {
        let probe = backend(NodeId::generate());
        let root = rustix::process::geteuid().is_root();
        let lacks = probe.unavailable_reason().or_else(|| (!root).then(|| "not root".to_owned()));
        if let Some(reason) = lacks {
            probe.close();
            let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {reason}");
            return;
        }
        probe.close();
        probe.version()
    };
    let sessions = Groups::make("sessions", version, &["session-1", "session-2"]);
    let first = start(&sessions, "session-1", &node, &lease);
    eprintln!("{first:#}");
    assert_eq!((&first["found"], &first["enforced"]), (&serde_json::json!([]), &true.into()));
    let groups = first["groups"].as_array().unwrap();
    assert!(
        groups.iter().all(|group| group.as_str().unwrap().contains("/session-1/hypermesh/")),
        "{groups:?}"
    );
    let was_in = |answer: &serde_json::Value, group: &str| {
        answer["own"].as_array().unwrap().iter().any(|own| own.as_str().unwrap().ends_with(group))
    };
    // On v2 a group that hands controllers down holds no process: the node made room.
    assert_eq!(was_in(&first, "/session-1/node"), version == CgroupVersion::V2);

    let second = start(&sessions, "session-2", &node, &lease);
    assert!(was_in(&second, "/session-2"), "it was started there: {second:#}");
    assert_eq!(second["found"], serde_json::json!([[lease.as_str(), "{\"made\":1}"]]));
    assert_eq!((&second["groups"], &second["enforced"]), (&first["groups"], &true.into()));

    // And here, in this test's own group.
    let third = backend(node);
    assert_eq!(third.leases().unwrap().len(), 1);
    assert!(third.read_back(&lease, &limits()).unwrap().is_enforced());
    assert!(third.usage(&lease, None).unwrap().memory_current.is_some());
    third.kill(&lease, None).unwrap();
    third.remove(&lease).unwrap();
    third.close();
    let left = |group: &serde_json::Value| {
        let mut above = Path::new(group.as_str().unwrap()).ancestors();
        above.find(|dir| dir.ends_with("hypermesh")).unwrap().exists()
    };
    assert!(!groups.iter().any(left), "hypermesh is gone from where it was");
}
