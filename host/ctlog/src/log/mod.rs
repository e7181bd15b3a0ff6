//! The log as its files: appending with group commit, reading, and what is found again after a crash.
//!
//! | file | what | synced |
//! |---|---|---|
//! | `entries` | a header, then each entry with its length and digest before it; the truth | before anybody is answered |
//! | `checkpoint` | the last two signed heads, written in turns | each second, and at the end |
//! | `leaves` | leaf hash and place of each entry: level-0 tiles, made of `entries` | never |
//! | `issuers/` | the certificates that entries name by fingerprint | before an entry can name them |
//! | `lock` | held while a process writes | — |
//!
//! Tiles above level 0 are a 255th of the leaves' and live in memory. One thread writes; readers read the files that only
//! grow, up to the last signed head.

mod files;
mod index;
mod issuers;
mod read;
mod record;
mod recover;
mod slots;
mod tree;
mod writer;

pub(crate) use files::Paths;
pub(crate) use issuers::load_issuers;
pub(crate) use record::{Damage, MANY, RECORDS_BEGIN, RecordReader, Step, header};
pub(crate) use slots::{Kept, heads_on_disk};
pub(crate) use tree::{ROW, row_of};

use crate::entry::Entry;
use crate::error::LogError;
use crate::merkle::Hash;
use crate::note::{SignedTreeHead, check_origin};
use crate::sct::Sct;
use crate::sign::{LogKey, Signer};
use std::fmt;
use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;
use tree::Shared;
use writer::{Job, Writer};

/// Most entries in one answer of [`Log::entries`].
pub const MAX_ENTRIES_ANSWER: u64 = 256;

/// How a log is opened.
#[derive(Clone)]
pub struct Settings {
    /// Where its files are; made if need be, for the owner alone.
    pub folder: PathBuf,
    /// Its name in checkpoints: the URL prefix that entries are submitted to, without scheme and trailing slash.
    pub origin: String,
    /// Its key.
    pub signer: Arc<dyn Signer>,
    /// How long the first entry of a batch waits for others to share its sync: 2 to 5 ms, or 0 for no wait.
    pub window: Duration,
    /// Entries that may wait to be written; with more, appending is refused. At least 1.
    pub queue: usize,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("folder", &self.folder)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// What an append gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The entry's place in the log, from 0.
    pub index: u64,
    /// The entry's and the SCT's timestamp, in milliseconds since 1970.
    pub timestamp_ms: u64,
    /// The signed certificate timestamp: what stands in a `SignedCertificateTimestampList`, without the two bytes of
    /// length before it. [`Sct::from_bytes`] reads it.
    pub sct: Vec<u8>,
}

/// Counts since the log was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Entries that were appended and synced.
    pub appended: u64,
    /// Syncs that they took.
    pub batches: u64,
    /// Entries that were refused because too many waited.
    pub refused: u64,
    /// Tree heads that were signed.
    pub heads: u64,
}

/// A handle of an open log; clones are of the same. The last one to go waits until what was accepted is written.
#[derive(Clone)]
pub struct Log {
    inner: Arc<Inner>,
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("paths", &self.inner.shared.paths).finish_non_exhaustive()
    }
}

struct Inner {
    shared: Arc<Shared>,
    signer: Arc<dyn Signer>,
    requests: Option<SyncSender<Job>>,
    writer: Option<JoinHandle<()>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The writer ends when nobody can ask it for more; its files are closed when this returns.
        self.requests = None;
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the log's writer ended by a panic");
        }
    }
}

impl Log {
    /// Opens the log, or makes an empty one where there is none; cuts what a crash left half written, and signs a head.
    /// Blocks: it reads a hash for each entry, and every entry where `leaves` is missing or wrong.
    ///
    /// # Errors
    /// [`LogError`]; a log with fewer or other entries than it has signed for is refused.
    pub fn open(settings: Settings) -> Result<Self, LogError> {
        check_origin(&settings.origin).map_err(LogError::Origin)?;
        let key = LogKey::from_spki_der(settings.signer.spki_der()).map_err(LogError::Signer)?;
        let recovered = recover::recover(&settings, &key)?;
        let (requests, waiting) = sync_channel(settings.queue.max(1));
        let (shared, writer) = Writer::start(recovered, &settings, waiting)?;
        Ok(Self {
            inner: Arc::new(Inner {
                shared,
                signer: settings.signer,
                requests: Some(requests),
                writer: Some(writer),
            }),
        })
    }

