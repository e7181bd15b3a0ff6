//! A lease grows and shrinks while something runs in it: all or nothing, and never below what is in use unless forced.

use hypermesh_harness::{Inside, Node, allocation, problem, require_cgroups, require_loop, until};
use hypermesh_wire::allocations::{Allocation, CreateAllocation, EnforcementState, Phase, ResizeAllocation};
use std::fs;

/// What the kernel holds for a limit, by its receipt and by the file itself.
#[track_caller]
fn held(node: &Node, lease: &str, limit: &str) -> String {
    let receipt = node.enforcement(lease);
    let entry = receipt.entries.iter().find(|entry| entry.limit == limit);
    let entry = entry.unwrap_or_else(|| panic!("{limit}: {receipt:?}"));
    assert_eq!(entry.state, EnforcementState::Enforced, "{entry:?}");
    let file = fs::read_to_string(entry.file.as_ref().unwrap()).unwrap();
    assert_eq!(Some(file.trim()), entry.actual.as_deref(), "{entry:?}");
    file.trim().to_owned()
}

#[test]
fn a_lease_grows_and_shrinks_while_something_runs_in_it() {
    let node = Node::start();
    require_cgroups!(node);
    let mut request = allocation("memory", 0.064);
    request.requirements.cpu = Some(20.0);
    request.requirements.pids = Some(16);
    let lease = node.client().allocate(&request).unwrap();
    let mut inside = Inside::join(&node.enforcement(&lease.id), "while :; do sleep 1000; done");
    let small = ["cpu", "memory", "pids"].map(|limit| held(&node, &lease.id, limit));
    let bigger = ResizeAllocation {
        cpu: Some(40.0),
        memory: Some("128MB".into()),
        pids: Some(32),
        ..ResizeAllocation::default()
    };
    let grown = node.client().resize(&lease.id, &bigger, Some(lease.generation)).unwrap();
    assert!(grown.generation > lease.generation && grown.enforced, "{grown:?}");
    assert_eq!((grown.resources.memory_bytes, grown.resources.pids), (Some(128_000_000), Some(32)));
    assert_eq!(grown.resources.cpu_millis, lease.resources.cpu_millis.map(|millis| millis * 2));
    assert_eq!(held(&node, &lease.id, "memory"), (128_000_000 / 4096 * 4096).to_string());
    assert_eq!(held(&node, &lease.id, "pids"), "32");
    assert_ne!(held(&node, &lease.id, "cpu"), small[0]);
    let cpu = node.client().asset("cpu").unwrap().allocation;
    assert!((cpu.allocated_capacity - 40.0).abs() < 0.2, "{cpu:?}");
    node.told("allocation_resized", &lease.id);

    let back = ResizeAllocation {
        cpu: Some(20.0),
        memory: Some("64MB".into()),
        pids: Some(16),
        ..ResizeAllocation::default()
    };
    let shrunk = node.client().resize(&lease.id, &back, None).unwrap();
    assert_eq!(shrunk.resources, lease.resources);
    assert_eq!(["cpu", "memory", "pids"].map(|limit| held(&node, &lease.id, limit)), small);
    assert!(inside.is_running(), "it went on all the time");
}

/// Nothing of the lease, nor of what the kernel holds for it, is other than before.
#[track_caller]
fn is_unchanged(node: &Node, before: &Allocation, limits: &[(&str, String)]) {
    let now = node.client().allocation(&before.id).unwrap();
    assert_eq!(&now, before);
    for (limit, value) in limits {
        assert_eq!(held(node, &before.id, limit), *value, "{limit}");
    }
}

#[test]
fn below_what_is_in_use_it_is_refused_with_the_numbers_and_nothing_changes() {
    let node = Node::start();
    require_cgroups!(node);
    let mut request = allocation("memory", 0.128);
    request.requirements.cpu = Some(10.0);
    request.requirements.pids = Some(16);
    let lease = node.client().allocate(&request).unwrap();
    // A shell that keeps a variable of 24 MB, and has five children.
    let script =
        "x=$(head -c 24000000 /dev/zero | tr '\\0' a); for i in 1 2 3 4 5; do sleep 1000 & done; wait";
    let mut inside = Inside::join(&node.enforcement(&lease.id), script);
    until("it holds memory and processes", || {
        let usage = node.client().usage(&lease.id).unwrap();
        (usage.memory.anon.or(usage.memory.current) > Some(24_000_000) && usage.processes == Some(6))
            .then_some(())
    });
    let limits = ["cpu", "memory", "pids"].map(|limit| (limit, held(&node, &lease.id, limit)));
    let less = |memory: Option<&str>, pids| ResizeAllocation {
        cpu: Some(5.0),
        memory: memory.map(str::to_owned),
        pids,
        ..ResizeAllocation::default()
    };
    let refused = problem(node.client().resize(&lease.id, &less(Some("16MiB"), None), None));
    assert!(refused.status == 409 && refused.detail.contains("16777216"), "{refused:?}");
    is_unchanged(&node, &lease, &limits);
    let refused = problem(node.client().resize(&lease.id, &less(None, Some(3)), None));
    assert!(
        refused.status == 409 && refused.detail.contains('3') && refused.detail.contains('6'),
        "{refused:?}"
    );
    is_unchanged(&node, &lease, &limits);

    let forced = ResizeAllocation { force: Some(true), ..less(None, Some(3)) };
    let forced = node.client().resize(&lease.id, &forced, None).unwrap();
    assert_eq!((forced.resources.pids, held(&node, &lease.id, "pids")), (Some(3), "3".to_owned()));
    assert!(inside.is_running(), "the limit stops forks, not processes");
    let limits = ["cpu", "memory"].map(|limit| (limit, held(&node, &lease.id, limit)));
    match node.client().resize(
        &lease.id,
        &ResizeAllocation { force: Some(true), ..less(Some("16MiB"), None) },
        None,
    ) {
        // v2 takes what it can and kills what does not fit.
        Ok(resized) => {
            assert_eq!(resized.resources.memory_bytes, Some(16 << 20));
            until("what does not fit is ended", || (!inside.is_running()).then_some(()));
        }
        // v1 can't take anonymous memory back without swap, and says so.
        refused @ Err(_) => {
            let refused = problem(refused);
            assert!(refused.status == 409 && refused.detail.contains("16777216"), "{refused:?}");
            is_unchanged(&node, &forced, &limits);
            assert!(inside.is_running());
        }
    }
}

