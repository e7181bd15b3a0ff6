//! Issuing, log first.
//!
//! ```text
//! plan (names, dates, key) ─▶ precertificate ─▶ log: on disk ─▶ SCT ─▶ certificate ─▶ archive ─▶ index ─▶ caller
//!                                                  │
//!                                                  └─ a crash from here on: finished at the next start
//! ```
//! Everything that can be refused is refused before the log hears of it. From the log on the work goes on without the
//! caller: a certificate that was promised is made, whoever stops waiting.

mod names;
mod plan;

use crate::TrustChain;
use crate::archive::end_of;
use crate::ca::Issuer;
use crate::error::TrustError;
use crate::failpoint;
use crate::requests::{IssueRequest, KeySource, RenewRequest};
use crate::views::Issued;
use hypermesh_ctlog::{Entry, LogError};
use hypermesh_model::{CertificateId, CertificateProfile, CertificateRecord, Timestamp, TrustLevel};
use hypermesh_pki::{Certificate, IssueError, Order, PrivateKey, SerialNumber};
pub(crate) use plan::{Plan, make_key, pki_profile};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A certificate that exists.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub(crate) record: Arc<CertificateRecord>,
    pub(crate) certificate: Certificate,
    pub(crate) issuer: Arc<Issuer>,
}

impl TrustChain {
    /// Issues a certificate. It is in the log, on disk, when this returns.
    ///
    /// # Errors
    /// [`TrustError::Invalid`] with the member that is wrong, [`TrustError::Refused`] for what the policy or the issuer
    /// doesn't allow, [`TrustError::Busy`]; then nothing was logged.
    pub async fn issue(&self, request: IssueRequest) -> Result<Issued, TrustError> {
        let planned = self.plan(request);
        let (plan, key) = planned.inspect_err(|_| self.count_refusal())?;
        self.issue_plan(plan, key).await
    }

    /// Issues a certificate for what another one is for, with the same names, or the same key too.
    ///
    /// # Errors
    /// As [`Self::issue`]; [`TrustError::NotFound`]; [`TrustError::Conflict`] for one that was revoked.
    pub async fn renew(&self, id: &CertificateId, request: RenewRequest) -> Result<Issued, TrustError> {
        let (plan, key) = self.plan_again(id, request).inspect_err(|_| self.count_refusal())?;
        self.issue_plan(plan, key).await
    }

