//! Who signs certificates: the interface to the certificate authority.
//!
//! ACME decides who may have a certificate for which names; the authority decides everything that stands in it, and
//! checks the request again: its signature, its key, its names against the list it was given. Fails by [`Refused`] and
//! [`RevokeError`], which tell a client's fault from the authority's own.

use crate::id::{AccountId, CertificateId};
use crate::identifier::Identifier;
use async_trait::async_trait;
use hypermesh_model::Timestamp;
use thiserror::Error;

/// Any error.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A certificate that an account may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssueRequest {
    /// Who asks.
    pub account: AccountId,
    /// The PKCS #10 request, DER. Its names are exactly `identifiers`; its signature is not verified yet.
    pub csr_der: Vec<u8>,
    /// What the account has proven to control.
    pub identifiers: Vec<Identifier>,
    /// The end of validity that is asked for; the authority may end it earlier.
    pub not_after: Option<Timestamp>,
}

/// A certificate that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// It, DER.
    pub certificate_der: Vec<u8>,
    /// It and those above it, PEM, in order (RFC 8555, 7.4.2).
    pub chain_pem: String,
}

/// Why no certificate was made.
#[derive(Debug, Error)]
pub enum Refused {
    /// The request can't be accepted; another one may. The text goes to the client.
    #[error("the request can't be accepted: {0}")]
    BadRequest(String),
    /// Its key can't be accepted; the text goes to the client.
    #[error("the key can't be accepted: {0}")]
    BadKey(String),
    /// It does not issue for this identifier; the text goes to the client.
    #[error("it does not issue for {0}: {1}")]
    Identifier(Identifier, String),
    /// It has too much to do.
    #[error("the authority is busy")]
    Busy {
        /// Seconds after which to try again.
        retry_after: u64,
    },
    /// It failed; the source goes to the log.
    #[error("the authority failed")]
    Failed(#[source] BoxError),
}

/// Why a certificate was not revoked.
#[derive(Debug, Error)]
pub enum RevokeError {
    /// It is none of this authority's.
    #[error("the certificate was not issued here")]
    Unknown,
    /// It is revoked.
    #[error("the certificate is revoked already")]
    AlreadyRevoked,
    /// It has too much to do.
    #[error("the authority is busy")]
    Busy {
        /// Seconds after which to try again.
        retry_after: u64,
    },
    /// It failed; the source goes to the log.
    #[error("the authority failed")]
    Failed(#[source] BoxError),
}

/// Why a certificate is revoked: the reasons of RFC 5280, 5.3.1 that are a subscriber's to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RevocationReason {
    /// None is given.
    Unspecified,
    /// The private key is known to others, or may be.
    KeyCompromise,
    /// The subject is no longer what it says.
    AffiliationChanged,
    /// There is another certificate.
    Superseded,
    /// It is no longer needed.
    CessationOfOperation,
    /// The subject may no longer have it.
    PrivilegeWithdrawn,
}

impl RevocationReason {
    const ALL: [Self; 6] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
        Self::PrivilegeWithdrawn,
    ];

    /// Its number, the CRLReason of RFC 5280.
    pub fn code(self) -> u8 {
        match self {
            Self::Unspecified => 0,
            Self::KeyCompromise => 1,
            Self::AffiliationChanged => 3,
            Self::Superseded => 4,
            Self::CessationOfOperation => 5,
            Self::PrivilegeWithdrawn => 9,
        }
    }

    /// By its number.
    pub fn by_code(code: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| u64::from(reason.code()) == code)
    }
}

/// When a certificate had best be renewed (RFC 9773, 4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenewalWindow {
    /// From then on.
    pub start: Timestamp,
    /// Until then, later than `start`.
    pub end: Timestamp,
    /// A page that says why, for people.
    pub explanation_url: Option<String>,
}

/// The certificate authority.
#[async_trait]
pub trait Authority: Send + Sync {
    /// Whether it issues for an identifier at all, before anything is proven; otherwise a sentence for the client.
    ///
    /// # Errors
    /// Why not.
    fn admits(&self, identifier: &Identifier) -> Result<(), String>;

    /// Makes a certificate. It is on record, logged and durable when this returns. Runs to its end even when the client
    /// goes away.
    ///
    /// # Errors
    /// [`Refused`].
    async fn issue(&self, request: IssueRequest) -> Result<Issued, Refused>;

    /// Revokes a certificate, given as DER: byte by byte one that was issued here. That the asker may is decided.
    ///
    /// # Errors
    /// [`RevokeError`].
    async fn revoke(&self, certificate_der: &[u8], reason: RevocationReason) -> Result<(), RevokeError>;

    /// When a certificate had best be renewed; `None` if there is no such certificate. A window in the past means now.
    async fn renewal(&self, certificate: &CertificateId) -> Option<RenewalWindow>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_that_are_not_a_subscribers_are_unknown() {
        let known: Vec<u64> = (0..20).filter(|code| RevocationReason::by_code(*code).is_some()).collect();
        assert_eq!(known, [0, 1, 3, 4, 5, 9]);
    }
}
