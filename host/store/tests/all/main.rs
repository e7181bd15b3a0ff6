//! The store against real files: what is acknowledged stays, what fails leaves no trace, two can't share one.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "test code")]

mod basics;
mod crash;
mod disk;
mod groups;
mod journal;
mod model;

use hypermesh_store::{Batch, Record, Store, StoreError};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A small record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Note {
    id: String,
    text: String,
    weight: f64,
}

impl Record for Note {
    const TABLE: &'static str = "notes";
    type Key = String;
    fn key(&self) -> String {
        self.id.clone()
    }
}

fn note(id: impl ToString, text: &str) -> Note {
    Note { id: id.to_string(), text: text.to_owned(), weight: 0.5 }
}

/// A store in a folder of its own.
fn fresh() -> (TempDir, Store) {
    let folder = TempDir::new().unwrap();
    let store = Store::open(&folder.path().join("node.db")).unwrap();
    (folder, store)
}

/// A process that a test beside this one starts has a copy of the lock until it becomes its program; so not at once.
fn reopen(folder: &TempDir, store: Store) -> Store {
    drop(store);
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match Store::open(&folder.path().join("node.db")) {
            Err(StoreError::InUse { .. }) if Instant::now() < deadline => std::thread::yield_now(),
            opened => return opened.unwrap(),
        }
    }
}

fn batch(fill: impl FnOnce(&mut Batch) -> &mut Batch) -> Batch {
    let mut batch = Batch::new();
    fill(&mut batch);
    batch
}
