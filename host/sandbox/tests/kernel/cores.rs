//! Who runs on which cores, and how those that share some divide them.

use crate::node::{Node, busy, end, skip, status, until};
use hypermesh_model::{CpuMode, EnforcementState, LeaseId, MilliCpu, NodeId};
use hypermesh_sandbox::{CpuSet, Limits};
use std::time::{Duration, Instant};

fn pinned(cpus: &[u32]) -> Limits {
    Limits {
        cpu: Some(MilliCpu(1000)),
        cpu_mode: CpuMode::Pinned,
        cpuset: Some(CpuSet { cpus: cpus.to_vec(), mems: vec![] }),
        ..Limits::default()
    }
}

fn shared(milli: u32) -> Limits {
    Limits { cpu: Some(MilliCpu(milli)), cpu_mode: CpuMode::Shared, ..Limits::default() }
}

/// A node on a machine with cores to give; `None`, visibly, elsewhere.
fn start(test: &str) -> Option<Node> {
    if std::thread::available_parallelism().unwrap().get() < 2 {
        skip(test, "there is one CPU here");
        return None;
    }
    let node = Node::start(test, vec![])?;
    let lease = LeaseId::generate();
    let entry = node.0.create(&lease, &pinned(&[1]), "").unwrap().entries.remove(0);
    node.0.remove(&lease).unwrap();
    if entry.file.is_none() {
        skip(test, entry.reason.as_deref().unwrap());
        return None;
    }
    Some(node)
}

/// Where a process ran last: field 39 of proc_pid_stat(5).
fn processor(pid: u32) -> u32 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    text.rsplit(')').next().unwrap().split_whitespace().nth(36).unwrap().parse().unwrap()
}

#[test]
fn a_pinned_lease_has_its_cores_for_itself() {
    let Some(node) = start("a_pinned_lease_has_its_cores_for_itself") else { return };
    let _turn = busy();
    let others = node.lease(&shared(1000));
    let spinners = [node.spinner(&others), node.spinner(&others)];
    node.0.share_cpus(&[0]).unwrap();
    let lease = LeaseId::generate();
    let receipt = node.0.create(&lease, &pinned(&[1]), "").unwrap();
    assert!(receipt.is_enforced(), "{receipt:#?}");
    assert_eq!(
        (receipt.entries[0].limit.as_str(), receipt.entries[0].actual.as_deref()),
        ("cpuset", Some("1"))
    );
    assert!(receipt.entries[0].reason.as_ref().unwrap().contains("processes outside of leases may"));
    node.0.create_leaf(&lease, "exec-1", None).unwrap();
    let alone = node.spinner(&lease);
    let later = node.lease(&shared(500));
    let newcomer = node.spinner(&later);
    assert_eq!(status(alone.id(), "Cpus_allowed_list"), "1");
    // What ran there before the cores were taken away moves at its next tick.
    until("leaving", || spinners.iter().all(|s| processor(s.id()) == 0));
    for _ in 0..50 {
        for other in spinners.iter().chain([&newcomer]) {
            assert_eq!((status(other.id(), "Cpus_allowed_list").as_str(), processor(other.id())), ("0", 0));
        }
        assert_eq!(processor(alone.id()), 1);
        std::thread::sleep(Duration::from_millis(4));
    }
    node.0.kill(&lease, None).unwrap();
    node.0.remove(&lease).unwrap();
    node.0.share_cpus(&[0, 1]).unwrap();
    for other in spinners.iter().chain([&newcomer]) {
        assert_eq!(status(other.id(), "Cpus_allowed_list"), "0-1", "they get them back");
    }
    [alone, newcomer].into_iter().chain(spinners).for_each(end);
}

#[test]
fn cores_that_are_still_shared_are_not_enforced() {
    let Some(node) = start("cores_that_are_still_shared_are_not_enforced") else { return };
    let lease = LeaseId::generate();
    let receipt = node.0.create(&lease, &pinned(&[1]), "").unwrap();
    let entry = &receipt.entries[0];
    assert_eq!((entry.state, entry.actual.as_deref()), (EnforcementState::Unenforced, Some("1")));
    assert!(entry.reason.as_ref().unwrap().contains("every CPU"), "{entry:?}");
    node.0.share_cpus(&[0]).unwrap();
    assert!(node.0.read_back(&lease, &pinned(&[1])).unwrap().is_enforced());
    // Another lease, on the core that is shared.
    let second = LeaseId::generate();
    let receipt = node.0.create(&second, &pinned(&[0]), "").unwrap();
    assert!(receipt.entries[0].reason.as_ref().unwrap().contains("CPU 0"), "{receipt:?}");
    assert!(node.0.share_cpus(&[]).is_err(), "the others need one too");
    assert!(node.0.read_back(&lease, &pinned(&[1])).unwrap().is_enforced(), "nothing changed");
}

