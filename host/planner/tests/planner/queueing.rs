//! The queue: order, backfill, pre-emption, quotas, and that nobody waits for ever.

use crate::oracle::Oracle;
use crate::world::{BEGIN, ask, book, cases, filled, id, machine, subject, terms, time, wanted};
use hypermesh_model::{Bytes, CpuMode, Grant, LeaseId, MilliCpu, Terms, Timestamp};
use hypermesh_planner::{
    Book, Entry, Foreign, Machine, Queue, Quota, Quotas, Schedule, Shares, Span, Ticket, Wanted,
    quota_shortages,
};
use proptest::prelude::*;

fn cpu(milli: u32) -> Wanted {
    Wanted { cpu: Some(MilliCpu(milli)), cpu_mode: CpuMode::Limited, ..Wanted::default() }
}

/// A ticket of a requester, since `number` milliseconds, that waits an hour.
fn ticket(number: usize, requester: usize, wanted: Wanted, duration_s: u64, priority: u8) -> Ticket {
    let since = time(BEGIN + i64::try_from(number).unwrap() - 1000);
    let terms = Terms { priority, ..Terms::default() };
    let (requester, wait_until) = (subject(requester), time(BEGIN).plus_seconds(3600));
    Ticket { id: id(number), requester, wanted, duration_s, terms, since, wait_until }
}

fn queue(tickets: impl IntoIterator<Item = Ticket>) -> Queue {
    let mut queue = Queue::new();
    tickets.into_iter().for_each(|ticket| drop(queue.insert(ticket)));
    queue
}

fn enter(book: &mut Book, ticket: &Ticket, grant: Grant, now: Timestamp) {
    let Ticket { id, requester, duration_s, terms, .. } = ticket.clone();
    let until = now.plus_seconds(duration_s);
    book.insert(Entry { id, requester, grant, from: now, until, terms });
}

fn machine_of(cpu: u32) -> Book {
    Book::new(Machine { cpu: MilliCpu(cpu), memory: Bytes(100), ..Machine::default() })
}

/// A book in which something holds part of the CPU for so many seconds.
fn with_holder(cpu_held: u32, seconds: u64, terms: Terms) -> Book {
    let mut book = machine_of(1000);
    let holder = Ticket { terms, ..ticket(900, 9, cpu(cpu_held), seconds, 0) };
    let grant = Grant { cpu: Some(MilliCpu(cpu_held)), ..Grant::default() };
    enter(&mut book, &holder, grant, time(BEGIN));
    book
}

fn look(queue: &Queue, book: &Book) -> Schedule {
    queue.schedule(book, &Shares::default(), &Quotas::default(), time(BEGIN))
}

fn started(schedule: &Schedule) -> Vec<LeaseId> {
    schedule.start.iter().map(|(id, _)| id.clone()).collect()
}

#[test]
fn a_later_ticket_starts_only_if_it_does_not_delay_the_head() {
    let book = with_holder(600, 100, Terms::default());
    let tickets = [
        ticket(0, 0, cpu(800), 50, 50), // The head: fits in 100 s, and leaves 200m beside it.
        ticket(1, 1, cpu(300), 200, 50), // Would be in its way.
        ticket(2, 2, cpu(300), 100, 50), // Ends just in time.
        ticket(3, 3, cpu(100), 500, 50), // Fits beside it.
    ];
    let queue = queue(tickets);
    let schedule = look(&queue, &book);
    assert_eq!(started(&schedule), [id(2), id(3)]);
    assert_eq!(schedule.eta[&id(0)], Some(time(BEGIN).plus_seconds(100)));
    // Behind the head, as far as one can see.
    assert_eq!(schedule.eta[&id(1)], Some(time(BEGIN).plus_seconds(150)));
    assert_eq!(look(&queue, &book), schedule, "the same look, another answer");
}

