//! TrustChain, port 8444: certificates, their log, DNS records and rotation.
//!
//! Objects and members of the contract, and what is added to them. Formats of others (ACME, OCSP, CRLs, tiles) are not
//! here: their RFCs say what they look like.

mod authentication;
mod certificates;
mod dns;
mod log;
mod rotation;
mod system;
mod validation;

pub use authentication::{AuthenticateCertificate, Authenticated, Challenge};
pub use certificates::{
    Certificate, CertificateQuery, CertificateStatus, CreateCertificate, IssuedCertificate, KeyType,
    RenewCertificate, RevocationReason, RevokeCertificate, Revoked, TrustHierarchy, TrustLevel, Usage,
};
pub use dns::{
    ChangeDnsRecord, CreateDnsRecord, DnsQuery, DnsRecord, DnsRecordStatus, DnsRecordType, Imported,
    ResolveDns, ZoneView,
};
pub use log::{
    ConsistencyQuery, EntriesQuery, EntryQuery, InclusionProof, LogConsistency, LogEntries, LogEntry,
    LogEntryAndProof, LogProof, LogRoots, LogTreeHead, ProofQuery, Rebuilt,
};
pub use rotation::{
    Authority, AuthorityState, ChangeRotationPolicy, CreateRotationPolicy, ExecuteRotation, PolicyQuery,
    Rollover, RolloverPhase, RolloverStep, Rotated, RotationPolicy, RotationQuery, RotationRecord,
    RotationStatus, RotationType,
};
pub use system::{
    Architecture, Configuration, Performance, TrustChainHealth, TrustChainServices, TrustChainStats,
    TrustChainStatus,
};
pub use validation::{Purpose, RuleVerdict, ValidateCertificate, ValidateQuery, Validation, ValidationRule};

/// Longest PEM text of a request, in characters: 16 certificates of 4 kB, or a CSR with 100 names.
pub const MAX_PEM: usize = 131_072;
/// Longest distinguished name, in characters.
pub const MAX_SUBJECT: usize = 512;
/// Most alternative names of a certificate.
pub const MAX_NAMES: usize = 100;
