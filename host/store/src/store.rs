//! The store's handle: opens the file, starts the writer, hands out tables, queues batches.
//!
//! Fails at opening when the file is in use, damaged, of a newer schema, or not writable; later only as the disk does.

use crate::batch::Batch;
use crate::blocking;
use crate::database::Database;
use crate::error::StoreError;
use crate::event_log::EventLog;
use crate::record::Record;
use crate::table::{Gate, Table, TableInfo};
use crate::writer::{Committed, Counts, Durability, Job, Request, Writer};
use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};

/// Batches that may wait for the writer; beyond it callers wait to queue.
const QUEUE: usize = 1024;

/// How the commits were grouped since the store was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statistics {
    /// Transactions, and so fsyncs of the write-ahead log, that changed something.
    pub transactions: u64,
    /// Batches that they held.
    pub batches: u64,
}

/// A store. Cheap to clone; the file is closed and unlocked when the last clone is dropped, which waits for the writer
/// to finish what is queued.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    gate: Gate,
    events: EventLog,
    counts: Arc<Counts>,
    tables: Mutex<HashMap<&'static str, Box<dyn Any + Send>>>,
    /// `None` only while dropping.
    requests: Option<mpsc::Sender<Request>>,
    writer: Option<JoinHandle<()>>,
    /// Dropped after the writer has ended (fields go after `Drop::drop`).
    _lock: File,
}

impl Store {
    /// Opens the store at `path`, making the file (mode 0600) and `<path>.lock` if need be. The folder must exist.
    ///
    /// # Errors
    /// [`StoreError::InUse`], [`StoreError::NewerSchema`], [`StoreError::Corrupt`], an unreadable journal, or what the
    /// disk refused.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let Database { connection, generation, events, lock } = Database::open(path)?;
        let gate = Gate::default();
        let events = EventLog::new(events);
        let counts = Arc::new(Counts::default());
        let (requests, receiver) = mpsc::channel(QUEUE);
        let writer = Writer::new(
            connection,
            generation,
            receiver,
            Arc::clone(&gate),
            events.clone(),
            Arc::clone(&counts),
        );
        let writer = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(|e| StoreError::io("start the writer of", path, e))?;
        let inner = Inner {
            path: path.to_path_buf(),
            gate,
            events,
            counts,
            tables: Mutex::default(),
            requests: Some(requests),
            writer: Some(writer),
            _lock: lock,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The table of a record type, made and read at the first call. Blocks for a read of the whole table then, so call
    /// it at start-up.
    ///
    /// # Errors
    /// A row that does not parse, a bad or taken table name, or what the disk refused.
    pub fn table<R: Record>(&self) -> Result<Table<R>, StoreError> {
        let mut tables = self.inner.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = tables.get(R::TABLE) {
            return known
                .downcast_ref::<Table<R>>()
                .cloned()
                .ok_or(StoreError::TableTaken { name: R::TABLE });
        }
        let info = Arc::new(TableInfo::new(R::TABLE, Arc::clone(&self.inner.gate))?);
        let (reply, answer) = oneshot::channel();
        let rows = blocking::wait(async {
            self.send(Request::Load(Arc::clone(&info), reply)).await?;
            answer.await.map_err(|_| StoreError::Stopped)?
        })?;
        let table = Table::from_rows(info, rows)?;
        tables.insert(R::TABLE, Box::new(table.clone()));
        Ok(table)
    }

    /// The journal.
    pub fn events(&self) -> &EventLog {
        &self.inner.events
    }

    /// Applies a batch. When this returns `Ok`, the batch is on disk and visible. A caller that stops waiting can't know
    /// whether it was applied: once queued it will be.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when a [`Batch::put_if`] does not hold; [`StoreError::Unstorable`],
    /// [`StoreError::TooLarge`], [`StoreError::BatchTooLarge`] or [`StoreError::ForeignTable`] for what was put in; what
    /// the disk refused. In each case nothing of the batch is visible.
    pub async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        self.commit_as(batch, Durability::Disk).await
    }

    /// As [`Self::commit`], but when this returns `Ok` the batch is safe from a crash of this process only, not from one
    /// of the machine: for intentions about what a crash of the machine undoes as well. It is on disk at the latest with
    /// the next [`Self::commit`].
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub async fn commit_relaxed(&self, batch: Batch) -> Result<Committed, StoreError> {
        self.commit_as(batch, Durability::Process).await
    }

    async fn commit_as(&self, mut batch: Batch, durability: Durability) -> Result<Committed, StoreError> {
        batch.check()?;
        if let Some(foreign) = batch.changes.iter().find(|c| !Arc::ptr_eq(&c.table.gate, &self.inner.gate)) {
            return Err(StoreError::ForeignTable { table: foreign.table.name });
        }
        let (reply, answer) = oneshot::channel();
        self.send(Request::Commit(Job { batch, durability, reply })).await?;
        answer.await.map_err(|_| StoreError::Stopped)?
    }

    /// As [`Self::commit`], for start-up and for threads: blocks the calling thread.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub fn commit_blocking(&self, batch: Batch) -> Result<Committed, StoreError> {
        blocking::wait(self.commit(batch))
    }

    /// The folder that the file is in.
    pub fn folder(&self) -> &Path {
        self.inner.path.parent().unwrap_or(Path::new("."))
    }

    /// How the commits were grouped so far.
    pub fn statistics(&self) -> Statistics {
        Statistics {
            transactions: self.inner.counts.transactions.load(Ordering::Relaxed),
            batches: self.inner.counts.batches.load(Ordering::Relaxed),
        }
    }

    async fn send(&self, request: Request) -> Result<(), StoreError> {
        let requests = self.inner.requests.as_ref().ok_or(StoreError::Stopped)?;
        requests.send(request).await.map_err(|_| StoreError::Stopped)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("path", &self.inner.path)
            .field("statistics", &self.statistics())
            .finish()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The writer ends once the queue is closed and empty.
        self.requests = None;
        if self.writer.take().is_some_and(|writer| writer.join().is_err()) {
            tracing::error!(path = %self.path.display(), "the store's writer had panicked");
        }
    }
}
