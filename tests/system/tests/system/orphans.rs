//! Groups that no lease accounts for: killed, stopped for a person to look at, or taken over, as the node was told.

use hypermesh_harness::cgroups::{cpu_time_ns, of_node, processes};
use hypermesh_harness::{Inside, Node, Options, allocation, require_cgroups, until};
use hypermesh_wire::allocations::{EnforcementState, Phase};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const STILL: Duration = Duration::from_millis(400);

fn start(policy: &str) -> Node {
    Node::configured(Options::default().environment("HYPERMESH_ORPHANS", policy))
}

#[test]
fn an_orphan_that_is_to_be_frozen_stands_still_and_stays() {
    let mut node = start("freeze");
    require_cgroups!(node);
    let lease = node.client().allocate(&allocation("cpu", 5.0)).unwrap();
    node.kill9();
    let orphan: Vec<PathBuf> = of_node(node.id()).into_iter().map(|dir| dir.join("alloc-orphan")).collect();
    let orphan: Vec<PathBuf> = orphan
        .into_iter()
        .filter(|dir| !dir.starts_with("/sys/fs/cgroup/cpuset") && fs::create_dir(dir).is_ok())
        .collect();
    let mut inside = Inside::start(&orphan, "while :; do :; done");
    until("the process is in the orphan", || processes(&orphan).contains(&inside.pid()).then_some(()));
    node.restart();
    let spent = || cpu_time_ns(&orphan).unwrap();
    let before = spent();
    std::thread::sleep(STILL);
    assert_eq!(spent(), before, "it was stopped");
    assert!(inside.is_running() && node.groups().contains("alloc-orphan"), "and not killed");
    assert_eq!(node.client().allocation(&lease.id).unwrap().phase, Phase::Active);
}

/// What the node remembers, as it is on disk.
fn database(node: &Node) -> Vec<(PathBuf, Vec<u8>)> {
    let files = fs::read_dir(node.data_dir()).unwrap().map(|entry| entry.unwrap().path());
    let is_database = |file: &PathBuf| {
        file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("node.sqlite"))
    };
    files.filter(is_database).map(|file| (file.clone(), fs::read(&file).unwrap())).collect()
}

fn remove_database(node: &Node) {
    for (file, _) in database(node) {
        fs::remove_file(file).unwrap();
    }
}

#[test]
fn a_lease_that_the_database_does_not_know_is_taken_over_from_its_group() {
    let mut node = start("adopt");
    require_cgroups!(node);
    // As after somebody has put back an older copy of the database.
    assert!(node.stop().success());
    let backup = database(&node);
    node.restart();
    let mut request = allocation("cpu", 10.0);
    request.requirements.memory = Some("64MiB".into());
    let lease = node.client().allocate(&request).unwrap();
    let receipt = node.enforcement(&lease.id);
    let mut inside = Inside::join(&receipt, "while :; do sleep 1000; done");
    until("the process is in the lease", || {
        processes(&receipt.cgroups).contains(&inside.pid()).then_some(())
    });
    node.kill9();
    remove_database(&node);
    backup.iter().for_each(|(file, bytes)| fs::write(file, bytes).unwrap());
    node.restart();
    let adopted = node.client().allocation(&lease.id).unwrap();
    assert_eq!((adopted.phase, &adopted.requester_id), (Phase::Active, &lease.requester_id));
    assert_eq!((&adopted.resources, adopted.end_time), (&lease.resources, lease.end_time));
    assert!(inside.is_running(), "what runs in it goes on");
    let receipt = node.enforcement(&lease.id);
    assert!(receipt.entries.iter().all(|entry| entry.state != EnforcementState::Unenforced), "{receipt:?}");
    let cpu = node.client().asset("cpu").unwrap().allocation;
    assert_eq!(cpu.allocated_capacity, 10.0, "it counts again: {cpu:?}");
    node.client().release(&lease.id).unwrap();
    assert!(!inside.is_running() && node.groups().is_empty());
}

#[test]
fn a_node_that_lost_its_database_altogether_still_finds_its_leases() {
    let mut node = start("adopt");
    require_cgroups!(node);
    let lease = node.client().allocate(&allocation("cpu", 10.0)).unwrap();
    let mut inside = Inside::join(&node.enforcement(&lease.id), "while :; do sleep 1000; done");
    node.kill9();
    remove_database(&node);
    node.restart();
    let id = node.client().health().unwrap().server_id;
    assert_eq!(id, node.id(), "the data folder is the node, not its database: else its groups are nobody's");
    let adopted = node.client().allocation(&lease.id).unwrap();
    assert_eq!((adopted.phase, adopted.end_time), (Phase::Active, lease.end_time));
    assert!(inside.is_running());
}

#[test]
fn without_a_record_that_can_be_read_an_orphan_is_not_taken_over() {
    let mut node = start("adopt");
    require_cgroups!(node);
    node.client().allocate(&allocation("cpu", 5.0)).unwrap();
    node.kill9();
    let orphan: Vec<PathBuf> = of_node(node.id()).into_iter().map(|dir| dir.join("alloc-orphan")).collect();
    orphan.iter().for_each(|dir| drop(fs::create_dir(dir)));
    node.restart();
    assert!(orphan.iter().all(|dir: &PathBuf| !Path::new(dir).exists()), "{orphan:?}");
    assert_eq!(node.groups().len(), 1);
}
