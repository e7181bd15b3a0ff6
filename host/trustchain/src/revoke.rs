//! Taking certificates back: durable before it is acknowledged, and in every list and answer from then on.
//!
//! Order: the journal (for the day on which the database is lost), the database (synced), then the list is stale. A
//! revocation is final; RFC 5280's reasons that aren't (`certificateHold`, `removeFromCRL`) are refused.

use crate::TrustChain;
use crate::error::TrustError;
use crate::records::{AuthorityState, Revoked};
use crate::views::Certificate;
use hypermesh_model::{CertificateId, EventKind, Revocation, Timestamp, TrustLevel};
use hypermesh_pki::RevocationReason;
use hypermesh_store::{ABSENT, Batch, StoreError};
use serde_json::json;
use std::sync::atomic::Ordering;

/// Certificates that are revoked in one call.
pub const MAX_REVOKED_AT_ONCE: usize = 10_000;

/// RFC 5280 §5.3.1's name, in any case.
pub(crate) fn parse_reason(text: &str) -> Result<RevocationReason, TrustError> {
    text.parse().map_err(|e: hypermesh_pki::InvalidReason| TrustError::invalid("reason", e.to_string()))
}

impl TrustChain {
    /// Revokes a certificate: a leaf, or an intermediate that doesn't sign any more.
    ///
    /// # Errors
    /// [`TrustError::NotFound`]; [`TrustError::Invalid`] for a reason that is none; [`TrustError::Conflict`] when it is revoked
    /// already, has expired, or is an authority in use.
    pub async fn revoke(
        &self,
        id: &CertificateId,
        reason: &str,
        by: &str,
    ) -> Result<Certificate, TrustError> {
        self.revoke_many(std::slice::from_ref(id), reason, by).await?;
        self.certificate(id)
    }

    /// Revokes several certificates, all or none.
    ///
    /// # Errors
    /// As [`Self::revoke`], for the first that can't be.
    pub async fn revoke_many(&self, ids: &[CertificateId], reason: &str, by: &str) -> Result<(), TrustError> {
        let reason = parse_reason(reason)?;
        if ids.len() > MAX_REVOKED_AT_ONCE {
            let detail = format!("at most {MAX_REVOKED_AT_ONCE} certificates are revoked at once");
            return Err(TrustError::refused(detail));
        }
        let now = Timestamp::now();
        let mut revocations = Vec::with_capacity(ids.len());
        for id in ids {
            revocations.push(self.revocation_of(id, reason, now, by)?);
        }
        let domain = self.clone();
        // To the end, whoever stops waiting: the list must learn of what is in the database.
        let done = tokio::spawn(async move { domain.record_revocations(revocations).await });
        done.await.map_err(TrustError::internal("waiting for a revocation"))?
    }

    fn revocation_of(
        &self,
        id: &CertificateId,
        reason: RevocationReason,
        now: Timestamp,
        by: &str,
    ) -> Result<Revocation, TrustError> {
        if self.tables.revocations.contains(id) {
            return Err(TrustError::conflict(format!("the certificate {id} is revoked already")));
        }
        let (issuer_id, valid_to) = match self.ca().get(id) {
            Some(issuer) if issuer.level == TrustLevel::Root => {
                return Err(TrustError::conflict(
                    "a root can't be revoked: nobody is above it; stop trusting it",
                ));
            }
            Some(issuer) if issuer.state == AuthorityState::Active => {
                return Err(TrustError::conflict("this intermediate signs; roll over to another one first"));
            }
            Some(issuer) => (self.ca().root.id.clone(), issuer.certificate.not_after()),
            None => {
                let record = self.index.get(id).ok_or_else(|| TrustError::not_found("certificate", id))?;
                (record.issuer_id, record.valid_to)
            }
        };
        if valid_to < now {
            return Err(TrustError::conflict(format!("the certificate {id} has expired")));
        }
        let (certificate_id, reason, by) = (id.clone(), reason.as_str().to_owned(), by.to_owned());
        Ok(Revocation { certificate_id, issuer_id, at: now, reason, valid_to, by })
    }

    async fn record_revocations(&self, revocations: Vec<Revocation>) -> Result<(), TrustError> {
        self.journal
            .append(&revocations)
            .map_err(TrustError::internal("writing the revocations' journal"))?;
        let mut batch = Batch::new();
        for revocation in &revocations {
            batch.put_if(&self.tables.revocations, Revoked(revocation.clone()), ABSENT);
            let data = json!({ "reason": revocation.reason, "by": revocation.by });
            batch.event(EventKind::CertificateRevoked, revocation.certificate_id.as_str(), data);
        }
        match self.store.commit(batch).await {
            Ok(_) => {}
            Err(StoreError::Conflict { id, .. }) => {
                return Err(TrustError::conflict(format!("the certificate {id} is revoked already")));
            }
            Err(error) => return Err(TrustError::internal("recording a revocation")(error)),
        }
        crate::failpoint::at("revoke.recorded");
        for revocation in &revocations {
            self.lists.make_stale(&revocation.issuer_id);
        }
        self.counters.revoked.fetch_add(revocations.len() as u64, Ordering::Relaxed);
        self.work.notify_one();
        Ok(())
    }
}
