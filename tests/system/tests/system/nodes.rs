//! Nodes beside each other, and a node that may not do much.

use hypermesh_harness::{Inside, Node, Options, allocation, problem, require_cgroups, require_root, skip};
use hypermesh_wire::allocations::Phase;
use hypermesh_wire::nodes::NodeStatus;
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;

/// Somebody without rights (`nobody` on most systems).
const NOBODY: u32 = 65_534;

#[test]
fn two_nodes_on_one_machine_leave_each_other_alone() {
    let mut one = Node::start();
    require_cgroups!(one);
    let mut two = Node::start();
    let of_one = one.client().allocate(&allocation("cpu", 10.0)).unwrap();
    let of_two = two.client().allocate(&allocation("cpu", 10.0)).unwrap();
    let mut inside = Inside::join(&two.enforcement(&of_two.id), "while :; do sleep 1000; done");
    one.kill9();
    one.restart();
    assert_eq!(one.groups(), BTreeSet::from([of_one.id.clone()]));
    assert!(inside.is_running());
    one.client().release(&of_one.id).unwrap();
    assert!(one.stop().success());
    assert_eq!(two.groups(), BTreeSet::from([of_two.id.clone()]));
    assert_eq!(two.client().allocation(&of_two.id).unwrap().phase, Phase::Active);
    assert!(inside.is_running(), "the end of one node is not the end of the other's leases");
    two.kill9();
    two.restart();
    assert!(two.client().allocation(&of_two.id).unwrap().enforced);
}

/// Whether somebody without rights may start the binary: every folder above it must let him through.
fn is_for_everybody() -> bool {
    let binary = hypermesh_harness::binary();
    let open = |path: &Path| path.metadata().is_ok_and(|found| found.permissions().mode() & 0o001 != 0);
    binary.ancestors().take_while(|path| path.parent().is_some()).all(open)
}

#[test]
fn a_node_without_rights_says_so_everywhere_and_refuses_leases() {
    require_root!();
    if !is_for_everybody() {
        skip!("the binary lies where only its owner can start it");
    }
    let node = Node::configured(Options::default().user(NOBODY));
    if node.unenforced_now().is_none() {
        skip!("even without rights this node has a cgroup of its own");
    }
    let refused = problem(node.client().allocate(&allocation("cpu", 5.0)));
    assert_eq!(refused.status, 422, "{refused:?}");
    assert!(refused.detail.contains("--allow-unenforced") && !refused.reasons.is_empty(), "{refused:?}");
    assert!(
        node.client()
            .allocations(&Default::default())
            .unwrap()
            .iter()
            .all(|lease| lease.phase == Phase::Failed)
    );
    let health = node.client().node_health(node.id()).unwrap();
    assert_eq!(health.status, NodeStatus::Critical);
    assert!(health.reasons.iter().any(|reason| reason.contains("allocations are refused")), "{health:?}");
    let doctor = node.command(&["doctor"]).uid(NOBODY).gid(NOBODY).output().unwrap();
    let said =
        String::from_utf8_lossy(&doctor.stdout).into_owned() + &String::from_utf8_lossy(&doctor.stderr);
    assert!(said.to_lowercase().contains("cgroup"), "{said}");
    let created = node.cli(&["alloc", "create", "--cpu", "5"]);
    assert_eq!(created.status.code(), Some(3), "{created:?}");

    let lenient = Node::configured(Options::default().user(NOBODY).flags(&["--allow-unenforced"]));
    let lease = lenient.client().allocate(&allocation("cpu", 5.0)).unwrap();
    assert!(!lease.enforced && lease.phase == Phase::Active, "{lease:?}");
    let receipt = lenient.enforcement(&lease.id);
    assert!(receipt.entries.iter().all(|entry| entry.reason.is_some()), "each says why: {receipt:?}");
    let health = lenient.client().node_health(lenient.id()).unwrap();
    assert!(health.reasons.iter().any(|reason| reason.contains("not enforced")), "{health:?}");
}
