//! The life of a lease: its end is announced, may be put off, and comes as its holder asked.

use hypermesh_harness::cgroups::{cpu_time_ns, is_running};
use hypermesh_harness::{Inside, Node, allocation, problem, require_cgroups, until};
use hypermesh_wire::allocations::{Allocation, CreateAllocation, OnExpiry, Phase};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// Over this time a stopped process must not get any CPU time.
const STILL: Duration = Duration::from_millis(400);

#[test]
fn a_warning_comes_before_the_end_with_the_seconds_that_are_left() {
    let node = Node::start();
    require_cgroups!(node);
    let request = CreateAllocation { duration: 3, warn_s: Some(2), ..allocation("cpu", 5.0) };
    let lease = node.client().allocate(&request).unwrap();
    assert_eq!(lease.warn_s, 2);
    let ended = node.reaches(&lease.id, Phase::Completed);
    assert_eq!(ended.end_reason.as_deref(), Some("expired"));
    let (warned, ended) =
        (node.told("allocation_expiring", &lease.id), node.told("allocation_ended", &lease.id));
    assert!(warned.sequence < ended.sequence, "{warned:?} {ended:?}");
    let left = warned.data["seconds_left"].as_u64().unwrap();
    assert!((1..=2).contains(&left), "a warning of 2 s, rounded down: {warned:?}");
    // As times: two writers need not agree on zeros at the end.
    let end: Timestamp = warned.data["end_time"].as_str().unwrap().parse().unwrap();
    assert_eq!(end, lease.end_time);
    assert_eq!(warned.data["requester_id"], serde_json::json!(lease.requester_id));
}

fn freezing(grace: u64) -> CreateAllocation {
    let on_expiry = Some(OnExpiry::Freeze);
    CreateAllocation { duration: 1, on_expiry, grace_s: Some(grace), ..allocation("cpu", 10.0) }
}

#[test]
fn at_its_end_a_freezing_lease_stands_still_until_it_is_renewed() {
    let node = Node::start();
    require_cgroups!(node);
    let lease = node.client().allocate(&freezing(300)).unwrap();
    let receipt = node.enforcement(&lease.id);
    let mut inside = Inside::join(&receipt, "while :; do :; done");
    let frozen = node.reaches(&lease.id, Phase::Frozen);
    assert_eq!(frozen.frozen_until.unwrap().duration_since(frozen.end_time).as_secs(), 300);
    node.told("allocation_frozen", &lease.id);
    let spent = || cpu_time_ns(&receipt.cgroups).unwrap();
    let before = spent();
    std::thread::sleep(STILL);
    assert_eq!(spent(), before, "it was stopped");
    assert!(inside.is_running(), "and not killed");

    let renewed = node.client().renew(&lease.id, 600, Some(frozen.generation)).unwrap();
    assert_eq!((renewed.phase, renewed.frozen_until), (Phase::Active, None));
    assert!(renewed.end_time.duration_since(Timestamp::now()) > SignedDuration::from_secs(500));
    until("it goes on", || (spent() > before).then_some(()));
    node.told("allocation_renewed", &lease.id);
    node.client().release(&lease.id).unwrap();
    assert!(!inside.is_running());
}

#[test]
fn when_its_grace_is_over_a_frozen_lease_is_killed() {
    let mut node = Node::start();
    require_cgroups!(node);
    let [short, long] = [1, 300].map(|grace| node.client().allocate(&freezing(grace)).unwrap());
    let processes =
        [&short, &long].map(|lease| Inside::join(&node.enforcement(&lease.id), "while :; do :; done"));
    let [mut killed, mut kept] = processes;
    let ended = node.reaches(&short.id, Phase::Completed);
    assert_eq!(ended.end_reason.as_deref(), Some("expired"));
    assert!(!killed.is_running());
    node.reaches(&long.id, Phase::Frozen);
    node.kill9();
    node.restart();
    let again = node.client().allocation(&long.id).unwrap();
    assert_eq!(again.phase, Phase::Frozen, "a restart changes nothing of that: {again:?}");
    let receipt = node.enforcement(&long.id);
    let before = cpu_time_ns(&receipt.cgroups).unwrap();
    std::thread::sleep(STILL);
    assert_eq!(cpu_time_ns(&receipt.cgroups).unwrap(), before, "still stopped");
    node.client().release(&long.id).unwrap();
    assert!(!kept.is_running() && !is_running(kept.pid()));
}

