//! Who waits for room gets it in order: by priority, then to who has had less, and short ones in the gaps.

use hypermesh_harness::{Node, allocation, problem, require_cgroups, until};
use hypermesh_wire::allocations::{Allocation, CreateAllocation, Phase};
use hypermesh_wire::tokens::Role;
use jiff::Timestamp;

/// A wait that no test uses up, in seconds.
const LONG: u64 = 3600;

fn waiting(percent: f64, duration: u64) -> CreateAllocation {
    CreateAllocation { wait_s: Some(LONG), duration, ..allocation("cpu", percent) }
}

fn holding(node: &Node, percent: f64, duration: u64) -> Allocation {
    node.client().allocate(&CreateAllocation { duration, ..allocation("cpu", percent) }).unwrap()
}

fn order(node: &Node) -> Vec<String> {
    node.client().queue().unwrap().into_iter().map(|entry| entry.allocation_id).collect()
}

#[test]
fn who_waits_is_told_its_place_and_time_and_starts_when_there_is_room() {
    let node = Node::start();
    require_cgroups!(node);
    let held = holding(&node, 80.0, 2);
    let first = node.client().allocate(&waiting(60.0, 600)).unwrap();
    let second = node.client().allocate(&waiting(60.0, 600)).unwrap();
    assert_eq!((first.phase, first.enforced), (Phase::Queued, false), "{first:?}");
    let place = first.queue.clone().unwrap();
    assert_eq!((place.position, place.eta), (1, Some(held.end_time)), "{place:?}");
    let behind = second.queue.clone().unwrap();
    let after = first.duration;
    assert_eq!(behind.position, 2);
    assert!(
        behind.eta.unwrap().duration_since(held.end_time).as_secs().unsigned_abs() >= after - 1,
        "{behind:?}"
    );
    assert_eq!(order(&node), [first.id.clone(), second.id.clone()]);
    assert_eq!(node.groups().len(), 1, "who waits holds nothing");

    let started = node.reaches(&first.id, Phase::Active);
    assert!(started.start_time >= held.end_time && started.queue.is_none(), "{started:?}");
    let lasts = started.end_time.duration_since(started.start_time).as_secs();
    assert_eq!(lasts, 600, "its time begins when it starts");
    assert_eq!(order(&node), std::slice::from_ref(&second.id));
    node.client().release(&first.id).unwrap();
    node.reaches(&second.id, Phase::Active);
    assert!(order(&node).is_empty());
}

#[test]
fn a_higher_priority_goes_first_and_nobody_passes_who_waits() {
    let node = Node::start();
    require_cgroups!(node);
    let held = holding(&node, 80.0, 600);
    let [low, high] = [40, 60].map(|priority| {
        let request = CreateAllocation { priority: Some(priority), ..waiting(60.0, 600) };
        node.client().allocate(&request).unwrap()
    });
    assert_eq!(order(&node), [high.id.clone(), low.id.clone()]);
    // 20 % are free, and would be in the way of who waits: it lasts longer than what is held.
    let passing =
        problem(node.client().allocate(&CreateAllocation { duration: 6000, ..allocation("cpu", 50.0) }));
    assert_eq!(passing.status, 409, "{passing:?}");
    node.client().release(&held.id).unwrap();
    node.reaches(&high.id, Phase::Active);
    assert_eq!(node.client().allocation(&low.id).unwrap().phase, Phase::Queued);
}

