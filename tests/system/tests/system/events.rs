//! What happens is told in one sequence, and a listener that was away misses nothing.

use hypermesh_client::{Notice, Start};
use hypermesh_harness::{Node, allocation, require_cgroups};
use hypermesh_wire::events::Event;

fn event(notice: Notice) -> Event {
    match notice {
        Notice::Event(event) => event,
        Notice::Gone { oldest } => panic!("events before {oldest:?} are gone"),
    }
}

/// Events from `start` on, up to the end of a lease.
fn up_to_the_end_of(node: &Node, lease: &str, start: Start) -> Vec<Event> {
    let mut events = Vec::new();
    for notice in node.client().events(start) {
        let event = event(notice.unwrap());
        let done = event.kind == "allocation_ended" && event.subject == lease;
        events.push(event);
        if done {
            break;
        }
    }
    events
}

#[test]
fn a_stream_resumes_after_the_last_event_that_was_seen() {
    let node = Node::start();
    require_cgroups!(node);
    let lease = node.client().allocate(&allocation("cpu", 5.0)).unwrap();
    let all: Vec<Event> = std::thread::scope(|scope| {
        let listening = scope.spawn(|| up_to_the_end_of(&node, &lease.id, Start::After(0)));
        node.client().release(&lease.id).unwrap();
        listening.join().unwrap()
    });
    let numbers: Vec<u64> = all.iter().map(|event| event.sequence).collect();
    assert_eq!(numbers, (1..=all.len() as u64).collect::<Vec<_>>(), "from 1, without a gap");
    assert!(all.windows(2).all(|pair| pair[0].at <= pair[1].at), "in order of time");
    for seen in 0..all.len() {
        let rest = up_to_the_end_of(&node, &lease.id, Start::After(all[seen].sequence - 1));
        assert_eq!(rest, all[seen..], "after {seen}");
    }
}

#[test]
fn a_listener_survives_a_restart_of_the_node_without_a_gap() {
    let mut node = Node::start();
    require_cgroups!(node);
    let first = node.client().allocate(&allocation("cpu", 5.0)).unwrap();
    node.client().release(&first.id).unwrap();
    let before = up_to_the_end_of(&node, &first.id, Start::After(0));
    node.kill9();
    node.restart();
    let second = node.client().allocate(&allocation("cpu", 5.0)).unwrap();
    node.client().release(&second.id).unwrap();
    let last = before.last().unwrap().sequence;
    let after = up_to_the_end_of(&node, &second.id, Start::After(last));
    assert_eq!(after.first().unwrap().sequence, last + 1);
    assert!(after.iter().any(|event| event.kind == "node_started"), "{after:?}");
    let data = &after.last().unwrap().data;
    assert_eq!((&data["asset_id"], &data["reason"]), (&"cpu".into(), &"released".into()));
}

#[test]
fn a_number_that_is_none_is_refused() {
    let node = Node::start();
    for bad in ["-1", "x", "1.5", "99999999999999999999999"] {
        let id = format!("last-event-id: {bad}");
        let head = ["GET /api/v1/events HTTP/1.1", "host: localhost", &id];
        let answer = hypermesh_harness::exchange(node.address("hypermesh"), &head, b"");
        assert_eq!((answer.status, &answer.json()["member"]), (400, &"last-event-id".into()), "{bad}");
    }
}
