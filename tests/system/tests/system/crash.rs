//! A node that is killed with SIGKILL loses nothing that it acknowledged, and agrees with the kernel when it is back.

use hypermesh_artifacts::HOSTILE;
use hypermesh_harness::cgroups::{cpu_time_ns, is_running, kill, of_node, processes};
use hypermesh_harness::{Inside, Node, allocation, job, require_cgroups, until, with_limits};
use hypermesh_wire::allocations::{AllocationQuery, AllocationStatus, EnforcementState};
use hypermesh_wire::executions::ExecutionStatus;
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

/// Starts an execution and waits until its guest runs. Gives its id, its lease, and its process.
fn running(node: &Node, vm: &str, operation: &str, parameters: serde_json::Value) -> (String, String, u32) {
    let mut request = job(vm, operation, parameters);
    request.timeout = 60;
    let begun = node.begin(&request);
    until("the guest runs", || {
        let execution = node.client().execution(&begun.id, 0).unwrap();
        assert!(!execution.status.is_final(), "{execution:?}");
        (execution.status == ExecutionStatus::Running).then_some(())
    });
    let pids = processes(&node.enforcement(&begun.allocation_id).cgroups);
    let [pid] = pids.into_iter().collect::<Vec<_>>()[..] else { panic!("one worker") };
    (begun.id, begun.allocation_id, pid)
}

#[test]
fn what_runs_is_adopted_with_its_limits_after_kill_9() {
    let mut node = Node::start();
    require_cgroups!(node);
    let vm = node.install(&HOSTILE, Some(with_limits(10.0, "64MiB")));
    let lease = node.client().allocate(&allocation("cpu", 20.0)).unwrap();
    let cgroups = node.enforcement(&lease.id).cgroups;
    let mut inside = Inside::start(&cgroups, "while :; do sleep 1000; done");
    until("the process is in the lease", || processes(&cgroups).contains(&inside.pid()).then_some(()));
    let (execution, for_it, worker) = running(&node, &vm, "spin", json!({}));
    let before = node.recorded();

    node.kill9();
    assert!(is_running(worker) && inside.is_running(), "they outlive the node");
    node.restart();

    let adopted = node.client().execution(&execution, 0).unwrap();
    assert_eq!(adopted.status, ExecutionStatus::Running, "{adopted:?}");
    assert_eq!(processes(&node.enforcement(&for_it).cgroups), BTreeSet::from([worker]), "the same process");
    assert!(inside.is_running());
    for id in [&lease.id, &for_it] {
        assert_eq!(node.client().allocation(id).unwrap().status, AllocationStatus::Active);
        let receipt = node.enforcement(id);
        assert!(
            receipt.entries.iter().all(|entry| entry.state != EnforcementState::Unenforced),
            "{receipt:?}"
        );
    }
    let cpu = node.client().asset("cpu").unwrap().allocation;
    assert_eq!(cpu.allocated_capacity, 30.0, "{cpu:?}");

    let spent = |node: &Node| cpu_time_ns(&node.enforcement(&for_it).cgroups).unwrap();
    let spent_before = spent(&node);
    until("the guest goes on", || (spent(&node) > spent_before).then_some(()));
    assert!(node.client().cancel(&execution).unwrap().cancelled);
    assert!(!is_running(worker));
    node.client().release(&lease.id).unwrap();
    assert!(!inside.is_running() && node.groups().is_empty());

    let after = node.recorded();
    assert_eq!(after[..before.len()], before, "what was told stays told");
    let numbers: Vec<u64> = after.iter().map(|event| event.sequence).collect();
    assert_eq!(numbers, (1..=after.len() as u64).collect::<Vec<_>>(), "no gap and no number twice");
    let kinds: Vec<&str> = after[before.len()..].iter().map(|event| event.kind.as_str()).collect();
    for kind in
        ["node_started", "allocation_adopted", "execution_adopted", "execution_ended", "allocation_ended"]
    {
        assert!(kinds.contains(&kind), "{kind} is missing: {kinds:?}");
    }
}

#[test]
fn an_execution_that_ends_while_the_node_is_down_has_its_result() {
    let mut node = Node::start();
    require_cgroups!(node);
    let vm = node.install(&HOSTILE, None);
    let (execution, _, worker) = running(&node, &vm, "sleep", json!({ "ms": 1500 }));
    node.kill9();
    until("the worker ends without the node", || (!is_running(worker)).then_some(()));
    node.restart();
    let ended = node.finish(&execution);
    assert_eq!(ended.status, ExecutionStatus::Completed, "{:?}", ended.cause);
    assert_eq!(ended.execution.output.as_deref(), Some("1500"));
    let usage = &ended.execution.resource_usage;
    assert!(usage.cpu_time.unwrap() > 0.0 && usage.memory_peak.unwrap() >= 64 << 10, "{usage:?}");
    assert!(node.groups().is_empty(), "its lease ended with it: {:?}", node.groups());
}

