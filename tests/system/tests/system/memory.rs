//! Memory: who wants more than its lease ends with all of its lease, and nobody else does.

use hypermesh_harness::cgroups::{is_running, memory_peak, processes};
use hypermesh_harness::{Inside, Node, allocation, require_cgroups, until};
use hypermesh_wire::allocations::{AllocationStatus, EnforcementState, Phase};
use std::collections::BTreeSet;

#[test]
fn out_of_memory_ends_the_whole_lease_and_only_it() {
    let node = Node::start();
    require_cgroups!(node);
    let [lease, neighbour] =
        [0.032, 0.064].map(|gb| node.client().allocate(&allocation("memory", gb)).unwrap());
    let receipt = node.enforcement(&lease.id);
    let mut bystander = Inside::join(&receipt, "while :; do sleep 1000; done");
    let mut beside = Inside::join(&node.enforcement(&neighbour.id), "while :; do sleep 1000; done");
    until("the bystander is inside", || processes(&receipt.cgroups).contains(&bystander.pid()).then_some(()));
    // `tail` keeps the last line, and /dev/zero has no end of line. It is a child, so that its shell could go on.
    let mut eater = Inside::join(&receipt, "tail /dev/zero; while :; do sleep 1000; done");
    let peak = || memory_peak(&receipt.cgroups);
    let ended = until("the lease ends", || {
        assert!(peak().is_none_or(|peak| peak <= 32_000_000), "never more than its limit");
        Some(node.client().allocation(&lease.id).unwrap()).filter(|lease| lease.phase.is_final())
    });
    assert_eq!((ended.phase, ended.status), (Phase::Failed, AllocationStatus::Failed));
    let reason = ended.end_reason.unwrap();
    assert!(reason.contains("out of memory") && reason.contains("30.5 MiB"), "the limit is named: {reason}");
    assert!(!bystander.is_running() && !eater.is_running(), "all of it ended");
    let told = node.told("allocation_failed", &lease.id);
    assert_eq!(told.data["reason"], serde_json::json!(reason));
    assert_eq!(node.groups(), BTreeSet::from([neighbour.id.clone()]));
    assert!(beside.is_running() && is_running(beside.pid()), "and nothing else");
    assert_eq!(node.client().allocation(&neighbour.id).unwrap().phase, Phase::Active);
}

#[test]
fn a_lease_out_of_memory_while_the_node_is_down_ends_when_it_is_back() {
    let mut node = Node::start();
    require_cgroups!(node);
    let lease = node.client().allocate(&allocation("memory", 0.032)).unwrap();
    let receipt = node.enforcement(&lease.id);
    node.kill9();
    let mut eater = Inside::join(&receipt, "exec tail /dev/zero");
    until("the kernel ends the eater", || (!eater.is_running()).then_some(()));
    node.restart();
    // It has no process any more, and its limit still holds: whether it goes on or ends, it must be one of both.
    let lease = node.client().allocation(&lease.id).unwrap();
    let is_live = lease.phase == Phase::Active;
    assert_eq!(node.groups().contains(&lease.id), is_live, "{lease:?}");
    assert!(is_live || lease.end_reason.is_some_and(|reason| reason.contains("memory")));
}

#[test]
fn the_memory_that_is_kept_counts_and_the_limit_may_be_higher() {
    let node = Node::start();
    require_cgroups!(node);
    let before = node.client().asset("memory").unwrap().allocation.allocated_capacity;
    let mut request = allocation("memory", 0.128);
    request.requirements.memory_request = Some("32MB".into());
    let lease = node.client().allocate(&request).unwrap();
    assert_eq!(
        (lease.resources.memory_bytes, lease.resources.memory_request_bytes),
        (Some(128_000_000), Some(32_000_000))
    );
    let after = node.client().asset("memory").unwrap().allocation.allocated_capacity;
    assert!((after - before - 0.032).abs() < 1e-6, "{before} and {after}");
    let receipt = node.enforcement(&lease.id);
    let kept = receipt.entries.iter().find(|entry| entry.limit == "memory_request").unwrap();
    assert!(matches!(kept.state, EnforcementState::Enforced | EnforcementState::BestEffort), "{kept:?}");
    assert!(
        kept.state == EnforcementState::Enforced || kept.reason.is_some(),
        "v1 says what it can't: {kept:?}"
    );
}
