//! Writing the index behind: what was issued goes to SQLite in batches, with how far it is complete.
//!
//! Order: the archive is synced, then rows and mark are committed in one transaction. So a mark never speaks of a
//! certificate that a power cut can take out of the archive. The commit is a relaxed one (it survives this process, and a
//! power cut at the latest with the next synced commit): what it loses is caught up.

use super::progress::Progress;
use super::{Added, Index};
use crate::archive::Archive;
use crate::error::TrustError;
use crate::records::{IndexMark, Logged};
use hypermesh_model::{CertificateRecord, EventKind, error_chain};
use hypermesh_store::{Batch, Store, Table};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};

/// Certificates in one transaction.
const MAX_BATCH: usize = 1024;
/// How long a batch gathers: a transaction costs a sync of the archive, whatever it holds.
const GATHER: Duration = Duration::from_millis(50);
/// How long to wait before a batch that the disk refused is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Up to where log and archive are in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reached {
    pub(crate) log: Progress,
    pub(crate) archive: Progress,
}

impl Reached {
    /// As the last commit left it.
    pub(crate) fn from(marks: &Table<IndexMark>) -> Self {
        let mark = marks.get(&IndexMark::KEY.to_owned());
        let (log, archive) = mark.map_or((0, 0), |mark| (mark.log_next, mark.archive_next));
        Self::at(log, archive)
    }

    /// Everything before these is in the table.
    pub(crate) fn at(log: u64, archive: u64) -> Self {
        Self { log: Progress::from(log), archive: Progress::from(archive) }
    }

    /// A certificate is in the table.
    pub(crate) fn done(&mut self, added: &Added) {
        if let Some(index) = added.record.log_index {
            self.log.done(index, index + 1);
        }
        if let Some(offset) = added.record.archive_offset {
            self.archive.done(offset, added.archive_end);
        }
    }

    /// The row that says so.
    pub(crate) fn mark(&self) -> IndexMark {
        IndexMark {
            id: IndexMark::KEY.to_owned(),
            log_next: self.log.next(),
            archive_next: self.archive.next(),
        }
    }
}

/// What the writer needs.
pub(crate) struct Writer {
    pub(crate) index: Arc<Index>,
    pub(crate) archive: Arc<Archive>,
    pub(crate) store: Store,
    pub(crate) table: Table<Logged>,
    pub(crate) marks: Table<IndexMark>,
    pub(crate) reached: Reached,
}

impl Writer {
    /// Writes until it is stopped and nothing waits.
    pub(crate) async fn run(mut self, mut queue: mpsc::Receiver<Added>, stop: Arc<Notify>) {
        let mut waiting = Vec::with_capacity(MAX_BATCH);
        loop {
            tokio::select! {
                biased;
                count = queue.recv_many(&mut waiting, MAX_BATCH) => if count == 0 { return },
                () = stop.notified() => { queue.close(); continue }
            }
            if waiting.len() < MAX_BATCH && !queue.is_closed() {
                tokio::time::sleep(GATHER).await;
                while waiting.len() < MAX_BATCH
                    && let Ok(added) = queue.try_recv()
                {
                    waiting.push(added);
                }
            }
            while let Err(error) = self.write(&waiting).await {
                tracing::error!(error = error_chain(&error), "the index of certificates was not written");
                tokio::time::sleep(RETRY).await;
            }
            waiting.clear();
        }
    }

    async fn write(&mut self, waiting: &[Added]) -> Result<(), TrustError> {
        let archive = Arc::clone(&self.archive);
        tokio::task::spawn_blocking(move || archive.sync())
            .await
            .map_err(TrustError::internal("waiting for a thread"))?
            .map_err(TrustError::internal("syncing the archive"))?;
        let mut reached = self.reached.clone();
        let mut batch = Batch::new();
        for added in waiting {
            batch.put(&self.table, Logged(CertificateRecord::clone(&added.record)));
            reached.done(added);
        }
        batch.put(&self.marks, reached.mark());
        let first = waiting.first().map_or("", |added| added.record.id.as_str());
        batch.event(EventKind::CertificatesIssued, first, json!({ "count": waiting.len() }));
        self.store.commit_relaxed(batch).await.map_err(TrustError::internal("writing the index"))?;
        self.reached = reached;
        self.index.written(waiting);
        Ok(())
    }
}
