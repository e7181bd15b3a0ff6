//! Any history of batches leaves the store as it leaves a map, also after reopening.

use crate::{Note, note};
use hypermesh_model::EventKind;
use hypermesh_store::{ABSENT, Batch, Store, StoreError};
use proptest::prelude::*;
use serde_json::Value;
use std::collections::BTreeMap;
use tempfile::TempDir;

#[derive(Debug, Clone)]
enum Op {
    Put(u8, String),
    /// The flag: with the right generation, or one that is off.
    PutIf(u8, String, bool),
    Delete(u8),
    Event,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0u8..8, "\\PC{0,6}").prop_map(|(k, t)| Op::Put(k, t)),
        2 => (0u8..8, "\\PC{0,6}", prop::bool::weighted(0.8)).prop_map(|(k, t, right)| Op::PutIf(k, t, right)),
        2 => (0u8..8).prop_map(Op::Delete),
        2 => Just(Op::Event),
    ]
}

/// Batches; `None` reopens.
fn history() -> impl Strategy<Value = Vec<Option<Vec<Op>>>> {
    prop::collection::vec(prop::option::weighted(0.85, prop::collection::vec(op(), 0..6)), 1..20)
}

/// Key to text and generation, and the number of events.
#[derive(Debug, Default, Clone, PartialEq)]
struct Model {
    rows: BTreeMap<String, (String, u64)>,
    events: u64,
}

/// The store's batch, what the model becomes if it is applied (generations of its puts still 0), and whether it will be.
fn prepare(ops: Vec<Op>, model: &Model, notes: &hypermesh_store::Table<Note>) -> (Batch, Model, bool) {
    let (mut batch, mut after, mut holds) = (Batch::new(), model.clone(), true);
    for op in ops {
        match op {
            Op::Put(key, text) => {
                batch.put(notes, note(key, &text));
                after.rows.insert(key.to_string(), (text, 0));
            }
            Op::PutIf(key, text, right) => {
                let now = model.rows.get(&key.to_string()).map_or(ABSENT, |row| row.1);
                batch.put_if(notes, note(key, &text), if right { now } else { now + 1 });
                holds &= right;
                after.rows.insert(key.to_string(), (text, 0));
            }
            Op::Delete(key) => {
                batch.delete(notes, &key.to_string());
                after.rows.remove(&key.to_string());
            }
            Op::Event => {
                batch.event(EventKind::AssetUpdated, "s", Value::Null);
                after.events += 1;
            }
        }
    }
    (batch, after, holds)
}

fn observed(store: &Store, notes: &hypermesh_store::Table<Note>) -> Model {
    let rows = notes.all().into_iter().map(|n| {
        let generation = notes.get_versioned(&n.id).unwrap().generation;
        (n.id, (n.text, generation))
    });
    let events = store.events().since(0, usize::MAX).unwrap();
    assert!(events.iter().map(|e| e.sequence).eq(1..=events.len() as u64));
    Model { rows: rows.collect(), events: events.len() as u64 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]
    #[test]
    fn the_store_equals_a_map(history in history()) {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("node.db");
        let mut store = Store::open(&path).unwrap();
        let mut notes = store.table::<Note>().unwrap();
        let mut model = Model::default();
        for step in history.into_iter().chain([None]) {
            match step {
                Some(ops) => {
                    let (batch, mut after, holds) = prepare(ops, &model, &notes);
                    match store.commit_blocking(batch) {
                        Ok(committed) => {
                            prop_assert!(holds);
                            after.rows.values_mut().filter(|r| r.1 == 0).for_each(|r| r.1 = committed.generation);
                            model = after;
                        }
                        Err(StoreError::Conflict { .. }) => prop_assert!(!holds),
                        Err(error) => return Err(TestCaseError::fail(error.to_string())),
                    }
                }
                None => {
                    drop(store);
                    store = Store::open(&path).unwrap();
                    notes = store.table::<Note>().unwrap();
                }
            }
            prop_assert_eq!(observed(&store, &notes), model.clone());
        }
    }
}