#[test]
fn a_renewal_does_not_run_into_a_reservation() {
    let node = Node::start();
    require_cgroups!(node);
    let lease =
        node.client().allocate(&CreateAllocation { duration: 60, ..allocation("cpu", 60.0) }).unwrap();
    let start_time = Some(Timestamp::now() + SignedDuration::from_secs(120));
    let later = CreateAllocation { start_time, duration: 60, ..allocation("cpu", 60.0) };
    let later = node.client().allocate(&later).unwrap();
    assert_eq!(later.phase, Phase::Reserved);
    let refused = problem(node.client().renew(&lease.id, 600, None));
    assert_eq!((refused.status, &refused.reasons[0]["dimension"]), (409, &"cpu".into()), "{refused:?}");
    let unchanged = node.client().allocation(&lease.id).unwrap();
    assert_eq!((unchanged.end_time, unchanged.generation), (lease.end_time, lease.generation));
    let renewed = node.client().renew(&lease.id, 100, None).unwrap();
    assert!(renewed.end_time > lease.end_time && renewed.end_time <= later.start_time, "{renewed:?}");
    let earlier = problem(node.client().renew(&lease.id, 5, None));
    assert_eq!(earlier.status, 409, "a renewal is no way to end it: {earlier:?}");
}

fn raw(node: &Node, path: &str, if_match: &str, body: &str) -> hypermesh_harness::Answer {
    let authorization = format!("authorization: Bearer {}", node.token());
    let (line, if_match) = (format!("{path} HTTP/1.1"), format!("if-match: {if_match}"));
    let head = [&line, "host: localhost", "content-type: application/json", &authorization, &if_match];
    hypermesh_harness::exchange(node.address("hypermesh"), &head, body.as_bytes())
}

#[test]
fn a_change_meant_for_another_generation_is_refused_with_the_one_it_has() {
    let node = Node::start();
    require_cgroups!(node);
    let lease = node.client().allocate(&allocation("cpu", 5.0)).unwrap();
    let path = format!("/api/v1/allocations/{}", lease.id);
    let shown = raw(&node, &format!("GET {path}"), "*", "");
    let etag = shown.header("etag").unwrap_or_else(|| panic!("{shown:?}")).to_owned();
    assert_eq!(etag, format!("\"{}\"", lease.generation));

    let renewed: Allocation = node.client().renew(&lease.id, 1000, Some(lease.generation)).unwrap();
    assert!(renewed.generation > lease.generation);
    let changes = [
        ("POST", "/renew", r#"{"duration":2000}"#),
        ("PATCH", "", r#"{"cpu":10}"#),
        ("POST", "/release", ""),
    ];
    for (method, below, body) in changes {
        let stale = raw(&node, &format!("{method} {path}{below}"), &etag, body);
        assert_eq!(stale.status, 412, "{method} {below}: {stale:?}");
        let problem = stale.json();
        assert!(problem["type"].as_str().unwrap().ends_with("precondition-failed"), "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(&renewed.generation.to_string()), "{problem}");
    }
    let unchanged = node.client().allocation(&lease.id).unwrap();
    assert_eq!(unchanged, renewed);
    let now = format!("\"{}\"", renewed.generation);
    let released = raw(&node, &format!("POST {path}/release"), &now, "");
    assert_eq!(released.status, 200, "{released:?}");
}
