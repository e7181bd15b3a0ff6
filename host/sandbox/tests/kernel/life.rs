//! What can be done with a lease that runs: stopping it, moving a process into it, looking at how it waits.

use crate::node::{LEAF, Node, busy, end, shell, skip, small, status, until};
use hypermesh_model::{LeaseId, MilliCpu};
use hypermesh_sandbox::{CgroupError, CgroupVersion, Limits};
use std::time::Duration;

#[test]
fn a_frozen_lease_spends_no_cpu_time_until_it_is_thawed() {
    let _turn = busy();
    for node in Node::start_on_each("a_frozen_lease_spends_no_cpu_time_until_it_is_thawed") {
        let lease = node.lease(&small());
        let spinner = node.spinner(&lease);
        assert!(!node.0.is_frozen(&lease).unwrap());
        node.0.freeze(&lease).unwrap();
        node.0.freeze(&lease).unwrap();
        assert!(node.0.is_frozen(&lease).unwrap());
        let before = node.cpu_time(&lease);
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(node.cpu_time(&lease), before, "{}", node.0.version());
        // What joins meanwhile stops too.
        let mut late = node.shell(&lease, "exit 0");
        std::thread::sleep(Duration::from_millis(50));
        assert!(late.try_wait().unwrap().is_none(), "it waits");
        node.0.thaw(&lease).unwrap();
        node.0.thaw(&lease).unwrap();
        assert!(!node.0.is_frozen(&lease).unwrap() && late.wait().unwrap().success());
        until("running on", || node.cpu_time(&lease) > before + 10_000_000);
        node.0.freeze(&lease).unwrap();
        node.0.kill(&lease, None).unwrap();
        end(spinner);
        node.0.remove(&lease).unwrap();
        assert!(node.0.freeze(&lease).unwrap_err().is_missing());
        assert!(node.0.is_frozen(&lease).unwrap_err().is_missing());
    }
}

#[test]
fn one_leaf_of_a_frozen_lease_is_killed_and_the_others_stay_frozen() {
    for node in Node::start_on_each("one_leaf_of_a_frozen_lease_is_killed_and_the_others_stay_frozen") {
        let lease = node.lease(&small());
        node.0.create_leaf(&lease, "exec-2", None).unwrap();
        let victim = node.shell(&lease, "while :; do sleep 1; done");
        let other = node.shell_in(&lease, "exec-2", "while :; do sleep 1; done");
        until("joining", || node.0.processes(&lease, Some("exec-2")).unwrap().contains(&other.id()));
        until("joining", || node.0.processes(&lease, Some(LEAF)).unwrap().contains(&victim.id()));
        node.0.freeze(&lease).unwrap();
        node.0.kill(&lease, Some(LEAF)).unwrap();
        assert!(node.0.is_frozen(&lease).unwrap(), "{}", node.0.version());
        assert!(node.0.processes(&lease, None).unwrap().contains(&other.id()));
        node.0.kill(&lease, None).unwrap();
        [victim, other].into_iter().for_each(end);
    }
}

#[test]
fn a_lease_that_was_made_without_limits_gets_the_same_ones_as_one_that_is_made_with_them() {
    for node in Node::start_on_each(
        "a_lease_that_was_made_without_limits_gets_the_same_ones_as_one_that_is_made_with_them",
    ) {
        let (made, given) = (LeaseId::generate(), LeaseId::generate());
        let of_made = node.0.create(&made, &small(), "").unwrap();
        node.0.create(&given, &Limits::default(), "").unwrap();
        node.0.create_leaf(&given, LEAF, None).unwrap();
        let of_given = node.0.limit(&given, &small(), "").unwrap();
        let held = |receipt: &hypermesh_model::EnforcementReceipt| {
            let entry = |entry: &hypermesh_model::EnforcementEntry| {
                (entry.limit.clone(), entry.state, entry.actual.clone())
            };
            receipt.entries.iter().map(entry).collect::<Vec<_>>()
        };
        assert_eq!(held(&of_given), held(&of_made), "{}", node.0.version());
        assert_eq!(held(&node.0.read_back(&given, &small()).unwrap()), held(&of_made));
        assert_eq!(node.0.throttled_periods(&given).unwrap(), Some(0));
        for lease in [&made, &given] {
            node.0.remove(lease).unwrap();
            assert!(node.0.limit(lease, &small(), "").unwrap_err().is_missing());
        }
    }
}

#[test]
fn a_lease_is_removed_at_once_only_when_nothing_lives_in_it() {
    for node in Node::start_on_each("a_lease_is_removed_at_once_only_when_nothing_lives_in_it") {
        let lease = node.lease(&small());
        let sleeper = node.shell(&lease, "while :; do sleep 1; done");
        until("joining", || node.0.processes(&lease, Some(LEAF)).unwrap().contains(&sleeper.id()));
        assert!(!node.0.remove_empty(&lease, LEAF, true).unwrap(), "{}", node.0.version());
        assert!(node.0.processes(&lease, None).unwrap().contains(&sleeper.id()));
        node.0.kill(&lease, None).unwrap();
        end(sleeper);
        node.0.create_leaf(&lease, "exec-2", None).unwrap();
        assert!(node.0.remove_empty(&lease, LEAF, false).unwrap());
        assert!(node.0.usage(&lease, Some(LEAF)).unwrap_err().is_missing());
        assert!(node.0.usage(&lease, None).is_ok(), "the lease stays");
        assert!(node.0.remove_empty(&lease, "exec-2", true).unwrap());
        assert!(node.0.usage(&lease, None).unwrap_err().is_missing());
        assert!(node.0.remove_empty(&lease, LEAF, true).unwrap(), "what is gone is removed");
    }
}

