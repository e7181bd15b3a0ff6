//! Some leases may be ended for others: only those that agreed to it, that matter less, and that had their least time.

use hypermesh_harness::{Inside, Node, allocation, require_cgroups, until};
use hypermesh_wire::allocations::{Allocation, CreateAllocation, Phase};

fn held(node: &Node, percent: f64, priority: u8, min_runtime: Option<u64>) -> Allocation {
    let request = CreateAllocation {
        priority: Some(priority),
        preemptible: min_runtime.map(|_| true),
        min_runtime_s: min_runtime,
        ..allocation("cpu", percent)
    };
    node.client().allocate(&request).unwrap()
}

fn wanted(percent: f64, priority: u8) -> CreateAllocation {
    CreateAllocation { priority: Some(priority), wait_s: Some(600), ..allocation("cpu", percent) }
}

#[test]
fn only_who_agreed_and_matters_less_is_ended_and_no_more_than_needed() {
    let node = Node::start();
    require_cgroups!(node);
    let stays = held(&node, 30.0, 10, None);
    let equal = held(&node, 10.0, 80, Some(0));
    let victim = held(&node, 25.0, 20, Some(0));
    let spared = held(&node, 25.0, 30, Some(0));
    let mut inside = Inside::join(&node.enforcement(&victim.id), "while :; do sleep 1000; done");
    let plan = node.client().preview(&wanted(30.0, 80)).unwrap();
    assert_eq!(plan.would_preempt, std::slice::from_ref(&victim.id), "{plan:?}");
    assert!(inside.is_running(), "a dry run ends nobody");
    let first = node.client().allocate(&wanted(30.0, 80)).unwrap();
    node.reaches(&first.id, Phase::Active);
    let ended = node.client().allocation(&victim.id).unwrap();
    assert_eq!(ended.phase, Phase::Failed);
    assert!(ended.end_reason.unwrap().contains(&first.id), "it says for whom");
    assert!(!inside.is_running());
    for lease in [&stays, &equal, &spared] {
        assert_eq!(node.client().allocation(&lease.id).unwrap().phase, Phase::Active, "{lease:?}");
    }
    // Nobody is left that could go for this one: it waits.
    let second = node.client().allocate(&wanted(60.0, 80)).unwrap();
    let third = node.client().allocate(&wanted(30.0, 15)).unwrap();
    assert_eq!((second.phase, third.phase), (Phase::Queued, Phase::Queued));
    let left = node.client().allocation(&spared.id).unwrap();
    assert_eq!(left.phase, Phase::Active, "its end would not have been enough, so it was spared");
}

#[test]
fn a_lease_has_its_least_time_before_it_is_ended_for_another() {
    let node = Node::start();
    require_cgroups!(node);
    let lease = held(&node, 90.0, 20, Some(2));
    let plan = node.client().preview(&wanted(50.0, 60)).unwrap();
    assert!(plan.would_preempt.is_empty() && plan.would_wait.is_some(), "{plan:?}");
    let waits = node.client().allocate(&wanted(50.0, 60)).unwrap();
    assert_eq!(waits.phase, Phase::Queued);
    let started = node.reaches(&waits.id, Phase::Active);
    let ran = started.start_time.duration_since(lease.start_time);
    assert!(ran.as_secs() >= 2, "it had what it was promised: {ran}");
    let ended = until("the end of the other is recorded", || {
        Some(node.client().allocation(&lease.id).unwrap()).filter(|lease| lease.phase.is_final())
    });
    assert_eq!(ended.phase, Phase::Failed);
}
