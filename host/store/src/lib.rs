//! Durable typed tables with generations and a journal of events, on SQLite.
//!
//! One writer thread owns the only connection. It takes every batch that waits, writes them in one transaction with
//! one fsync, then shows the changes to readers, then answers the callers. So whatever a reader can see is on disk,
//! and a thousand concurrent commits cost a few fsyncs. Readers never touch SQLite: each table is an immutable map
//! behind a lock that is held for as long as it takes to clone a pointer.
//!
//! ```text
//! commit(batch) ──bounded queue──▶ writer: check conditions, write, number events ──fsync──▶ publish ──▶ answer
//! ```
//!
//! SQLite because a person can open the file with `sqlite3` and because its crash behaviour is known. Left to others:
//! what the records mean, and large blobs (they belong in files). Fails by [`StoreError`]; a batch is applied as a whole
//! or not at all, and a store whose rows can't all be read refuses to open rather than forget some.
#![forbid(unsafe_code)]

mod batch;
mod blocking;
mod database;
mod error;
mod event_log;
pub mod failpoint;
mod record;
mod store;
mod table;
mod writer;

pub use batch::{ABSENT, Batch, MAX_BATCH_ENTRIES, MAX_BODY_BYTES};
pub use error::StoreError;
pub use event_log::{EVENT_CHANNEL_CAPACITY, EVENT_RETENTION, EventLog, Gone};
pub use record::{Record, Versioned};
pub use store::{Statistics, Store};
pub use table::Table;
pub use writer::Committed;
