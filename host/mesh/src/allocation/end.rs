//! The end of a lease, whoever wants it: no process, no group, no folder (unless kept), no reservation, a final record.

use super::{event_data, status_name};
use crate::Mesh;
use crate::error::MeshError;
use crate::failpoint::at;
use hypermesh_model::{Cause, EventKind, Lease, LeaseId, LeaseStatus, Timestamp};
use hypermesh_store::Batch;
use hypermesh_telemetry::{CreateOutcome, Metrics, ReleaseOutcome};

/// Why a lease ends. The text is what its record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    Released,
    Expired,
    Withdrawn,
    WaitOver,
    Missed,
    ExecutionEnded,
    ServiceEnded,
    Preempted { by: LeaseId },
    OutOfMemory { detail: String },
    GpuOverused { detail: String },
    Failed { detail: String },
}

impl Ending {
    pub(crate) fn status(&self) -> LeaseStatus {
        match self {
            Self::Released | Self::Expired | Self::ExecutionEnded | Self::ServiceEnded => {
                LeaseStatus::Completed
            }
            Self::Withdrawn | Self::WaitOver | Self::Missed => LeaseStatus::Cancelled,
            Self::Preempted { .. }
            | Self::OutOfMemory { .. }
            | Self::GpuOverused { .. }
            | Self::Failed { .. } => LeaseStatus::Failed,
        }
    }

    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Released => "released".into(),
            Self::Expired => "expired".into(),
            Self::Withdrawn => "withdrawn before it began".into(),
            Self::WaitOver => "there was no room in the time that it would wait".into(),
            Self::Missed => "its time passed while the node was down".into(),
            Self::ExecutionEnded => "the execution ended".into(),
            Self::ServiceEnded => "the service ended".into(),
            Self::Preempted { by } => format!("pre-empted by allocation `{by}`, which has a higher priority"),
            Self::OutOfMemory { detail } | Self::GpuOverused { detail } | Self::Failed { detail } => {
                detail.clone()
            }
        }
    }

    /// Counts it.
    fn count(&self, metrics: &Metrics) {
        let released = |outcome: ReleaseOutcome| {
            metrics.lease_released(outcome).inc();
        };
        match self {
            Self::Released | Self::ExecutionEnded | Self::ServiceEnded => released(ReleaseOutcome::Released),
            Self::Expired => released(ReleaseOutcome::Expired),
            Self::Withdrawn | Self::WaitOver | Self::Missed => {
                metrics.lease_created(CreateOutcome::Cancelled).inc();
            }
            Self::Preempted { .. } => {
                metrics.lease_preempted().inc();
                released(ReleaseOutcome::Preempted);
            }
            Self::OutOfMemory { .. } => {
                metrics.lease_oom().inc();
                released(ReleaseOutcome::OutOfMemory);
            }
            Self::GpuOverused { .. } | Self::Failed { .. } => released(ReleaseOutcome::Failed),
        }
    }
}

impl Mesh {
    /// Releases a lease; what runs in it is killed. One that waits or is reserved is withdrawn.
    ///
    /// # Errors
    /// [`MeshError::NotFound`]; [`MeshError::Conflict`] when it has ended; [`MeshError::Precondition`] when it has
    /// changed since the caller looked.
    pub async fn release(&self, id: &LeaseId, expected: Option<u64>) -> Result<Lease, MeshError> {
        let lease = self.lease(id)?;
        expect_generation(&lease, expected)?;
        let ending = match lease.status {
            LeaseStatus::Active | LeaseStatus::Frozen => Ending::Released,
            LeaseStatus::Queued | LeaseStatus::Reserved => Ending::Withdrawn,
            LeaseStatus::Pending | LeaseStatus::Completed | LeaseStatus::Cancelled | LeaseStatus::Failed => {
                let detail = format!("allocation `{id}` is {}, not active", status_name(lease.status));
                return Err(MeshError::Conflict { detail });
            }
        };
        let (mesh, id) = (self.clone(), id.clone());
        self.spawned(async move { mesh.end_lease(&id, ending).await }).await?
    }

