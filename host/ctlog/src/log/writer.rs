//! The writer: the one thread that changes the log's files.
//!
//! ```text
//! first entry ─window─▶ take what waits ─▶ number and hash ─▶ write entries, leaves ─▶ fdatasync entries
//!     ─▶ sign head ─▶ write checkpoint ─▶ show to readers ─▶ answer callers, who sign their SCTs themselves
//! ```
//!
//! A write that the disk refuses is taken back and the batch's callers are told. After a failed sync nobody knows what is
//! on disk, and the kernel won't say again: the log then takes nothing more until it is opened anew, which reads what is
//! there. Reading goes on.

use super::index::MAX_ENTRIES;
use super::record::put_record;
use super::recover::Recovered;
use super::slots::Slots;
use super::tree::{Edge, Published, ROW, Shared, put_row};
use super::{Settings, unpoisoned};
use crate::entry::Encoded;
use crate::error::LogError;
use crate::merkle::Hash;
use crate::note::SignedTreeHead;
use crate::sign::Signer;
use hypermesh_model::Timestamp;
use std::error::Error;
use std::os::unix::fs::FileExt as _;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, RwLock};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Entries in one batch; with more, the first of them would wait too long.
const MAX_BATCH: usize = 4096;

/// Bytes after which a batch takes no further entry.
const MAX_BATCH_BYTES: usize = 16 * 1024 * 1024;

/// An idle log signs a new head this often: monitors take an old one for a log that has stopped.
const FRESH_HEAD: Duration = Duration::from_secs(60);

/// How often the checkpoint file is synced at most. A power cut may leave an older head than the last in it; entries are
/// not lost by that, and a `kill` loses nothing.
const CHECKPOINT_SYNC: Duration = Duration::from_secs(1);

/// An entry that waits.
pub(super) struct Job {
    pub(super) encoded: Encoded,
    pub(super) timestamp_ms: u64,
    /// Its index, once it is on disk.
    pub(super) reply: oneshot::Sender<Result<u64, LogError>>,
}

/// What a batch writes and what the tree is after it.
struct Batch {
    records: Vec<u8>,
    rows: Vec<u8>,
    leaves: Vec<(Hash, Option<Hash>)>,
    edge: Edge,
    newest_ms: u64,
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    signer: Arc<dyn Signer>,
    window: Duration,
    waiting: Receiver<Job>,
    slots: Slots,
    edge: Edge,
    /// Where the next record begins.
    end: u64,
    /// The latest timestamp of any entry or head.
    newest_ms: u64,
    checkpoint_synced: Instant,
    failed: Option<LogError>,
}

impl Writer {
    /// Signs a head over what was recovered, then starts the thread.
    pub(super) fn start(
        recovered: Recovered,
        settings: &Settings,
        waiting: Receiver<Job>,
    ) -> Result<(Arc<Shared>, JoinHandle<()>), LogError> {
        let Recovered { paths, key, lock, entries, leaves, issuers, kept, edge, tiles, end, newest_ms } =
            recovered;
        let newest_ms = newest_ms.max(now_ms());
        let size = edge.frontier.size();
        let head = SignedTreeHead::sign(&*settings.signer, size, newest_ms, edge.frontier.root());
        let head = head.map_err(LogError::sign)?;
        head.verify(&key).map_err(LogError::Signer)?;
        let origin = settings.origin.clone();
        let slots = match kept {
            None => Slots::create(&paths, &origin, key.id(), &head)?,
            Some(newer) => {
                // Over the older one, or the one that can't be read.
                let mut slots = Slots::open(&paths, newer ^ 1)?;
                slots.write(&head.to_note(&origin, key.id()))?;
                slots.write(&head.to_note(&origin, key.id()))?;
                slots.sync()?;
                slots
            }
        };
        let published = RwLock::new(Published { head, tiles });
        let counts = super::tree::Counts::default();
        counts.head();
        let shared =
            Arc::new(Shared { paths, origin, key, entries, leaves, issuers, published, counts, _lock: lock });
        let writer = Self {
            shared: Arc::clone(&shared),
            signer: Arc::clone(&settings.signer),
            window: settings.window,
            waiting,
            slots,
            edge,
            end,
            newest_ms,
            checkpoint_synced: Instant::now(),
            failed: None,
        };
        let thread = Builder::new().name("ctlog".into()).spawn(|| writer.run());
        let thread = thread.map_err(|error| LogError::io("start a thread for", &settings.folder, error))?;
        Ok((shared, thread))
    }