    /// Logs an entry. Resolves when it is on disk and in the signed head; the SCT is signed after that. Should the future
    /// be dropped before, the entry may be logged or not.
    ///
    /// # Errors
    /// [`LogError::Busy`] when too many wait, [`LogError::Entry`] and [`LogError::UnknownIssuer`] for what can't be
    /// logged; else why it could not be written or signed.
    pub async fn append(&self, entry: Entry) -> Result<Appended, LogError> {
        let shared = &self.inner.shared;
        entry.check().map_err(LogError::Entry)?;
        shared.issuers.know_all(&entry.chain)?;
        let (reply, answer) = oneshot::channel();
        let job = Job { encoded: entry.encode(0), timestamp_ms: entry.timestamp_ms, reply };
        let requests = self.inner.requests.as_ref().ok_or(LogError::Stopped)?;
        requests.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => {
                shared.counts.refuse();
                LogError::Busy
            }
            TrySendError::Disconnected(_) => LogError::Stopped,
        })?;
        let index = answer.await.map_err(|_| LogError::Stopped)??;
        let signed_entry = (&entry.issuer_key_hash, &entry.tbs[..]);
        let (signer, log_id) = (&*self.inner.signer, *shared.key.id());
        let sct =
            Sct::sign(signer, log_id, entry.timestamp_ms, index, signed_entry).map_err(LogError::sign)?;
        Ok(Appended { index, timestamp_ms: entry.timestamp_ms, sct: sct.to_bytes() })
    }

    /// Signs the timestamp of an entry that is in the log, again: for a certificate that was promised and, after a crash,
    /// is finished later. As it stands in a `SignedCertificateTimestampList`.
    ///
    /// # Errors
    /// [`LogError::OutOfRange`] for an entry that is not in the signed head; else why it can't be read or signed.
    pub fn sct(&self, index: u64) -> Result<Vec<u8>, LogError> {
        let entry = self.entry(index)?;
        let (signer, log_id) = (&*self.inner.signer, *self.inner.shared.key.id());
        let signed_entry = (&entry.issuer_key_hash, &entry.tbs[..]);
        let sct =
            Sct::sign(signer, log_id, entry.timestamp_ms, index, signed_entry).map_err(LogError::sign)?;
        Ok(sct.to_bytes())
    }

    /// Keeps an issuer's certificate (DER), so that entries can name it; gives its fingerprint. Synced when it returns.
    /// Whether it is one, and trusted, is the caller's to know.
    ///
    /// # Errors
    /// [`LogError::IssuerSize`], or what the file system says.
    pub fn add_issuer(&self, certificate: &[u8]) -> Result<Hash, LogError> {
        self.inner.shared.issuers.add(certificate)
    }

    /// An issuer's certificate by the SHA-256 of its DER.
    pub fn issuer(&self, fingerprint: &Hash) -> Option<Arc<[u8]>> {
        self.inner.shared.issuers.get(fingerprint)
    }

    /// The last head that was signed. Signed afresh with every batch, and each minute.
    pub fn head(&self) -> SignedTreeHead {
        self.inner.shared.head()
    }

    /// The last head as a checkpoint, a signed note.
    pub fn checkpoint(&self) -> String {
        self.head().to_note(&self.inner.shared.origin, self.inner.shared.key.id())
    }

    /// The log's public key.
    pub fn key(&self) -> &LogKey {
        &self.inner.shared.key
    }

    /// The log's name in checkpoints.
    pub fn origin(&self) -> &str {
        &self.inner.shared.origin
    }

    /// Counts since it was opened.
    pub fn statistics(&self) -> Statistics {
        self.inner.shared.counts.read()
    }
}

/// A lock's content, also after a panic in somebody else's hands: nothing here is left half changed by one.
fn unpoisoned<T>(locked: Result<T, PoisonError<T>>) -> T {
    locked.unwrap_or_else(PoisonError::into_inner)
}
