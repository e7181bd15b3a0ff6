//! What can go wrong with the store, as one type that can be cloned: one failed transaction answers many callers.
//!
//! Callers act on [`StoreError::Conflict`] (try again on the new state), [`StoreError::InUse`] and
//! [`StoreError::NewerSchema`] (tell the operator) and [`StoreError::Full`]; the others are reported.

use rusqlite::ErrorCode;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// Why the store refused or failed.
#[derive(Debug, Clone, Error)]
#[expect(missing_docs, reason = "each variant's message names its fields")]
pub enum StoreError {
    /// Another process, or another `Store` of this one, has it open.
    #[error("the store {} is in use by {}", path.display(), holder(*pid))]
    InUse { path: PathBuf, pid: Option<u32> },
    /// The file system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: Arc<std::io::Error>,
    },
    /// No space is left. Nothing of the batch was applied; it may be tried again.
    #[error("the disk is full: cannot {action}")]
    Full {
        action: &'static str,
        #[source]
        source: Arc<rusqlite::Error>,
    },
    /// SQLite refused, or the disk below it. Nothing of the batch is visible; whether a commit whose fsync failed is on
    /// disk is known only at the next open.
    #[error("cannot {action}")]
    Database {
        action: &'static str,
        #[source]
        source: Arc<rusqlite::Error>,
    },
    /// The file is no SQLite database or is damaged.
    #[error("the store {} is damaged: {detail}", path.display())]
    Corrupt { path: PathBuf, detail: String },
    /// A newer version of this program wrote the file.
    #[error("the store has schema version {found}, this program knows versions up to {supported}")]
    NewerSchema { found: i64, supported: i64 },
    /// A row that does not parse as its table's record.
    #[error("row `{id}` of table `{table}` is not readable")]
    UnreadableRow {
        table: &'static str,
        id: String,
        #[source]
        source: Arc<serde_json::Error>,
    },
    /// A row that parses but contradicts its own columns or its neighbours.
    #[error("row `{id}` of table `{table}` is inconsistent: {detail}")]
    InconsistentRow { table: &'static str, id: String, detail: String },
    /// A `Record::TABLE` that is not a lower-case word, or one that the store uses itself.
    #[error(
        "`{name}` cannot be a table's name: use 1 to 48 of a-z, 0-9, '_', starting with a letter, none of ours"
    )]
    BadTableName { name: &'static str },
    /// Two record types claim one table.
    #[error("table `{name}` is already open with another record type")]
    TableTaken { name: &'static str },
    /// A table of another store in a batch for this one.
    #[error("table `{table}` belongs to another store")]
    ForeignTable { table: &'static str },
    /// A record that would not come back from its JSON, e.g. because a number is NaN.
    #[error("`{id}` for `{table}` cannot be stored: it does not survive the way through JSON")]
    Unstorable {
        table: &'static str,
        id: String,
        #[source]
        source: Arc<serde_json::Error>,
    },
    /// A record or an event that is too large.
    #[error("`{id}` for `{table}` has {bytes} bytes, the limit is {limit}")]
    TooLarge { table: &'static str, id: String, bytes: usize, limit: usize },
    /// A batch with too many entries.
    #[error("the batch has {entries} changes and events, the limit is {limit}")]
    BatchTooLarge { entries: usize, limit: usize },
    /// The record is not at the generation that the caller saw; 0 stands for "absent".
    #[error("`{id}` of `{table}` is at generation {actual}, not {expected}")]
    Conflict { table: &'static str, id: String, expected: u64, actual: u64 },
    /// The writer thread has ended.
    #[error("the store's writer has stopped")]
    Stopped,
}

impl StoreError {
    /// From what SQLite said while doing `action`.
    pub(crate) fn database(action: &'static str, source: rusqlite::Error) -> Self {
        let full = source.sqlite_error_code() == Some(ErrorCode::DiskFull);
        let source = Arc::new(source);
        if full { Self::Full { action, source } } else { Self::Database { action, source } }
    }

    pub(crate) fn io(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io { action, path: path.to_path_buf(), source: Arc::new(source) }
    }

    pub(crate) fn unreadable(table: &'static str, id: impl Into<String>, source: serde_json::Error) -> Self {
        Self::UnreadableRow { table, id: id.into(), source: Arc::new(source) }
    }

    pub(crate) fn inconsistent(
        table: &'static str,
        id: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        Self::InconsistentRow { table, id: id.into(), detail: detail.into() }
    }
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}
