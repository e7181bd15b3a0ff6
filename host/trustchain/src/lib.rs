//! The TrustChain domain: the certificate authority, its log, rotation, the zone, and ACME over them.
//!
//! One handle, [`TrustChain`], over the authorities (`ca`), issuing (`issue`, log first), what was issued (`archive`,
//! `index`), what was taken back (`revoke`), replacing (`rotation`, `identity`), names (`dns`) and strangers (`acme`). What
//! is signed and how is `hypermesh_pki`'s, the log `hypermesh_ctlog`'s, the zone `hypermesh_dns`'s and the protocol
//! `hypermesh_acme`'s; here is what they do together, what is durable when, and what a restart does.
//!
//! ```text
//! DATA_DIR/trustchain/   0700
//!   keys/                every private key, encrypted; the passphrase, unless the operator keeps it
//!   ca/                  the authorities' certificates and newest lists
//!   log/                 the transparency log: the truth about what was promised
//!   issued               the archive: certificates as they were given out
//!   revocations.jsonl    for the day on which the database is lost
//!   managed/POLICY/      certificates and keys that automatic policies replaced, for who runs the service
//! ```
//! No HTTP and no TLS: the edge parses requests into [`requests`](IssueRequest) and maps [`TrustError`] to answers.
#![forbid(unsafe_code)]

mod acme;
mod archive;
mod auth;
mod ca;
mod certificates;
mod dns;
mod error;
mod files;
mod identity;
mod index;
mod issue;
mod journal;
mod keys;
mod rebuild;
mod records;
mod requests;
mod revoke;
mod rotation;
mod settings;
mod start;
mod stats;
mod validate;
mod views;

use hypermesh_store::failpoint;

pub use certificates::{MAX_HIERARCHY_LEAVES, MAX_PAGE};
pub use dns::MAX_DNS_RECORDS;
pub use error::{BoxError, TrustError};
pub use records::AuthorityState;
pub use requests::{
    CertificateFilter, DnsFilter, DnsRecordChange, IssueRequest, KeyKind, KeySource, NewDnsRecord,
    NewRotationPolicy, RenewRequest, RotationRequest, ValidateRequest,
};
pub use revoke::MAX_REVOKED_AT_ONCE;
pub use rotation::{MAX_POLICIES, MAX_ROTATIONS};
pub use settings::{AcmeSettings, DnsSettings, EabKey, NamePolicy, Settings, TsigKey};
pub use views::{
    AuthorityView, Certificate, CertificatePage, Challenge, Crl, Hierarchy, Identity, Inclusion, Issued,
    Peer, Rebuilt, Rotated, RuleView, Stats, Validation,
};

use hypermesh_acme::Acme;
use hypermesh_ctlog::Log;
use hypermesh_store::{Batch, Store};
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, RwLock};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

/// The parts of a [`TrustChain`]; nothing of it is for callers.
pub struct Inner {
    pub(crate) settings: Settings,
    pub(crate) store: Store,
    pub(crate) tables: start::Tables,
    pub(crate) keys: keys::KeyFolder,
    pub(crate) files: ca::Files,
    /// Where policies leave certificates with their keys.
    pub(crate) managed: PathBuf,
    pub(crate) ca: RwLock<Arc<ca::Ca>>,
    pub(crate) log: Log,
    pub(crate) log_key: Vec<u8>,
    pub(crate) archive: Arc<archive::Archive>,
    pub(crate) index: Arc<index::Index>,
    pub(crate) journal: journal::Journal,
    pub(crate) lists: ca::Lists,
    pub(crate) dns: dns::Dns,
    pub(crate) acme: Acme,
    pub(crate) challenges: auth::Challenges,
    pub(crate) counters: stats::Counters,
    pub(crate) identity: watch::Sender<Arc<Identity>>,
    /// Shared by who issues; alone is who makes the index again.
    pub(crate) issuing: tokio::sync::RwLock<()>,
    /// One rotation, or change of a policy, at a time.
    pub(crate) rotating: tokio::sync::Mutex<()>,
    /// One step of a rollover at a time.
    pub(crate) rolling: tokio::sync::Mutex<()>,
    /// Something may be due earlier than was thought.
    pub(crate) work: Notify,
    pub(crate) stop_loop: Arc<Notify>,
    pub(crate) stop_writer: Arc<Notify>,
    pub(crate) tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// A handle to the domain; cheap to clone.
#[derive(Clone)]
pub struct TrustChain(Arc<Inner>);

impl Deref for TrustChain {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl std::fmt::Debug for TrustChain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TrustChain").field("zone", &self.settings.zone).finish_non_exhaustive()
    }
}

impl TrustChain {
    /// The transparency log, for its reading side.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The log's public key, DER (SubjectPublicKeyInfo).
    pub fn log_key_der(&self) -> Vec<u8> {
        self.log_key.clone()
    }

    /// The ACME server.
    pub fn acme(&self) -> &Acme {
        &self.acme
    }

    pub(crate) async fn commit(&self, batch: Batch, doing: &'static str) -> Result<(), TrustError> {
        self.store.commit(batch).await.map(|_| ()).map_err(TrustError::internal(doing))
    }
}
