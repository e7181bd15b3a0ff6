//! A node that crashes and is started again in another cgroup, for real: each start is a process of its own, moved into
//! a group of its own before it opens anything. Needs root and writable cgroups.
//!
//! The test starts this program again for each start of the node; what a start finds it prints as one line of JSON.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "a start of the node answers on standard output")]

use std::io::Write as _;

use hypermesh_model::{Bytes, LeaseId, MilliCpu, NodeId};
use hypermesh_sandbox::{CgroupBackend, CgroupSettings, CgroupVersion, Limits, open};
use rustix::fs::{Access, access};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
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

/// Where hierarchies are mounted and may be written to, without systemd's own (`name=systemd`).
fn mounts() -> Vec<PathBuf> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let is_cgroup = |line: &&str| line.contains(" - cgroup") && !line.contains("name=");
    let points = text.lines().filter(is_cgroup).map(|line| PathBuf::from(line.split(' ').nth(4).unwrap()));
    points.filter(|point| access(point, Access::WRITE_OK).is_ok()).collect()
}

/// The groups of two login sessions in every hierarchy; removed at the end.
struct Sessions {
    parents: Vec<PathBuf>,
}

impl Sessions {
    fn make(version: CgroupVersion) -> Self {
        let name = format!("hypermesh-test-{}", std::process::id());
        let sessions = Self { parents: mounts().iter().map(|mount| mount.join(&name)).collect() };
        for parent in &sessions.parents {
            fs::create_dir(parent).unwrap();
            if version == CgroupVersion::V2 {
                // As systemd does for a unit with Delegate=yes.
                for group in [parent.parent().unwrap(), parent] {
                    fs::write(group.join("cgroup.subtree_control"), "+cpu +memory +pids").unwrap();
                }
            }
            for session in ["session-1", "session-2"] {
                let group = parent.join(session);
                fs::create_dir(&group).unwrap();
                copy_cpuset(&group);
            }
        }
        sessions
    }

    /// Starts the node in one of them, waits for its end, and gives its answer.
    fn start(&self, session: &str, node: &NodeId, lease: &LeaseId) -> serde_json::Value {
        let join = |parent: &PathBuf| {
            format!("echo $$ > '{}' || exit 99\n", parent.join(session).join("cgroup.procs").display())
        };
        let script: String = self.parents.iter().map(join).collect();
        let output = Command::new("sh")
            .args(["-c", &format!("{script} exec \"$0\" \"$@\"")])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "one_start_of_the_node"])
            .env(NODE, node.as_str())
            .env(LEASE, lease.as_str())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        let answer = text.lines().find_map(|line| line.split_once(ANSWER)).unwrap().1;
        serde_json::from_str(answer).unwrap()
    }
}

/// A v1 cpuset takes processes only when it has CPUs and memory nodes.
fn copy_cpuset(group: &Path) {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        for target in [group.parent().unwrap(), group] {
            let held = fs::read_to_string(target.join(file));
            // On v2 an empty one inherits.
            if held.is_ok_and(|held| held.trim().is_empty()) && target.join("cgroup.clone_children").exists()
            {
                let above = fs::read_to_string(target.parent().unwrap().join(file)).unwrap();
                fs::write(target.join(file), above).unwrap();
            }
        }
    }
}

impl Drop for Sessions {
    fn drop(&mut self) {
        for parent in &self.parents {
            for group in ["session-1/node", "session-2/node", "session-1", "session-2", ""] {
                if let Err(error) = fs::remove_dir(parent.join(group))
                    && error.kind() != std::io::ErrorKind::NotFound
                {
                    eprintln!("{} stays: {error}", parent.join(group).display());
                }
            }
        }
    }
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
        if let Some(reason) = probe.unavailable_reason() {
            let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {reason}");
            return;
        }
        probe.close();
        probe.version()
    };
    let sessions = Sessions::make(version);
    let first = sessions.start("session-1", &node, &lease);
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

    let second = sessions.start("session-2", &node, &lease);
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
