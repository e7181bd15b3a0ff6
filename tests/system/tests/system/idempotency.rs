//! Asking twice, asking without meaning it, and asking for too much.

use hypermesh_client::ClientError;
use hypermesh_harness::{Node, allocation, problem, require_cgroups, until};
use hypermesh_wire::allocations::{Allocation, CreateAllocation, Shortage};
use hypermesh_wire::tokens::Role;
use jiff::Timestamp;

/// Clients that send the same request at once.
const AT_ONCE: usize = 8;

#[test]
fn a_key_makes_one_lease_however_often_it_is_sent() {
    let mut node = Node::start();
    require_cgroups!(node);
    let request = allocation("cpu", 5.0);
    let first = node.client().allocate_once(&request, "build-7").unwrap();
    let again = node.client().allocate_once(&request, "build-7").unwrap();
    assert_eq!(again, first);
    let other = problem(node.client().allocate_once(&allocation("cpu", 6.0), "build-7"));
    assert_eq!((other.status, other.detail.contains("build-7")), (422, true), "{other:?}");
    let somebody = node.client_of("somebody", Role::Operator);
    let theirs = somebody.allocate_once(&request, "build-7").unwrap();
    assert_ne!(theirs.id, first.id, "a key is its requester's own");

    node.kill9();
    node.restart();
    let after = node.client().allocate_once(&request, "build-7").unwrap();
    assert_eq!(after.id, first.id, "it is remembered over a crash");
    assert_eq!(node.groups().len(), 2, "{:?}", node.groups());
    node.client().release(&first.id).unwrap();
    let ended = node.client().allocate_once(&request, "build-7").unwrap();
    assert_eq!(ended.id, first.id, "and tells of the lease even when that has ended");
}

#[test]
fn eight_who_send_the_same_key_at_once_get_one_lease() {
    let node = Node::start();
    require_cgroups!(node);
    let ask = || node.client().clone().allocate_once(&allocation("cpu", 5.0), "at-once");
    let answers: Vec<Result<Allocation, ClientError>> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(ask)).collect();
        asking.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    let (made, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    let ids: std::collections::BTreeSet<String> = made.into_iter().flatten().map(|lease| lease.id).collect();
    assert_eq!((ids.len(), node.groups()), (1, ids), "one lease, one group");
    for refusal in refused {
        // It came while the first was being handled, and is told to ask again.
        let told = problem(refusal);
        assert!(told.status == 409 && told.detail.contains("try again"), "{told:?}");
    }
}

#[test]
fn a_dry_run_makes_nothing_and_says_what_a_lease_then_gets() {
    let node = Node::start();
    require_cgroups!(node);
    let mut request = allocation("cpu", 25.0);
    request.requirements.memory = Some("64MiB".into());
    request.requirements.pids = Some(9);
    let leases = || node.client().allocations(&Default::default()).unwrap().len();
    let (before, leases_before) = (node.recorded().len(), leases());
    let plan = node.client().preview(&request).unwrap();
    assert!(plan.fits && plan.reasons.is_empty() && plan.would_wait.is_none(), "{plan:?}");
    assert!(node.groups().is_empty() && leases() == leases_before);
    assert_eq!(node.recorded().len(), before, "nothing happened");
    let lease = node.client().allocate(&request).unwrap();
    assert_eq!(plan.resources.unwrap(), lease.resources);

    let too_much = allocation("cpu", 80.0);
    let plan = node.client().preview(&too_much).unwrap();
    let refused = problem(node.client().allocate(&too_much));
    assert!(!plan.fits && plan.resources.is_none());
    let reasons: Vec<Shortage> =
        refused.reasons.into_iter().map(|reason| serde_json::from_value(reason).unwrap()).collect();
    assert_eq!(plan.reasons, reasons);
    assert_eq!(plan.fits_at, Some(lease.end_time));
    assert_eq!(plan.would_wait.unwrap().position, 1);
    assert_eq!(node.groups().len(), 1);
}

#[test]
fn what_is_refused_fits_at_the_time_that_the_refusal_names() {
    let node = Node::start();
    require_cgroups!(node);
    let held = CreateAllocation { duration: 3, ..allocation("cpu", 60.0) };
    let mut held = held;
    held.requirements.memory = Some("64MiB".into());
    let held = node.client().allocate(&held).unwrap();
    let mut request = allocation("cpu", 70.0);
    request.requirements.memory = Some("900TiB".into());
    let never = problem(node.client().allocate(&request));
    let dimensions: Vec<_> =
        never.reasons.iter().map(|reason| reason["dimension"].as_str().unwrap()).collect();
    assert_eq!(dimensions, ["cpu", "memory"], "every one is named: {never:?}");
    assert!(never.reasons[1]["fits_at"].is_null(), "{never:?}");
    request.requirements.memory = None;
    let refused = problem(node.client().allocate(&request));
    let reason = &refused.reasons[0];
    assert_eq!(
        (&reason["requested"], &reason["available"], &reason["unit"]),
        (&70.0.into(), &40.0.into(), &"percentage".into())
    );
    let fits_at: Timestamp = serde_json::from_value(reason["fits_at"].clone()).unwrap();
    assert_eq!(fits_at, held.end_time);
    until("it fits", || node.client().allocate(&request).ok());
    assert!(Timestamp::now() >= fits_at, "and not before");
}