    fn run(mut self) {
        loop {
            match self.waiting.recv_timeout(FRESH_HEAD) {
                Ok(first) => {
                    let jobs = self.gather(first);
                    self.write(jobs);
                }
                Err(RecvTimeoutError::Timeout) => self.refresh(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.checkpoint_synced.elapsed() >= CHECKPOINT_SYNC {
                self.sync_checkpoint();
            }
        }
        self.sync_checkpoint();
    }

    /// What waits when the window is over, within the bounds of a batch.
    fn gather(&mut self, first: Job) -> Vec<Job> {
        // Not a wait for each entry: being woken costs more than writing it.
        std::thread::sleep(self.window);
        let mut bytes = first.encoded.bytes.len();
        let mut jobs = vec![first];
        while jobs.len() < MAX_BATCH && bytes < MAX_BATCH_BYTES {
            let Ok(job) = self.waiting.try_recv() else { break };
            bytes += job.encoded.bytes.len();
            jobs.push(job);
        }
        jobs
    }

    fn write(&mut self, mut jobs: Vec<Job>) {
        let first = self.edge.frontier.size();
        let written = self.commit(&mut jobs);
        if let Err(error) = &written {
            tracing::error!(error = error as &dyn Error, entries = jobs.len(), "entries were not logged");
        }
        for (index, job) in (first..).zip(jobs) {
            // A caller that went away needs no answer.
            let _ = job.reply.send(written.clone().map(|()| index));
        }
    }

    fn commit(&mut self, jobs: &mut [Job]) -> Result<(), LogError> {
        if let Some(failed) = &self.failed {
            return Err(LogError::Failed(Arc::new(failed.clone())));
        }
        let first = self.edge.frontier.size();
        if first + jobs.len() as u64 > MAX_ENTRIES {
            return Err(LogError::Exhausted { size: first });
        }
        let batch = self.batch(jobs);
        self.append(&batch, first)?;
        if let Err(error) = self.shared.entries.sync_data() {
            return Err(self.fail(LogError::io("sync", &self.shared.paths.entries, error)));
        }
        self.shared.counts.batch(jobs.len());
        self.end += batch.records.len() as u64;
        self.edge = batch.edge;
        self.newest_ms = batch.newest_ms;
        {
            // Not seen by anybody before the head is.
            let mut published = unpoisoned(self.shared.published.write());
            for (index, (leaf, full_tile)) in (first..).zip(batch.leaves) {
                published.tiles.enter(index, &leaf, full_tile);
            }
        }
        self.publish()
    }

    fn batch(&self, jobs: &mut [Job]) -> Batch {
        let mut batch = Batch {
            records: Vec::new(),
            rows: Vec::with_capacity(jobs.len() * ROW),
            leaves: Vec::with_capacity(jobs.len()),
            edge: self.edge.clone(),
            newest_ms: self.newest_ms,
        };
        for job in jobs {
            job.encoded.set_index(batch.edge.frontier.size());
            let leaf = job.encoded.leaf_hash();
            put_row(&mut batch.rows, &leaf, self.end + batch.records.len() as u64);
            put_record(&mut batch.records, &job.encoded.bytes);
            let full_tile = batch.edge.push(leaf);
            batch.leaves.push((leaf, full_tile));
            batch.newest_ms = batch.newest_ms.max(job.timestamp_ms);
        }
        batch
    }

    /// Writes both files, or takes back what was written of them.
    fn append(&mut self, batch: &Batch, first: u64) -> Result<(), LogError> {
        let Shared { entries, leaves, paths, .. } = &*self.shared;
        let written = entries
            .write_all_at(&batch.records, self.end)
            .map_err(|error| LogError::io("write", &paths.entries, error))
            .and_then(|()| {
                let rows = leaves.write_all_at(&batch.rows, first * ROW as u64);
                rows.map_err(|error| LogError::io("write", &paths.leaves, error))
            });
        let Err(error) = written else { return Ok(()) };
        // Rows beyond the tree are no harm: the next batch overwrites them, and opening drops them.
        match entries.set_len(self.end) {
            Ok(()) => Err(error),
            Err(undo) => {
                tracing::error!(error = &undo as &dyn Error, "a failed write could not be taken back");
                Err(self.fail(error))
            }
        }
    }

    /// Signs a head over all that is on disk, keeps it, shows it.
    fn publish(&mut self) -> Result<(), LogError> {
        let frontier = &self.edge.frontier;
        // Never before an entry's timestamp or an earlier head's, whatever the clock does.
        self.newest_ms = self.newest_ms.max(now_ms());
        let head = SignedTreeHead::sign(&*self.signer, frontier.size(), self.newest_ms, frontier.root());
        let head = head.map_err(LogError::sign)?;
        let note = head.to_note(&self.shared.origin, self.shared.key.id());
        if let Err(error) = self.slots.write(&note) {
            return Err(self.fail(error));
        }
        self.shared.counts.head();
        unpoisoned(self.shared.published.write()).head = head;
        Ok(())
    }

    fn refresh(&mut self) {
        if self.failed.is_none()
            && let Err(error) = self.publish()
        {
            tracing::error!(error = &error as &dyn Error, "the log's head could not be signed afresh");
        }
    }

    fn sync_checkpoint(&mut self) {
        self.checkpoint_synced = Instant::now();
        if let Err(error) = self.slots.sync() {
            tracing::error!(error = &error as &dyn Error, "the log's checkpoint could not be synced");
        }
    }

    /// Takes no more entries from here on.
    fn fail(&mut self, error: LogError) -> LogError {
        self.failed = Some(error.clone());
        error
    }
}

fn now_ms() -> u64 {
    u64::try_from(Timestamp::now().as_millis()).unwrap_or(0)
}
