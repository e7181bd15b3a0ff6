//! What is remembered of a certificate, and its state at a time.
//!
//! ```text
//! pending ──valid_from──▶ active ──valid_to──▶ expired
//!    └───────revoke──────▶ revoked ◀──revoke──┘ (stays revoked when its time is over)
//! ```
//! The state isn't stored: it follows from the dates, the revocation and the clock, so nothing has to run for a
//! certificate to expire.

use crate::{CertificateId, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;
use thiserror::Error;

/// A word that names nothing here.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{value}` is no {what}; it is one of {known}")]
pub struct UnknownName {
    /// What was expected.
    pub what: &'static str,
    /// What was given, cut to 80 characters.
    pub value: String,
    /// What there is.
    pub known: &'static str,
}

impl UnknownName {
    pub(crate) fn new(what: &'static str, value: &str, known: &'static str) -> Self {
        Self { what, value: value.chars().take(80).collect(), known }
    }
}

/// Where a certificate stands now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CertificateStatus {
    /// Its time has not come.
    Pending,
    /// It may be relied on.
    Active,
    /// Its time is over.
    Expired,
    /// Its issuer took it back.
    Revoked,
}

impl CertificateStatus {
    /// Where a certificate stands at a time (RFC 5280 §4.1.2.5: both ends of the validity belong to it).
    pub fn at(now: Timestamp, valid_from: Timestamp, valid_to: Timestamp, revoked: bool) -> Self {
        if revoked {
            Self::Revoked
        } else if now < valid_from {
            Self::Pending
        } else if now > valid_to {
            Self::Expired
        } else {
            Self::Active
        }
    }

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

impl std::str::FromStr for CertificateStatus {
    type Err = UnknownName;
    fn from_str(text: &str) -> Result<Self, UnknownName> {
        [Self::Pending, Self::Active, Self::Expired, Self::Revoked]
            .into_iter()
            .find(|status| status.name() == text)
            .ok_or_else(|| UnknownName::new("certificate status", text, "pending, active, expired, revoked"))
    }
}

/// How far from the root a certificate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrustLevel {
    /// The trust anchor.
    Root,
    /// Signs leaves.
    Intermediate,
    /// Signs nothing.
    Leaf,
}

impl TrustLevel {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Intermediate => "intermediate",
            Self::Leaf => "leaf",
        }
    }
}

impl std::str::FromStr for TrustLevel {
    type Err = UnknownName;
    fn from_str(text: &str) -> Result<Self, UnknownName> {
        [Self::Root, Self::Intermediate, Self::Leaf]
            .into_iter()
            .find(|level| level.name() == text)
            .ok_or_else(|| UnknownName::new("trust level", text, "root, intermediate, leaf"))
    }
}

/// What a certificate was issued for. It decides every field but the key and the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CertificateProfile {
    /// A TLS server.
    Server,
    /// A TLS client.
    Client,
    /// A node of the mesh: both, with a SPIFFE id.
    Node,
    /// A signer of code.
    CodeSigning,
}

impl CertificateProfile {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
            Self::Node => "node",
            Self::CodeSigning => "code-signing",
        }
    }
}

impl fmt::Display for CertificateProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for CertificateProfile {
    type Err = UnknownName;
    fn from_str(text: &str) -> Result<Self, UnknownName> {
        [Self::Server, Self::Client, Self::Node, Self::CodeSigning]
            .into_iter()
            .find(|profile| profile.name() == text)
            .ok_or_else(|| UnknownName::new("usage", text, "server, client, node, code-signing"))
    }
}

/// What is remembered of a certificate of ours. All of it can be read from the certificate itself, but where that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateRecord {
    /// Its serial number, 32 lower-case hexadecimal digits.
    pub id: CertificateId,
    /// Who it is for (RFC 4514).
    pub subject: String,
    /// Who signed it (RFC 4514).
    pub issuer: String,
    /// The serial number of the certificate that it was signed with; its own for a root.
    pub issuer_id: CertificateId,
    /// How far from the root it is.
    pub trust_level: TrustLevel,
    /// What it was issued for; `None` for an authority's.
    pub profile: Option<CertificateProfile>,
    /// Its alternative names with their kind: `dns:`, `ip:`, `uri:`, `email:`.
    pub names: Vec<String>,
    /// `ECDSA P-256` and the like.
    pub key_algorithm: String,
    /// From when it is valid.
    pub valid_from: Timestamp,
    /// Until when it is valid.
    pub valid_to: Timestamp,
    /// SHA-256 of its DER: `SHA256:` and 64 lower-case hexadecimal digits.
    pub fingerprint: String,
    /// When it was issued: what the log's entry says, for one that is in the log.
    pub created_at: Timestamp,
    /// Its place in the transparency log; `None` for an authority's.
    pub log_index: Option<u64>,
    /// Where its DER begins in the archive of issued certificates, in bytes; `None` for an authority's.
    pub archive_offset: Option<u64>,
}

/// That a certificate was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// Which certificate.
    pub certificate_id: CertificateId,
    /// The certificate that it was signed with: in whose list it belongs.
    pub issuer_id: CertificateId,
    /// Since when.
    pub at: Timestamp,
    /// RFC 5280 §5.3.1's name of the reason.
    pub reason: String,
    /// Until when it would have been valid: afterwards it leaves the list (RFC 5280 §3.3).
    pub valid_to: Timestamp,
    /// Who asked for it.
    pub by: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use CertificateStatus::{Active, Expired, Pending, Revoked};

    #[test]
    fn both_ends_of_the_validity_belong_to_it() {
        let t = Timestamp::from_millis;
        let at = |now| CertificateStatus::at(t(now), t(1000), t(2000), false);
        assert_eq!([999, 1000, 2000, 2001].map(at), [Pending, Active, Active, Expired]);
        assert_eq!(CertificateStatus::at(t(9000), t(1000), t(2000), true), Revoked);
    }

    #[test]
    fn names_are_read_as_they_are_printed() {
        for status in [Pending, Active, Expired, Revoked] {
            assert_eq!(status.name().parse(), Ok(status));
        }
        for profile in ["server", "client", "node", "code-signing"] {
            assert_eq!(profile.parse::<CertificateProfile>().unwrap().name(), profile);
        }
        assert!("Server".parse::<CertificateProfile>().unwrap_err().to_string().contains("code-signing"));
        assert_eq!("root".parse(), Ok(TrustLevel::Root));
    }
}
