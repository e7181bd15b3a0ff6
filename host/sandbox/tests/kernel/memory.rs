//! Memory: what a lease asks to keep, what it uses, and who hears when it has no more.

use crate::node::{LEAF, Node, busy, end, skip, small, until};
use hypermesh_model::{Bytes, EnforcementState, LeaseId, NodeId};
use hypermesh_sandbox::{CgroupBackend, CgroupVersion, Limits};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const HOG: &str = "x=0123456789abcdef; while :; do x=\"$x$x\"; done";

/// The leases that the node is told of.
fn told(backend: &dyn CgroupBackend) -> Receiver<LeaseId> {
    let (sender, receiver) = channel();
    let sender = Mutex::new(sender);
    let tell = move |lease| sender.lock().unwrap().send(lease).unwrap_or_default();
    backend.on_oom(Arc::new(tell)).unwrap();
    receiver
}

#[test]
fn whose_memory_ran_out_is_told_and_nobody_else() {
    let _turn = busy();
    for node in Node::start_on_each("whose_memory_ran_out_is_told_and_nobody_else") {
        // One that was there before anybody listened, one after, one that ends before, and one that is only killed.
        let limits = Limits { memory: Some(Bytes::mib(24)), ..Limits::default() };
        let earlier = node.lease(&limits);
        let told = told(node.0.as_ref());
        let (later, bystander, ended) = (node.lease(&limits), node.lease(&limits), node.lease(&limits));
        let other = node.shell(&bystander, "while :; do sleep 1; done");
        node.0.kill(&ended, None).unwrap();
        node.0.remove(&ended).unwrap();
        for lease in [&earlier, &later] {
            let mut hog = node.shell(lease, HOG);
            let heard = told.recv_timeout(Duration::from_secs(20)).unwrap();
            assert_eq!(&heard, lease, "{}", node.0.version());
            hog.wait().unwrap();
            assert!(node.0.usage(lease, None).unwrap().oom_kills.unwrap() >= 1);
            // The kernel may say it twice; that is for this one too.
            while let Ok(again) = told.recv_timeout(Duration::from_millis(20)) {
                assert_eq!(&again, lease);
            }
        }
        node.0.kill(&bystander, None).unwrap();
        node.0.remove(&bystander).unwrap();
        assert!(told.recv_timeout(Duration::from_millis(50)).is_err(), "a lease that ends is no alarm");
        end(other);
    }
}

#[test]
fn after_a_restart_leases_are_watched_again() {
    let test = "after_a_restart_leases_are_watched_again";
    let id = NodeId::generate();
    let Some(first) = Node::start_again(test, &id) else { return };
    let lease = first.lease(&Limits { memory: Some(Bytes::mib(24)), ..Limits::default() });
    first.crash();
    let Some(node) = Node::start_again(test, &id) else { return };
    let told = told(node.0.as_ref());
    let mut hog = node.shell(&lease, HOG);
    assert_eq!(told.recv_timeout(Duration::from_secs(20)).unwrap(), lease);
    hog.wait().unwrap();
}

#[test]
fn a_memory_request_is_written_and_says_what_it_is_worth() {
    let Some(node) = Node::start("a_memory_request_is_written_and_says_what_it_is_worth", vec![]) else {
        return;
    };
    let lease = LeaseId::generate();
    let limits = Limits { memory_request: Some(Bytes::mib(16)), ..small() };
    let receipt = node.0.create(&lease, &limits, "").unwrap();
    let entry = receipt.entries.iter().find(|e| e.limit == "memory_request").unwrap();
    assert_eq!(entry.actual.as_deref(), Some("16777216"));
    if node.0.version() != CgroupVersion::V2 {
        assert_eq!(entry.state, EnforcementState::BestEffort);
        return;
    }
    // The groups above keep as much, or the kernel would not.
    let low = |dir: &std::path::Path| std::fs::read_to_string(dir.join("memory.low")).unwrap();
    let dir = std::path::Path::new(&receipt.cgroups[0]);
    // Below `hypermesh` they are the node's own; a delegated group above it keeps what its owner said. The root has no
    // such file and keeps everything.
    let above = dir.ancestors().nth(3).unwrap().join("memory.low");
    let is_kept = std::fs::read_to_string(above).map_or(true, |kept| kept.trim() == "max");
    let expected = if is_kept { EnforcementState::Enforced } else { EnforcementState::BestEffort };
    assert_eq!(entry.state, expected, "{entry:?}");
    assert_eq!(low(dir.parent().unwrap()).trim(), "16777216");
    node.0.resize(&lease, &Limits { memory_request: Some(Bytes::mib(8)), ..small() }, false, "").unwrap();
    assert_eq!(low(dir.parent().unwrap()).trim(), "8388608");
    node.0.remove(&lease).unwrap();
    assert_eq!(low(dir.parent().unwrap()).trim(), "0");
}

#[test]
fn memory_is_counted_by_kind() {
    let test = "memory_is_counted_by_kind";
    let Some(node) = Node::start(test, vec![]) else { return };
    let lease = node.lease(&small());
    let holder = node.shell(&lease, "dd if=/dev/zero bs=8388608 count=1 | sleep 600");
    let usage = || node.0.usage(&lease, Some(LEAF)).unwrap();
    until("holding 8 MiB", || usage().memory_anon.is_some_and(|anon| anon >= Bytes::mib(8)));
    let usage = usage();
    assert!(
        usage.memory_working_set <= usage.memory_current && usage.memory_anon <= usage.memory_working_set
    );
    assert!(usage.memory_file.is_some() && usage.memory_limit_hits == Some(0) && usage.oom == Some(0));
    node.0.kill(&lease, None).unwrap();
    end(holder);
    // What nothing had to give back is not counted as a hit.
    if usage.swap.is_none() {
        skip(test, "the part about swap: this kernel does not count it");
    }
}
