//! Rotation: a certificate replaced by one with a new key, before its time is over.
//!
//! ```text
//! (a policy's time, or a request) ──new certificate──▶ overlap ──grace over: old one revoked──▶ completed
//!                 └──refused──▶ failed                    └──old one expired first──▶ completed
//! ```

use super::UnknownName;
use crate::{CertificateId, RotationId, RotationPolicyId, Timestamp};
use serde::{Deserialize, Serialize};

/// Why a certificate is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RotationType {
    /// When its time comes.
    Automatic,
    /// When somebody asks.
    Manual,
    /// At once, and the old one is revoked without an overlap.
    Emergency,
}

impl RotationType {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Automatic => "automatic",
            Self::Manual => "manual",
            Self::Emergency => "emergency",
        }
    }
}

impl std::str::FromStr for RotationType {
    type Err = UnknownName;
    fn from_str(text: &str) -> Result<Self, UnknownName> {
        [Self::Automatic, Self::Manual, Self::Emergency]
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| UnknownName::new("rotation type", text, "automatic, manual, emergency"))
    }
}

/// When a certificate is replaced. It follows the certificate: after a rotation it is about the new one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotationPolicy {
    /// Its id.
    pub id: RotationPolicyId,
    /// The certificate that it is about now.
    pub certificate_id: CertificateId,
    /// What makes it act.
    pub rotation_type: RotationType,
    /// Longest time between two rotations, days.
    pub interval_days: u32,
    /// How long before a rotation its warning comes, days; 0 for none.
    pub warning_days: u32,
    /// How long the old certificate stays valid beside the new one, days.
    pub grace_period_days: u32,
    /// Whether it acts by itself.
    pub enabled: bool,
    /// When it last acted.
    pub last_rotation: Option<Timestamp>,
    /// When it acts next; `None` when it doesn't act by itself.
    pub next_rotation: Option<Timestamp>,
    /// For which certificate the warning was given, so that it is given once.
    pub warned_for: Option<CertificateId>,
    /// How many attempts in a row failed; the next one waits longer.
    pub failures: u32,
    /// When it was made.
    pub created_at: Timestamp,
}

/// How far a rotation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RotationStatus {
    /// Both certificates are valid.
    Overlap,
    /// The old one is not valid any more.
    Completed,
    /// There is no new one; `detail` says why.
    Failed,
}

impl RotationStatus {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Overlap => "overlap",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }
}

/// A rotation that was done or tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    /// Its id.
    pub id: RotationId,
    /// The certificate that was to be replaced.
    pub certificate_id: CertificateId,
    /// The one that took its place; `None` when it failed.
    pub new_certificate_id: Option<CertificateId>,
    /// Why it was done.
    pub rotation_type: RotationType,
    /// When.
    pub executed_at: Timestamp,
    /// Of the old certificate.
    pub old_fingerprint: String,
    /// Of the new one; `None` when it failed.
    pub new_fingerprint: Option<String>,
    /// How far it is.
    pub status: RotationStatus,
    /// Until when both are valid; `None` when it failed.
    pub overlap_until: Option<Timestamp>,
    /// Why it failed, for people.
    pub detail: Option<String>,
}
