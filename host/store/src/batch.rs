//! A batch: changes to any tables and events, which the store applies as a whole or not at all.
//!
//! Records are turned into JSON here, on the caller's thread, and read back at once: a record that would not come back
//! (a NaN, nesting too deep to parse) would otherwise stop the next start of the node. What readers see later is the copy
//! that came back, so memory and disk can't differ. Nothing fails before [`crate::Store::commit`], which reports the
//! first refusal.

use crate::error::StoreError;
use crate::event_log::EVENTS_TABLE;
use crate::record::Record;
use crate::table::{Table, TableInfo};
use hypermesh_model::EventKind;
use serde_json::Value;
use std::fmt;
use std::sync::Arc;

/// Changes and events in one batch: enough for every row of a large table, so small that one transaction stays short.
pub const MAX_BATCH_ENTRIES: usize = 65_536;

/// Bytes of one record or event as JSON, its id included. Anything larger belongs in a file.
pub const MAX_BODY_BYTES: usize = 16 << 20;

/// The generation of what does not exist, for [`Batch::put_if`].
pub const ABSENT: u64 = 0;

pub(crate) struct Change {
    pub(crate) table: Arc<TableInfo>,
    pub(crate) id: String,
    /// The new JSON; `None` deletes.
    pub(crate) body: Option<String>,
    pub(crate) expected: Option<u64>,
    /// Shows the change to readers, given the generation; called under the gate.
    pub(crate) publish: Box<dyn FnOnce(u64) + Send>,
}

pub(crate) struct NewEvent {
    pub(crate) kind: EventKind,
    pub(crate) subject: String,
    pub(crate) data: Value,
    pub(crate) text: String,
}

/// Changes and events that belong together. An empty batch is fine.
#[derive(Default)]
pub struct Batch {
    pub(crate) changes: Vec<Change>,
    pub(crate) events: Vec<NewEvent>,
    refused: Option<StoreError>,
}

impl Batch {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Inserts the record or replaces the one under its key. Of several changes under one key the last one stays.
    pub fn put<R: Record>(&mut self, table: &Table<R>, record: R) -> &mut Self {
        self.push_put(table, &record, None)
    }

    /// As [`Self::put`], if the stored record is at `generation` when the batch's turn comes ([`ABSENT`]: if there is
    /// none). Otherwise the whole batch ends in [`StoreError::Conflict`]. The batch's own changes don't count.
    pub fn put_if<R: Record>(&mut self, table: &Table<R>, record: R, generation: u64) -> &mut Self {
        self.push_put(table, &record, Some(generation))
    }

    /// Removes the record under `key`, if there is one.
    pub fn delete<R: Record>(&mut self, table: &Table<R>, key: &R::Key) -> &mut Self {
        let (shared, owned) = (Arc::clone(&table.shared), key.clone());
        self.changes.push(Change {
            table: Arc::clone(&table.shared.info),
            id: key.to_string(),
            body: None,
            expected: None,
            publish: Box::new(move |_| shared.publish_delete(&owned)),
        });
        self
    }

    /// Adds an event. Its number and time are given when the batch's turn comes; events of one batch are consecutive.
    pub fn event(&mut self, kind: EventKind, subject: &str, data: Value) -> &mut Self {
        match body_of(EVENTS_TABLE, subject, &data) {
            Ok((text, data)) => self.events.push(NewEvent { kind, subject: subject.to_owned(), data, text }),
            Err(error) => self.refuse(error),
        }
        self
    }

    fn push_put<R: Record>(&mut self, table: &Table<R>, record: &R, expected: Option<u64>) -> &mut Self {
        let id = record.key().to_string();
        match body_of(R::TABLE, &id, record) {
            Ok((body, value)) => {
                let (shared, key) = (Arc::clone(&table.shared), value.key());
                self.changes.push(Change {
                    table: Arc::clone(&table.shared.info),
                    id,
                    body: Some(body),
                    expected,
                    publish: Box::new(move |generation| shared.publish_put(key, value, generation)),
                });
            }
            Err(error) => self.refuse(error),
        }
        self
    }

    fn refuse(&mut self, error: StoreError) {
        self.refused.get_or_insert(error);
    }

    pub(crate) fn entries(&self) -> usize {
        self.changes.len() + self.events.len()
    }

    /// Whether it may be queued at all.
    pub(crate) fn check(&mut self) -> Result<(), StoreError> {
        let entries = self.entries();
        match self.refused.take() {
            Some(error) => Err(error),
            None if entries > MAX_BATCH_ENTRIES => {
                Err(StoreError::BatchTooLarge { entries, limit: MAX_BATCH_ENTRIES })
            }
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("changes", &self.changes.len())
            .field("events", &self.events.len())
            .finish()
    }
}

/// The JSON of a value, and the value that this JSON will be read as.
fn body_of<T>(table: &'static str, id: &str, value: &T) -> Result<(String, T), StoreError>
where
    T: serde::Serialize + serde::de::DeserializeOwned,
{
    let unstorable = |source| StoreError::Unstorable { table, id: id.to_owned(), source: Arc::new(source) };
    let text = serde_json::to_string(value).map_err(unstorable)?;
    let bytes = text.len() + id.len();
    if bytes > MAX_BODY_BYTES {
        let id = id.chars().take(80).collect();
        return Err(StoreError::TooLarge { table, id, bytes, limit: MAX_BODY_BYTES });
    }
    let back = serde_json::from_str(&text).map_err(unstorable)?;
    Ok((text, back))
}
