//! The journal of events, in the file and to subscribers.

use crate::{batch, fresh, reopen};
use hypermesh_model::EventKind;
use hypermesh_store::{Batch, EVENT_RETENTION, Gone};
use serde_json::json;

fn events(count: usize) -> Batch {
    batch(|b| (0..count).fold(b, |b, i| b.event(EventKind::ExecutionEnded, "e", json!({ "i": i }))))
}

#[test]
fn numbers_go_on_after_reopening_and_old_events_go() {
    let (folder, store) = fresh();
    let first = store.commit_blocking(events(3)).unwrap();
    assert_eq!((first.first_event, first.last_event), (Some(1), Some(3)));
    let none = store.commit_blocking(Batch::new()).unwrap();
    assert_eq!((none.first_event, none.last_event), (None, None));
    let before = store.events().since(0, 10).unwrap();

    let store = reopen(&folder, store);
    assert_eq!(store.events().since(0, 10).unwrap(), before);
    let more = store.commit_blocking(events(EVENT_RETENTION + 1)).unwrap();
    assert_eq!(more.first_event, Some(4));
    let last = more.last_event.unwrap();
    let oldest = last + 1 - EVENT_RETENTION as u64;
    assert_eq!(store.events().since(3, 1), Err(Gone { oldest }));

    let store = reopen(&folder, store);
    assert_eq!(store.events().last_sequence(), last);
    assert_eq!(
        store.events().since(oldest - 2, 1),
        Err(Gone { oldest }),
        "the file holds no more than memory did"
    );
    let kept = store.events().since(oldest - 1, usize::MAX).unwrap();
    assert!(kept.iter().map(|e| e.sequence).eq(oldest..=last));
}

#[tokio::test]
async fn a_subscriber_gets_what_follows_once_it_is_visible() {
    let (_folder, store) = fresh();
    store.commit(events(2)).await.unwrap();
    let mut live = store.events().subscribe();
    let replayed = store.events().since(0, 100).unwrap();
    store.commit(events(2)).await.unwrap();
    let got = [live.recv().await.unwrap(), live.recv().await.unwrap()];
    assert_eq!(replayed.last().unwrap().sequence + 1, got[0].sequence);
    assert_eq!(store.events().since(2, 100).unwrap(), got);
    assert!(live.try_recv().is_err());
}
