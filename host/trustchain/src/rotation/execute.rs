//! One rotation: a new certificate with a new key, then the record, then what follows from it.

use super::due;
use super::policies::validity;
use crate::TrustChain;
use crate::error::TrustError;
use crate::files::{self, write_whole};
use crate::identity::policy as own_policy;
use crate::requests::{KeyKind, KeySource, RenewRequest, RotationRequest};
use crate::views::{Issued, Rotated};
use hypermesh_model::{
    CertificateId, CertificateRecord, CertificateStatus, EventKind, Rotation, RotationId, RotationPolicy,
    RotationStatus, RotationType, Timestamp, error_chain,
};
use hypermesh_store::Batch;
use serde_json::json;
use std::sync::atomic::Ordering;

impl TrustChain {
    /// Replaces a certificate now. The old one stays valid for its policy's grace period (without one, for a third of its
    /// life at most), or with `Emergency` not at all.
    ///
    /// # Errors
    /// As [`Self::issue`]; [`TrustError::NotFound`]; [`TrustError::Conflict`] for one that was revoked.
    pub async fn rotate(&self, request: RotationRequest) -> Result<Rotated, TrustError> {
        let domain = self.clone();
        // To the end, whoever stops waiting: what is issued is put on record.
        let done = tokio::spawn(async move {
            let _turn = domain.rotating.lock().await;
            let policy = domain.policy_of(&request.certificate_id);
            domain.rotate_one(&request, policy, false).await
        });
        done.await.map_err(TrustError::internal("waiting for a rotation"))?
    }

    fn policy_of(&self, id: &CertificateId) -> Option<RotationPolicy> {
        self.tables.policies.filter(|policy| policy.certificate_id == *id).pop()
    }

    /// Whoever calls has the turn. `keep_key`: nobody is there to take the new key.
    pub(super) async fn rotate_one(
        &self,
        request: &RotationRequest,
        policy: Option<RotationPolicy>,
        keep_key: bool,
    ) -> Result<Rotated, TrustError> {
        let id = &request.certificate_id;
        let old = self.index.get(id).ok_or_else(|| TrustError::not_found("certificate", id))?;
        if self.status_of(&old, Timestamp::now()) == CertificateStatus::Revoked {
            return Err(TrustError::conflict("the certificate was revoked; issue a new one"));
        }
        let (new, identity) = if self.is_own(id) {
            let (made, identity) = self.make_identity().await?;
            (self.show(&made, None), Some(identity))
        } else {
            (self.renew(id, self.renewal(&old, request)).await?, None)
        };
        let now = Timestamp::now();
        let rotation = rotation_of(request, &old, &new, policy.as_ref(), now);
        let policy = policy.map(|policy| followed(policy, &new, request.rotation_type, now));
        if let Some(policy) = policy.as_ref().filter(|_| keep_key && identity.is_none()) {
            self.leave_key(policy, &new)?;
        }
        let mut batch = Batch::new();
        batch.put(&self.tables.rotations, rotation.clone());
        if let Some(policy) = &policy {
            batch.put(&self.tables.policies, policy.clone());
        }
        if identity.is_some() {
            self.put_identity(&mut batch, &new.certificate.record.id);
        }
        let data = json!({ "new": new.certificate.record.id, "type": request.rotation_type.name() });
        batch.event(EventKind::RotationDone, id.as_str(), data);
        self.commit(batch, "recording a rotation").await?;
        crate::failpoint::at("rotation.recorded");
        if let Some(identity) = identity {
            self.switch_identity(identity)?;
        }
        self.counters.rotations.fetch_add(1, Ordering::Relaxed);
        if request.rotation_type == RotationType::Emergency {
            self.end_overlap(&rotation).await?;
        }
        self.work.notify_one();
        let rotation = self.tables.rotations.get(&rotation.id).unwrap_or(rotation);
        Ok(Rotated { rotation, old: self.certificate(id)?, new, policy: policy.map(|policy| policy.id) })
    }

    fn renewal(&self, old: &CertificateRecord, request: &RotationRequest) -> RenewRequest {
        let kind = match old.key_algorithm.as_str() {
            "ECDSA P-384" => KeyKind::P384,
            "Ed25519" => KeyKind::Ed25519,
            _ => KeyKind::P256,
        };
        let key = request.key.clone().unwrap_or(KeySource::Generate(kind));
        RenewRequest { key: Some(key), validity_seconds: None, by: request.by.clone() }
    }