#[test]
fn an_orphaned_group_is_ended_at_the_next_start() {
    let mut node = Node::start();
    require_cgroups!(node);
    let lease = node.client().allocate(&allocation("cpu", 5.0)).unwrap();
    node.kill9();
    let orphan: Vec<_> = of_node(node.id()).into_iter().map(|dir| dir.join("alloc-orphan")).collect();
    orphan.iter().for_each(|dir| fs::create_dir(dir).unwrap());
    let mut inside = Inside::start(&orphan, "while :; do sleep 1000; done");
    until("the process is in the orphan", || processes(&orphan).contains(&inside.pid()).then_some(()));
    node.restart();
    assert!(!inside.is_running(), "nobody accounts for it");
    assert_eq!(node.groups(), BTreeSet::from([lease.id]), "and nothing else was touched");
}

#[test]
fn a_lease_whose_group_is_gone_gets_it_back() {
    let mut node = Node::start();
    require_cgroups!(node);
    let lease = node.client().allocate(&allocation("cpu", 5.0)).unwrap();
    let cgroups = node.enforcement(&lease.id).cgroups;
    node.kill9();
    // As after a reboot.
    cgroups.iter().for_each(|dir| fs::remove_dir(dir).unwrap());
    node.restart();
    let receipt = node.enforcement(&lease.id);
    assert_eq!(receipt.cgroups, cgroups);
    assert!(receipt.entries.iter().all(|entry| entry.state != EnforcementState::Unenforced), "{receipt:?}");
}

#[test]
fn every_lease_that_was_acknowledged_is_there_after_kill_9() {
    let mut node = Node::start();
    require_cgroups!(node);
    let mut acknowledged = BTreeSet::new();
    for round in 0u32..3 {
        let pid = node.pid();
        let count = AtomicU32::new(0);
        // Killed in the middle of it: at another moment each round, with two requests under way.
        let until_killed = || {
            let mut mine = Vec::new();
            while let Ok(lease) = node.client().clone().allocate(&allocation("cpu", 0.5)) {
                mine.push(lease.id);
                if count.fetch_add(1, Ordering::Relaxed) == 5 + 3 * round {
                    kill(pid);
                }
            }
            mine
        };
        let ids = std::thread::scope(|scope| {
            let workers = [scope.spawn(until_killed), scope.spawn(until_killed)];
            workers.map(|worker| worker.join().unwrap()).concat()
        });
        assert!(ids.len() > 5, "{ids:?}");
        acknowledged.extend(ids);
        node.kill9();
        node.restart();
        let live: BTreeSet<String> = active(&node);
        assert!(live.is_superset(&acknowledged), "lost: {:?}", acknowledged.difference(&live));
        assert_eq!(node.groups(), live, "ledger and kernel agree");
        let all = node.client().allocations(&AllocationQuery::default()).unwrap();
        assert!(all.iter().all(|lease| lease.status != AllocationStatus::Pending), "{all:?}");
        let cpu = node.client().asset("cpu").unwrap().allocation;
        assert!((cpu.allocated_capacity - live.len() as f64 * 0.5).abs() < 1e-6, "{cpu:?}");
        // One that was applied and recorded, but whose answer the crash swallowed, is a lease all the same.
        acknowledged = live;
    }
}

fn active(node: &Node) -> BTreeSet<String> {
    let query = AllocationQuery { status: Some(AllocationStatus::Active), ..AllocationQuery::default() };
    node.client().allocations(&query).unwrap().into_iter().map(|lease| lease.id).collect()
}

#[test]
fn a_clean_stop_leaves_no_group_where_nothing_is_leased_and_what_is_leased_where_it_is() {
    let mut node = Node::start();
    require_cgroups!(node);
    let lease = node.client().allocate(&allocation("cpu", 5.0)).unwrap();
    assert!(node.stop().success());
    assert_eq!(node.groups(), BTreeSet::from([lease.id.clone()]), "its holder was promised an hour");
    node.restart();
    assert_eq!(node.client().allocation(&lease.id).unwrap().status, AllocationStatus::Active);
    node.client().release(&lease.id).unwrap();
    assert!(node.stop().success());
    assert!(of_node(node.id()).is_empty(), "{:?}", of_node(node.id()));
}
