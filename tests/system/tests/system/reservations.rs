//! A reservation keeps room for its time, and others don't fit into it.

use hypermesh_harness::{Node, allocation, problem, require_cgroups};
use hypermesh_wire::allocations::{CreateAllocation, Phase};
use jiff::{SignedDuration, Timestamp};

fn at(seconds: i64, duration: u64, percent: f64) -> CreateAllocation {
    let start_time = Some(Timestamp::now() + SignedDuration::from_secs(seconds));
    CreateAllocation { start_time, duration, ..allocation("cpu", percent) }
}

#[test]
fn a_reservation_begins_at_its_time_and_others_do_not_fit_into_it() {
    let mut node = Node::start();
    require_cgroups!(node);
    let reserved = node.client().allocate(&at(3, 600, 80.0)).unwrap();
    assert_eq!((reserved.phase, reserved.enforced), (Phase::Reserved, false));
    assert!(node.groups().is_empty(), "it holds nothing yet");
    let short = node.client().allocate(&CreateAllocation { duration: 1, ..allocation("cpu", 60.0) }).unwrap();
    assert_eq!(short.phase, Phase::Active, "until then others may have it");
    let long = problem(node.client().allocate(&CreateAllocation { duration: 60, ..allocation("cpu", 60.0) }));
    assert_eq!((long.status, &long.reasons[0]["dimension"]), (409, &"cpu".into()), "{long:?}");
    assert_eq!(long.reasons[0]["available"], 20.0, "what is left beside it: {long:?}");
    let beside =
        node.client().allocate(&CreateAllocation { duration: 60, ..allocation("cpu", 10.0) }).unwrap();
    assert_eq!(beside.phase, Phase::Active);
    let overlapping = problem(node.client().allocate(&at(300, 60, 60.0)));
    assert_eq!(overlapping.status, 409, "{overlapping:?}");
    let afterwards = node.client().allocate(&at(700, 60, 90.0)).unwrap();
    assert_eq!(afterwards.phase, Phase::Reserved);

    node.kill9();
    node.restart();
    let began = node.reaches(&reserved.id, Phase::Active);
    assert!(began.start_time >= reserved.start_time && began.enforced, "{began:?}");
    assert_eq!(began.end_time, reserved.end_time);
    node.client().release(&afterwards.id).unwrap();
    assert_eq!(node.client().allocation(&afterwards.id).unwrap().phase, Phase::Cancelled, "it was withdrawn");
    assert_eq!(node.client().release(&afterwards.id).unwrap_err().status(), Some(409));
}
