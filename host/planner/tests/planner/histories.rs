//! Leases come, go, are renewed, resized and reserved: never is anything promised twice.

use crate::oracle::Oracle;
use crate::world::{Ask, BEGIN, ask, book, cases, id, machine, some_time, subject, time, wanted};
use hypermesh_model::{CpuMode, Grant, Terms, Timestamp};
use hypermesh_planner::{Book, Entry, Held, Span, Wanted};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Ask(Box<Ask>),
    End(usize),
    Renew(usize, i64),
    Resize(usize, Box<Wanted>),
    Wait(i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => ask().prop_map(|ask| Step::Ask(Box::new(ask))),
        1 => (0usize..8).prop_map(Step::End),
        2 => (0usize..8, some_time()).prop_map(|(which, more)| Step::Renew(which, more)),
        3 => (0usize..8, wanted()).prop_map(|(which, wanted)| Step::Resize(which, Box::new(wanted))),
        2 => some_time().prop_map(Step::Wait),
    ]
}

/// A grant is what was asked for, in whole cores, of the right GPUs.
fn check_grant(book: &Book, wanted: &Wanted, grant: &Grant) -> Result<(), TestCaseError> {
    prop_assert!(grant.cpus.is_sorted() && grant.mems.is_sorted());
    let pins = wanted.cpu.is_some() && wanted.cpu_mode == CpuMode::Pinned;
    prop_assert_eq!(pins, !grant.cpus.is_empty());
    if pins {
        let taken: Vec<_> = book
            .machine()
            .cores
            .iter()
            .filter(|c| c.cpus.iter().any(|cpu| grant.cpus.contains(cpu)))
            .collect();
        prop_assert_eq!(taken.iter().map(|core| core.cpus.len()).sum::<usize>(), grant.cpus.len());
        prop_assert_eq!(grant.cpu.unwrap().0 as usize, 1000 * grant.cpus.len());
        prop_assert!(grant.mems.is_empty() || taken.iter().all(|core| grant.mems.contains(&core.node)));
    }
    prop_assert!(pins || grant.cpu == wanted.cpu);
    prop_assert!(grant.cpu >= wanted.cpu);
    let gpus = wanted.gpus.clone().unwrap_or_default();
    prop_assert_eq!(grant.gpus.len(), gpus.count as usize);
    prop_assert!(grant.gpus.iter().all(|uuid| gpus.of.contains(uuid)));
    let kept = (grant.memory, grant.memory_request, grant.storage, grant.pids);
    prop_assert_eq!(kept, (wanted.memory, wanted.memory_request, wanted.storage, wanted.pids));
    Ok(())
}

/// Lets time pass. As somebody who drives a book must, it takes out what has ended before anything reserved begins.
fn wait(book: &mut Book, now: Timestamp, ms: i64) -> Timestamp {
    let later = time(now.as_millis() + ms);
    let begins = book.entries().any(|entry| now < entry.from && entry.from <= later);
    for ended in book.ended(if begins { later } else { now }) {
        book.remove(&ended);
    }
    later
}

/// The sums that are kept are those that are there.
fn check_sums(book: &Book, now: Timestamp) -> Result<(), TestCaseError> {
    let totals = book.totals(now);
    let held: Vec<&Entry> = book.entries().filter(|entry| entry.from <= now).collect();
    let sum = |of: fn(&Grant) -> u64| held.iter().map(|entry| of(&entry.grant)).sum::<u64>();
    prop_assert_eq!(u64::from(totals.cpu.0), sum(|grant| grant.cpu.unwrap_or_default().0.into()));
    prop_assert_eq!(totals.memory.0, sum(|grant| grant.memory_held().0));
    prop_assert_eq!(totals.storage.0, sum(|grant| grant.storage.unwrap_or_default().0));
    prop_assert_eq!(totals.leases, held.len());
    let pinned: Vec<u32> = held.iter().flat_map(|entry| entry.grant.cpus.clone()).collect();
    let all = book.machine().cores.iter().flat_map(|core| core.cpus.clone());
    prop_assert_eq!(book.shared_cpus(now), all.filter(|cpu| !pinned.contains(cpu)).collect::<Vec<_>>());
    for requester in (0..3).map(subject) {
        let mut sum = Held::default();
        for entry in book.entries().filter(|entry| entry.requester == requester) {
            sum += Held::from(&entry.grant);
        }
        prop_assert_eq!(book.held_by(&requester), sum);
    }
    Ok(())
}

fn take(book: &mut Book, now: &mut Timestamp, number: usize, step: Step) -> Result<(), TestCaseError> {
    let nth = |book: &Book, which: usize| book.entries().nth(which).cloned();
    match step {
        Step::Ask(ask) => {
            let (wanted, from, duration) = *ask;
            let from = now.as_millis() + from;
            let span = Span { from: time(from), until: time(from + duration) };
            if let Ok(grant) = book.fit(&wanted, span, *now) {
                check_grant(book, &wanted, &grant)?;
                let (from, until, terms) = (span.from, span.until, Terms::default());
                book.insert(Entry {
                    id: id(number),
                    requester: subject(number % 3),
                    grant,
                    from,
                    until,
                    terms,
                });
            }
        }
        Step::End(which) => {
            if let Some(entry) = nth(book, which) {
                prop_assert_eq!(book.remove(&entry.id), Some(entry));
            }
        }
        Step::Renew(which, more) => {
            if let Some(entry) = nth(book, which) {
                let until = time(entry.until.max(*now).as_millis() + more);
                if book.may_extend(&entry.id, until, *now).is_ok() {
                    prop_assert!(book.set_until(&entry.id, until));
                }
            }
        }
        Step::Resize(which, wanted) => {
            if let Some(entry) = nth(book, which)
                && let Some(Ok(grant)) = book.refit(&entry.id, &wanted, *now)
            {
                check_grant(book, &wanted, &grant)?;
                prop_assert!(book.set_grant(&entry.id, grant));
            }
        }
        Step::Wait(ms) => *now = wait(book, *now, ms),
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn no_history_promises_anything_twice(
        world in machine(),
        steps in proptest::collection::vec(step(), 0..40),
    ) {
        let (mut book, mut now) = (book(world), time(BEGIN));
        for (number, step) in steps.into_iter().enumerate() {
            take(&mut book, &mut now, number, step.clone())?;
            let entries: Vec<Entry> = book.entries().cloned().collect();
            let (machine, foreign) = (book.machine(), book.foreign());
            let oracle = Oracle { machine, foreign, entries: &entries, now: now.as_millis(), without: None };
            prop_assert_eq!(oracle.overcommitted(), None, "after {:?}", step);
            check_sums(&book, now)?;
        }
    }

    #[test]
    fn a_book_does_not_depend_on_how_it_came_about(
        world in machine(),
        steps in proptest::collection::vec(step(), 0..30),
        asked in ask(),
    ) {
        let (mut old, mut now) = (book(world.clone()), time(BEGIN));
        for (number, step) in steps.into_iter().enumerate() {
            take(&mut old, &mut now, number, step)?;
        }
        let mut new = book(world);
        old.entries().for_each(|entry| drop(new.insert(entry.clone())));
        let mut measured_anew = old.clone();
        measured_anew.set_machine(old.machine().clone());
        let (wanted, from, duration) = asked;
        let from = now.as_millis() + from;
        let span = Span { from: time(from), until: time(from + duration) };
        let answer = old.fit(&wanted, span, now);
        prop_assert_eq!(&new.fit(&wanted, span, now), &answer);
        prop_assert_eq!(&measured_anew.fit(&wanted, span, now), &answer);
    }
}
