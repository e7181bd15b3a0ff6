//! What is refused doesn't fit, what isn't does, and the time that is named is the first.

use crate::oracle::Oracle;
use crate::world::{Ask, BEGIN, ask, cases, filled, id, machine, some_time, terms, time, wanted};
use hypermesh_planner::{Book, Entry, Span, Wanted};
use proptest::prelude::*;

fn entries(book: &Book) -> Vec<Entry> {
    book.entries().cloned().collect()
}

fn oracle<'a>(book: &'a Book, entries: &'a [Entry], now: i64) -> Oracle<'a> {
    Oracle { machine: book.machine(), foreign: book.foreign(), entries, now, without: None }
}

fn check_fit(book: &Book, (wanted, from, duration): &Ask, now: i64) -> Result<(), TestCaseError> {
    let entries = entries(book);
    let oracle = oracle(book, &entries, now);
    let (from, until) = (now + from, now + from + duration);
    let answer = book.fit(wanted, Span { from: time(from), until: time(until) }, time(now));
    prop_assert_eq!(answer.is_ok(), oracle.fits(wanted, from, until), "{:?}", answer);
    if let Err(short) = answer {
        prop_assert!(!short.is_empty());
        prop_assert!(short.iter().all(|s| s.requested > s.available), "{:?}", short);
        let earliest = oracle.earliest(wanted, from, |start| start + duration).map(time);
        prop_assert!(short.iter().all(|s| s.fits_at == earliest), "{:?}, not {:?}", short, earliest);
    }
    Ok(())
}

fn check_refit(book: &Book, wanted: &Wanted, now: i64) -> Result<(), TestCaseError> {
    let entries = entries(book);
    for entry in &entries {
        let oracle = Oracle { without: Some(&entry.id), ..oracle(book, &entries, now) };
        let from = entry.from.as_millis().max(now);
        let until = entry.until.as_millis().max(from + 1);
        let answer = book.refit(&entry.id, wanted, time(now)).unwrap();
        prop_assert_eq!(answer.is_ok(), oracle.fits(wanted, from, until), "{:?}", answer);
        if let Err(short) = answer {
            let earliest = oracle.earliest(wanted, from, |_| until).map(time);
            prop_assert!(short.iter().all(|s| s.fits_at == earliest), "{:?}, not {:?}", short, earliest);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(1500))]

    #[test]
    fn a_request_is_refused_only_if_no_choice_of_anything_would_do(
        world in machine(),
        asks in proptest::collection::vec((ask(), terms()), 0..10),
        asked in proptest::collection::vec(ask(), 1..5),
        later in prop_oneof![Just(0), some_time()],
    ) {
        // Later, what has ended is still there.
        let book = filled(world, asks);
        for ask in &asked {
            check_fit(&book, ask, BEGIN + later)?;
        }
    }

    #[test]
    fn a_resize_is_refused_only_if_no_choice_of_anything_would_do(
        world in machine(),
        asks in proptest::collection::vec((ask(), terms()), 0..8),
        wanted in wanted(),
        later in prop_oneof![Just(0), some_time()],
    ) {
        check_refit(&filled(world, asks), &wanted, BEGIN + later)?;
    }

    #[test]
    fn a_renewal_is_refused_only_if_it_would_run_into_a_reservation(
        world in machine(),
        asks in proptest::collection::vec((ask(), terms()), 0..10),
        more in some_time(),
    ) {
        let book = filled(world, asks);
        for entry in entries(&book) {
            let until = time(entry.until.as_millis() + more);
            let mut renewed = book.clone();
            renewed.set_until(&entry.id, until);
            let after = entries(&renewed);
            let fault = oracle(&renewed, &after, BEGIN).overcommitted();
            let answer = book.may_extend(&entry.id, until, time(BEGIN));
            prop_assert_eq!(answer.is_ok(), fault.is_none(), "{:?}, {:?}", answer, fault);
        }
    }
}

#[test]
fn what_is_not_there_is_neither_resized_nor_in_the_way() {
    let book = Book::new(hypermesh_planner::Machine::default());
    assert_eq!(book.refit(&id(0), &Wanted::default(), time(BEGIN)), None);
    assert_eq!(book.may_extend(&id(0), time(BEGIN + 9), time(BEGIN)), Ok(()));
}
