//! What a lease promises is what the kernel holds.

use hypermesh_harness::cgroups::{cpu_time_ns, is_running, processes};
use hypermesh_harness::{Favoured, Inside, Node, allocation, require_cgroups, until};
use hypermesh_wire::allocations::{AllocationStatus, CreateAllocation, EnforcementState, Requirements};
use std::fs;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

/// Over this time the share is measured: 40 periods of the quota.
const WINDOW: Duration = Duration::from_secs(4);
/// What a lease of 25 % may get, in percent of the pool.
const PROMISED: RangeInclusive<f64> = 24.0..=26.0;
/// Windows that are tried. No window may be above; those below are the fault of whoever else wants the CPU now.
const WINDOWS: u32 = 8;

#[test]
fn a_lease_of_25_percent_gets_24_to_26_percent_of_the_pool() {
    let node = Node::start();
    require_cgroups!(node);
    let lease = node.client().allocate(&allocation("cpu", 25.0)).unwrap();
    let pool = f64::from(lease.resources.cpu_millis.unwrap()) * 4.0 / 1000.0;
    let cgroups = node.enforcement(&lease.id).cgroups;
    let _favoured = Favoured::of(&cgroups);
    let threads = std::thread::available_parallelism().unwrap().get();
    let spinners: Vec<Inside> =
        (0..threads).map(|_| Inside::start(&cgroups, "while :; do :; done")).collect();
    until("the spinners are in the lease", || (processes(&cgroups).len() == threads).then_some(()));
    // The first period begins with the quota unspent; from here on each is like the next.
    until("the quota holds them back", || {
        node.enforcement(&lease.id).usage.unwrap().throttled_periods.filter(|periods| *periods > 2)
    });
    let shares = (0..WINDOWS).map(|_| {
        let (began, before) = (Instant::now(), cpu_time_ns(&cgroups).unwrap());
        std::thread::sleep(WINDOW);
        let (used, wall) = (cpu_time_ns(&cgroups).unwrap() - before, began.elapsed());
        let share = used as f64 / 1e9 / (wall.as_secs_f64() * pool) * 100.0;
        eprintln!(
            "{used} ns of CPU in {wall:?} by {threads} spinners: {share:.2} % of a pool of {pool} cores"
        );
        assert!(share <= *PROMISED.end(), "{share:.2} %");
        share
    });
    let shares: Vec<f64> = take_until(shares, |share| PROMISED.contains(share));
    assert!(shares.last().is_some_and(|share| PROMISED.contains(share)), "{shares:?} % of the pool");
    let usage = node.enforcement(&lease.id).usage.unwrap();
    assert!(usage.throttled_periods.unwrap() > 0 && usage.processes == threads as u64, "{usage:?}");
    drop(spinners);
}

/// Items up to the first that is as wanted.
fn take_until<T>(items: impl Iterator<Item = T>, wanted: impl Fn(&T) -> bool) -> Vec<T> {
    let mut taken = Vec::new();
    for item in items {
        let done = wanted(&item);
        taken.push(item);
        if done {
            break;
        }
    }
    taken
}

#[test]
fn a_receipt_says_what_the_files_hold() {
    let node = Node::start();
    require_cgroups!(node);
    let requirements = Requirements { cpu: Some(12.5), pids: Some(9), ..Requirements::default() };
    let request = CreateAllocation { requirements, ..allocation("memory", 0.064) };
    let lease = node.client().allocate(&request).unwrap();
    assert_eq!((lease.status, lease.enforced), (AllocationStatus::Active, true));
    assert_eq!(lease.resources.memory_bytes, Some(64_000_000));
    let receipt = node.enforcement(&lease.id);
    let mut limits: Vec<&str> = receipt.entries.iter().map(|entry| entry.limit.as_str()).collect();
    limits.sort_unstable();
    for limit in ["cpu", "memory", "pids"] {
        assert!(limits.contains(&limit), "{limits:?}");
    }
    for entry in &receipt.entries {
        // A weight holds as long as the groups above it have one, and says so.
        let best = entry.limit == "cpu_weight" && entry.reason.is_some();
        let expected = if best { EnforcementState::BestEffort } else { EnforcementState::Enforced };
        assert_eq!(entry.state, expected, "{entry:?}");
        let held = fs::read_to_string(entry.file.as_ref().unwrap()).unwrap();
        assert_eq!(Some(held.trim()), entry.actual.as_deref(), "{entry:?}");
    }
    let memory = receipt.entries.iter().find(|entry| entry.limit == "memory").unwrap();
    let held: u64 = memory.actual.as_ref().unwrap().parse().unwrap();
    assert!(held <= 64_000_000 && held > 64_000_000 - 65_536, "whole pages, at most what was leased: {held}");
    assert_eq!(
        receipt.entries.iter().find(|entry| entry.limit == "pids").unwrap().actual.as_deref(),
        Some("9")
    );
}

#[test]
fn a_release_ends_what_runs_inside_and_removes_the_groups() {
    let node = Node::start();
    require_cgroups!(node);
    let lease = node.client().allocate(&allocation("cpu", 10.0)).unwrap();
    let cgroups = node.enforcement(&lease.id).cgroups;
    // It would not end by itself, nor for a polite signal, and has a child.
    let mut inside = Inside::start(&cgroups, "trap '' TERM HUP INT; sleep 1000 & while :; do wait; done");
    let pids = until("shell and child run in the lease", || {
        Some(processes(&cgroups)).filter(|pids| pids.len() == 2)
    });
    node.client().release(&lease.id).unwrap();
    assert!(!inside.is_running() && !pids.iter().any(|pid| is_running(*pid)), "{pids:?}");
    assert!(cgroups.iter().all(|dir| !fs::exists(dir).unwrap()), "{cgroups:?}");
    assert!(node.groups().is_empty());
    let ended = node.client().allocation(&lease.id).unwrap();
    assert_eq!((ended.status, ended.end_reason.as_deref()), (AllocationStatus::Completed, Some("released")));
    assert_eq!(node.client().release(&lease.id).unwrap_err().status(), Some(409));
    let receipt = node.enforcement(&lease.id);
    assert!(receipt.usage.is_none() && !receipt.entries.is_empty(), "what it held last stays known");
}

#[test]
fn a_lease_that_expires_is_completed_and_its_group_goes() {
    let node = Node::start();
    require_cgroups!(node);
    let request = CreateAllocation { duration: 1, ..allocation("cpu", 5.0) };
    let lease = node.client().allocate(&request).unwrap();
    let cgroups = node.enforcement(&lease.id).cgroups;
    let mut inside = Inside::start(&cgroups, "while :; do sleep 1000; done");
    let ended = until("the lease ends", || {
        Some(node.client().allocation(&lease.id).unwrap())
            .filter(|lease| lease.status != AllocationStatus::Active)
    });
    assert_eq!((ended.status, ended.end_reason.as_deref()), (AllocationStatus::Completed, Some("expired")));
    assert!(ended.end_time.duration_since(ended.start_time).as_secs() >= 1);
    assert!(!inside.is_running());
    assert!(node.groups().is_empty() && cgroups.iter().all(|dir| !fs::exists(dir).unwrap()));
}
