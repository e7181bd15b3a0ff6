//! Processes: a fork bomb stays within its lease, and dies with it.

use hypermesh_harness::cgroups::{is_running, processes};
use hypermesh_harness::{Inside, Node, allocation, require_cgroups, until};

const LIMIT: u32 = 24;

#[test]
fn a_fork_bomb_stays_within_its_lease_and_dies_with_it() {
    let node = Node::start();
    require_cgroups!(node);
    let mut request = allocation("cpu", 10.0);
    request.requirements.pids = Some(LIMIT);
    let lease = node.client().allocate(&request).unwrap();
    let receipt = node.enforcement(&lease.id);
    // A shell ends when it can fork no more; the others go on.
    let mut bomb = Inside::join(&receipt, "bomb() { bomb | bomb & }; while :; do bomb; done");
    let mut most = 0;
    let usage = until("the limit refuses processes", || {
        let usage = node.client().usage(&lease.id).unwrap();
        most = most.max(usage.pids.current.unwrap());
        usage.pids.limit_hits.filter(|hits| *hits > 0).map(|_| usage)
    });
    assert_eq!(usage.pids.limit, Some(u64::from(LIMIT)));
    assert!(most <= u64::from(LIMIT), "{most}");
    let neighbour = node.client().allocate(&request).unwrap();
    let mut beside =
        Inside::join(&node.enforcement(&neighbour.id), "for i in 1 2 3 4 5; do (exit 0) || exit 1; done");
    assert_eq!(beside.code(), 0, "a neighbour forks as it likes");
    let inside = processes(&receipt.cgroups);
    node.client().release(&lease.id).unwrap();
    assert!(!bomb.is_running() && !inside.into_iter().any(is_running));
    assert_eq!(node.groups().into_iter().collect::<Vec<_>>(), [neighbour.id]);
}
