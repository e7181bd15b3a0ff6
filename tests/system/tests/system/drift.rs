//! What somebody else does to a lease's groups is found, told and put right.

use hypermesh_harness::cgroups::of_node;
use hypermesh_harness::{Inside, Node, allocation, require_cgroups, until};
use hypermesh_wire::allocations::{EnforcementState, Phase};
use std::fs;
use std::time::{Duration, Instant};

/// What the product promises (`host/mesh/src/reconcile.rs`).
const PROMISED: Duration = Duration::from_secs(30);

#[test]
fn what_others_write_into_a_lease_is_found_in_time_told_and_put_right() {
    let node = Node::start();
    require_cgroups!(node);
    let mut request = allocation("memory", 0.064);
    request.requirements.cpu = Some(10.0);
    let [lease, untouched, emptied] = [(); 3].map(|()| node.client().allocate(&request).unwrap());
    let mut inside = Inside::join(&node.enforcement(&lease.id), "while :; do sleep 1000; done");
    let written: Vec<(String, String, String)> = [("memory", "33554432"), ("pids", "7")]
        .map(|(limit, other)| {
            let receipt = node.enforcement(&lease.id);
            let entry = receipt.entries.into_iter().find(|entry| entry.limit == limit).unwrap();
            let file = entry.file.unwrap();
            fs::write(&file, other).unwrap();
            (limit.to_owned(), file, entry.actual.unwrap())
        })
        .into();
    let shown = node.enforcement(&lease.id);
    let memory = shown.entries.iter().find(|entry| entry.limit == "memory").unwrap();
    assert_ne!(memory.state, EnforcementState::Enforced, "a receipt is read now, not remembered: {memory:?}");
    for dir in node.enforcement(&emptied.id).cgroups {
        // Where the lease has no group, there is nothing to take away.
        let _ = fs::remove_dir(dir);
    }
    // And a group that nobody accounts for, with a process in it.
    let orphan: Vec<_> = of_node(node.id()).into_iter().map(|dir| dir.join("alloc-orphan")).collect();
    orphan.iter().for_each(|dir| drop(fs::create_dir(dir)));
    let began = Instant::now();
    let told = node.told("allocation_drifted", &lease.id);
    let took = began.elapsed();
    assert!(took <= PROMISED + Duration::from_secs(2), "found after {took:?}");
    let drifts = told.data["drifts"].as_array().unwrap();
    for (limit, file, right) in &written {
        let drift = drifts
            .iter()
            .find(|drift| drift["limit"] == *limit)
            .unwrap_or_else(|| panic!("{limit}: {told:?}"));
        assert_eq!(
            (&drift["expected"], &drift["file"]),
            (&right.as_str().into(), &file.as_str().into()),
            "{drift}"
        );
        assert!(drift["held"] == "33554432" || drift["held"] == "7", "{drift}");
        assert_eq!(fs::read_to_string(file).unwrap().trim(), right);
    }
    assert_eq!(told.data["restored"], true);
    assert!(inside.is_running(), "what ran in it goes on");
    node.told("allocation_drifted", &emptied.id);
    for lease in [&lease, &emptied, &untouched] {
        assert_eq!(node.client().allocation(&lease.id).unwrap().phase, Phase::Active);
        let receipt = node.enforcement(&lease.id);
        assert!(
            receipt.entries.iter().all(|entry| entry.state != EnforcementState::Unenforced),
            "{receipt:?}"
        );
    }
    until("the orphan is gone", || orphan.iter().all(|dir| !dir.exists()).then_some(()));
    let drifted: Vec<String> = node
        .recorded()
        .into_iter()
        .filter(|event| event.kind == "allocation_drifted")
        .map(|e| e.subject)
        .collect();
    assert!(!drifted.contains(&untouched.id) && drifted.len() == 2, "each once: {drifted:?}");
}
