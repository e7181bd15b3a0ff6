//! Pre-emption: enough, legitimate, of the lowest priorities that do, and nobody needlessly.

use crate::world::{BEGIN, ask, cases, filled, machine, terms, time, wanted};
use hypermesh_model::{LeaseId, Timestamp};
use hypermesh_planner::{Book, Entry, Span, Wanted};
use proptest::prelude::*;

/// Whether a request fits once these are gone, and those whose time is over.
fn fits_without(book: &Book, victims: &[LeaseId], wanted: &Wanted, span: Span, now: Timestamp) -> bool {
    let mut book = book.clone();
    let ended = book.ended(now);
    for gone in victims.iter().chain(&ended) {
        book.remove(gone);
    }
    book.fit(wanted, span, now).is_ok()
}

fn may_be_ended(entry: &Entry, priority: u8, now: Timestamp) -> bool {
    let ran = entry.from.plus_seconds(entry.terms.min_runtime_seconds) <= now;
    entry.terms.preemptible && entry.terms.priority < priority && ran
}

proptest! {
    #![proptest_config(cases(1500))]

    #[test]
    fn victims_are_enough_and_nobody_is_ended_needlessly(
        world in machine(),
        asks in proptest::collection::vec((ask(), terms()), 0..10),
        wanted in wanted(),
        (priority, later) in (0u8..5, 0i64..3),
    ) {
        let (book, now) = (filled(world, asks), time(BEGIN + later * 1000));
        let span = Span::starting(now, 9);
        let candidates: Vec<&Entry> = book.entries().filter(|e| may_be_ended(e, priority, now)).collect();
        let below = |priority: u8| -> Vec<LeaseId> {
            candidates.iter().filter(|e| e.terms.priority < priority).map(|e| e.id.clone()).collect()
        };
        let Some(victims) = book.victims(&wanted, span, priority, now) else {
            prop_assert!(!fits_without(&book, &below(u8::MAX), &wanted, span, now));
            return Ok(());
        };
        prop_assert!(fits_without(&book, &victims, &wanted, span, now));
        for victim in &victims {
            prop_assert!(candidates.iter().any(|entry| entry.id == *victim));
            let others: Vec<LeaseId> = victims.iter().filter(|other| *other != victim).cloned().collect();
            prop_assert!(!fits_without(&book, &others, &wanted, span, now), "{} is needless", victim);
        }
        let highest = victims.iter().filter_map(|victim| Some(book.get(victim)?.terms.priority)).max();
        if let Some(highest) = highest {
            prop_assert!(!fits_without(&book, &below(highest), &wanted, span, now), "lower ones would do");
        }
    }
}
