//! The authorities: one root, the intermediates below it, of which one signs.
//!
//! A certificate and its key are files, what the authority does now is a row; without the row (a database that was lost)
//! it follows from the files. The set is an immutable snapshot: whoever began to issue under one authority ends under it,
//! also while another becomes active. The root's key is read when it is needed and may be elsewhere.

mod bootstrap;
mod crl;
mod ocsp;
mod rollover;

pub(crate) use bootstrap::{Files, open};
pub(crate) use crl::Lists;

use crate::TrustChain;
use crate::error::TrustError;
use crate::records::AuthorityState;
use crate::views::AuthorityView;
use hypermesh_model::{CertificateId, Timestamp, TrustLevel};
use hypermesh_pki::{Authority, Certificate, IssuerUrls};
use std::sync::{Arc, PoisonError};

/// An authority as it stands.
#[derive(Debug, Clone)]
pub(crate) struct Issuer {
    pub(crate) id: CertificateId,
    pub(crate) level: TrustLevel,
    pub(crate) certificate: Certificate,
    pub(crate) state: AuthorityState,
    pub(crate) created_at: Timestamp,
    /// Its key; `None` for the root's, which is read when needed, and for one that is gone.
    pub(crate) authority: Option<Authority>,
}

impl Issuer {
    /// The name of its key's file.
    pub(crate) fn key_name(&self) -> String {
        format!("{}-{}", self.level.name(), self.id)
    }

    /// Whether it is shown to others.
    pub(crate) fn is_handed_out(&self) -> bool {
        match self.state {
            AuthorityState::Distributed | AuthorityState::Active | AuthorityState::Retiring => true,
            AuthorityState::Prepared | AuthorityState::Retired => false,
        }
    }
}

/// The authorities at a time.
#[derive(Debug, Clone)]
pub(crate) struct Ca {
    pub(crate) root: Arc<Issuer>,
    /// By time of creation.
    pub(crate) intermediates: Vec<Arc<Issuer>>,
    /// The one that signs.
    pub(crate) active: Arc<Issuer>,
    /// The same with its key.
    pub(crate) signer: Authority,
}

impl Ca {
    /// The root, then the intermediates.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Issuer>> {
        std::iter::once(&self.root).chain(&self.intermediates)
    }

    pub(crate) fn get(&self, id: &CertificateId) -> Option<&Arc<Issuer>> {
        self.all().find(|issuer| issuer.id == *id)
    }

    /// The one that a certificate says it was signed by. Every authority has a name of its own.
    pub(crate) fn of(&self, certificate: &Certificate) -> Option<&Arc<Issuer>> {
        self.all().find(|issuer| issuer.certificate.subject() == certificate.issuer())
    }

    /// What the log is told of a certificate's issuers: their fingerprints, up to the root.
    pub(crate) fn chain(&self, issuer: &Issuer) -> Vec<[u8; 32]> {
        vec![issuer.certificate.sha256(), self.root.certificate.sha256()]
    }
}

impl TrustChain {
    /// The authorities as they stand now.
    pub(crate) fn ca(&self) -> Arc<Ca> {
        Arc::clone(&self.ca.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Where others find what they need to check what an authority signs.
    pub(crate) fn urls_of(&self, issuer: &CertificateId) -> IssuerUrls {
        urls(&self.settings.issuer_url, issuer)
    }

    fn authority_issuer(&self, id: &CertificateId) -> Result<Arc<Issuer>, TrustError> {
        self.ca().get(id).cloned().ok_or_else(|| TrustError::not_found("authority", id))
    }

    /// Every authority, the root first.
    ///
    /// # Errors
    /// None today; as [`Self::certificate`].
    pub fn authorities(&self) -> Result<Vec<AuthorityView>, TrustError> {
        let ca = self.ca();
        let view = |issuer: &Arc<Issuer>| AuthorityView {
            certificate: self.view_authority(issuer),
            certificate_pem: issuer.certificate.pem(),
            state: issuer.state,
            key_present: self.keys.has(&issuer.key_name()),
            crl_url: self.urls_of(&issuer.id).crl,
        };
        Ok(ca.all().map(view).collect())
    }

    /// The root's certificate, PEM.
    pub fn root_pem(&self) -> String {
        self.ca().root.certificate.pem()
    }

    /// The root's and every intermediate's certificate that is handed out, PEM.
    pub fn bundle_pem(&self) -> String {
        let ca = self.ca();
        ca.all().filter(|issuer| issuer.is_handed_out()).map(|issuer| issuer.certificate.pem()).collect()
    }

    /// An authority's certificate, DER: what the certificates that it signed point at.
    ///
    /// # Errors
    /// [`TrustError::NotFound`].
    pub fn authority_der(&self, id: &CertificateId) -> Result<Vec<u8>, TrustError> {
        Ok(self.authority_issuer(id)?.certificate.der().to_vec())
    }

    /// Whether the private keys' passphrase is kept beside them, for `doctor`.
    pub fn passphrase_is_beside_the_keys(&self) -> bool {
        self.keys.is_generated()
    }
}

pub(crate) fn urls(base: &str, issuer: &CertificateId) -> IssuerUrls {
    IssuerUrls {
        crl: format!("{base}/crl/{issuer}.crl"),
        ocsp: format!("{base}/ocsp"),
        ca_issuers: format!("{base}/ca/{issuer}.crt"),
    }
}

/// The same, as a certificate says.
pub(crate) fn urls_of_certificate(certificate: &Certificate) -> Option<IssuerUrls> {
    Some(IssuerUrls {
        crl: certificate.crl_urls().first()?.clone(),
        ocsp: certificate.ocsp_urls().first()?.clone(),
        ca_issuers: certificate.issuer_urls().first()?.clone(),
    })
}