    /// Leaves the new certificate and its key for whoever runs the service.
    fn leave_key(&self, policy: &RotationPolicy, new: &Issued) -> Result<(), TrustError> {
        let fault = || TrustError::internal("leaving a rotated certificate in its folder");
        let folder = self.managed.join(policy.id.as_str());
        files::folder(&folder).map_err(fault())?;
        if let Some(key) = &new.private_key_pem {
            write_whole(&folder.join("key.pem"), key.as_bytes()).map_err(fault())?;
        }
        write_whole(&folder.join("fullchain.pem"), new.chain_pem.as_bytes()).map_err(fault())
    }

    /// The end of the time in which both are valid: the old one is revoked, if it hasn't expired.
    pub(super) async fn end_overlap(&self, rotation: &Rotation) -> Result<(), TrustError> {
        let old = self.index.get(&rotation.certificate_id);
        let active =
            old.is_some_and(|old| self.status_of(&old, Timestamp::now()) == CertificateStatus::Active);
        if active {
            self.revoke(&rotation.certificate_id, "superseded", "rotation").await?;
        }
        let mut batch = Batch::new();
        let done = Rotation { status: RotationStatus::Completed, ..rotation.clone() };
        batch.put(&self.tables.rotations, done);
        self.commit(batch, "ending a rotation's overlap").await
    }

    /// Puts on record that a policy's rotation was not possible, and when it is tried again.
    pub(super) async fn record_failure(
        &self,
        policy: RotationPolicy,
        error: &TrustError,
    ) -> Result<(), TrustError> {
        let now = Timestamp::now();
        let failures = policy.failures.saturating_add(1);
        let old = self.index.get(&policy.certificate_id);
        let detail = error_chain(error);
        let rotation = Rotation {
            id: RotationId::generate(),
            certificate_id: policy.certificate_id.clone(),
            new_certificate_id: None,
            rotation_type: policy.rotation_type,
            executed_at: now,
            old_fingerprint: old.map(|old| old.fingerprint).unwrap_or_default(),
            new_fingerprint: None,
            status: RotationStatus::Failed,
            overlap_until: None,
            detail: Some(detail.clone()),
        };
        let next_rotation = Some(due::retry(failures, now));
        let mut batch = Batch::new();
        batch.event(EventKind::RotationFailed, policy.certificate_id.as_str(), json!({ "detail": detail }));
        batch.put(&self.tables.rotations, rotation);
        batch.put(&self.tables.policies, RotationPolicy { failures, next_rotation, ..policy });
        self.commit(batch, "recording a rotation that failed").await
    }

    /// The policy of the node's own certificate, made where there is none.
    pub(crate) fn put_own_policy(
        &self,
        batch: &mut Batch,
        new: &CertificateRecord,
        old: Option<&CertificateId>,
    ) {
        let now = Timestamp::now();
        let known = old.and_then(|old| self.policy_of(old)).or_else(|| self.policy_of(&new.id));
        let mut policy = known.unwrap_or_else(|| own_policy(&new.id, now));
        policy.certificate_id = new.id.clone();
        policy.enabled = true;
        policy.next_rotation = due::next_rotation(&policy, validity(new));
        batch.put(&self.tables.policies, policy);
    }
}

fn rotation_of(
    request: &RotationRequest,
    old: &CertificateRecord,
    new: &Issued,
    policy: Option<&RotationPolicy>,
    now: Timestamp,
) -> Rotation {
    let third = old.valid_from.until(old.valid_to).as_secs() / 3;
    let overlap = match request.rotation_type {
        RotationType::Emergency => 0,
        RotationType::Automatic | RotationType::Manual => {
            policy.map_or(third, |policy| due::overlap_seconds(policy, validity(old)))
        }
    };
    Rotation {
        id: RotationId::generate(),
        certificate_id: old.id.clone(),
        new_certificate_id: Some(new.certificate.record.id.clone()),
        rotation_type: request.rotation_type,
        executed_at: now,
        old_fingerprint: old.fingerprint.clone(),
        new_fingerprint: Some(new.certificate.record.fingerprint.clone()),
        status: RotationStatus::Overlap,
        overlap_until: Some(now.plus_seconds(overlap)),
        detail: None,
    }
}

/// The policy after its certificate was replaced. An emergency happens once.
fn followed(policy: RotationPolicy, new: &Issued, why: RotationType, now: Timestamp) -> RotationPolicy {
    let over = why == RotationType::Emergency && policy.rotation_type == RotationType::Emergency;
    let mut policy = RotationPolicy {
        certificate_id: new.certificate.record.id.clone(),
        last_rotation: Some(now),
        warned_for: None,
        failures: 0,
        enabled: policy.enabled && !over,
        ..policy
    };
    policy.next_rotation = due::next_rotation(&policy, validity(&new.certificate.record));
    policy
}
