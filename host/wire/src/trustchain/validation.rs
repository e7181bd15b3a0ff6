//! Validation that explains itself: each rule with the section that has it, and what was found.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// What a certificate would be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// As a TLS server.
    Server,
    /// As a TLS client.
    Client,
    /// To sign code.
    CodeSigning,
}

/// Validates a certificate that need not be ours.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ValidateCertificate {
    /// The certificate, PEM; those above it may follow.
    #[schema(min_length = 1, max_length = 131_072, pattern = r"^[\t\n\r -~]*$")]
    pub certificate: String,
    /// Certificates above it, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 131_072, pattern = r"^[\t\n\r -~]*$")]
    pub chain: Option<String>,
    /// Trust anchors, PEM; the node's root when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 131_072, pattern = r"^[\t\n\r -~]*$")]
    pub roots: Option<String>,
    /// What it would be used for; any use when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<Purpose>,
    /// The host that it would stand for: a DNS name or an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 253, pattern = r"^[A-Za-z0-9:._*-]+$")]
    pub host: Option<String>,
    /// When it would be used; now when not given.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::lenient::optional_time"
    )]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub at: Option<Timestamp>,
}

/// What a certificate of ours is validated for.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ValidateQuery {
    /// What it would be used for; any use when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub purpose: Option<Purpose>,
    /// The host that it would stand for: a DNS name or an address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(min_length = 1, max_length = 253, pattern = r"^[A-Za-z0-9:._*-]+$")]
    pub host: Option<String>,
}

/// What was found of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RuleVerdict {
    /// It is kept.
    Pass,
    /// It is broken, and the certificate so not valid.
    Fail,
    /// It is broken, and it should not be.
    Warn,
    /// What it needs isn't known here.
    Unchecked,
}

/// One rule that was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ValidationRule {
    /// What it is called.
    pub name: String,
    /// Where it stands, e.g. `RFC 5280 §6.1.3 (a)(2)`.
    pub reference: String,
    /// What was found.
    pub verdict: RuleVerdict,
    /// What was seen, for people.
    pub detail: String,
    /// The certificate that it is about.
    pub subject: String,
}

/// The verdict on a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Validation {
    /// Whether no rule is broken.
    pub valid: bool,
    /// The certificate: its id where it is ours, else its fingerprint.
    pub certificate_id: String,
    /// Subjects from the certificate up to the trust anchor, as far as it goes.
    pub validation_path: Vec<String>,
    /// Rules that are broken, for people.
    pub errors: Vec<String>,
    /// Rules that should not be broken, for people.
    pub warnings: Vec<String>,
    /// When it was validated.
    #[schema(value_type = String, format = DateTime)]
    pub validated_at: Timestamp,
    /// `valid` or `invalid`.
    pub status: String,
    /// When it was validated, in seconds since 1970.
    pub validated_at_timestamp: i64,
    /// The same from the trust anchor down.
    pub trust_chain: Vec<String>,
    /// `null` until consensus is configured.
    pub consensus_proof: Option<String>,
    /// The verdict in a sentence.
    pub message: String,
    /// Every rule that was checked.
    pub rules: Vec<ValidationRule>,
}
