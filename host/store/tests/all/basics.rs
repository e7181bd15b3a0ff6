//! Round trips, conditions, atomicity, refusals.

use std::io::Write as _;

use crate::{Note, batch, fresh, note, reopen};
use hypermesh_model::EventKind;
use hypermesh_store::{ABSENT, Batch, MAX_BATCH_ENTRIES, MAX_BODY_BYTES, Record, Store, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::process::Command;

#[test]
fn what_is_put_is_there_also_after_reopening() {
    let (folder, store) = fresh();
    let notes = store.table::<Note>().unwrap();
    let odd = Note { id: "b".into(), text: "zwei \u{1F600} \" ' \0".into(), weight: 0.1 + 0.2 };
    let first = store.commit_blocking(batch(|b| b.put(&notes, odd.clone()).put(&notes, note("a", "one"))));
    let second = store
        .commit_blocking(batch(|b| b.put(&notes, note("a", "two")).delete(&notes, &"nothing".to_owned())));
    let (first, second) = (first.unwrap().generation, second.unwrap().generation);
    assert!(second > first);

    let store = reopen(&folder, store);
    let notes = store.table::<Note>().unwrap();
    assert_eq!(notes.all(), [note("a", "two"), odd.clone()]);
    assert_eq!(notes.get_versioned(&"a".into()).unwrap().generation, second);
    assert_eq!(notes.get_versioned(&"b".into()).unwrap().generation, first);
    assert_eq!(notes.filter(|n| n.weight < 0.4), [odd]);
    assert_eq!((notes.len(), notes.contains(&"c".into()), notes.get(&"c".into())), (2, false, None));

    store.commit_blocking(batch(|b| b.delete(&notes, &"a".into()))).unwrap();
    assert!(notes.get(&"a".into()).is_none());
    let store = reopen(&folder, store);
    assert_eq!(store.table::<Note>().unwrap().len(), 1);
}

#[test]
fn generations_are_never_reused() {
    let (folder, store) = fresh();
    let notes = store.table::<Note>().unwrap();
    store.commit_blocking(batch(|b| b.put(&notes, note(1, "")))).unwrap();
    let deleted = store.commit_blocking(batch(|b| b.delete(&notes, &"1".into()))).unwrap();
    let store = reopen(&folder, store);
    let notes = store.table::<Note>().unwrap();
    let next = store.commit_blocking(batch(|b| b.put(&notes, note(1, "")))).unwrap();
    assert_eq!(next.generation, deleted.generation + 1);
}

#[test]
fn a_condition_that_does_not_hold_applies_nothing() {
    let (folder, store) = fresh();
    let notes = store.table::<Note>().unwrap();
    let made = store.commit_blocking(batch(|b| b.put_if(&notes, note("x", "1"), ABSENT))).unwrap();
    let stale = |expected| {
        batch(|b| {
            b.put(&notes, note("other", "")).put_if(&notes, note("x", "2"), expected);
            b.event(EventKind::AssetUpdated, "x", Value::Null)
        })
    };
    for wrong in [ABSENT, made.generation + 1] {
        let error = store.commit_blocking(stale(wrong)).unwrap_err();
        let StoreError::Conflict { table: "notes", expected, actual, .. } = error else {
            panic!("{error:?}")
        };
        assert_eq!((expected, actual), (wrong, made.generation));
    }
    let missing = store.commit_blocking(batch(|b| b.put_if(&notes, note("y", ""), 7)));
    assert!(matches!(missing, Err(StoreError::Conflict { expected: 7, actual: ABSENT, .. })));

    let store = reopen(&folder, store);
    let notes = store.table::<Note>().unwrap();
    assert_eq!(notes.all(), [note("x", "1")]);
    assert_eq!(store.events().last_sequence(), 0);
    store.commit_blocking(batch(|b| b.put_if(&notes, note("x", "2"), made.generation))).unwrap();
    assert_eq!(notes.get(&"x".into()).unwrap().text, "2");
}

#[test]
fn what_would_not_come_back_is_refused_with_its_whole_batch() {
    let (_folder, store) = fresh();
    let notes = store.table::<Note>().unwrap();
    let nan = Note { weight: f64::NAN, ..note("n", "") };
    let huge = note("h", &"x".repeat(MAX_BODY_BYTES));
    let deep = (0..200).fold(Value::Null, |inner, _| json!([inner]));
    let refused = |fill: &dyn Fn(&mut Batch) -> &mut Batch| {
        let full = batch(|b| {
            b.put(&notes, note("ok", ""));
            fill(b)
        });
        store.commit_blocking(full).unwrap_err()
    };
    assert!(matches!(refused(&|b| b.put(&notes, nan.clone())), StoreError::Unstorable { .. }));
    assert!(matches!(refused(&|b| b.put(&notes, huge.clone())), StoreError::TooLarge { .. }));
    let event = refused(&|b| b.event(EventKind::NodeStarted, "n", deep.clone()));
    assert!(matches!(event, StoreError::Unstorable { table: "events", .. }));
    let many = refused(&|b| (0..MAX_BATCH_ENTRIES).fold(b, |b, _| b.delete(&notes, &"z".into())));
    assert!(matches!(many, StoreError::BatchTooLarge { .. }));
    assert!(notes.is_empty());
}

#[derive(Clone, Serialize, Deserialize)]
struct Impostor(u64);

impl Record for Impostor {
    const TABLE: &'static str = "notes";
    type Key = u64;
    fn key(&self) -> u64 {
        self.0
    }
}

#[test]
fn tables_are_not_confused() {
    let (_a, ours) = fresh();
    let (_b, theirs) = fresh();
    let notes = ours.table::<Note>().unwrap();
    assert!(matches!(ours.table::<Impostor>(), Err(StoreError::TableTaken { name: "notes" })));
    let foreign = theirs.commit_blocking(batch(|b| b.put(&notes, note("x", ""))));
    assert!(matches!(foreign, Err(StoreError::ForeignTable { table: "notes" })));
    let again = ours.table::<Note>().unwrap();
    ours.commit_blocking(batch(|b| b.put(&again, note("x", "")))).unwrap();
    assert_eq!(notes.len(), 1, "both handles are one table");
}

#[test]
fn ten_thousand_rows_are_listed_and_found() {
    let (folder, store) = fresh();
    let notes = store.table::<Note>().unwrap();
    let all = batch(|b| (0..10_000).fold(b, |b, i| b.put(&notes, note(format!("{i:05}"), "t"))));
    store.commit_blocking(all).unwrap();
    let store = reopen(&folder, store);
    let notes = store.table::<Note>().unwrap();
    let listed = notes.all();
    assert!(listed.len() == 10_000 && listed.is_sorted_by(|a, b| a.id < b.id));
    assert_eq!(notes.get(&"09999".into()).unwrap().id, "09999");
}

#[test]
fn a_person_can_read_the_file_while_it_is_open() {
    let (folder, store) = fresh();
    let notes = store.table::<Note>().unwrap();
    store
        .commit_blocking(batch(|b| {
            b.put(&notes, note("a", "hello")).event(EventKind::AssetRegistered, "a", json!({"k": 1}))
        }))
        .unwrap();
    let sql = "SELECT id, generation, body FROM notes; SELECT sequence, kind, subject, data FROM events;";
    let Ok(out) =
        Command::new("sqlite3").arg("-readonly").arg(folder.path().join("node.db")).arg(sql).output()
    else {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED a_person_can_read_the_file_while_it_is_open: sqlite3 is not installed"
        );
        return;
    };
    let text = String::from_utf8(out.stdout).unwrap();
    let want = "a|1|{\"id\":\"a\",\"text\":\"hello\",\"weight\":0.5}\n1|asset_registered|a|{\"k\":1}\n";
    assert_eq!(text, want, "{}", String::from_utf8_lossy(&out.stderr));
}

#[tokio::test]
async fn blocking_inside_a_runtime_waits_and_does_not_panic() {
    let (_folder, store) = fresh();
    let notes = store.table::<Note>().unwrap();
    for i in 0..300 {
        store.commit_blocking(batch(|b| b.put(&notes, note(i, "")))).unwrap();
    }
    assert_eq!(notes.len(), 300);
    let clone: Store = store.clone();
    drop(store);
    clone.commit(Batch::new()).await.unwrap();
}