    /// Ends a lease: kills what runs in it, removes its cgroup, records it. Of two callers at once one wins, and the
    /// other gets a conflict.
    pub(crate) async fn end_lease(&self, id: &LeaseId, ending: Ending) -> Result<Lease, MeshError> {
        let Some(_changing) = self.changing.enter(id) else {
            return Err(MeshError::Conflict {
                detail: format!("allocation `{id}` is being changed right now"),
            });
        };
        let lease = self.lease(id)?;
        let ended = || MeshError::Conflict { detail: format!("allocation `{id}` has ended already") };
        if lease.status.is_final() || !lease.status.may_become(ending.status()) {
            return Err(ended());
        }
        // Each execution reads its usage from its own cgroup before that goes; so they end first.
        self.supervision.stop_in(id, &Cause::LeaseEnded { lease: id.clone() }).await;
        self.end_services_in(id, &format!("its allocation ended: {}", ending.reason())).await;
        let lease = self.lease(id)?;
        if lease.status.is_final() {
            return Ok(lease); // It was made for an execution and ended with it.
        }
        self.finish(&lease, &ending).await
    }

    /// The last step of a lease that failed by itself.
    pub(crate) async fn finish_lease(
        &self,
        lease: &Lease,
        status: LeaseStatus,
        reason: &str,
    ) -> Result<Lease, MeshError> {
        let ending = match status {
            LeaseStatus::Completed => Ending::ExecutionEnded,
            LeaseStatus::Queued
            | LeaseStatus::Reserved
            | LeaseStatus::Pending
            | LeaseStatus::Active
            | LeaseStatus::Frozen
            | LeaseStatus::Cancelled
            | LeaseStatus::Failed => Ending::Failed { detail: reason.to_owned() },
        };
        self.finish(lease, &ending).await
    }

    /// The last step of every lease.
    pub(crate) async fn finish(&self, lease: &Lease, ending: &Ending) -> Result<Lease, MeshError> {
        if lease.status.holds_capacity() {
            // What is parked there ends.
            self.workers.forget(&lease.id);
            let keep = lease.terms.keep_storage && lease.status.has_group();
            self.remove_parts(lease, keep).await?;
        }
        let mut batch = Batch::new();
        let ended = self.put_ended(&mut batch, lease, ending);
        at("end-removed");
        self.commit(batch, "recording the end of an allocation").await?;
        at("end-recorded");
        self.leave_ledger(&ended).await;
        Ok(ended)
    }

    /// Gives back what an ended lease held, and lets others have it.
    pub(crate) async fn leave_ledger(&self, ended: &Lease) {
        self.ledger.charge(&ended.id, Timestamp::now());
        self.ledger.remove(&ended.id);
        // Mostly there is none left; one that was made while its lease ended is.
        self.end_services_in(&ended.id, "its allocation ended").await;
        if !ended.grant.cpus.is_empty()
            && let Err(error) = self.share_cpus().await
        {
            tracing::error!(error = hypermesh_model::error_chain(&error), "freed cores are not shared yet");
        }
        self.wake_life();
    }

    /// Adds the final record of a lease to a batch.
    pub(crate) fn put_ended(&self, batch: &mut Batch, lease: &Lease, ending: &Ending) -> Lease {
        let status = ending.status();
        debug_assert!(lease.status.may_become(status), "{} is {:?}", lease.id, lease.status);
        let ended = Lease {
            status,
            end_time: Timestamp::now().min(lease.end_time).max(lease.start_time),
            end_reason: Some(ending.reason()),
            generation: lease.generation + 1,
            wait_until: None,
            frozen_until: None,
            resizing: None,
            ..lease.clone()
        };
        let failed = status == LeaseStatus::Failed;
        let kind = if failed { EventKind::AllocationFailed } else { EventKind::AllocationEnded };
        batch.put(&self.tables.leases, ended.clone());
        batch.delete(&self.tables.waiting, &ended.id);
        batch.event(kind, ended.id.as_str(), event_data(&ended));
        ending.count(&self.metrics);
        ended
    }
}

/// Compares what a caller saw last with what is.
pub(crate) fn expect_generation(lease: &Lease, expected: Option<u64>) -> Result<(), MeshError> {
    match expected {
        Some(expected) if expected != lease.generation => {
            Err(MeshError::Precondition { id: lease.id.to_string(), actual: lease.generation })
        }
        Some(_) | None => Ok(()),
    }
}
