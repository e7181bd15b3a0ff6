//! The authority as ACME asks it: names that an account has proven, in a server's certificate.

use super::Link;
use crate::TrustChain;
use crate::error::TrustError;
use async_trait::async_trait;
use hypermesh_acme::{
    Authority, CertificateId, Identifier, IssueRequest, Issued, Refused, RenewalWindow, RevocationReason,
    RevokeError,
};
use hypermesh_model::{
    CertificateProfile, CertificateRecord, CertificateStatus, RolloverPhase, Timestamp, error_chain,
};
use hypermesh_pki::{Certificate, Csr, Names};

/// Seconds after which to try again when there is too much to do.
const RETRY_AFTER: u64 = 5;
/// How long an ACME certificate is valid, seconds: 90 days, as clients expect.
const VALIDITY: u64 = 90 * 86_400;

/// This node's authority.
pub(super) struct Ours(pub(super) Link);

#[async_trait]
impl Authority for Ours {
    fn admits(&self, identifier: &Identifier) -> Result<(), String> {
        // What an account controls it may have a certificate for; whether it does is a challenge's to say.
        match identifier {
            Identifier::Dns(_) | Identifier::Ip(_) => Ok(()),
        }
    }

    async fn issue(&self, request: IssueRequest) -> Result<Issued, Refused> {
        let domain = self.domain().map_err(Refused::Failed)?;
        domain.issue_proven(request).await
    }

    async fn revoke(&self, certificate_der: &[u8], reason: RevocationReason) -> Result<(), RevokeError> {
        let domain = self.domain().map_err(RevokeError::Failed)?;
        let certificate = Certificate::from_der(certificate_der).map_err(|_| RevokeError::Unknown)?;
        let id = domain.own_id(&certificate).ok_or(RevokeError::Unknown)?;
        if domain.revocation(&id).is_some() {
            return Err(RevokeError::AlreadyRevoked);
        }
        domain.revoke(&id, reason_name(reason), "acme").await.map(|_| ()).map_err(|error| match error {
            TrustError::Busy { .. } => RevokeError::Busy { retry_after: RETRY_AFTER },
            error @ (TrustError::NotFound { .. }
            | TrustError::Invalid { .. }
            | TrustError::Refused { .. }
            | TrustError::Conflict { .. }
            | TrustError::Unauthenticated { .. }
            | TrustError::Internal { .. }) => RevokeError::Failed(Box::new(error)),
        })
    }

    async fn renewal(&self, certificate: &CertificateId) -> Option<RenewalWindow> {
        let domain = self.domain().ok()?;
        let serial = certificate.serial().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let record = domain.index.get(&hypermesh_model::CertificateId::parse(serial).ok()?)?;
        Some(domain.renewal_window(&record))
    }
}

impl Ours {
    fn domain(&self) -> Result<TrustChain, Box<dyn std::error::Error + Send + Sync>> {
        self.0.domain().ok_or_else(|| "the node is starting or stopping".into())
    }
}

impl TrustChain {
    async fn issue_proven(&self, request: IssueRequest) -> Result<Issued, Refused> {
        let csr = Csr::from_der(&request.csr_der).map_err(|e| {
            let of_key = matches!(e, hypermesh_pki::CsrError::Key(_));
            let detail = error_chain(&e);
            if of_key { Refused::BadKey(detail) } else { Refused::BadRequest(detail) }
        })?;
        let (mut dns, mut ips) = (Vec::new(), Vec::new());
        for identifier in &request.identifiers {
            match identifier {
                Identifier::Dns(name) => dns.push(name.to_string()),
                Identifier::Ip(address) => ips.push(*address),
            }
        }
        let names =
            Names::new(dns, ips, Vec::new(), Vec::new()).map_err(|e| Refused::BadRequest(e.to_string()))?;
        let first = names.dns().first().cloned().or_else(|| names.ips().first().map(ToString::to_string));
        let subject = first.and_then(|name| hypermesh_pki::DistinguishedName::common(&name).ok());
        let subject = subject.unwrap_or_else(hypermesh_pki::DistinguishedName::empty);
        let now = Timestamp::now();
        let issuer_end = self.ca().active.certificate.not_after();
        let mut end = now.plus_seconds(VALIDITY).min(issuer_end);
        end = request.not_after.map_or(end, |asked| asked.min(end));
        let seconds = now.until(end).as_secs();
        let plan = self.dated(CertificateProfile::Server, subject, names, csr.key, Some(seconds));
        let made = self.make(plan).await.map_err(|error| match error {
            TrustError::Busy { .. } => Refused::Busy { retry_after: RETRY_AFTER },
            TrustError::Invalid { member, detail } if member == "csr" => Refused::BadKey(detail),
            TrustError::Invalid { detail, .. } | TrustError::Refused { detail, .. } => {
                Refused::BadRequest(detail)
            }
            error @ (TrustError::NotFound { .. }
            | TrustError::Conflict { .. }
            | TrustError::Unauthenticated { .. }
            | TrustError::Internal { .. }) => Refused::Failed(Box::new(error)),
        })?;
        let shown = self.show(&made, None);
        Ok(Issued { certificate_der: made.certificate.der().to_vec(), chain_pem: shown.chain_pem })
    }

    /// The last third of a certificate's life, less its last tenth; now for one that was revoked, or whose authority is
    /// being replaced early. Shifted by its serial number, so that not everybody comes at once.
    fn renewal_window(&self, record: &CertificateRecord) -> RenewalWindow {
        let now = Timestamp::now();
        let life = record.valid_from.until(record.valid_to).as_secs();
        let retiring = self.rollovers().iter().any(|rollover| {
            rollover.from == record.issuer_id && rollover.phase() == RolloverPhase::Activated
        });
        let revoked = self.status_of(record, now) == CertificateStatus::Revoked;
        let explanation_url = None;
        if revoked {
            return RenewalWindow {
                start: now.minus_seconds(3600),
                end: now.minus_seconds(1),
                explanation_url,
            };
        }
        let digits =
            record.id.as_str().get(..6).and_then(|text| u64::from_str_radix(text, 16).ok()).unwrap_or(0);
        let shift = digits % (life / 10).max(1);
        let start = record.valid_to.minus_seconds(life / 3).plus_seconds(shift);
        let start = if retiring { start.min(now.plus_seconds(shift.min(86_400))) } else { start };
        RenewalWindow { start, end: start.plus_seconds((life / 10).max(60)), explanation_url }
    }
}

fn reason_name(reason: RevocationReason) -> &'static str {
    match reason {
        RevocationReason::Unspecified => "unspecified",
        RevocationReason::KeyCompromise => "keyCompromise",
        RevocationReason::AffiliationChanged => "affiliationChanged",
        RevocationReason::Superseded => "superseded",
        RevocationReason::CessationOfOperation => "cessationOfOperation",
        RevocationReason::PrivilegeWithdrawn => "privilegeWithdrawn",
    }
}