#[test]
fn two_leases_are_pinned_to_different_cores_and_keep_them_over_a_restart() {
    let test = "two_leases_are_pinned_to_different_cores_and_keep_them_over_a_restart";
    let Some(probe) = start(test) else { return };
    drop(probe);
    let _turn = busy();
    let id = NodeId::generate();
    let Some(first) = Node::start_again(test, &id) else { return };
    first.0.share_cpus(&[0]).unwrap();
    let (a, b, other) = (first.lease(&pinned(&[1])), first.lease(&pinned(&[0])), first.lease(&shared(100)));
    let spinners = [&a, &b, &other].map(|lease| first.spinner(lease));
    first.crash();
    let Some(node) = Node::start_again(test, &id) else { return };
    assert!(node.0.read_back(&a, &pinned(&[1])).unwrap().is_enforced(), "it knows what is shared");
    let allowed = |index: usize| status(spinners[index].id(), "Cpus_allowed_list");
    assert_eq!([allowed(0), allowed(1), allowed(2)], ["1", "0", "0"]);
    node.0.share_cpus(&[1]).unwrap();
    assert_eq!([allowed(0), allowed(1), allowed(2)], ["1", "0", "1"], "it knows who is pinned");
    let newcomer = node.lease(&shared(100));
    let child = node.spinner(&newcomer);
    assert_eq!(status(child.id(), "Cpus_allowed_list"), "1");
    spinners.into_iter().chain([child]).for_each(end);
}

/// As `hypermesh alloc exec` does: a folder in each of the receipt's groups.
#[test]
fn a_command_inside_a_lease_keeps_to_its_cores_too() {
    let Some(node) = start("a_command_inside_a_lease_keeps_to_its_cores_too") else { return };
    let lease = LeaseId::generate();
    let receipt = node.0.create(&lease, &shared(500), "").unwrap();
    let leaves: Vec<_> =
        receipt.cgroups.iter().map(|dir| std::path::Path::new(dir).join("cli-4711")).collect();
    leaves.iter().for_each(|leaf| std::fs::create_dir(leaf).unwrap());
    let join: String = leaves
        .iter()
        .map(|leaf| format!("echo 0 > '{}/cgroup.procs' || exit 99\n", leaf.display()))
        .collect();
    let child = crate::node::shell(&format!("{join} exec sleep 600"));
    until("joining", || node.0.processes(&lease, None).unwrap() == [child.id()]);
    until("executing", || status(child.id(), "Name") == "sleep");
    node.0.share_cpus(&[1]).unwrap();
    assert_eq!(status(child.id(), "Cpus_allowed_list"), "1");
    node.0.share_cpus(&[0]).unwrap();
    assert_eq!(status(child.id(), "Cpus_allowed_list"), "0");
    node.0.kill(&lease, None).unwrap();
    end(child);
    node.0.remove(&lease).unwrap();
}

#[test]
fn who_shares_a_core_gets_it_by_weight() {
    let test = "who_shares_a_core_gets_it_by_weight";
    let Some(node) = start(test) else { return };
    let _turn = busy();
    // One core for both, or they would not have to share.
    node.0.share_cpus(&[1]).unwrap();
    let (heavy, light) = (node.lease(&shared(750)), node.lease(&shared(250)));
    let weight = &node.0.read_back(&heavy, &shared(750)).unwrap().entries[0];
    assert_eq!((weight.limit.as_str(), weight.state), ("cpu_weight", EnforcementState::BestEffort));
    let spinners = [node.spinner(&heavy), node.spinner(&light)];
    let used = || (node.cpu_time(&heavy), node.cpu_time(&light));
    let (from, began, mut ratio) = (used(), Instant::now(), 0.0);
    // Turns are some milliseconds long, on a machine that is busy itself much longer: the more of them, the nearer.
    until("dividing by weight", || {
        let now = used();
        let spent = |from: u64, now: u64| f64::from(u32::try_from((now - from) / 1000).unwrap());
        let light = spent(from.1, now.1);
        ratio = spent(from.0, now.0) / light;
        light > 200_000.0 && (2.4..3.75).contains(&ratio)
    });
    eprintln!("750 to 250 milli-CPU: {ratio:.2} to 1 over {:?}", began.elapsed());
    spinners.into_iter().for_each(end);
}

#[test]
fn a_burst_is_written_up_to_the_quota() {
    let Some(node) = Node::start("a_burst_is_written_up_to_the_quota", vec![]) else { return };
    let lease = LeaseId::generate();
    let limits = |cpu_burst_us| Limits { cpu: Some(MilliCpu(500)), cpu_burst_us, ..Limits::default() };
    let receipt = node.0.create(&lease, &limits(Some(20_000)), "").unwrap();
    let burst = receipt.entries.iter().find(|e| e.limit == "cpu_burst").unwrap();
    let Some(file) = burst.file.as_ref() else {
        return skip("a_burst_is_written_up_to_the_quota", burst.reason.as_deref().unwrap());
    };
    assert_eq!((burst.state, burst.actual.as_deref()), (EnforcementState::Enforced, Some("20000")));
    let wide = node.0.resize(&lease, &limits(Some(90_000)), false, "").unwrap();
    assert!(wide.is_enforced());
    assert_eq!(std::fs::read_to_string(file).unwrap().trim(), "50000", "the quota of one period");
    node.0.resize(&lease, &limits(None), false, "").unwrap();
    assert_eq!(std::fs::read_to_string(file).unwrap().trim(), "0");
}