#[test]
fn requesters_take_turns_inside_a_priority_and_a_higher_one_goes_first() {
    let mut tickets: Vec<Ticket> = (0..3).map(|n| ticket(n, 0, cpu(100), 9, 50)).collect();
    tickets.extend((3..5).map(|n| ticket(n, 1, cpu(100), 9, 50)));
    tickets.push(ticket(5, 0, cpu(100), 9, 51));
    let (queue, book) = (queue(tickets), machine_of(10_000));
    let schedule = look(&queue, &book);
    assert_eq!(schedule.order, [5, 3, 0, 4, 1, 2].map(id));
    assert_eq!(schedule.position(&id(4)), Some(4));
    assert_eq!(queue.position(&id(4), &book, &Shares::default(), time(BEGIN)), Some(4));
    assert_eq!(started(&schedule), schedule.order);
}

#[test]
fn who_has_had_much_lately_comes_after_who_has_not() {
    let queue = queue([ticket(0, 0, cpu(100), 9, 50), ticket(1, 1, cpu(100), 9, 50)]);
    let (book, mut shares) = (machine_of(1000), Shares::default());
    let order = |shares: &Shares, at: Timestamp| -> Vec<LeaseId> {
        queue.order(&book, shares, at).iter().map(|ticket| ticket.id.clone()).collect()
    };
    shares.charge(&subject(0), 0.5, time(BEGIN - 3_600_000), time(BEGIN));
    assert_eq!(order(&shares, time(BEGIN)), [id(1), id(0)]);
    // Less than a thousandth of the machine is nothing: the older goes first.
    let mut trifle = Shares::default();
    trifle.charge(&subject(0), 0.5, time(BEGIN - 60_000), time(BEGIN));
    assert_eq!(order(&trifle, time(BEGIN)), [id(0), id(1)]);
}

#[test]
fn pre_emption_makes_room_for_the_head_alone_and_only_from_below() {
    let victim = Terms { priority: 10, preemptible: true, ..Terms::default() };
    let book = with_holder(1000, 1000, victim);
    let tickets = [ticket(0, 0, cpu(600), 10, 20), ticket(1, 1, cpu(100), 1, 15)];
    let schedule = look(&queue(tickets), &book);
    assert_eq!(schedule.preempt, [(id(900), id(0))]);
    // The victim still holds: nothing can start, and the head is next.
    assert_eq!((started(&schedule), schedule.eta[&id(0)]), (vec![], Some(time(BEGIN + 1))));
    let equal = look(&queue([ticket(0, 0, cpu(600), 10, 10)]), &book);
    assert_eq!((equal.preempt.len(), equal.eta[&id(0)]), (0, Some(time(BEGIN).plus_seconds(1000))));
    for safe in [Terms { preemptible: false, ..victim }, Terms { min_runtime_seconds: 5, ..victim }] {
        let book = with_holder(1000, 1000, safe);
        assert_eq!(look(&queue([ticket(0, 0, cpu(600), 10, 99)]), &book).preempt, []);
    }
}

#[test]
fn a_victim_that_is_ending_is_waited_for_and_no_second_one_is_taken() {
    let victim = Terms { priority: 10, preemptible: true, ..Terms::default() };
    let mut book = with_holder(500, 1000, victim);
    let other = Ticket { terms: victim, ..ticket(901, 8, cpu(500), 1000, 10) };
    enter(&mut book, &other, Grant { cpu: Some(MilliCpu(500)), ..Grant::default() }, time(BEGIN));
    let queue = queue([ticket(0, 0, cpu(500), 10, 20)]);
    let (gone, _) = look(&queue, &book).preempt[0].clone();
    book.set_until(&gone, time(BEGIN));
    assert_eq!(look(&queue, &book).preempt, []);
    book.remove(&gone);
    assert_eq!(started(&look(&queue, &book)), [id(0)]);
}

