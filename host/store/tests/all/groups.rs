//! Group commit: many callers, few fsyncs, and nobody sees what is not yet there.

use crate::{Note, batch, fresh, note, reopen};
use hypermesh_model::EventKind;
use hypermesh_store::{ABSENT, StoreError};
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_concurrent_commits_are_durable_and_share_transactions() {
    let (folder, store) = fresh();
    let notes = store.table::<Note>().unwrap();
    let mut tasks = JoinSet::new();
    for i in 0..1000 {
        let (store, notes) = (store.clone(), notes.clone());
        tasks.spawn(async move {
            let one = batch(|b| {
                b.put(&notes, note(i, "t")).event(EventKind::AssetRegistered, &i.to_string(), json!(i))
            });
            let committed = store.commit(one).await.unwrap();
            let seen = notes.get_versioned(&i.to_string()).unwrap();
            assert_eq!(seen.generation, committed.generation, "visible once acknowledged");
            let event = store.events().since(committed.first_event.unwrap() - 1, 1).unwrap().remove(0);
            assert_eq!(event.subject, i.to_string());
            committed.first_event.unwrap()
        });
    }
    let mut numbers = tasks.join_all().await;
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(1..=1000), "each event has its own number, none is missing");
    let statistics = store.statistics();
    eprintln!("1000 batches in {} transactions", statistics.transactions);
    assert_eq!(statistics.batches, 1000);
    assert!(statistics.transactions < 200, "{statistics:?}");
    let store = reopen(&folder, store);
    assert_eq!(store.table::<Note>().unwrap().len(), 1000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_race_for_a_key_one_wins() {
    let (_folder, store) = fresh();
    let notes = store.table::<Note>().unwrap();
    let mut tasks = JoinSet::new();
    for i in 0..100 {
        let (store, notes) = (store.clone(), notes.clone());
        tasks.spawn(async move {
            let claim = batch(|b| b.put_if(&notes, note("key", &i.to_string()), ABSENT));
            (i, store.commit(claim).await)
        });
    }
    let outcomes = tasks.join_all().await;
    let winners: Vec<_> = outcomes.iter().filter(|(_, o)| o.is_ok()).map(|(i, _)| i.to_string()).collect();
    assert!(outcomes.iter().all(|(_, o)| matches!(o, Ok(_) | Err(StoreError::Conflict { .. }))));
    assert_eq!(winners, [notes.get(&"key".into()).unwrap().text]);
}

/// Each batch moves a token from one row to the other, so every moment has exactly one.
#[test]
fn readers_never_see_half_a_batch() {
    let (_folder, store) = fresh();
    let notes = store.table::<Note>().unwrap();
    let done = AtomicBool::new(false);
    store.commit_blocking(batch(|b| b.put(&notes, note(0, "")))).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                assert_eq!(notes.all().len(), 1);
            }
        });
        for i in 0..200u32 {
            let step = batch(|b| b.delete(&notes, &i.to_string()).put(&notes, note(i + 1, "")));
            store.commit_blocking(step).unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
}
