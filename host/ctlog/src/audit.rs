//! Auditing a log offline: from its files and its public key alone, everything recomputed, nothing written.
//!
//! Checked are the header, each record's digest, form and number, each leaf hash and the row that was made of it, each
//! issuer and that every one that is named is there, both kept heads with their signatures, and that the entries have the
//! roots that were signed. Nothing of what the running log uses to answer is believed. Whether precertificate and
//! `TBSCertificate` say the same is left to who reads X.509.

use crate::entry::Entry;
use crate::error::LogError;
use crate::log::{
    Damage, Kept, MANY, Paths, RECORDS_BEGIN, ROW, RecordReader, Step, header, heads_on_disk, load_issuers,
    row_of,
};
use crate::merkle::{Frontier, Hash};
use crate::note::{NoteError, SignedTreeHead};
use crate::sign::{LogKey, SignatureError};
use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use thiserror::Error;

/// What an audit found in a log that is sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// The log's name.
    pub origin: String,
    /// The newest head on disk. Its signature and root hold.
    pub head: SignedTreeHead,
    /// Entries on disk, those after the head included.
    pub entries: u64,
    /// The root over all entries on disk.
    pub root: Hash,
    /// Bytes of the entries file that were read and are right.
    pub bytes: u64,
    /// Bytes after them that are no whole entry: a write that is going on, or that a crash tore. The next opening cuts
    /// them; no head covers them and nothing was promised for them.
    pub torn_bytes: u64,
    /// Issuers' certificates.
    pub issuers: u64,
    /// Keys that the entries' precertificates are issued with.
    pub issuer_keys: u64,
}