#[test]
fn whoever_is_over_his_quota_waits_for_his_own_leases_and_keeps_nobody() {
    let mut book = machine_of(1000);
    let first = ticket(900, 0, cpu(300), 70, 50);
    enter(&mut book, &first, Grant { cpu: Some(MilliCpu(300)), ..Grant::default() }, time(BEGIN));
    let quota = Quota { cpu: Some(MilliCpu(400)), ..Quota::default() };
    let quotas = Quotas { default: Quota::default(), requesters: [(subject(0), quota)].into() };
    let tickets = [
        ticket(0, 0, cpu(200), 9, 90),
        ticket(1, 0, cpu(401), 9, 90),
        ticket(2, 1, cpu(700), 500, 50),
        ticket(3, 0, cpu(100), 9, 10),
    ];
    let schedule = queue(tickets).schedule(&book, &Shares::default(), &quotas, time(BEGIN));
    assert_eq!(started(&schedule), [id(2)]);
    assert_eq!(schedule.eta[&id(0)], Some(time(BEGIN).plus_seconds(70)));
    assert_eq!(schedule.eta[&id(1)], None);
}

#[test]
fn a_ticket_whose_waiting_time_is_over_is_not_started() {
    let late = Ticket { wait_until: time(BEGIN), ..ticket(0, 0, cpu(1), 9, 50) };
    let schedule = look(&queue([late]), &machine_of(1000));
    assert_eq!((schedule.expired, schedule.start.len(), schedule.order.len()), (vec![id(0)], 0, 0));
}

fn tickets() -> impl Strategy<Value = Vec<Ticket>> {
    let ticket = (wanted(), 1u64..12, terms(), 0usize..3);
    proptest::collection::vec(ticket, 1..10).prop_map(|tickets| {
        let number = |(number, (wanted, duration, terms, requester))| Ticket {
            terms,
            // The numbers below are those of the leases that hold already.
            ..self::ticket(100 + number, requester, wanted, duration, 0)
        };
        tickets.into_iter().enumerate().map(number).collect()
    })
}

fn quotas() -> impl Strategy<Value = Quotas> {
    let quota = (
        proptest::option::weighted(0.3, 500u32..4000),
        proptest::option::weighted(0.3, 20u64..100),
        proptest::option::weighted(0.3, 1u32..4),
    );
    let quota = quota.prop_map(|(cpu, memory, leases)| Quota {
        cpu: cpu.map(MilliCpu),
        memory: memory.map(Bytes),
        leases,
        ..Quota::default()
    });
    quota.prop_map(|default| Quotas { default, ..Quotas::default() })
}

/// Does what a schedule says, checks that nothing is promised twice, and returns what is left to do.
fn act(book: &mut Book, queue: &mut Queue, schedule: &Schedule, now: Timestamp) -> Result<(), TestCaseError> {
    for (victim, ticket) in &schedule.preempt {
        let (victim, ticket) = (book.get(victim).unwrap().clone(), queue.get(ticket).unwrap());
        prop_assert!(victim.terms.preemptible && victim.terms.priority < ticket.terms.priority);
    }
    for (id, grant) in &schedule.start {
        let ticket = queue.remove(id).unwrap();
        enter(book, &ticket, grant.clone(), now);
    }
    let entries: Vec<Entry> = book.entries().cloned().collect();
    let (machine, foreign) = (book.machine(), book.foreign());
    let oracle = Oracle { machine, foreign, entries: &entries, now: now.as_millis(), without: None };
    prop_assert_eq!(oracle.overcommitted(), None);
    for (victim, _) in &schedule.preempt {
        book.remove(victim);
    }
    Ok(())
}