#[test]
fn of_two_requesters_who_has_less_goes_first() {
    let node = Node::start();
    require_cgroups!(node);
    let [much, little] = ["much", "little"].map(|name| node.client_of(name, Role::Operator));
    // What it had is remembered; over seconds that is too little to change the order, so it holds something too.
    let had = much.allocate(&allocation("cpu", 90.0)).unwrap();
    let enough = Timestamp::now() + jiff::SignedDuration::from_millis(500);
    until("it has had it for a while", || (Timestamp::now() >= enough).then_some(()));
    much.release(&had.id).unwrap();
    much.allocate(&allocation("cpu", 10.0)).unwrap();
    let held = holding(&node, 70.0, 600);
    let earlier = much.allocate(&waiting(60.0, 600)).unwrap();
    let later = little.allocate(&waiting(60.0, 600)).unwrap();
    let queue = node.client().queue().unwrap();
    let seen: Vec<_> =
        queue.iter().map(|entry| (entry.allocation_id.as_str(), entry.requester_id.as_str())).collect();
    assert_eq!(seen, [(later.id.as_str(), "little"), (earlier.id.as_str(), "much")]);
    assert!(queue[0].share < queue[1].share, "{queue:?}");
    node.client().release(&held.id).unwrap();
    node.reaches(&later.id, Phase::Active);
    assert_eq!(node.client().allocation(&earlier.id).unwrap().phase, Phase::Queued);
    let strange = problem(little.release(&earlier.id));
    assert_eq!(strange.status, 403, "it is not theirs to withdraw: {strange:?}");
    much.release(&earlier.id).unwrap();
    assert_eq!(node.client().allocation(&earlier.id).unwrap().phase, Phase::Cancelled);
}

#[test]
fn a_short_request_is_served_in_the_gap_and_a_long_one_is_not() {
    let node = Node::start();
    require_cgroups!(node);
    holding(&node, 70.0, 300);
    let head = node.client().allocate(&waiting(80.0, 600)).unwrap();
    let long = node.client().allocate(&waiting(25.0, 3600)).unwrap();
    assert_eq!((head.phase, long.phase), (Phase::Queued, Phase::Queued), "it would put off the first");
    let short = node.client().allocate(&waiting(25.0, 60)).unwrap();
    assert_eq!(short.phase, Phase::Active, "it is gone before that starts");
    let beside = node.client().allocate(&waiting(5.0, 3600)).unwrap();
    assert_eq!(beside.phase, Phase::Active, "it fits beside that");
    let now = node.client().allocation(&head.id).unwrap().queue.unwrap();
    assert_eq!((now.position, now.eta), (1, head.queue.unwrap().eta));
}

#[test]
fn who_has_waited_long_enough_is_cancelled_and_who_withdraws_is_gone() {
    let node = Node::start();
    require_cgroups!(node);
    holding(&node, 80.0, 600);
    let short =
        node.client().allocate(&CreateAllocation { wait_s: Some(1), ..allocation("cpu", 60.0) }).unwrap();
    let patient = node.client().allocate(&waiting(60.0, 600)).unwrap();
    let message = node.client().release(&patient.id).unwrap();
    assert!(!message.message.is_empty());
    let withdrawn = node.client().allocation(&patient.id).unwrap();
    assert_eq!((withdrawn.phase, withdrawn.queue), (Phase::Cancelled, None));
    let over = node.reaches(&short.id, Phase::Cancelled);
    assert!(over.end_reason.unwrap().contains("no room"), "it says why");
    assert!(order(&node).is_empty());
}

#[test]
fn who_waits_still_waits_after_kill_9() {
    let mut node = Node::start();
    require_cgroups!(node);
    let held = holding(&node, 80.0, 600);
    let requests = [waiting(60.0, 600), CreateAllocation { priority: Some(70), ..waiting(60.0, 600) }];
    let [first, second] = requests.map(|request| node.client().allocate(&request).unwrap());
    node.kill9();
    node.restart();
    assert_eq!(order(&node), [second.id.clone(), first.id.clone()]);
    let still = node.client().allocation(&second.id).unwrap();
    assert_eq!(still.queue.unwrap().wait_until, second.queue.unwrap().wait_until);
    node.client().release(&held.id).unwrap();
    node.reaches(&second.id, Phase::Active);
    assert_eq!(node.groups(), std::collections::BTreeSet::from([second.id]));
}
