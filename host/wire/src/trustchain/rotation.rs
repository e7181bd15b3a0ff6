//! Rotation of certificates, and the rollover of the authority that signs them.

use super::certificates::{Certificate, IssuedCertificate};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Why a certificate is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RotationType {
    /// When its time comes.
    Automatic,
    /// When somebody asks.
    Manual,
    /// At once, and the old one is revoked without an overlap.
    Emergency,
}

/// When a certificate is replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RotationPolicy {
    /// Its id.
    pub id: String,
    /// The certificate that it is about now.
    pub certificate_id: String,
    /// What makes it act.
    pub rotation_type: RotationType,
    /// Longest time between two rotations, days.
    pub interval_days: u32,
    /// How long before a rotation its warning comes, days.
    pub warning_days: u32,
    /// How long the old certificate stays valid beside the new one, days.
    pub grace_period_days: u32,
    /// Whether it acts by itself.
    pub enabled: bool,
    /// When it last acted.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_rotation: Option<Timestamp>,
    /// When it acts next; `null` when it doesn't act by itself.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_rotation: Option<Timestamp>,
}

/// Makes a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateRotationPolicy {
    /// The certificate.
    #[schema(pattern = "^[a-z0-9][a-z0-9._-]{0,63}$")]
    pub certificate_id: String,
    /// What makes it act; `automatic` when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation_type: Option<RotationType>,
    /// Longest time between two rotations, days; 90 when not given.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::lenient::optional_whole"
    )]
    #[schema(minimum = 1, maximum = 3650)]
    pub interval_days: Option<u32>,
    /// How long before a rotation its warning comes, days; 7 when not given, 0 for none.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::lenient::optional_whole"
    )]
    #[schema(minimum = 0, maximum = 365)]
    pub warning_days: Option<u32>,
    /// How long the old certificate stays valid beside the new one, days; 30 when not given.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::lenient::optional_whole"
    )]
    #[schema(minimum = 0, maximum = 365)]
    pub grace_period_days: Option<u32>,
    /// Whether it acts by itself; `true` when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// Changes the members of a policy that are given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeRotationPolicy {
    /// The certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[a-z0-9][a-z0-9._-]{0,63}$")]
    pub certificate_id: Option<String>,
    /// What makes it act.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation_type: Option<RotationType>,
    /// Longest time between two rotations, days.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::lenient::optional_whole"
    )]
    #[schema(minimum = 1, maximum = 3650)]
    pub interval_days: Option<u32>,
    /// How long before a rotation its warning comes, days; 0 for none.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::lenient::optional_whole"
    )]
    #[schema(minimum = 0, maximum = 365)]
    pub warning_days: Option<u32>,
    /// How long the old certificate stays valid beside the new one, days.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::lenient::optional_whole"
    )]
    #[schema(minimum = 0, maximum = 365)]
    pub grace_period_days: Option<u32>,
    /// Whether it acts by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// Replaces a certificate now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExecuteRotation {
    /// The certificate.
    #[schema(pattern = "^[a-z0-9][a-z0-9._-]{0,63}$")]
    pub certificate_id: String,
    /// `manual` when not given; `emergency` takes the old one back at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation_type: Option<RotationType>,
    /// A certificate signing request with the new key; without it a key of the old one's kind is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 131_072, pattern = r"^[\t\n\r -~]*$")]
    pub csr: Option<String>,
}

/// A certificate was replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rotated {
    /// The old certificate.
    pub old_certificate: Certificate,
    /// The new one, with its key where that was made here and isn't the node's own.
    pub new_certificate: IssuedCertificate,
    /// The rotation.
    pub rotation_id: String,
}

/// How far a rotation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RotationStatus {
    /// Both certificates are valid.
    Overlap,
    /// The old one is not valid any more.
    Completed,
    /// There is no new one.
    Failed,
}

/// A rotation that was done or tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RotationRecord {
    /// Its id.
    pub id: String,
    /// The certificate that was to be replaced.
    pub certificate_id: String,
    /// Why it was done.
    pub rotation_type: RotationType,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub executed_at: Timestamp,
    /// Fingerprint of the old certificate.
    pub old_fingerprint: String,
    /// Of the new one; `null` when it failed.
    pub new_fingerprint: Option<String>,
    /// How far it is.
    pub status: RotationStatus,
    /// The new certificate; `null` when it failed.
    pub new_certificate_id: Option<String>,
    /// Until when both are valid.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub overlap_until: Option<Timestamp>,
    /// Why it failed.
    pub detail: Option<String>,
}

/// Which policies.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct PolicyQuery {
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
    /// Only those after this id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(max_length = 64)]
    pub after: Option<String>,
}

/// Which rotations.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct RotationQuery {
    /// Only those of this certificate, old or new.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(max_length = 64)]
    pub certificate_id: Option<String>,
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
    /// Only those after this id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(max_length = 64)]
    pub after: Option<String>,
}

/// How far a rollover is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RolloverPhase {
    /// The new authority exists.
    Prepared,
    /// It is handed out beside the old one, which still signs.
    Distributed,
    /// It signs.
    Activated,
    /// The old one is gone.
    Retired,
    /// It was given up before the new one signed anything.
    Abandoned,
}

/// When a phase was reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RolloverStep {
    /// The phase.
    pub phase: RolloverPhase,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Who asked for it: a subject, or `schedule`.
    pub by: String,
}

/// What an authority does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
    /// It signs nothing any more.
    Retired,
}

/// An authority of this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Authority {
    /// Its certificate.
    pub certificate: Certificate,
    /// The same, PEM.
    pub certificate_pem: String,
    /// What it does now.
    pub state: AuthorityState,
    /// Whether its private key is on this machine.
    pub key_present: bool,
    /// Where its list of revoked certificates is.
    pub crl_url: String,
}

/// The replacement of the authority that signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rollover {
    /// Its id.
    pub id: String,
    /// The certificate of the authority that is replaced.
    pub from_certificate_id: String,
    /// Of the one that replaces it.
    pub to_certificate_id: String,
    /// How far it is.
    pub phase: RolloverPhase,
    /// Every phase that was reached, oldest first.
    pub steps: Vec<RolloverStep>,
}
