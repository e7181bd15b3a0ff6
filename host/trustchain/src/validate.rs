//! Whether a certificate may be relied on, rule by rule: one of ours, or any that is posted.
//!
//! The rules are `hypermesh_pki::explain`'s; what is revoked is known of our own certificates only, and said so of others.

use crate::TrustChain;
use crate::error::TrustError;
use crate::requests::ValidateRequest;
use crate::views::{RuleView, Validation};
use hypermesh_model::{CertificateId, CertificateProfile, CertificateStatus, Timestamp};
use hypermesh_pki::{Certificate, Purpose, Revocation, Verdict, explain};
use std::sync::atomic::Ordering;

/// Certificates that are posted at once: longer chains than anybody has, and a bound on the work.
const MAX_POSTED: usize = 16;

impl TrustChain {
    /// Validates a certificate of ours.
    ///
    /// # Errors
    /// [`TrustError::NotFound`]; [`TrustError::Invalid`] for other certificates in the request that can't be read.
    pub fn validate(&self, id: &CertificateId, request: &ValidateRequest) -> Result<Validation, TrustError> {
        let der = self.certificate_der(id)?;
        let certificate =
            Certificate::from_der(&der).map_err(TrustError::internal("reading a certificate"))?;
        self.explain(&certificate, Vec::new(), request)
    }

    /// Validates a certificate that is posted: the first of the PEM's, with the others as its intermediates.
    ///
    /// # Errors
    /// [`TrustError::Invalid`] with the member that can't be read.
    pub fn validate_pem(&self, pem: &str, request: &ValidateRequest) -> Result<Validation, TrustError> {
        let mut posted = read_all("certificate", pem)?.into_iter();
        let certificate = posted.next().ok_or_else(|| {
            TrustError::invalid("certificate", "there is no `-----BEGIN CERTIFICATE-----` in it")
        })?;
        self.explain(&certificate, posted.collect(), request)
    }

    fn explain(
        &self,
        certificate: &Certificate,
        mut others: Vec<Certificate>,
        request: &ValidateRequest,
    ) -> Result<Validation, TrustError> {
        self.counters.validations.fetch_add(1, Ordering::Relaxed);
        let ca = self.ca();
        if let Some(pem) = &request.intermediates_pem {
            others.extend(read_all("intermediates", pem)?);
        }
        others.extend(ca.intermediates.iter().map(|issuer| issuer.certificate.clone()));
        let roots = match &request.roots_pem {
            Some(pem) => read_all("roots", pem)?,
            None => vec![ca.root.certificate.clone()],
        };
        let at = request.at.unwrap_or_else(Timestamp::now);
        let purpose = request.usage.map(|usage| match usage {
            CertificateProfile::Server | CertificateProfile::Node => Purpose::Server,
            CertificateProfile::Client => Purpose::Client,
            CertificateProfile::CodeSigning => Purpose::CodeSigning,
        });
        let revoked = |certificate: &Certificate| self.revocation_known(certificate);
        let host = request.host.as_deref();
        let explanation = explain(certificate, &others, &roots, at, purpose, host, &revoked);
        let own = self.own_id(certificate);
        let status = own.as_ref().map(|id| {
            let revoked = self.revocation(id).is_some_and(|revocation| revocation.at <= at);
            CertificateStatus::at(at, certificate.not_before(), certificate.not_after(), revoked)
        });
        Ok(Validation {
            valid: explanation.valid,
            certificate_id: own,
            path: explanation.path.iter().map(|it| it.subject().to_string()).collect(),
            rules: explanation
                .rules
                .into_iter()
                .map(|rule| RuleView {
                    name: rule.name.to_owned(),
                    reference: rule.reference.to_owned(),
                    verdict: match rule.verdict {
                        Verdict::Pass => "pass",
                        Verdict::Fail => "fail",
                        Verdict::Warn => "warn",
                        Verdict::Unchecked => "unchecked",
                    },
                    detail: rule.detail,
                    subject: rule.subject,
                })
                .collect(),
            at,
            status,
        })
    }

    /// The id of a certificate that is ours byte by byte.
    pub(crate) fn own_id(&self, certificate: &Certificate) -> Option<CertificateId> {
        let id = CertificateId::parse(certificate.serial_hex()).ok()?;
        let ours = match self.ca().get(&id) {
            Some(issuer) => issuer.certificate == *certificate,
            None => self.index.get(&id).is_some_and(|record| record.fingerprint == certificate.fingerprint()),
        };
        ours.then_some(id)
    }

    fn revocation_known(&self, certificate: &Certificate) -> Revocation {
        match self.own_id(certificate) {
            Some(id) => self.known_revocation(&id),
            None => Revocation::Unknown,
        }
    }
}

fn read_all(member: &'static str, pem: &str) -> Result<Vec<Certificate>, TrustError> {
    let invalid =
        |e: hypermesh_pki::CertificateError| TrustError::invalid(member, hypermesh_model::error_chain(&e));
    let all = Certificate::all_from_pem(pem).map_err(invalid)?;
    if all.len() > MAX_POSTED {
        return Err(TrustError::invalid(member, format!("at most {MAX_POSTED} certificates are looked at")));
    }
    Ok(all)
}