    fn count_refusal(&self) {
        self.counters.issue_refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Issues what was planned, and shows it with its key.
    pub(crate) async fn issue_plan(&self, plan: Plan, key: Option<PrivateKey>) -> Result<Issued, TrustError> {
        let made = self.make(plan).await?;
        Ok(self.show(&made, key))
    }

    pub(crate) fn show(&self, made: &Made, key: Option<PrivateKey>) -> Issued {
        let certificate_pem = made.certificate.pem();
        Issued {
            chain_pem: format!("{certificate_pem}{}", made.issuer.certificate.pem()),
            certificate: self.view_of(&made.record, &made.certificate),
            certificate_pem,
            private_key_pem: key.map(|key| key.to_pkcs8_pem()),
        }
    }

    /// Makes a certificate, to the end even if the caller goes away.
    pub(crate) async fn make(&self, plan: Plan) -> Result<Made, TrustError> {
        let domain = self.clone();
        let made = tokio::spawn(async move { domain.log_and_finish(plan).await });
        let made = made.await.map_err(TrustError::internal("waiting for a certificate"))?;
        if made.as_ref().is_err_and(|error| !matches!(error, TrustError::Internal { .. })) {
            self.count_refusal();
        }
        made
    }

    async fn log_and_finish(&self, plan: Plan) -> Result<Made, TrustError> {
        // Who makes the index again waits until nobody is between the log and the archive.
        let _issuing = self.issuing.read().await;
        let place = self.index.reserve().await?;
        let ca = self.ca();
        let issuer = Arc::clone(&ca.active);
        let profile = plan.profile;
        let order =
            plan.order(SerialNumber::generate().map_err(TrustError::internal("drawing a serial number"))?);
        let precertificate = ca.signer.prepare(&order, &self.urls_of(&issuer.id)).map_err(refusal)?;
        let entry = Entry {
            timestamp_ms: millis(Timestamp::now()),
            issuer_key_hash: precertificate.issuer_key_hash,
            tbs: precertificate.tbs.clone(),
            precert: precertificate.der.clone(),
            chain: ca.chain(&issuer),
        };
        let logged = self.log.append(entry).await.map_err(log_error)?;
        failpoint::at("issue.logged");
        let certificate = precertificate
            .finish(&[logged.sct])
            .map_err(TrustError::internal("finishing a certificate that is logged"))?;
        failpoint::at("issue.finished");
        let offset = self
            .archive
            .append(logged.index, certificate.der())
            .map_err(TrustError::internal("archiving a certificate that is logged"))?;
        failpoint::at("issue.archived");
        let record = CertificateRecord {
            created_at: timestamp(logged.timestamp_ms),
            log_index: Some(logged.index),
            archive_offset: Some(offset),
            ..record_of(&certificate, &issuer, Some(profile))?
        };
        let record = self.index.add(place, record, end_of(offset, certificate.der().len()));
        self.counters.issued.fetch_add(1, Ordering::Relaxed);
        Ok(Made { record, certificate, issuer })
    }
}

/// What is remembered of a certificate, as far as it says so itself.
pub(crate) fn record_of(
    certificate: &Certificate,
    issuer: &Issuer,
    profile: Option<CertificateProfile>,
) -> Result<CertificateRecord, TrustError> {
    let id = CertificateId::parse(certificate.serial_hex())
        .map_err(TrustError::internal("naming a certificate"))?;
    Ok(CertificateRecord {
        id,
        subject: certificate.subject().to_string(),
        issuer: certificate.issuer().to_string(),
        issuer_id: issuer.id.clone(),
        trust_level: TrustLevel::Leaf,
        profile,
        names: names::with_kinds(certificate.names()),
        key_algorithm: certificate.public_key().algorithm().to_string(),
        valid_from: certificate.not_before(),
        valid_to: certificate.not_after(),
        fingerprint: certificate.fingerprint(),
        created_at: certificate.not_before(),
        log_index: None,
        archive_offset: None,
    })
}

pub(crate) fn millis(at: Timestamp) -> u64 {
    u64::try_from(at.as_millis()).unwrap_or(0)
}

pub(crate) fn timestamp(millis: u64) -> Timestamp {
    Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}

fn log_error(error: LogError) -> TrustError {
    if matches!(error, LogError::Busy) {
        TrustError::Busy { detail: "the log has too much to write; try again in a second".to_owned() }
    } else {
        TrustError::internal("writing to the log")(error)
    }
}

/// Whose fault it is that nothing is issued.
fn refusal(error: IssueError) -> TrustError {
    let detail = hypermesh_model::error_chain(&error);
    match error {
        IssueError::Dates { .. } | IssueError::TooLong { .. } => TrustError::invalid("validity_days", detail),
        IssueError::Profile { .. } => TrustError::invalid("names", detail),
        IssueError::Key(_) => TrustError::invalid("csr", detail),
        IssueError::OutsideIssuer { .. } | IssueError::Constrained(_) => TrustError::refused(detail),
        IssueError::Lint(findings) => TrustError::Refused {
            detail: "the certificate would break rules that certificates are held to".to_owned(),
            reasons: findings.into_iter().map(|finding| finding.detail).collect(),
        },
        IssueError::Form(_)
        | IssueError::PathLength(_)
        | IssueError::Url(_)
        | IssueError::NoSubject
        | IssueError::NotTogether
        | IssueError::NotACa
        | IssueError::Timestamps
        | IssueError::Sign(_) => TrustError::internal("signing a certificate")(error),
    }
}

/// The request for a certificate, read from wherever it is.
pub(crate) fn read_csr(key: &KeySource) -> Option<Result<hypermesh_pki::Csr, TrustError>> {
    let read = match key {
        KeySource::Generate(_) => return None,
        KeySource::Csr(pem) => hypermesh_pki::Csr::from_pem(pem),
        KeySource::CsrDer(der) => hypermesh_pki::Csr::from_der(der),
    };
    Some(read.map_err(|e| TrustError::invalid("csr", hypermesh_model::error_chain(&e))))
}

impl Plan {
    fn order(self, serial: SerialNumber) -> Order {
        Order {
            profile: pki_profile(self.profile),
            subject: self.subject,
            names: self.names,
            key: self.key,
            serial,
            not_before: self.not_before,
            not_after: self.not_after,
        }
    }
}
