//! Workers in the groups of a lease, on the layout of this machine; and how long their steps take, printed.

use crate::Test;
use crate::bed::{Bed, PATIENCE, listen, order};
use hypermesh_model::{LeaseId, NodeId};
use hypermesh_sandbox::{CgroupBackend, CgroupSettings, GroupEntry, Limits, open};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) const TESTS: &[Test] = &[
    ("a_worker_is_in_its_groups_before_it_runs", a_worker_is_in_its_groups_before_it_runs),
    ("how_long_a_worker_takes", how_long_a_worker_takes),
];

const LEAF: &str = "exec-1";

/// A lease with a leaf; its groups go away with it.
struct Lease {
    backend: Arc<dyn CgroupBackend>,
    id: LeaseId,
}

impl Lease {
    fn new(test: &str) -> Option<Self> {
        let settings = CgroupSettings {
            system_root: PathBuf::from("/"),
            parent: None,
            node: NodeId::generate(),
            gpu_minors: vec![],
        };
        let backend = open(settings);
        if let Some(reason) = backend.unavailable_reason() {
            eprintln!("SKIPPED {test}: {reason}");
            return None;
        }
        let lease = Self { backend, id: LeaseId::generate() };
        lease.backend.create(&lease.id, &Limits::default(), "").unwrap();
        lease.backend.create_leaf(&lease.id, LEAF, None).unwrap();
        Some(lease)
    }

    fn entry(&self) -> GroupEntry {
        self.backend.entry(&self.id, LEAF).unwrap()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.backend.kill(&self.id, None).unwrap();
        self.backend.remove(&self.id).unwrap();
        self.backend.close();
    }
}

fn a_worker_is_in_its_groups_before_it_runs(test: &str) {
    let Some(lease) = Lease::new(test) else { return };
    let bed = Bed::new();
    let (parked, ended) = bed.try_park(lease.entry());
    let parked = parked.unwrap();
    let pid = parked.id().pid;
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    println!("{groups}");
    let files = lease.backend.join_files(&lease.id, LEAF);
    for file in &files {
        // The folder below its mount, whichever that is.
        let group =
            groups.lines().filter_map(|line| line.splitn(3, ':').nth(2)).filter(|group| group.len() > 1);
        let is_it = |group: &str| file.parent().unwrap().ends_with(group.trim_start_matches('/'));
        assert!(group.into_iter().any(is_it), "{} is not among {groups}", file.display());
    }
    assert!(lease.backend.processes(&lease.id, Some(LEAF)).unwrap().contains(&pid));
    // What it does is counted there, and its group ends it.
    let (reader, _writer) = std::io::pipe().unwrap();
    let worker = parked.start(&order(), b"hold", &[std::os::fd::AsFd::as_fd(&reader)]).unwrap();
    lease.backend.kill(&lease.id, Some(LEAF)).unwrap();
    assert_eq!(ended.recv_timeout(PATIENCE).unwrap().signal, Some(9));
    assert!(lease.backend.usage(&lease.id, Some(LEAF)).unwrap().cpu_time_ns.is_none_or(|time| time > 0));
    drop(worker);
    // A group that is gone takes nobody.
    let entry = lease.entry();
    lease.backend.remove_leaf(&lease.id, LEAF).unwrap();
    let (parked, _) = bed.try_park(entry);
    println!("{}", parked.unwrap_err());
    assert!(lease.backend.entry(&lease.id, LEAF).unwrap_err().is_missing());
}

/// Prints, and judges nothing.
fn how_long_a_worker_takes(test: &str) {
    const ROUNDS: usize = 60;
    let bed = Bed::new();
    let lease = Lease::new(test);
    let group = || lease.as_ref().map(Lease::entry).unwrap_or_default();
    let mut took: [Vec<Duration>; 4] = Default::default();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let (parked, ended) = bed.try_park(group());
        let parked = parked.unwrap();
        took[0].push(began.elapsed());
        let began = Instant::now();
        let worker = parked.start(&order(), b"tell", &[]).unwrap();
        took[1].push(began.elapsed());
        assert_eq!(listen(&worker), [1]);
        took[2].push(began.elapsed());
        ended.recv_timeout(PATIENCE).unwrap();
        took[3].push(began.elapsed());
    }
    let names = [
        "park, in its groups",
        "start, the call",
        "start to word from the closed jail",
        "start to exit told",
    ];
    for (name, took) in names.iter().zip(&mut took) {
        took.sort();
        println!("{name}: p50 {:?}, p90 {:?}, best {:?}", took[ROUNDS / 2], took[ROUNDS * 9 / 10], took[0]);
    }
}
