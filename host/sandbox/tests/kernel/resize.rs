//! Limits of a lease that runs: they grow and shrink, never below what is used unless forced, and all or none change.

use crate::node::{LEAF, Node, busy, end, small, status, until};
use hypermesh_model::{Bytes, CpuMode, IoLimits, LeaseId, MilliCpu};
use hypermesh_sandbox::{CgroupError, CgroupVersion, CpuSet, IoRule, Limits};
use std::process::Child;

fn memory(mib: u64) -> Limits {
    Limits { memory: Some(Bytes::mib(mib)), ..small() }
}

/// Processes of which one holds so many MiB of anonymous memory: a buffer that nobody takes.
fn holder(node: &Node, lease: &LeaseId, mib: u64) -> Child {
    let bytes = mib << 20;
    let child = node.shell(lease, &format!("dd if=/dev/zero bs={bytes} count=1 | sleep 600"));
    until("holding memory", || {
        node.0.usage(lease, None).unwrap().memory_anon.is_some_and(|anon| anon >= Bytes(bytes))
    });
    child
}

#[test]
fn every_limit_grows_and_shrinks_and_goes_away() {
    for node in Node::start_on_each("every_limit_grows_and_shrinks_and_goes_away") {
        let lease = node.lease(&small());
        let large = Limits {
            cpu: Some(MilliCpu(1500)),
            memory: Some(Bytes::mib(256)),
            memory_request: Some(Bytes::mib(32)),
            pids: Some(64),
            ..Limits::default()
        };
        let other = Limits { cpu: Some(MilliCpu(5)), cpu_mode: CpuMode::Shared, ..Limits::default() };
        for limits in [&large, &small(), &other, &large, &Limits::default(), &small()] {
            let receipt = node.0.resize(&lease, limits, false, "{\"n\":2}").unwrap();
            assert!(receipt.is_enforced(), "{receipt:#?}");
            assert_eq!(node.0.read_back(&lease, limits).unwrap(), receipt);
            let found = node.0.leases().unwrap();
            assert_eq!(found[0].record.as_deref(), Some("{\"n\":2}"));
        }
        // What a new lease with the same limits holds is what the resized one holds.
        let fresh = LeaseId::generate();
        let values = |receipt: hypermesh_model::EnforcementReceipt| {
            receipt.entries.into_iter().map(|e| (e.limit, e.actual)).collect::<Vec<_>>()
        };
        let new = values(node.0.create(&fresh, &small(), "").unwrap());
        assert_eq!(values(node.0.read_back(&lease, &small()).unwrap()), new);
    }
    let Some(node) = Node::start("every_limit_grows_and_shrinks_and_goes_away", vec![]) else { return };
    assert!(node.0.resize(&LeaseId::generate(), &small(), false, "").unwrap_err().is_missing());
}

