//! Policies: made, changed, removed.

use super::due::{self, Validity};
use crate::TrustChain;
use crate::error::TrustError;
use crate::requests::NewRotationPolicy;
use hypermesh_model::{CertificateRecord, RotationPolicy, RotationPolicyId, Timestamp, TrustLevel};
use hypermesh_store::Batch;

/// Policies of one node: each is looked at whenever something is due.
pub const MAX_POLICIES: usize = 10_000;
/// Longest interval, days: ten years.
const MAX_INTERVAL: u32 = 3650;
/// Longest warning and grace, days.
const MAX_PERIOD: u32 = 365;

fn check(new: &NewRotationPolicy) -> Result<(), TrustError> {
    let range = |member: &'static str, value: u32, from: u32, to: u32| {
        if (from..=to).contains(&value) {
            Ok(())
        } else {
            Err(TrustError::invalid(member, format!("`{member}` must be from {from} to {to}")))
        }
    };
    range("interval_days", new.interval_days, 1, MAX_INTERVAL)?;
    range("warning_days", new.warning_days, 0, MAX_PERIOD)?;
    range("grace_period_days", new.grace_period_days, 0, MAX_PERIOD)
}

impl TrustChain {
    /// Every policy, by id.
    pub fn rotation_policies(&self) -> Vec<RotationPolicy> {
        self.tables.policies.all()
    }

    /// One policy.
    ///
    /// # Errors
    /// [`TrustError::NotFound`].
    pub fn rotation_policy(&self, id: &RotationPolicyId) -> Result<RotationPolicy, TrustError> {
        self.tables.policies.get(id).ok_or_else(|| TrustError::not_found("rotation policy", id))
    }

    /// Makes a policy. An emergency one acts at once.
    ///
    /// # Errors
    /// [`TrustError::Invalid`] with the member that is wrong; [`TrustError::Conflict`] when the certificate has a policy
    /// already, or there are [`MAX_POLICIES`].
    pub async fn create_rotation_policy(&self, new: NewRotationPolicy) -> Result<RotationPolicy, TrustError> {
        let _turn = self.rotating.lock().await;
        if self.tables.policies.len() >= MAX_POLICIES {
            return Err(TrustError::conflict(format!("there are {MAX_POLICIES} policies already")));
        }
        let policy = RotationPolicy {
            id: RotationPolicyId::generate(),
            certificate_id: new.certificate_id.clone(),
            rotation_type: new.rotation_type,
            interval_days: new.interval_days,
            warning_days: new.warning_days,
            grace_period_days: new.grace_period_days,
            enabled: new.enabled,
            last_rotation: None,
            next_rotation: None,
            warned_for: None,
            failures: 0,
            created_at: Timestamp::now(),
        };
        self.put_policy(policy, &new).await
    }

    /// Replaces what a policy says.
    ///
    /// # Errors
    /// As [`Self::create_rotation_policy`], and [`TrustError::NotFound`].
    pub async fn replace_rotation_policy(
        &self,
        id: &RotationPolicyId,
        new: NewRotationPolicy,
    ) -> Result<RotationPolicy, TrustError> {
        let _turn = self.rotating.lock().await;
        let old = self.rotation_policy(id)?;
        let policy = RotationPolicy {
            certificate_id: new.certificate_id.clone(),
            rotation_type: new.rotation_type,
            interval_days: new.interval_days,
            warning_days: new.warning_days,
            grace_period_days: new.grace_period_days,
            enabled: new.enabled,
            failures: 0,
            ..old
        };
        self.put_policy(policy, &new).await
    }

    async fn put_policy(
        &self,
        mut policy: RotationPolicy,
        new: &NewRotationPolicy,
    ) -> Result<RotationPolicy, TrustError> {
        check(new)?;
        let record = self.rotatable(&policy)?;
        let same =
            |other: &RotationPolicy| other.certificate_id == policy.certificate_id && other.id != policy.id;
        if let Some(other) = self.tables.policies.filter(same).pop() {
            return Err(TrustError::conflict(format!(
                "the certificate has the policy `{}` already",
                other.id
            )));
        }
        policy.next_rotation = due::next_rotation(&policy, validity(&record));
        let mut batch = Batch::new();
        batch.put(&self.tables.policies, policy.clone());
        self.commit(batch, "recording a rotation policy").await?;
        self.work.notify_one();
        Ok(policy)
    }

    /// The certificate of a policy: a leaf of ours.
    fn rotatable(&self, policy: &RotationPolicy) -> Result<CertificateRecord, TrustError> {
        let id = &policy.certificate_id;
        if self.ca().get(id).is_some() {
            return Err(TrustError::invalid("certificate_id", "an authority is replaced by a rollover"));
        }
        let record = self.index.get(id).filter(|record| record.trust_level == TrustLevel::Leaf);
        record.ok_or_else(|| TrustError::invalid("certificate_id", format!("there is no certificate `{id}`")))
    }

    /// Removes a policy; its certificate and its rotations stay.
    ///
    /// # Errors
    /// [`TrustError::NotFound`]; [`TrustError::Conflict`] for that of the node's own certificate, which would run out.
    pub async fn remove_rotation_policy(&self, id: &RotationPolicyId) -> Result<(), TrustError> {
        let _turn = self.rotating.lock().await;
        let policy = self.rotation_policy(id)?;
        if self.is_own(&policy.certificate_id) {
            return Err(TrustError::conflict(
                "the node's own certificate needs its policy: it lives for a day",
            ));
        }
        let mut batch = Batch::new();
        batch.delete(&self.tables.policies, id);
        self.commit(batch, "removing a rotation policy").await
    }
}

/// From when and until when.
pub(super) fn validity(record: &CertificateRecord) -> Validity {
    Validity { from: record.valid_from, to: record.valid_to }
}
