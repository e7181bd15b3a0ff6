//! What is kept: accounts, orders, authorizations, certificates. Plain data; every rule about it is in `server`.
//!
//! An order that is open has no status of its own: whether it is pending, ready or lost follows from its
//! authorizations when somebody looks, so that no crash can leave the two in disagreement.
//!
//! ```text
//! order: Open ──finalize──▶ Processing ──issued──▶ Valid
//!          ▲                    ├──refused, the request is at fault──▶ Open
//!          └────────────────────┘      └──the node ended meanwhile──▶ Invalid
//! ```

use crate::id::{AccountId, AuthorizationId, CertificateId, OrderId};
use crate::identifier::Identifier;
use crate::jwk::Jwk;
use crate::problem::Problem;
use hypermesh_model::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What may become of an account (RFC 8555, 7.1.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccountStatus {
    /// It may ask for certificates.
    Valid,
    /// Its holder gave it up, for ever.
    Deactivated,
    /// The operator took it away, for ever.
    Revoked,
}

/// Who asks for certificates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its name.
    pub id: AccountId,
    /// The key that signs its requests.
    pub key: Jwk,
    /// Whether it may ask.
    pub status: AccountStatus,
    /// `mailto:` URLs.
    pub contact: Vec<String>,
    /// Whether the terms of service were agreed to.
    pub terms_agreed: bool,
    /// The key identifier of its external account.
    pub external: Option<String>,
    /// When it was made.
    pub created: Timestamp,
}

/// Which account a key belongs to. A record of its own, so that no two accounts get one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountKey {
    /// The key's thumbprint (RFC 7638, SHA-256, base64url).
    pub thumbprint: String,
    /// Whose key it is.
    pub account: AccountId,
}

/// How far an order has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum OrderState {
    /// Not finalized: pending, ready or lost, as its authorizations are.
    Open,
    /// A certificate is being made by the process that calls itself `run`.
    Processing {
        /// Which process; one that is gone never finishes.
        run: String,
    },
    /// There is a certificate.
    Valid {
        /// Its name.
        certificate: CertificateId,
    },
    /// There won't be one.
    Invalid {
        /// Why.
        error: Problem,
    },
}

/// A request for a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Its name.
    pub id: OrderId,
    /// Whose it is.
    pub account: AccountId,
    /// How far it has come.
    pub state: OrderState,
    /// What the certificate is to be for, without repetition.
    pub identifiers: Vec<Identifier>,
    /// One for each identifier, in the same order.
    pub authorizations: Vec<AuthorizationId>,
    /// The end of validity that was asked for.
    pub not_after: Option<Timestamp>,
    /// The certificate that it replaces (RFC 9773).
    pub replaces: Option<CertificateId>,
    /// When it was made.
    pub created: Timestamp,
    /// When it ceases to exist.
    pub expires: Timestamp,
}

/// How a challenge stands (RFC 8555, 7.1.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChallengeStatus {
    /// The client has not said that it is ready.
    Pending,
    /// It is being validated.
    Processing,
    /// It was met.
    Valid,
    /// It was not met.
    Invalid,
}

/// How control over an identifier is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ChallengeKind {
    /// A file on a web server, RFC 8555, 8.3.
    #[serde(rename = "http-01")]
    Http01,
    /// A TXT record, RFC 8555, 8.4.
    #[serde(rename = "dns-01")]
    Dns01,
    /// A certificate of a TLS server, RFC 8737.
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
}

impl ChallengeKind {
    /// Its name, as it stands in documents and URLs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
            Self::Dns01 => "dns-01",
            Self::TlsAlpn01 => "tls-alpn-01",
        }
    }

    /// By its name.
    pub fn by_name(name: &str) -> Option<Self> {
        [Self::Http01, Self::Dns01, Self::TlsAlpn01].into_iter().find(|kind| kind.name() == name)
    }

    /// Which ones can prove control over an identifier: only dns-01 over a wildcard, never over an address.
    pub fn for_identifier(identifier: &Identifier) -> &'static [Self] {
        match identifier {
            Identifier::Dns(name) if name.is_wildcard() => &[Self::Dns01],
            Identifier::Dns(_) => &[Self::Http01, Self::Dns01, Self::TlsAlpn01],
            Identifier::Ip(_) => &[Self::Http01, Self::TlsAlpn01],
        }
    }
}

impl fmt::Display for ChallengeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One way to prove control.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// Which.
    pub kind: ChallengeKind,
    /// 128 random bits, base64url.
    pub token: String,
    /// How it stands.
    pub status: ChallengeStatus,
    /// When it was met.
    pub validated: Option<Timestamp>,
    /// Why it was not.
    pub error: Option<Problem>,
}

/// How an authorization stands (RFC 8555, 7.1.6). `expired` follows from its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthorizationStatus {
    /// No challenge was met yet.
    Pending,
    /// One was.
    Valid,
    /// One was tried and not met.
    Invalid,
    /// Its holder gave it up.
    Deactivated,
    /// The operator took it away.
    Revoked,
}

/// That an account controls an identifier, or is about to prove it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authorization {
    /// Its name.
    pub id: AuthorizationId,
    /// Whose it is.
    pub account: AccountId,
    /// Over what; never a wildcard name, but its base.
    pub identifier: Identifier,
    /// Whether it is for the names below `identifier`.
    pub wildcard: bool,
    /// How it stands.
    pub status: AuthorizationStatus,
    /// The ways to prove it, no two of one kind.
    pub challenges: Vec<Challenge>,
    /// When it ends.
    pub expires: Timestamp,
}

impl Authorization {
    /// The challenge of a kind.
    pub fn challenge(&self, kind: ChallengeKind) -> Option<&Challenge> {
        self.challenges.iter().find(|challenge| challenge.kind == kind)
    }

    pub(crate) fn challenge_mut(&mut self, kind: ChallengeKind) -> Option<&mut Challenge> {
        self.challenges.iter_mut().find(|challenge| challenge.kind == kind)
    }

    /// Whether it lets a certificate be issued at this time.
    pub fn is_valid(&self, at: Timestamp) -> bool {
        self.status == AuthorizationStatus::Valid && at < self.expires
    }
}

/// A certificate that was issued for an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Its name.
    pub id: CertificateId,
    /// Whose it is.
    pub account: AccountId,
    /// What it is for.
    pub identifiers: Vec<Identifier>,
    /// It and those above it, PEM, the root left out or not as the authority chose.
    pub chain_pem: String,
    /// When it ceases to be valid.
    pub not_after: Timestamp,
    /// The order that is to replace it (RFC 9773).
    pub replaced_by: Option<OrderId>,
}
