//! What is asked of an authority, and why it may refuse.

use crate::certificate::CertificateError;
use crate::key::{KeyError, PublicKey};
use crate::lint::Finding;
use crate::name::{DistinguishedName, NameConstraints, Names};
use crate::profile::Profile;
use crate::serial::SerialNumber;
use hypermesh_model::Timestamp;
use thiserror::Error;

/// Where an issuer's revocations, its OCSP responder and its certificate are found: `http` URLs, which stand in every
/// certificate and can't be changed afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerUrls {
    /// The revocation list, DER.
    pub crl: String,
    /// The OCSP responder.
    pub ocsp: String,
    /// The issuer's certificate, DER.
    pub ca_issuers: String,
}

/// A certificate that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// What it is for, which decides its usages.
    pub profile: Profile,
    /// Whom it is about; may be empty if there are names.
    pub subject: DistinguishedName,
    /// Its alternative names.
    pub names: Names,
    /// Its key.
    pub key: PublicKey,
    /// Its serial number, which must not have been used.
    pub serial: SerialNumber,
    /// From when on.
    pub not_before: Timestamp,
    /// Until when.
    pub not_after: Timestamp,
}

/// A CA certificate that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaOrder {
    /// Its name.
    pub subject: DistinguishedName,
    /// Its key.
    pub key: PublicKey,
    /// Its serial number, which must not have been used.
    pub serial: SerialNumber,
    /// From when on.
    pub not_before: Timestamp,
    /// Until when.
    pub not_after: Timestamp,
    /// How many CAs may follow below it: 0 for one that issues to nobody but ends.
    pub path_len: u8,
    /// What it may certify; everything if `None`.
    pub constraints: Option<NameConstraints>,
    /// Where its issuer's revocations are, if they are published.
    pub urls: Option<IssuerUrls>,
}

/// Why nothing was signed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IssueError {
    /// The end isn't after the beginning.
    #[error("the certificate would end ({not_after}) before it begins ({not_before})")]
    Dates {
        /// As ordered.
        not_before: Timestamp,
        /// As ordered.
        not_after: Timestamp,
    },
    /// It would be valid when its issuer isn't.
    #[error("the certificate would be valid outside of its issuer's time, {from} to {until}")]
    OutsideIssuer {
        /// The issuer's beginning.
        from: Timestamp,
        /// The issuer's end.
        until: Timestamp,
    },
    /// Longer than its profile allows.
    #[error("certificates of the profile {profile} are valid for at most {longest_s} seconds")]
    TooLong {
        /// The profile.
        profile: Profile,
        /// Its limit.
        longest_s: u64,
    },
    /// Names that its profile doesn't have, or lacks.
    #[error("the profile {profile} can't have these names: {why}")]
    Profile {
        /// The profile.
        profile: Profile,
        /// What is wrong.
        why: &'static str,
    },
    /// A name that its issuer may not certify.
    #[error("the issuer may not certify it: {0}")]
    Constrained(String),
    /// The issuer may have no CA below it, or none of that depth.
    #[error("the issuer may certify no CA of path length {0}")]
    PathLength(u8),
    /// A URL that is no plain `http` one: fetching it over TLS would need the very certificates it is about.
    #[error("`{0}` is no http URL of printable ASCII")]
    Url(String),
    /// A CA without a name can't be followed.
    #[error("a CA needs a subject")]
    NoSubject,
    /// The order's key can't be certified.
    #[error("the key can't be certified")]
    Key(#[source] KeyError),
    /// Certificate and key are not of each other.
    #[error("the key is not the certificate's")]
    NotTogether,
    /// The certificate is no CA's.
    #[error("the certificate is not one that may sign certificates")]
    NotACa,
    /// Timestamps of logs that are no list of them.
    #[error("the log's timestamps have no room in a list, or are none")]
    Timestamps,
    /// What would leave can't be read back; ours to mend.
    #[error("the certificate would be malformed")]
    Form(#[source] CertificateError),
    /// What would leave breaks a rule; ours to mend.
    #[error("the certificate breaks a rule: {}", .0.first().map_or("", |finding| finding.detail.as_str()))]
    Lint(Vec<Finding>),
    /// The provider of cryptography gave up.
    #[error("signing failed")]
    Sign(#[source] KeyError),
}