/// The lines of `/proc/<pid>/cgroup` that name the lease.
fn groups(pid: u32, lease: &LeaseId) -> usize {
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    text.lines().filter(|line| line.contains(lease.as_str())).count()
}

#[test]
fn a_running_process_is_moved_with_all_its_threads() {
    for node in Node::start_on_each("a_running_process_is_moved_with_all_its_threads") {
        let lease = LeaseId::generate();
        node.0.create(&lease, &small(), "").unwrap();
        let process = shell("exec sleep 600");
        // The v1 view has a /proc of its own, with nothing but this node in it.
        let attached = node.0.attach(&lease, "attach-1", process.id());
        if node.0.version() == CgroupVersion::V1 && attached.is_err() {
            assert!(matches!(attached, Err(CgroupError::NoProcess { .. })), "{attached:?}");
            end(process);
            continue;
        }
        attached.unwrap();
        assert_eq!(node.0.processes(&lease, Some("attach-1")).unwrap(), [process.id()]);
        assert_eq!(groups(process.id(), &lease), node.0.join_files(&lease, "attach-1").len());
        node.0.kill(&lease, None).unwrap();
        end(process);
        node.0.remove(&lease).unwrap();
    }
}

#[test]
fn what_must_not_be_moved_is_refused_and_leaves_nothing() {
    let Some(node) = Node::start("what_must_not_be_moved_is_refused_and_leaves_nothing", vec![]) else {
        return;
    };
    let lease = LeaseId::generate();
    let receipt = node.0.create(&lease, &small(), "").unwrap();
    let attach = |pid| node.0.attach(&lease, "attach-1", pid).unwrap_err();
    let mut ended = shell("exit 0");
    ended.wait().unwrap();
    assert!(matches!(attach(ended.id()), CgroupError::NoProcess { .. }));
    for pid in [1, std::process::id()] {
        assert!(matches!(attach(pid), CgroupError::NotAttachable { .. }), "{pid}");
    }
    // kthreadd, where this PID namespace is the machine's own.
    if std::fs::read_to_string("/proc/2/comm").is_ok_and(|name| name.trim() == "kthreadd") {
        assert!(matches!(attach(2), CgroupError::NotAttachable { .. }));
    }
    assert!(matches!(node.0.attach(&lease, "../x", 4), Err(CgroupError::InvalidName { .. })));
    let zombie = shell("exit 0");
    until("ending", || status(zombie.id(), "State").starts_with('Z'));
    assert!(matches!(attach(zombie.id()), CgroupError::NoProcess { .. }));
    end(zombie);
    for dir in &receipt.cgroups {
        assert!(!std::path::Path::new(dir).join("attach-1").exists());
    }
}

/// v1 takes a real-time process only into a group with real-time budget, which a lease has none of.
#[test]
fn a_process_that_one_hierarchy_refuses_is_moved_back_everywhere() {
    let test = "a_process_that_one_hierarchy_refuses_is_moved_back_everywhere";
    let Some(node) = Node::start(test, vec![]) else { return };
    let lease = LeaseId::generate();
    node.0.create(&lease, &small(), "").unwrap();
    let process = shell("exec chrt -f 1 sleep 600");
    until("executing", || {
        status(process.id(), "Name") == "sleep" || status(process.id(), "State").starts_with('Z')
    });
    match node.0.attach(&lease, "attach-1", process.id()) {
        Ok(()) => skip(test, "this kernel takes real-time processes into any group"),
        Err(CgroupError::NoProcess { .. }) => skip(test, "no chrt, or real-time scheduling is not allowed"),
        Err(error) => {
            assert!(matches!(error, CgroupError::Write { .. }), "{error}");
            assert_eq!(groups(process.id(), &lease), 0);
            assert!(node.0.processes(&lease, None).unwrap().is_empty());
        }
    }
    node.0.kill(&lease, None).unwrap();
    end(process);
    node.0.remove(&lease).unwrap();
}

#[test]
fn a_lease_that_is_held_back_shows_pressure() {
    let _turn = busy();
    let test = "a_lease_that_is_held_back_shows_pressure";
    for node in Node::start_on_each(test) {
        let lease = node.lease(&Limits { cpu: Some(MilliCpu(100)), ..Limits::default() });
        let before = node.0.pressure(&lease).unwrap();
        if node.0.version() == CgroupVersion::V1 {
            assert!(before.cpu.is_none() && before.memory.is_none(), "v1 counts none");
            continue;
        }
        let Some(before) = before.cpu else { return skip(test, "this kernel counts no pressure") };
        let waited = || node.0.pressure(&lease).unwrap().cpu.unwrap().some.unwrap().total_us;
        // One more than cores: whatever a kernel says of the throttled, those that share a core wait for each other.
        let cores = std::thread::available_parallelism().unwrap().get();
        let spinners: Vec<_> = (0..=cores).map(|_| node.spinner(&lease)).collect();
        until("waiting", || waited() > before.some.unwrap().total_us + 100_000);
        // The kernel adds the time up when it lets go.
        until("being held back", || node.0.usage(&lease, None).unwrap().throttled_ns.unwrap() > 0);
        let usage = node.0.usage(&lease, None).unwrap();
        assert!(usage.throttled_periods.unwrap() > 0 && usage.throttled_periods <= usage.periods);
        node.0.kill(&lease, None).unwrap();
        spinners.into_iter().for_each(end);
    }
}
