//! What is due: warnings, rotations, ends of overlaps. Called by the domain's one loop, which sleeps until the next time.

use super::due;
use super::policies::validity;
use crate::TrustChain;
use crate::error::TrustError;
use crate::requests::RotationRequest;
use hypermesh_model::{EventKind, Rotation, RotationPolicy, RotationStatus, Timestamp, error_chain};
use hypermesh_store::Batch;
use serde_json::json;

/// Who asks, in records of what a policy did.
const SCHEDULE: &str = "schedule";

impl TrustChain {
    /// Does what is due.
    pub(crate) async fn rotate_due(&self) {
        let _turn = self.rotating.lock().await;
        for policy in self.tables.policies.filter(|policy| policy.enabled) {
            if let Err(error) = self.serve(policy).await {
                tracing::error!(error = error_chain(&error), "a rotation policy was not served");
            }
        }
        let now = Timestamp::now();
        let over = |rotation: &Rotation| {
            rotation.status == RotationStatus::Overlap
                && rotation.overlap_until.is_some_and(|until| until <= now)
        };
        for rotation in self.tables.rotations.filter(over) {
            if let Err(error) = self.end_overlap(&rotation).await {
                tracing::error!(error = error_chain(&error), "an overlap was not ended");
            }
        }
    }

    async fn serve(&self, policy: RotationPolicy) -> Result<(), TrustError> {
        let now = Timestamp::now();
        let policy = self.warn(policy, now).await?;
        if policy.next_rotation.is_none_or(|at| at > now) {
            return Ok(());
        }
        let request = RotationRequest {
            certificate_id: policy.certificate_id.clone(),
            rotation_type: policy.rotation_type,
            key: None,
            by: SCHEDULE.to_owned(),
        };
        match self.rotate_one(&request, Some(policy.clone()), true).await {
            Ok(_) => Ok(()),
            Err(error) => {
                tracing::warn!(policy = %policy.id, error = error_chain(&error), "a rotation failed");
                // What a rotation half did is on record as far as it got; the policy may have followed already.
                match self.tables.policies.get(&policy.id) {
                    Some(current) if current.certificate_id == policy.certificate_id => {
                        self.record_failure(current, &error).await
                    }
                    Some(_) | None => Ok(()),
                }
            }
        }
    }

    async fn warn(&self, policy: RotationPolicy, now: Timestamp) -> Result<RotationPolicy, TrustError> {
        let Some(record) = self.index.get(&policy.certificate_id) else { return Ok(policy) };
        let warning = due::warning(&policy, validity(&record));
        let is_due = warning.is_some_and(|at| at <= now) && policy.warned_for.as_ref() != Some(&record.id);
        if !is_due {
            return Ok(policy);
        }
        let policy = RotationPolicy { warned_for: Some(record.id.clone()), ..policy };
        let mut batch = Batch::new();
        batch.put(&self.tables.policies, policy.clone());
        let data = json!({
            "policy": policy.id,
            "next_rotation": policy.next_rotation,
            "valid_to": record.valid_to,
        });
        batch.event(EventKind::RotationWarning, record.id.as_str(), data);
        self.commit(batch, "recording a rotation's warning").await?;
        tracing::info!(certificate = %record.id, valid_to = %record.valid_to, "a certificate is to be rotated soon");
        Ok(policy)
    }

    /// When something is due next.
    pub(crate) fn next_rotation_work(&self) -> Option<Timestamp> {
        let mut next: Option<Timestamp> = None;
        let mut at = |time: Option<Timestamp>| {
            next = [next, time].into_iter().flatten().min();
        };
        for policy in self.tables.policies.filter(|policy| policy.enabled) {
            at(policy.next_rotation);
            let warned = policy.warned_for.as_ref() == Some(&policy.certificate_id);
            let record = self.index.get(&policy.certificate_id).filter(|_| !warned);
            at(record.and_then(|record| due::warning(&policy, validity(&record))));
        }
        for rotation in self.tables.rotations.filter(|rotation| rotation.status == RotationStatus::Overlap) {
            at(rotation.overlap_until);
        }
        next
    }
}