#[test]
fn what_has_no_room_to_grow_is_refused_with_every_dimension_and_stays() {
    let node = Node::start();
    require_cgroups!(node);
    let other = node.client().allocate(&allocation("cpu", 60.0)).unwrap();
    let mut request = allocation("cpu", 20.0);
    request.requirements.memory = Some("64MiB".into());
    let lease = node.client().allocate(&request).unwrap();
    let limits = ["cpu", "memory"].map(|limit| (limit, held(&node, &lease.id, limit)));
    let too_much =
        ResizeAllocation { cpu: Some(50.0), memory: Some("900TiB".into()), ..ResizeAllocation::default() };
    let refused = problem(node.client().resize(&lease.id, &too_much, None));
    let short: Vec<_> = refused.reasons.iter().map(|reason| reason["dimension"].as_str().unwrap()).collect();
    assert_eq!((refused.status, short), (409, vec!["cpu", "memory"]), "{refused:?}");
    assert_eq!(refused.reasons[0]["available"], 40.0, "its own hold does not count against it: {refused:?}");
    is_unchanged(&node, &lease, &limits);
    let new_dimension = ResizeAllocation { storage: Some("16MiB".into()), ..ResizeAllocation::default() };
    let refused = problem(node.client().resize(&lease.id, &new_dimension, None));
    assert_eq!((refused.status, refused.member.as_deref()), (422, Some("storage")), "{refused:?}");
    node.client().release(&other.id).unwrap();
    let grow = ResizeAllocation { cpu: Some(50.0), ..ResizeAllocation::default() };
    node.client().resize(&lease.id, &grow, None).unwrap();
    node.client().release(&lease.id).unwrap();
    let ended = problem(node.client().resize(&lease.id, &grow, None));
    assert_eq!(ended.status, 409, "{ended:?}");
}

#[test]
fn a_folder_grows_with_its_files_open_and_never_shrinks_below_them() {
    require_loop!();
    let node = Node::start();
    require_cgroups!(node);
    let mut request: CreateAllocation = allocation("cpu", 10.0);
    request.requirements.storage = Some("16MiB".into());
    let lease = node.client().allocate(&request).unwrap();
    let path = lease.resources.storage_path.clone().unwrap();
    let size = |text: &str| ResizeAllocation { storage: Some(text.into()), ..ResizeAllocation::default() };
    let grown = node.client().resize(&lease.id, &size("48MiB"), None).unwrap();
    assert_eq!(grown.resources.storage_bytes, Some(48 << 20));
    let holds = node.client().usage(&lease.id).unwrap().storage.unwrap().size.unwrap();
    assert!(holds > 40 << 20 && holds <= 48 << 20, "{holds}");
    fs::write(format!("{path}/large"), vec![7; 32 << 20]).unwrap();
    let refused = problem(node.client().resize(&lease.id, &size("16MiB"), None));
    assert_eq!(refused.status, 409, "32 MiB are in use: {refused:?}");
    let now = node.client().allocation(&lease.id).unwrap();
    assert_eq!((now.resources.storage_bytes, now.phase), (Some(48 << 20), Phase::Active));

    let script = format!("exec 3>'{path}/open'; while :; do echo x >&3; sleep 0.05; done");
    let mut inside = Inside::join(&node.enforcement(&lease.id), &script);
    let written = || fs::metadata(format!("{path}/open")).map_or(0, |file| file.len());
    until("it writes", || (written() > 0).then_some(()));
    match node.client().resize(&lease.id, &size("64MiB"), None) {
        Ok(grown) => assert_eq!(grown.resources.storage_bytes, Some(64 << 20)),
        refused @ Err(_) => {
            // A container may have taken this capability away from root.
            let refused = problem(refused);
            assert!(refused.status == 409 && refused.detail.contains("CAP_SYS_RESOURCE"), "{refused:?}");
            assert_eq!(node.client().allocation(&lease.id).unwrap().resources.storage_bytes, Some(48 << 20));
        }
    }
    let before = written();
    until("the open file grows on", || (written() > before).then_some(()));
    assert!(inside.is_running());
}