/// The first that waits for room.
fn head(schedule: &Schedule) -> Option<(LeaseId, Timestamp)> {
    let waits = |id: &&LeaseId| schedule.start.iter().all(|(started, _)| started != *id);
    schedule.order.iter().filter(waits).find_map(|id| Some((id.clone(), schedule.eta[id]?)))
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn whoever_could_ever_fit_is_started_and_nothing_that_starts_delays_the_head(
        world in machine(),
        asks in proptest::collection::vec((ask(), terms()), 0..8),
        tickets in tickets(),
    ) {
        let (mut book, mut queue) = (filled(world.clone(), asks), queue(tickets));
        let empty = self::book(world);
        let (mut now, mut shares) = (time(BEGIN), Shares::new(20));
        // Every round either starts, ends or pre-empts something; a pre-empted lease doesn't come back.
        for _ in 0..200 {
            let schedule = queue.schedule(&book, &shares, &Quotas::default(), now);
            act(&mut book, &mut queue, &schedule, now)?;
            if let Some((id, eta)) = head(&schedule) {
                let ticket = queue.get(&id).unwrap();
                let then = time(eta.as_millis());
                let fits = book.fit(&ticket.wanted, Span::starting(then, ticket.duration_s), now);
                prop_assert!(fits.is_ok(), "{} was to start at {}: {:?}", id, eta, fits);
            }
            if queue.is_empty() {
                break;
            }
            if !schedule.preempt.is_empty() {
                continue;
            }
            // Then the next holder ends.
            let Some(next) = book.next_end() else { break };
            let later = next.max(time(now.as_millis() + 1));
            for entry in book.entries().filter(|entry| entry.from <= now) {
                let share = book.dominant_share(&(&entry.grant).into());
                shares.charge(&entry.requester, share, now, later);
            }
            now = later;
            for ended in book.ended(now) {
                book.remove(&ended);
            }
        }
        for ticket in queue.tickets() {
            let span = Span::starting(now, ticket.duration_s);
            prop_assert!(empty.fit(&ticket.wanted, span, now).is_err(), "{:?} was never started", ticket);
        }
    }

    #[test]
    fn what_is_started_never_passes_a_quota(
        world in machine(),
        tickets in tickets(),
        quotas in quotas(),
    ) {
        let (mut book, mut queue) = (book(world), queue(tickets));
        let schedule = queue.schedule(&book, &Shares::default(), &quotas, time(BEGIN));
        act(&mut book, &mut queue, &schedule, time(BEGIN))?;
        for requester in (0..3).map(subject) {
            let held = book.held_by(&requester);
            let none = hypermesh_planner::Held::default();
            prop_assert_eq!(quota_shortages(quotas.of(&requester), &none, &held), vec![]);
        }
    }

    #[test]
    fn what_is_pre_empted_makes_room_for_whom_it_was_pre_empted(
        world in machine(),
        asks in proptest::collection::vec((ask(), terms()), 0..8),
        tickets in tickets(),
        after in 0i64..10_000,
    ) {
        let (mut book, mut queue) = (filled(world, asks), queue(tickets));
        let shares = Shares::default();
        let schedule = queue.schedule(&book, &shares, &Quotas::default(), time(BEGIN));
        let Some((_, head)) = schedule.preempt.first().cloned() else { return Ok(()) };
        prop_assert!(schedule.preempt.iter().all(|(_, ticket)| *ticket == head));
        act(&mut book, &mut queue, &schedule, time(BEGIN))?;
        prop_assert_eq!(schedule.eta[&head], Some(time(BEGIN + 1)));
        let ticket = queue.get(&head).unwrap();
        // At the next instant, or whenever the last victim is gone.
        for now in [BEGIN + 1, BEGIN + 1 + after].map(time) {
            book.ended(now).iter().for_each(|ended| drop(book.remove(ended)));
            let fits = book.fit(&ticket.wanted, Span::starting(now, ticket.duration_s), now);
            prop_assert!(fits.is_ok(), "{:?}", fits);
        }
    }
}

#[test]
fn an_idle_machine_that_others_fill_starts_nobody_and_says_so() {
    let mut book = machine_of(1000);
    book.set_foreign(Foreign { memory: Bytes(90), ..Foreign::default() });
    let wanted = Wanted { memory: Some(Bytes(50)), ..Wanted::default() };
    let schedule = look(&queue([ticket(0, 0, wanted, 9, 50), ticket(1, 0, cpu(10), 9, 50)]), &book);
    assert_eq!((started(&schedule), schedule.eta[&id(0)]), (vec![id(1)], None));
}