#[test]
fn memory_never_shrinks_below_what_is_used_unless_forced() {
    let _turn = busy();
    for node in Node::start_on_each("memory_never_shrinks_below_what_is_used_unless_forced") {
        let lease = node.lease(&memory(128));
        let mut holder = holder(&node, &lease, 32);
        let before = node.0.read_back(&lease, &memory(128)).unwrap();
        let shrink = |mib, force| node.0.resize(&lease, &memory(mib), force, "");
        match shrink(16, false) {
            Err(CgroupError::InUse { limit: "memory", wanted, used }) => {
                assert!(wanted == 16 << 20 && used >= 32 << 20, "{wanted} {used}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(node.0.read_back(&lease, &memory(128)).unwrap(), before);
        assert!(shrink(64, false).unwrap().is_enforced(), "there is room");
        assert!(holder.try_wait().unwrap().is_none(), "and nobody was hurt");
        let forced = shrink(16, true);
        if node.0.version() == CgroupVersion::V2 {
            assert!(forced.unwrap().is_enforced());
            assert!(!holder.wait().unwrap().success(), "v2 kills");
        } else {
            assert!(matches!(forced, Err(CgroupError::InUse { limit: "memory", .. })), "{forced:?}");
            assert!(
                node.0.read_back(&lease, &memory(64)).unwrap().is_enforced(),
                "v1 refuses, all is as it was"
            );
            assert!(holder.try_wait().unwrap().is_none());
        }
        node.0.kill(&lease, None).unwrap();
        end(holder);
    }
}

#[test]
fn page_cache_makes_room_for_a_smaller_limit() {
    for node in Node::start_on_each("page_cache_makes_room_for_a_smaller_limit") {
        let folder = tempfile::tempdir_in(".").unwrap();
        let lease = node.lease(&memory(128));
        let file = folder.path().join("file");
        let script = format!(
            "head -c 33554432 /dev/zero > '{0}' && sync '{0}' && cat '{0}' > /dev/null",
            file.display()
        );
        assert!(node.shell(&lease, &script).wait().unwrap().success());
        // On a memory-backed disk the file itself is the memory; elsewhere it is cache of it.
        let used = node.0.usage(&lease, None).unwrap().memory_working_set.unwrap();
        if used < Bytes::mib(8) {
            assert!(node.0.resize(&lease, &memory(16), false, "").unwrap().is_enforced());
        }
    }
}

#[test]
fn processes_never_shrink_below_their_number_unless_forced() {
    let Some(node) = Node::start("processes_never_shrink_below_their_number_unless_forced", vec![]) else {
        return;
    };
    let lease = node.lease(&small());
    let mut shell = node.shell(&lease, "for i in 1 2 3 4; do sleep 600 & done; exit 0");
    assert!(shell.wait().unwrap().success());
    let two = Limits { pids: Some(2), ..small() };
    let refused = node.0.resize(&lease, &two, false, "").unwrap_err();
    assert!(matches!(refused, CgroupError::InUse { limit: "pids", wanted: 2, used: 4 }), "{refused:?}");
    assert!(node.0.resize(&lease, &two, true, "").unwrap().is_enforced());
    assert_eq!(node.0.processes(&lease, None).unwrap().len(), 4, "they stay, and can't fork");
    node.0.kill(&lease, None).unwrap();
}

#[test]
fn when_one_limit_is_refused_none_has_changed() {
    for node in Node::start_on_each("when_one_limit_is_refused_none_has_changed") {
        let limits = Limits { cpu_burst_us: Some(10_000), memory_request: Some(Bytes::mib(8)), ..small() };
        let lease = node.lease(&limits);
        let before = node.0.read_back(&lease, &limits).unwrap();
        // PIDS_MAX is 2^22; what comes before it in the plan has been written by then.
        let bad = Limits {
            cpu: Some(MilliCpu(1000)),
            cpu_mode: CpuMode::Shared,
            memory: Some(Bytes::mib(32)),
            pids: Some(u32::MAX),
            ..Limits::default()
        };
        let error = node.0.resize(&lease, &bad, true, "").unwrap_err();
        assert!(error.to_string().contains("pids.max"), "{error}");
        assert_eq!(node.0.read_back(&lease, &limits).unwrap(), before);
        assert!(before.is_enforced());
    }
}

#[test]
fn a_running_process_follows_its_lease_from_mode_to_mode() {
    let test = "a_running_process_follows_its_lease_from_mode_to_mode";
    let Some(node) = Node::start(test, vec![]) else { return };
    if std::thread::available_parallelism().unwrap().get() < 2 {
        return crate::node::skip(test, "there is one CPU here");
    }
    let lease = node.lease(&small());
    let child = node.shell(&lease, "exec sleep 600");
    until("executing", || status(child.id(), "Name") == "sleep");
    let pinned = Limits {
        cpu: Some(MilliCpu(1000)),
        cpu_mode: CpuMode::Pinned,
        cpuset: Some(CpuSet { cpus: vec![1], mems: vec![] }),
        ..Limits::default()
    };
    node.0.share_cpus(&[0]).unwrap();
    let allowed = || status(child.id(), "Cpus_allowed_list");
    assert_eq!(allowed(), "0");
    assert!(node.0.resize(&lease, &pinned, false, "").unwrap().is_enforced());
    assert_eq!(allowed(), "1");
    let bad = Limits { pids: Some(u32::MAX), ..small() };
    node.0.resize(&lease, &bad, false, "").unwrap_err();
    assert_eq!(allowed(), "1", "still pinned");
    assert!(node.0.resize(&lease, &small(), false, "").unwrap().is_enforced());
    assert_eq!(allowed(), "0");
    node.0.share_cpus(&[0, 1]).unwrap();
    assert_eq!(allowed(), "0-1", "no longer passed over");
    node.0.kill(&lease, None).unwrap();
    end(child);
}

#[test]
fn a_lease_that_gets_rates_later_takes_its_processes_along() {
    let test = "a_lease_that_gets_rates_later_takes_its_processes_along";
    let Some(node) = Node::start(test, vec![]) else { return };
    let Some(device) = crate::io::whole_disk() else { return crate::node::skip(test, "no disk here") };
    let lease = node.lease(&small());
    let child = node.shell(&lease, "exec sleep 600");
    until("executing", || status(child.id(), "Name") == "sleep");
    let limits = IoLimits { read_bps: Some(1 << 20), ..IoLimits::default() };
    let rated = Limits { io: Some(IoRule { device, limits }), ..small() };
    let receipt = node.0.resize(&lease, &rated, false, "").unwrap();
    assert!(receipt.is_enforced(), "{receipt:#?}");
    // On v1 a rate holds only for what is directly in the group that has it.
    let is_v2 = node.0.version() == CgroupVersion::V2;
    let (controller, wanted) =
        if is_v2 { ("0::", format!("{lease}/{LEAF}")) } else { (":blkio:", lease.to_string()) };
    let group = || {
        let text = std::fs::read_to_string(format!("/proc/{}/cgroup", child.id())).unwrap();
        text.lines().find(|line| line.contains(controller)).unwrap().to_owned()
    };
    assert!(group().ends_with(&wanted), "{}", group());
    // And without them again: no rule is left.
    node.0.resize(&lease, &small(), false, "").unwrap();
    let gone = node.0.read_back(&lease, &rated).unwrap();
    assert!(!gone.is_enforced(), "{gone:#?}");
    node.0.kill(&lease, None).unwrap();
    end(child);
}
