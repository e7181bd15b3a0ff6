//! The ledger's own rules: one critical section, alarms that come once, a preview that changes nothing.

use super::*;
use hypermesh_model::{Bytes, MilliCpu};
use std::sync::atomic::{AtomicU32, Ordering};

fn machine() -> Machine {
    let core = |cpu: u32| hypermesh_planner::Core { cpus: vec![cpu], node: 0 };
    Machine {
        cpu: MilliCpu(2000),
        cores: vec![core(0), core(1)],
        memory: Bytes::mib(4096),
        ..Machine::default()
    }
}

fn request(by: &str, milli: u32, now: Timestamp, seconds: u64) -> Request {
    Request {
        id: LeaseId::generate(),
        by: Subject(by.into()),
        wanted: Wanted { cpu: Some(MilliCpu(milli)), ..Wanted::default() },
        span: Span { from: now, until: now.plus_seconds(seconds) },
        terms: Terms::default(),
        wait_until: None,
    }
}

fn waiting(request: Request, seconds: u64) -> Request {
    Request { wait_until: Some(request.span.from.plus_seconds(seconds)), ..request }
}

#[test]
fn concurrent_requests_never_get_more_than_there_is() {
    let (ledger, granted) = (Ledger::new(machine()), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let now = Timestamp::now();
                    if ledger.enter(&request("a", 30, now, 60), now).is_ok() {
                        granted.fetch_add(30, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(granted.load(Ordering::Relaxed), 1980);
    assert_eq!(ledger.read(|book| book.totals(Timestamp::now()).cpu), MilliCpu(1980));
}

#[test]
fn what_does_not_fit_is_refused_or_waits_as_it_was_asked() {
    let (ledger, now) = (Ledger::new(machine()), Timestamp::now());
    let held = request("a", 1500, now, 60);
    ledger.enter(&held, now).unwrap();
    let refused = ledger.enter(&request("b", 1000, now, 60), now).unwrap_err();
    let MeshError::Refused { shortages } = refused else { panic!("{refused:?}") };
    assert_eq!((shortages[0].dimension, shortages[0].fits_at), ("cpu", Some(held.span.until)));
    let waits = waiting(request("b", 1000, now, 60), 300);
    assert_eq!(ledger.enter(&waits, now).unwrap(), Entered::Waiting);
    let place = ledger.place(&waits.id, now).unwrap();
    assert_eq!((place.position, place.eta), (1, Some(held.span.until)));
    let never = ledger.enter(&waiting(request("b", 9000, now, 60), 300), now).unwrap_err();
    assert!(matches!(never, MeshError::Refused { .. }), "it would wait in vain: {never:?}");
    assert!(ledger.schedule(now).start.is_empty());
    ledger.remove(&held.id);
    let Turns { start: starts, preempt } = ledger.schedule(now);
    assert_eq!((starts.len(), &starts[0].0, preempt.len()), (1, &waits.id, 0));
    assert!(ledger.knows(&waits.id) && ledger.waiting() == 0 && ledger.schedule(now).start.is_empty());
}

#[test]
fn who_does_not_wait_does_not_pass_those_who_do() {
    let (ledger, now) = (Ledger::new(machine()), Timestamp::now());
    ledger.enter(&request("a", 1500, now, 60), now).unwrap();
    ledger.enter(&waiting(request("b", 1600, now, 60), 300), now).unwrap();
    // It would hold what the head is to get in a minute.
    let passing = ledger.enter(&request("c", 500, now, 600), now).unwrap_err();
    let MeshError::Refused { shortages } = passing else { panic!("{passing:?}") };
    assert_eq!(shortages[0].dimension, "queue");
    assert_eq!(ledger.waiting(), 1);
    // This one is gone by then.
    assert!(matches!(ledger.enter(&request("c", 500, now, 30), now), Ok(Entered::Granted(_))));
}

#[test]
fn a_preview_changes_nothing_and_tells_what_an_entry_then_does() {
    let (ledger, now) = (Ledger::new(machine()), Timestamp::now());
    let first = request("a", 1500, now, 60);
    let preview = ledger.preview(&first, now).unwrap();
    assert_eq!((ledger.read(Book::len), ledger.waiting(), ledger.next_alarm()), (0, 0, None));
    assert_eq!(ledger.enter(&first, now).unwrap(), Entered::Granted(Box::new(preview.grant.unwrap())));
    let preview = ledger.preview(&request("b", 1000, now, 60), now).unwrap();
    assert!(preview.grant.is_none() && preview.shortages.len() == 1);
    assert_eq!(preview.queue.map(|place| (place.position, place.eta)), Some((1, Some(first.span.until))));
    assert_eq!((ledger.read(Book::len), ledger.waiting()), (1, 0));
}

#[test]
fn an_alarm_comes_once_and_moves_with_its_lease() {
    let (ledger, now) = (Ledger::new(machine()), Timestamp::now());
    let terms = Terms { warn_seconds: 10, ..Terms::default() };
    let lease = Request { terms, ..request("a", 100, now, 60) };
    ledger.enter(&lease, now).unwrap();
    assert_eq!(ledger.next_alarm(), Some(now.plus_seconds(50)));
    let later = now.plus_seconds(120);
    ledger.extend(&lease.id, later).unwrap();
    assert_eq!(ledger.next_alarm(), Some(later.minus_seconds(10)));
    let due: Vec<Alarm> = ledger.due(later).into_iter().map(|(_, alarm, _)| alarm).collect();
    assert_eq!(due, [Alarm::Warn, Alarm::End]);
    assert!(ledger.due(later).is_empty());
    ledger.again(later, Alarm::End, lease.id.clone());
    ledger.remove(&lease.id);
    ledger.again(later, Alarm::End, lease.id);
    assert!(ledger.due(later).is_empty(), "of what has left no alarm is set again");
}

#[test]
fn a_quota_holds_for_its_requester_alone() {
    let (ledger, now) = (Ledger::new(machine()), Timestamp::now());
    let quota = Quota { cpu: Some(MilliCpu(500)), ..Quota::default() };
    ledger.set_quota(&Subject("a".into()), Some(quota));
    ledger.enter(&request("a", 400, now, 60), now).unwrap();
    let refused = ledger.enter(&request("a", 200, now, 60), now).unwrap_err();
    let MeshError::Refused { shortages } = refused else { panic!("{refused:?}") };
    assert_eq!(shortages[0].dimension, "quota_cpu");
    ledger.enter(&request("b", 200, now, 60), now).unwrap();
    ledger.set_quota(&Subject("a".into()), None);
    ledger.enter(&request("a", 200, now, 60), now).unwrap();
}

#[test]
fn a_change_holds_the_larger_of_both_sizes_until_it_is_done() {
    let (ledger, now) = (Ledger::new(machine()), Timestamp::now());
    let lease = request("a", 1000, now, 60);
    ledger.enter(&lease, now).unwrap();
    let smaller = Wanted { cpu: Some(MilliCpu(200)), ..Wanted::default() };
    let grant = ledger.refit(&lease.id, &smaller, now).unwrap();
    let held = |ledger: &Ledger| ledger.read(|book| book.totals(now).cpu);
    assert_eq!((grant.cpu, held(&ledger)), (Some(MilliCpu(200)), MilliCpu(1000)));
    ledger.set_grant(&lease.id, &grant);
    assert_eq!(held(&ledger), MilliCpu(200));
}

#[test]
fn a_key_stands_for_one_lease() {
    let ledger = Ledger::new(machine());
    let (a, b, first) = (Subject("a".into()), Subject("b".into()), LeaseId::generate());
    assert_eq!(ledger.claim_key(&a, "k", &first), None);
    assert_eq!(ledger.claim_key(&a, "k", &LeaseId::generate()), Some(first));
    assert_eq!(ledger.claim_key(&b, "k", &LeaseId::generate()), None, "keys of others are others");
    ledger.release_key(&a, "k");
    assert_eq!(ledger.claim_key(&a, "k", &LeaseId::generate()), None);
}
