//! What callers get to see.

use crate::records::AuthorityState;
use hypermesh_model::{
    CertificateId, CertificateRecord, CertificateStatus, Revocation, RotationPolicyId, Timestamp,
};
use zeroize::Zeroizing;

/// A certificate as it stands now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// What is remembered of it.
    pub record: CertificateRecord,
    /// Where it stands.
    pub status: CertificateStatus,
    /// That it was taken back.
    pub revocation: Option<Revocation>,
    /// Its public key, PEM (SubjectPublicKeyInfo).
    pub public_key_pem: String,
    /// When it was issued or taken back.
    pub updated_at: Timestamp,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificatePage {
    /// In the order of the hierarchy, then of the log.
    pub items: Vec<Certificate>,
    /// Whether there are more after the last one.
    pub more: bool,
}

/// A certificate that was just issued.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The certificate.
    pub certificate: Certificate,
    /// The same, PEM.
    pub certificate_pem: String,
    /// The same with every intermediate up to the root, which isn't in it, PEM.
    pub chain_pem: String,
    /// Its private key, PEM (PKCS #8), if it was made here. It is nowhere else.
    pub private_key_pem: Option<Zeroizing<String>>,
}

/// The root, the intermediates, and what they signed.
#[derive(Debug, Clone)]
pub struct Hierarchy {
    /// The trust anchor.
    pub root: Certificate,
    /// Those that sign or will sign, and those whose certificates are still valid.
    pub intermediates: Vec<Certificate>,
    /// The newest leaves that are active, at most [`crate::MAX_HIERARCHY_LEAVES`].
    pub leaves: Vec<Certificate>,
    /// The subjects from the node's own certificate to the root.
    pub validation_chain: Vec<String>,
    /// When that chain was validated: now.
    pub last_validated: Timestamp,
}

/// An authority of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorityView {
    /// Its certificate.
    pub certificate: Certificate,
    /// Its certificate, PEM.
    pub certificate_pem: String,
    /// What it does now.
    pub state: AuthorityState,
    /// Whether its private key is on this machine.
    pub key_present: bool,
    /// Where its list is, as its certificates say.
    pub crl_url: String,
}

/// What a rule of RFC 5280 says to a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleView {
    /// What is asked.
    pub name: String,
    /// Where that is written, e.g. `RFC 5280 §6.1.3 (a)(2)`.
    pub reference: String,
    /// `pass`, `fail`, `warn` or `unchecked`.
    pub verdict: &'static str,
    /// What was found.
    pub detail: String,
    /// Of which certificate.
    pub subject: String,
}

/// Whether a certificate may be relied on, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validation {
    /// Whether every rule holds.
    pub valid: bool,
    /// The certificate; `None` for one that is not ours.
    pub certificate_id: Option<CertificateId>,
    /// The subjects from the certificate to the root; as far as a path was found.
    pub path: Vec<String>,
    /// Every rule that was looked at, in order.
    pub rules: Vec<RuleView>,
    /// For which time.
    pub at: Timestamp,
    /// Where it stands at that time, for one of ours.
    pub status: Option<CertificateStatus>,
}

/// A revocation list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crl {
    /// The list, DER.
    pub der: Vec<u8>,
    /// Its number.
    pub number: u64,
    /// When it was signed.
    pub this_update: Timestamp,
    /// Until when the next one comes.
    pub next_update: Timestamp,
}

/// The node's own certificate with its key: what TLS listeners present.
pub struct Identity {
    /// The certificate.
    pub certificate_id: CertificateId,
    /// The certificate and the intermediate that signed it, DER.
    pub chain_der: Vec<Vec<u8>>,
    /// The root, DER: what clients' certificates are verified against.
    pub root_der: Vec<u8>,
    /// The private key, DER (PKCS #8).
    pub key_der: Zeroizing<Vec<u8>>,
    /// Until when it is valid.
    pub valid_to: Timestamp,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("certificate_id", &self.certificate_id)
            .field("valid_to", &self.valid_to)
            .finish_non_exhaustive()
    }
}

/// That a certificate is in the log (RFC 6962 §2.1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inclusion {
    /// The certificate.
    pub certificate_id: CertificateId,
    /// Its place in the log.
    pub leaf_index: u64,
    /// The hash of its entry.
    pub leaf_hash: [u8; 32],
    /// For which size of the tree.
    pub tree_size: u64,
    /// The tree's hash at that size.
    pub root_hash: [u8; 32],
    /// The hashes from the entry to the root.
    pub audit_path: Vec<[u8; 32]>,
    /// The newest checkpoint: a signed note.
    pub checkpoint: String,
}

/// Who holds a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The certificate.
    pub certificate_id: CertificateId,
    /// Its subject (RFC 4514).
    pub subject: String,
    /// Its alternative names with their kind.
    pub names: Vec<String>,
    /// Until when it is valid.
    pub expires_at: Timestamp,
}

/// What is to be signed with a certificate's key to prove that one has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// Used once.
    pub nonce: String,
    /// The bytes to sign: with ECDSA over the curve's hash (SHA-256, SHA-384), Ed25519, or RSA PKCS #1 with SHA-256.
    pub message: Vec<u8>,
    /// Until when it is good.
    pub expires_at: Timestamp,
}

/// What a rotation gave.
#[derive(Debug, Clone)]
pub struct Rotated {
    /// What is on record.
    pub rotation: hypermesh_model::Rotation,
    /// The certificate that was replaced.
    pub old: Certificate,
    /// The one in its place, with its key if that was made here for the caller.
    pub new: Issued,
    /// The policy that followed it to the new certificate.
    pub policy: Option<RotationPolicyId>,
}

/// What was made again from the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Certificates in the log.
    pub entries: u64,
    /// Rows that were written.
    pub written: u64,
    /// Certificates that had to be signed again, since the archive didn't have them.
    pub signed_again: u64,
}

/// Counts since the start, and what there is now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the counters' names say it; since the start unless said otherwise")]
pub struct Stats {
    /// In the index now.
    pub certificates: u64,
    /// Taken back and on record now.
    pub revocations: u64,
    pub issued: u64,
    pub issue_refused: u64,
    pub revoked: u64,
    pub crl_signed: u64,
    pub ocsp_requests: u64,
    pub validations: u64,
    pub rotations: u64,
    /// Records in the zone now.
    pub dns_records: u64,
    /// Questions that the zone's server got.
    pub dns_queries: u64,
    /// Changes of the zone.
    pub dns_changes: u64,
    /// Entries of the log now.
    pub log_entries: u64,
    /// Requests to the log's reading side.
    pub log_reads: u64,
    /// Requests to the ACME server.
    pub acme_requests: u64,
}
