//! What the domain stores beside the model's own nouns, and under which keys.

use hypermesh_model::{CertificateId, CertificateRecord, Revocation, Timestamp, TrustLevel};
use hypermesh_store::Record;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A place in the transparency log, as a key: printed so that text sorts as numbers do, which keeps a growing table's
/// new rows together on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LogIndex(pub(crate) u64);

impl fmt::Display for LogIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A certificate that is in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Logged(pub(crate) CertificateRecord);

impl Record for Logged {
    const TABLE: &'static str = "certificates";
    type Key = LogIndex;
    fn key(&self) -> LogIndex {
        // What is put in this table is in the log; `u64::MAX` is no place in any log.
        LogIndex(self.0.log_index.unwrap_or(u64::MAX))
    }
}

/// Up to where the table of certificates is complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IndexMark {
    /// Always [`IndexMark::KEY`].
    pub(crate) id: String,
    /// Every entry of the log before this one is in the table.
    pub(crate) log_next: u64,
    /// Every certificate in the archive before this byte is in the table.
    pub(crate) archive_next: u64,
}

impl IndexMark {
    pub(crate) const KEY: &'static str = "certificates";
}

impl Record for IndexMark {
    const TABLE: &'static str = "certificate_index";
    type Key = String;
    fn key(&self) -> String {
        self.id.clone()
    }
}

/// A certificate that was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Revoked(pub(crate) Revocation);

impl Record for Revoked {
    const TABLE: &'static str = "revocations";
    type Key = CertificateId;
    fn key(&self) -> CertificateId {
        self.0.certificate_id.clone()
    }
}

/// What an authority does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthorityState {
    /// It exists; nobody was told.
    Prepared,
    /// It is handed out, and signs nothing yet.
    Distributed,
    /// It signs certificates.
    Active,
    /// It signs its list and its status answers alone.
    Retiring,
    /// Its key is gone.
    Retired,
}

impl AuthorityState {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Distributed => "distributed",
            Self::Active => "active",
            Self::Retiring => "retiring",
            Self::Retired => "retired",
        }
    }
}

/// An authority of ours. Its certificate and its key are files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AuthorityRecord {
    /// The serial number of its certificate.
    pub(crate) id: CertificateId,
    /// Root or intermediate.
    pub(crate) level: TrustLevel,
    /// What it does now.
    pub(crate) state: AuthorityState,
    /// When it was made.
    pub(crate) created_at: Timestamp,
}

impl Record for AuthorityRecord {
    const TABLE: &'static str = "authorities";
    type Key = CertificateId;
    fn key(&self) -> CertificateId {
        self.id.clone()
    }
}

/// The newest revocation list of an authority. The list itself is a file, for when the key is away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CrlRecord {
    /// Whose it is.
    pub(crate) id: CertificateId,
    /// Its number; grows with every list (RFC 5280 §5.2.3).
    pub(crate) number: u64,
    /// When it was signed.
    pub(crate) this_update: Timestamp,
    /// Until when the next one comes.
    pub(crate) next_update: Timestamp,
}

impl Record for CrlRecord {
    const TABLE: &'static str = "revocation_lists";
    type Key = CertificateId;
    fn key(&self) -> CertificateId {
        self.id.clone()
    }
}

/// Which certificate the node presents itself with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IdentityRecord {
    /// Always [`IdentityRecord::KEY`].
    pub(crate) id: String,
    /// The certificate; its key is a file of that name.
    pub(crate) certificate_id: CertificateId,
}

impl IdentityRecord {
    pub(crate) const KEY: &'static str = "node";
}

impl Record for IdentityRecord {
    const TABLE: &'static str = "node_certificate";
    type Key = String;
    fn key(&self) -> String {
        self.id.clone()
    }
}

/// The zone's own state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ZoneRecord {
    /// Its name, without the root's dot.
    pub(crate) id: String,
    /// Its serial number (RFC 1035 §3.3.13).
    pub(crate) serial: u32,
}

impl Record for ZoneRecord {
    const TABLE: &'static str = "zones";
    type Key = String;
    fn key(&self) -> String {
        self.id.clone()
    }
}
