//! Proving to hold the key of a certificate.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What is to be signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Challenge {
    /// Names the challenge; good for one attempt.
    pub nonce: String,
    /// The bytes to sign, base64.
    pub message: String,
    /// Until when.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

/// A certificate, and the proof that its key is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthenticateCertificate {
    /// The certificate, PEM; those above it may follow.
    #[schema(min_length = 1, max_length = 131_072, pattern = r"^[\t\n\r -~]*$")]
    pub certificate: String,
    /// The `nonce` of the challenge that was signed, from `GET /auth/challenge`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 256)]
    pub nonce: Option<String>,
    /// The signature over the challenge's `message` by the certificate's key, in base64: DER for ECDSA (SHA-256 on P-256,
    /// SHA-384 on P-384), plain for Ed25519, PKCS #1 v1.5 with SHA-256 for RSA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 2048)]
    pub signature: Option<String>,
}

/// A certificate is good, and its key is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Authenticated {
    /// Always `true`: who is not authenticated gets a 401.
    pub valid: bool,
    /// Until when the certificate is valid.
    #[serde(rename = "expiresAt")]
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// Whose certificate it is, RFC 4514.
    pub subject: String,
    /// Its id.
    pub certificate_id: String,
}