/// Why a log is not sound.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "each variant's message names its fields")]
pub enum AuditError {
    /// The key is not a log's.
    #[error("the log's key is not usable")]
    Key(#[source] SignatureError),
    /// There is no log, or a file can't be read or is wrong in itself.
    #[error("the log's files are not sound")]
    Files(#[source] LogError),
    /// A kept head is not one.
    #[error("a kept head does not hold")]
    Head(#[source] NoteError),
    /// Entry `index` is not what was written.
    #[error("entry {index} is damaged: {detail}")]
    Entry { index: u64, detail: String },
    /// The row of `leaves` for an entry is not what follows from the entry.
    #[error("the row of entry {index} in the leaves file is not the entry's")]
    Leaf { index: u64 },
    /// An entry names an issuer whose certificate is not there.
    #[error("the issuer {fingerprint} of entry {index} is missing")]
    Issuer { index: u64, fingerprint: String },
    /// A head covers more entries than there are.
    #[error("a head was signed over {signed} entries, and {found} are there")]
    Shrunk { signed: u64, found: u64 },
    /// A head was signed over other entries.
    #[error("the head over {size} entries has another root than they have")]
    Forked { size: u64 },
}

impl From<LogError> for AuditError {
    fn from(error: LogError) -> Self {
        Self::Files(error)
    }
}

/// Audits the log in a folder. It may be open elsewhere; entries that are written meanwhile are left out.
///
/// # Errors
/// [`AuditError`]: the first thing that is wrong.
pub fn audit(folder: &Path, spki_der: &[u8]) -> Result<Audit, AuditError> {
    let key = LogKey::from_spki_der(spki_der).map_err(AuditError::Key)?;
    let paths = Paths::new(folder);
    // Heads first: what they cover was on disk before them.
    let heads = kept_heads(&paths, &key)?;
    let Some(newest) = heads.iter().max_by_key(|kept| (kept.head.size, kept.head.timestamp_ms)) else {
        return Err(LogError::NoCheckpoint { path: paths.checkpoint, source: None }.into());
    };
    let issuers = load_issuers(&paths.issuers)?;
    let entries = open(&paths.entries)?;
    check_header(&entries, &paths.entries, &key)?;
    let mut walk = Walk {
        leaves: open(&paths.leaves)?,
        heads: heads.iter().map(|kept| &kept.head).collect(),
        issuers: issuers.keys().collect(),
        keys: HashSet::new(),
        frontier: Frontier::new(),
        signed: newest.head.size,
    };
    walk.check_heads()?;
    let mut reader = RecordReader::new(&entries, &paths.entries, RECORDS_BEGIN, MANY);
    let torn = walk.walk(&mut reader)?;
    let length = entries.metadata().map_err(|error| LogError::io("examine", &paths.entries, error))?.len();
    Ok(Audit {
        origin: newest.origin.clone(),
        head: newest.head.clone(),
        entries: walk.frontier.size(),
        root: walk.frontier.root(),
        bytes: reader.position(),
        torn_bytes: if torn { length.saturating_sub(reader.position()) } else { 0 },
        issuers: issuers.len() as u64,
        issuer_keys: walk.keys.len() as u64,
    })
}

/// All heads that are kept, each of which must hold. A slot that is being overwritten this moment is read again.
fn kept_heads(paths: &Paths, key: &LogKey) -> Result<Vec<Kept>, AuditError> {
    const TRIES: usize = 5;
    let mut wrong = None;
    for _ in 0..TRIES {
        let heads = heads_on_disk(paths, key)?;
        let missing = || LogError::NoCheckpoint { path: paths.checkpoint.clone(), source: None };
        let heads: Result<Vec<_>, _> = heads.ok_or_else(missing)?.into_iter().collect();
        match heads {
            Ok(heads) => return Ok(heads.into_iter().flatten().collect()),
            Err(error) => wrong = Some(error),
        }
    }
    Err(AuditError::Head(wrong.unwrap_or(NoteError::Unsigned)))
}

fn check_header(entries: &File, path: &Path, key: &LogKey) -> Result<(), AuditError> {
    let expected = header(key.id());
    let mut found = vec![0; expected.len()];
    entries.read_exact_at(&mut found, 0).map_err(|error| LogError::io("read", path, error))?;
    if found == expected {
        Ok(())
    } else {
        Err(LogError::corrupt(path, "its header is not this log's").into())
    }
}

fn open(path: &Path) -> Result<File, LogError> {
    File::open(path).map_err(|error| LogError::io("open", path, error))
}

/// The entries, one after the other.
struct Walk<'a> {
    leaves: File,
    heads: Vec<&'a SignedTreeHead>,
    issuers: HashSet<&'a Hash>,
    keys: HashSet<Hash>,
    frontier: Frontier,
    /// Entries that the newest head covers.
    signed: u64,
}

impl Walk<'_> {
    /// Reads to the end; whether that is in the middle of something.
    fn walk(&mut self, reader: &mut RecordReader<'_>) -> Result<bool, AuditError> {
        loop {
            let index = self.frontier.size();
            let detail = match reader.step()? {
                Step::Record { at, content } => {
                    self.entry(index, at, &content)?;
                    continue;
                }
                Step::End | Step::Damaged(Damage::CutOff) if index < self.signed => {
                    return Err(AuditError::Shrunk { signed: self.signed, found: index });
                }
                Step::Damaged(Damage::Wrong(detail)) if index < self.signed => detail,
                Step::End => return Ok(false),
                Step::Damaged(_) => return Ok(true),
            };
            return Err(AuditError::Entry { index, detail: detail.to_owned() });
        }
    }

    fn entry(&mut self, index: u64, at: u64, content: &[u8]) -> Result<(), AuditError> {
        let damaged = |detail: String| AuditError::Entry { index, detail };
        let decoded = Entry::decode(content).map_err(|error| damaged(error.to_string()))?;
        if decoded.index != index {
            return Err(damaged(format!("it says that it is entry {}", decoded.index)));
        }
        if let Some(missing) =
            decoded.entry.chain.iter().find(|fingerprint| !self.issuers.contains(fingerprint))
        {
            let fingerprint = missing.iter().map(|byte| format!("{byte:02x}")).collect();
            return Err(AuditError::Issuer { index, fingerprint });
        }
        let leaf = decoded.leaf_hash();
        self.row(index, (leaf, at))?;
        self.keys.insert(decoded.entry.issuer_key_hash);
        self.frontier.push(leaf);
        self.check_heads()
    }

    /// The row is checked up to the head; later ones may not be written yet.
    fn row(&self, index: u64, expected: (Hash, u64)) -> Result<(), AuditError> {
        let mut row = [0; ROW];
        let read = self.leaves.read_exact_at(&mut row, index * ROW as u64);
        let right = read.is_ok() && row_of(&row) == expected;
        if right || index >= self.signed { Ok(()) } else { Err(AuditError::Leaf { index }) }
    }

    /// Whether the heads over as many entries as were read have their root.
    fn check_heads(&self) -> Result<(), AuditError> {
        let size = self.frontier.size();
        let mut here = self.heads.iter().filter(|head| head.size == size);
        if here.all(|head| head.root == self.frontier.root()) {
            Ok(())
        } else {
            Err(AuditError::Forked { size })
        }
    }
}
