//! The transparency log as RFC 6962 §4 writes it, and a certificate's proof of inclusion.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// The newest signed tree head (RFC 6962 §4.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogTreeHead {
    /// Entries in the log.
    pub tree_size: u64,
    /// When it was signed, milliseconds since 1970.
    pub timestamp: u64,
    /// The root of the Merkle tree, base64.
    pub sha256_root_hash: String,
    /// The signature (TLS `digitally-signed`), base64.
    pub tree_head_signature: String,
}

/// Two sizes of the log (RFC 6962 §4.4).
#[derive(Debug, Clone, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ConsistencyQuery {
    /// The older size.
    #[param(minimum = 0, maximum = 1_000_000_000_000_u64)]
    pub first: u64,
    /// The newer size.
    #[param(minimum = 0, maximum = 1_000_000_000_000_u64)]
    pub second: u64,
}

/// That the log of one size begins with the log of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogConsistency {
    /// Hashes of the proof, base64.
    pub consistency: Vec<String>,
}

/// Which leaf, and in which tree (RFC 6962 §4.5).
#[derive(Debug, Clone, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ProofQuery {
    /// The leaf's hash, base64.
    #[param(min_length = 44, max_length = 44, pattern = "^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$")]
    pub hash: String,
    /// The size of the tree.
    #[param(minimum = 1, maximum = 1_000_000_000_000_u64)]
    pub tree_size: u64,
}

/// That a leaf is in a tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogProof {
    /// The leaf's place.
    pub leaf_index: u64,
    /// Hashes of the proof, base64.
    pub audit_path: Vec<String>,
}

/// A range of entries, both ends included (RFC 6962 §4.6).
#[derive(Debug, Clone, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct EntriesQuery {
    /// The first.
    #[param(minimum = 0, maximum = 1_000_000_000_000_u64)]
    pub start: u64,
    /// The last; the answer has at most 256 entries, and then ends before it.
    #[param(minimum = 0, maximum = 1_000_000_000_000_u64)]
    pub end: u64,
}

/// Entries of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogEntries {
    /// In their order.
    pub entries: Vec<LogEntry>,
}

/// An entry of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogEntry {
    /// `MerkleTreeLeaf`, base64.
    pub leaf_input: String,
    /// `PrecertChainEntry`, base64.
    pub extra_data: String,
}

/// An entry and a tree (RFC 6962 §4.8).
#[derive(Debug, Clone, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct EntryQuery {
    /// The entry's place.
    #[param(minimum = 0, maximum = 1_000_000_000_000_u64)]
    pub leaf_index: u64,
    /// The size of the tree.
    #[param(minimum = 1, maximum = 1_000_000_000_000_u64)]
    pub tree_size: u64,
}

/// An entry, and that it is in a tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogEntryAndProof {
    /// `MerkleTreeLeaf`, base64.
    pub leaf_input: String,
    /// `PrecertChainEntry`, base64.
    pub extra_data: String,
    /// Hashes of the proof, base64.
    pub audit_path: Vec<String>,
}

/// Which roots the log takes certificates of (RFC 6962 §4.7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogRoots {
    /// Certificates, base64 of their DER form.
    pub certificates: Vec<String>,
}

/// That a certificate is in the log: enough to check it without this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InclusionProof {
    /// The certificate.
    pub certificate_id: String,
    /// Its place in the log.
    pub leaf_index: u64,
    /// Its leaf's hash, base64.
    pub leaf_hash: String,
    /// The size of the tree that the proof is for.
    pub tree_size: u64,
    /// Hashes from the leaf up, base64.
    pub audit_path: Vec<String>,
    /// The root that they lead to, base64.
    pub root_hash: String,
    /// The signed checkpoint (c2sp.org/tlog-checkpoint) of that tree.
    pub checkpoint: String,
}

/// The index was made again from the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rebuilt {
    /// Certificates in the log.
    pub entries: u64,
    /// Rows that were written.
    pub written: u64,
    /// Certificates that had to be signed again, since only their entries were left.
    pub signed_again: u64,
}
