//! What can go wrong with the log, as one type that can be cloned: one failed sync answers many callers.
//!
//! Callers act on [`LogError::Busy`] (later), [`LogError::Full`] (tell the operator, then again) and
//! [`LogError::OutOfRange`] (the asker's mistake); [`LogError::Shrunk`], [`LogError::Forked`] and [`LogError::Corrupt`]
//! are for a person with a backup; the others are reported.

use crate::entry::EntryError;
use crate::note::NoteError;
use crate::sign::{SignError, SignatureError};
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// Why the log refused or failed.
#[derive(Debug, Clone, Error)]
#[expect(missing_docs, reason = "each variant's message names its fields")]
pub enum LogError {
    /// Another process, or another `Log` of this one, has it open.
    #[error("the log {} is in use", path.display())]
    InUse { path: PathBuf },
    /// The file system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: Arc<io::Error>,
    },
    /// No space is left. Nothing was logged; it may be tried again.
    #[error("the disk is full: cannot {action} {}", path.display())]
    Full {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: Arc<io::Error>,
    },
    /// A file says what the log never wrote.
    #[error("{} is damaged: {detail}", path.display())]
    Corrupt { path: PathBuf, detail: String },
    /// Entries that a signed head covers are gone.
    #[error("the log has {found} entries, but signed a head of {checkpoint}")]
    Shrunk { checkpoint: u64, found: u64 },
    /// The entries are there, but not those that the head was signed over.
    #[error("the first {size} entries are not those that the log's last head was signed over")]
    Forked { size: u64 },
    /// The file with the last head is gone or unreadable, so that nothing says what the log must have.
    #[error("the log has entries, but no readable head in {}", path.display())]
    NoCheckpoint {
        path: PathBuf,
        #[source]
        source: Option<NoteError>,
    },
    /// The files are of a log with another key.
    #[error("the log in {} is another key's", path.display())]
    OtherKey { path: PathBuf },
    /// The origin can't be a log's.
    #[error("the log's origin is not possible")]
    Origin(#[source] NoteError),
    /// The signer's key is none, or it signs with another.
    #[error("the log's signer cannot be used")]
    Signer(#[source] SignatureError),
    /// The signer refused. The entry may be in the log; no timestamp was given for it.
    #[error("the log's key did not sign")]
    Sign(#[source] Arc<dyn Error + Send + Sync>),
    /// The entry can't be logged.
    #[error("the entry cannot be logged")]
    Entry(#[source] EntryError),
    /// An issuer in an entry's chain that the log doesn't have.
    #[error("the issuer {fingerprint} is not known to the log")]
    UnknownIssuer { fingerprint: String },
    /// An issuer's certificate that is empty or too long.
    #[error("an issuer's certificate of {bytes} bytes cannot be kept")]
    IssuerSize { bytes: usize },
    /// As many appends wait as may.
    #[error("the log has too much to write at the moment")]
    Busy,
    /// The log has as many entries as it can index.
    #[error("the log is full: it has {size} entries")]
    Exhausted { size: u64 },
    /// There is no such entry, or no such tree.
    #[error("{what} {asked} is outside of the log, which has {size} entries")]
    OutOfRange { what: &'static str, asked: u64, size: u64 },
    /// An earlier failure left the files in a state that only opening them again can tell.
    #[error("the log takes no more entries until it is opened again")]
    Failed(#[source] Arc<LogError>),
    /// The writer thread has ended.
    #[error("the log's writer has stopped")]
    Stopped,
}

impl LogError {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let (path, full) = (path.to_path_buf(), source.kind() == io::ErrorKind::StorageFull);
        let source = Arc::new(source);
        if full { Self::Full { action, path, source } } else { Self::Io { action, path, source } }
    }

    pub(crate) fn corrupt(path: &Path, detail: impl Into<String>) -> Self {
        Self::Corrupt { path: path.to_path_buf(), detail: detail.into() }
    }

    pub(crate) fn sign(source: SignError) -> Self {
        Self::Sign(source.into())
    }
}
