//! A certificate authority: a CA certificate and its key, and what they sign.
//!
//! ```text
//! Order + Profile ─▶ prepare ─▶ Precertificate (poisoned, to be logged) ─▶ SCTs ─▶ finish ─▶ Certificate
//! ```
//! Nothing is signed without having been checked: names against profile and constraints, dates against the issuer's,
//! the result against our own lint. That a serial is used once, that the precertificate is in a log before a
//! certificate exists and that the key's file is safe is left to whoever calls.

mod crl;
mod issue;
mod order;

pub use crl::CrlContent;
pub use issue::Precertificate;
pub use order::{CaOrder, IssueError, IssuerUrls, Order};

use crate::certificate::extensions::BasicConstraints;
use crate::certificate::{Certificate, KeyUsages};
use crate::digest::sha1;
use crate::key::PrivateKey;
use crate::name::DistinguishedName;
use crate::serial::SerialNumber;
use hypermesh_model::Timestamp;
use std::fmt;
use std::sync::Arc;

/// A CA certificate and its key. Cheap to clone.
#[derive(Clone)]
pub struct Authority(Arc<Parts>);

struct Parts {
    certificate: Certificate,
    key: PrivateKey,
    /// The key's identifier, as the certificate says: it may not be ours.
    key_id: Vec<u8>,
    name_sha1: [u8; 20],
}

impl Authority {
    /// Makes a root: a certificate that its own key signs.
    ///
    /// # Errors
    /// [`IssueError`], e.g. dates that don't follow each other.
    pub fn new_root(
        subject: &DistinguishedName,
        key: PrivateKey,
        serial: SerialNumber,
        not_before: Timestamp,
        not_after: Timestamp,
    ) -> Result<Self, IssueError> {
        let certificate = issue::root(subject, &key, serial, not_before, not_after)?;
        Self::from_parts(certificate, key)
    }

    /// Makes an authority below this one, with a key of its own.
    ///
    /// # Errors
    /// [`IssueError`].
    pub fn intermediate(&self, order: &CaOrder, key: PrivateKey) -> Result<Self, IssueError> {
        if order.key != *key.public() {
            return Err(IssueError::NotTogether);
        }
        Self::from_parts(self.certify(order)?, key)
    }

    /// Signs a CA certificate for a key that is elsewhere.
    ///
    /// # Errors
    /// [`IssueError`].
    pub fn certify(&self, order: &CaOrder) -> Result<Certificate, IssueError> {
        issue::certify(self, order)
    }

    /// An authority from its stored parts.
    ///
    /// # Errors
    /// [`IssueError::NotTogether`] if the key isn't the certificate's, [`IssueError::NotACa`] if that is no CA's.
    pub fn from_parts(certificate: Certificate, key: PrivateKey) -> Result<Self, IssueError> {
        if certificate.public_key() != key.public() {
            return Err(IssueError::NotTogether);
        }
        let signs = certificate.key_usages().is_none_or(|usages| usages.contains(KeyUsages::KEY_CERT_SIGN));
        if !certificate.is_ca() || !signs || certificate.subject().is_empty() {
            return Err(IssueError::NotACa);
        }
        let key_id =
            certificate.subject_key_id().map_or_else(|| key.public().key_id().to_vec(), <[u8]>::to_vec);
        let name_sha1 = sha1(certificate.subject().der());
        Ok(Self(Arc::new(Parts { certificate, key, key_id, name_sha1 })))
    }

    /// Its certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.0.certificate
    }

    /// Checks an order and makes its precertificate.
    ///
    /// # Errors
    /// [`IssueError`] says what of the order can't be.
    pub fn prepare(&self, order: &Order, urls: &IssuerUrls) -> Result<Precertificate, IssueError> {
        issue::prepare(self, order, urls)
    }

    fn basic(&self) -> BasicConstraints {
        self.0.certificate.parts().extensions.basic.unwrap_or_default()
    }

    pub(crate) fn key(&self) -> &PrivateKey {
        &self.0.key
    }

    pub(crate) fn name_sha1(&self) -> &[u8; 20] {
        &self.0.name_sha1
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authority({})", self.0.certificate.subject())
    }
}
