//! The index of issued certificates: what lists, look-ups by serial number and filters read.
//!
//! It is derived: everything in it is in the log and in the archive, and [`crate::TrustChain::rebuild`] makes it again
//! from them. So it may be written behind (`writer`): a certificate is found from the moment it is given out, in memory,
//! and in SQLite some milliseconds later, together with many others. What a crash leaves out is caught up at the next
//! start (`catch_up`).
//!
//! The rows have their place in the log as key, which grows; a map from serial numbers to it is kept beside them.

mod catch_up;
mod progress;
mod writer;

pub(crate) use catch_up::CatchUp;
pub(crate) use writer::{Reached, Writer};

use crate::error::TrustError;
use crate::records::{LogIndex, Logged};
use hypermesh_model::{CertificateId, CertificateRecord};
use hypermesh_store::Table;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::sync::mpsc;

/// Certificates that may wait to be written; beyond it issuing waits, so that memory stays bounded when the disk is slow.
pub(crate) const QUEUE: usize = 16_384;

#[derive(Debug, Default)]
struct Memory {
    by_id: HashMap<CertificateId, u64>,
    /// Given out and not yet in the table.
    waiting: HashMap<u64, Arc<CertificateRecord>>,
    /// One more than the highest place that is known.
    end: u64,
}

/// A certificate on its way to the table.
#[derive(Debug, Clone)]
pub(crate) struct Added {
    pub(crate) record: Arc<CertificateRecord>,
    /// Where its frame in the archive ends.
    pub(crate) archive_end: u64,
}

/// The index. One a node.
#[derive(Debug)]
pub(crate) struct Index {
    table: Table<Logged>,
    memory: RwLock<Memory>,
    queue: mpsc::Sender<Added>,
}

impl Index {
    /// From the rows that SQLite has. The receiver is the writer's.
    pub(crate) fn new(table: Table<Logged>) -> (Self, mpsc::Receiver<Added>) {
        let mut memory = Memory::default();
        // `filter` lends each row and clones what is accepted: none.
        table.filter(|row| {
            memory.note(&row.0);
            false
        });
        let (queue, waiting) = mpsc::channel(QUEUE);
        (Self { table, memory: RwLock::new(memory), queue }, waiting)
    }

    fn read(&self) -> RwLockReadGuard<'_, Memory> {
        self.memory.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Memory> {
        self.memory.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Room for one certificate: taken before the log hears of it, so that nothing is promised that can't be written. Waits
    /// while too many wait.
    pub(crate) async fn reserve(&self) -> Result<mpsc::Permit<'_, Added>, TrustError> {
        let stopped = |_| TrustError::Busy { detail: "the node is stopping".to_owned() };
        self.queue.reserve().await.map_err(stopped)
    }

    /// Takes a certificate in: it is found from now on, and written behind.
    pub(crate) fn add(
        &self,
        place: mpsc::Permit<'_, Added>,
        record: CertificateRecord,
        archive_end: u64,
    ) -> Arc<CertificateRecord> {
        let record = Arc::new(record);
        {
            let mut memory = self.write();
            memory.note(&record);
            if let Some(index) = record.log_index {
                memory.waiting.insert(index, Arc::clone(&record));
            }
        }
        place.send(Added { record: Arc::clone(&record), archive_end });
        record
    }

    /// Rows that were written by somebody else.
    pub(crate) fn note(&self, records: &[CertificateRecord]) {
        let mut memory = self.write();
        for record in records {
            memory.note(record);
        }
    }

    /// What SQLite shows need not wait in memory.
    fn written(&self, written: &[Added]) {
        let mut memory = self.write();
        for index in written.iter().filter_map(|added| added.record.log_index) {
            memory.waiting.remove(&index);
        }
    }

    /// The certificate of a serial number.
    pub(crate) fn get(&self, id: &CertificateId) -> Option<CertificateRecord> {
        let index = *self.read().by_id.get(id)?;
        self.at(index)
    }

    /// The certificate at a place in the log.
    pub(crate) fn at(&self, index: u64) -> Option<CertificateRecord> {
        let waiting = self.read().waiting.get(&index).map(|record| CertificateRecord::clone(record));
        waiting.or_else(|| self.table.get(&LogIndex(index)).map(|row| row.0))
    }

    /// The place in the log of a serial number.
    pub(crate) fn place(&self, id: &CertificateId) -> Option<u64> {
        self.read().by_id.get(id).copied()
    }

    /// The certificates from place `from` on that are wanted, at most `limit`, in the order of the log; and whether there
    /// are more.
    pub(crate) fn page(
        &self,
        from: u64,
        limit: usize,
        wanted: impl Fn(&CertificateRecord) -> bool,
    ) -> (Vec<CertificateRecord>, bool) {
        let mut found = Vec::new();
        for index in from..self.read().end {
            let Some(record) = self.at(index).filter(&wanted) else { continue };
            if found.len() == limit {
                return (found, true);
            }
            found.push(record);
        }
        (found, false)
    }

    /// Every certificate.
    pub(crate) fn each(&self, mut visit: impl FnMut(&CertificateRecord)) {
        // `filter` lends each row and clones what is accepted: none. What waits may be in the table by now, and is seen twice.
        let waiting: Vec<Arc<CertificateRecord>> = self.read().waiting.values().cloned().collect();
        waiting.iter().for_each(|record| visit(record));
        self.table.filter(|row| {
            visit(&row.0);
            false
        });
    }

    /// One more than the highest place that there is.
    pub(crate) fn end(&self) -> u64 {
        self.read().end
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.read().by_id.len()
    }
}

impl Memory {
    fn note(&mut self, record: &CertificateRecord) {
        if let Some(index) = record.log_index {
            self.by_id.insert(record.id.clone(), index);
            self.end = self.end.max(index + 1);
        }
    }
}
