//! Whole cores: a pinned lease runs on them alone, and the others on what is left.

use hypermesh_harness::cgroups::{allowed_cpus, processor};
use hypermesh_harness::{
    Inside, Node, allocation, problem, require_cgroups, require_cpus, require_root, skip, until,
};
use hypermesh_wire::allocations::{Allocation, CpuMode, CreateAllocation, EnforcementState};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// So long the processor of a spinner is watched.
const WATCHED: Duration = Duration::from_millis(1500);
const SPIN: &str = "while :; do :; done";

/// A lease of `cores` whole cores.
fn pinned(cores: u32) -> CreateAllocation {
    // The amount is a percentage of a pool that may be a quota; the cores are meant.
    let mut request = allocation("memory", 0.064);
    request.requirements.cpu_millis = Some(cores * 1000);
    request.requirements.cpu_mode = Some(CpuMode::Pinned);
    request
}

/// A lease of whole cores, or why this machine has none to give.
fn try_pin(node: &Node, cores: u32) -> Result<Allocation, String> {
    match node.client().allocate(&pinned(cores)) {
        Ok(lease) => Ok(lease),
        // Without the cpuset controller it is refused, and says so.
        Err(error) if error.status() == Some(422) => Err(error.to_string()),
        Err(error) => panic!("{cores} whole cores: {error}"),
    }
}

/// The CPUs on which a process ran while it was watched.
fn watch(spinner: &Inside) -> BTreeSet<u32> {
    let (began, mut seen) = (Instant::now(), BTreeSet::new());
    while began.elapsed() < WATCHED {
        seen.extend(processor(spinner.pid()));
        std::thread::yield_now();
        std::thread::sleep(Duration::from_millis(1));
    }
    seen
}

#[test]
fn a_pinned_lease_has_its_cores_alone_and_gives_them_back() {
    require_root!();
    require_cpus!(2);
    let mut node = Node::start();
    require_cgroups!(node);
    let shared = node.client().allocate(&allocation("cpu", 10.0)).unwrap();
    let shared_spinners: Vec<Inside> =
        (0..2).map(|_| Inside::join(&node.enforcement(&shared.id), SPIN)).collect();
    let lease = match try_pin(&node, 1) {
        Ok(lease) => lease,
        Err(reason) => skip!("{reason}"),
    };
    let mine: BTreeSet<u32> = lease.resources.cpus.iter().copied().collect();
    assert!(!mine.is_empty() && lease.enforced, "{lease:?}");
    assert_eq!(lease.resources.cpu_mode, Some(CpuMode::Pinned));
    let receipt = node.enforcement(&lease.id);
    let cpuset = receipt.entries.iter().find(|entry| entry.limit == "cpuset").unwrap();
    assert_eq!(cpuset.state, EnforcementState::Enforced, "{cpuset:?}");
    let spinner = Inside::join(&receipt, SPIN);
    until("it is on its cores", || (allowed_cpus(spinner.pid()) == mine).then_some(()));
    let late = node.client().allocate(&allocation("cpu", 5.0)).unwrap();
    let late_spinner = Inside::join(&node.enforcement(&late.id), SPIN);
    for other in shared_spinners.iter().chain([&late_spinner]) {
        until("the others are off its cores", || allowed_cpus(other.pid()).is_disjoint(&mine).then_some(()));
        let seen = watch(other);
        assert!(!seen.is_empty() && seen.is_disjoint(&mine), "{seen:?} and {mine:?}");
    }
    assert!(watch(&spinner).is_subset(&mine));

    node.kill9();
    node.restart();
    assert_eq!(node.client().allocation(&lease.id).unwrap().resources.cpus, lease.resources.cpus);
    assert!(
        shared_spinners.iter().all(|other| allowed_cpus(other.pid()).is_disjoint(&mine)),
        "still theirs alone"
    );
    node.client().release(&lease.id).unwrap();
    let runs_there = |other: &Inside| processor(other.pid()).is_some_and(|cpu| mine.contains(&cpu));
    until("a lease that shares the CPUs runs there again", || {
        shared_spinners.iter().any(runs_there).then_some(())
    });
    assert!(late_spinner.pid() > 0 && allowed_cpus(late_spinner.pid()).is_superset(&mine));
}

#[test]
fn two_pinned_leases_have_different_cores() {
    require_root!();
    require_cpus!(4);
    let node = Node::start();
    require_cgroups!(node);
    let leases = match try_pin(&node, 1).and_then(|first| Ok([first, try_pin(&node, 1)?])) {
        Ok(leases) => leases,
        Err(reason) => skip!("{reason}"),
    };
    let [first, second] = leases.map(|lease| lease.resources.cpus.into_iter().collect::<BTreeSet<u32>>());
    assert!(
        !first.is_empty() && !second.is_empty() && first.is_disjoint(&second),
        "{first:?} and {second:?}"
    );
}

#[test]
fn one_core_stays_for_everybody_else() {
    let node = Node::start();
    require_cgroups!(node);
    let all = u32::try_from(hypermesh_harness::usable_cpus()).unwrap();
    let refused = problem(node.client().allocate(&pinned(all)));
    assert!(refused.status == 409, "{refused:?}");
    let short: Vec<_> = refused.reasons.iter().filter_map(|reason| reason["dimension"].as_str()).collect();
    assert!(short.iter().any(|dimension| matches!(*dimension, "pinned_cpus" | "cpu")), "{refused:?}");
    assert!(node.groups().is_empty());
}
