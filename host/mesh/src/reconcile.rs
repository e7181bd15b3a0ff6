//! Making ledger, kernel and processes agree: at start, and then every 30 s.
//!
//! | record | kernel | then |
//! |---|---|---|
//! | active | group with the right limits | adopted |
//! | active | no group, or other limits | made again |
//! | active, past its end | anything | ended |
//! | pending, for no execution | anything | failed: it was never acknowledged |
//! | execution running | its worker lives | re-adopted, with what is left of its time |
//! | execution running | its worker is gone | ended with what the worker left behind |
//! | execution queued | anything | killed and started anew: a guest has no effect outside its own folder |
//! | none | a group | orphan: killed and removed |

use crate::Mesh;
use crate::error::MeshError;
use crate::execution::{Begin, drive, event_data};
use crate::records::NodeRecord;
use hypermesh_model::error_chain;
use hypermesh_model::{EventKind, Execution, ExecutionStatus, Lease, LeaseId, LeaseStatus, Timestamp};
use hypermesh_sandbox::ProcessId;
use hypermesh_store::Batch;
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;

/// How often ledger and kernel are compared.
pub(crate) const RECONCILE_INTERVAL: Duration = Duration::from_secs(30);
/// Ended leases and executions that are kept, each; older ones are forgotten, with their folders.
pub(crate) const MAX_ENDED_KEPT: usize = 1000;
/// How long expiry waits when no lease is live; a new lease wakes it.
const IDLE: Duration = Duration::from_secs(3600);

impl Mesh {
    /// Everything that an earlier run of this node left, before the first request is taken.
    ///
    /// # Errors
    /// When the store or the kernel can't be read.
    pub(crate) async fn recover(&self) -> Result<(), MeshError> {
        let live: Vec<Lease> = self.tables.leases.filter(|l| l.status.holds_capacity());
        for lease in &live {
            self.ledger.restore(&lease.id, &lease.grant, lease.end_time);
        }
        let executions = self.tables.executions.filter(|e| !e.status.is_final());
        let needed: BTreeSet<&LeaseId> = executions.iter().map(|e| &e.lease_id).collect();
        for lease in live {
            self.recover_lease(&lease, needed.contains(&lease.id)).await?;
        }
        self.end_orphans().await?;
        for execution in executions {
            self.recover_execution(execution).await?;
        }
        Ok(())
    }

    async fn recover_lease(&self, lease: &Lease, needed: bool) -> Result<(), MeshError> {
        match lease.status {
            LeaseStatus::Pending if !needed => {
                let reason = "the node stopped before it was applied";
                self.finish_lease(lease, LeaseStatus::Failed, reason).await?;
            }
            LeaseStatus::Active if lease.for_execution && !needed => {
                self.finish_lease(lease, LeaseStatus::Completed, "the execution ended").await?;
            }
            LeaseStatus::Active => {
                let receipt = self.apply(lease).await;
                if let Err(error) = receipt {
                    tracing::error!(lease = %lease.id, error = error_chain(&error), "a lease can't be kept");
                    self.finish_lease(lease, LeaseStatus::Failed, &error.to_string()).await?;
                    return Ok(());
                }
                let mut batch = Batch::new();
                batch.event(
                    EventKind::AllocationAdopted,
                    lease.id.as_str(),
                    json!({ "end_time": lease.end_time }),
                );
                self.commit(batch, "recording an adoption").await?;
            }
            // Pending and needed: the execution's driver activates it.
            LeaseStatus::Queued
            | LeaseStatus::Reserved
            | LeaseStatus::Frozen
            | LeaseStatus::Pending
            | LeaseStatus::Completed
            | LeaseStatus::Cancelled
            | LeaseStatus::Failed => {}
        }
        Ok(())
    }

    async fn recover_execution(&self, mut execution: Execution) -> Result<(), MeshError> {
        let entered = self.supervision.enter(&execution.id, &execution.vm_asset_id, &execution.lease_id);
        let Some(driven) = entered else { return Ok(()) };
        let begin = match (execution.status, execution.worker) {
            (ExecutionStatus::Starting | ExecutionStatus::Running, Some((pid, start_ticks))) => {
                let mut batch = Batch::new();
                batch.event(EventKind::ExecutionAdopted, execution.id.as_str(), event_data(&execution));
                self.commit(batch, "recording an adoption").await?;
                Begin::Adopted { worker: ProcessId { pid, start_ticks } }
            }
            _ => {
                let (lease, leaf) = (execution.lease_id.clone(), execution.id.clone());
                self.blocking("killing what was left", move |mesh| {
                    mesh.cgroups.kill(&lease, Some(leaf.as_str()))?;
                    mesh.cgroups.remove_leaf(&lease, leaf.as_str())
                })
                .await?;
                execution.status = ExecutionStatus::Queued;
                Begin::Fresh { lease: Box::new(self.lease(&execution.lease_id)?) }
            }
        };
        tokio::spawn(drive(self.clone(), execution, driven, begin));
        Ok(())
    }

    /// Groups that no lease and no child of the node's own accounts for.
    async fn end_orphans(&self) -> Result<(), MeshError> {
        let found = self.blocking("listing cgroups", |mesh| mesh.cgroups.leases()).await?;
        for group in found {
            let Ok(id) = LeaseId::parse(group.id.as_str()) else {
                tracing::warn!(group = group.id, "a group that is not ours is left alone");
                continue;
            };
            if !self.ledger.knows(&id) {
                tracing::warn!(lease = %id, populated = group.populated, "an orphaned group is removed");
                self.remove_group(&id).await?;
            }
        }
        Ok(())
    }

    /// Ends leases when their time is over, for ever.
    pub(crate) async fn expire_for_ever(self) {
        loop {
            let next = self.ledger.next_end().map_or(IDLE, |end| Timestamp::now().until(end));
            tokio::select! {
                () = tokio::time::sleep(next) => {}
                () = self.expiry.notified() => continue,
            }
            for id in self.ledger.ended(Timestamp::now()) {
                let ended = self.end_lease(&id, LeaseStatus::Completed, "expired").await;
                match ended {
                    // Being released at this moment, or not active yet: the next round sees.
                    Ok(_) | Err(MeshError::Conflict { .. }) => {}
                    Err(error) => {
                        tracing::error!(lease = %id, error = error_chain(&error), "a lease could not be ended");
                    }
                }
            }
            // Whatever could not be ended is tried again, but not in a tight loop.
            if self.ledger.next_end().is_some_and(|end| end <= Timestamp::now()) {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }

    /// Compares ledger and kernel, for ever.
    pub(crate) async fn reconcile_for_ever(self) {
        let mut tick = tokio::time::interval(RECONCILE_INTERVAL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        tick.tick().await;
        loop {
            tick.tick().await;
            if let Err(error) = self.reconcile().await {
                tracing::error!(error = error_chain(&error), "ledger and kernel could not be compared");
            }
        }
    }

    async fn reconcile(&self) -> Result<(), MeshError> {
        self.end_orphans().await?;
        for lease in self.tables.leases.filter(|l| l.status == LeaseStatus::Active) {
            let (id, limits) = (lease.id.clone(), self.limits(&lease.grant));
            let read =
                self.blocking("reading a cgroup", move |mesh| mesh.cgroups.read_back(&id, &limits)).await;
            let agrees = read.is_ok_and(|receipt| receipt.entries == lease.receipt.entries);
            if !agrees
                && self.lease(&lease.id)?.status == LeaseStatus::Active
                && !self.changing.contains(&lease.id)
            {
                tracing::warn!(lease = %lease.id, "the kernel holds other limits than the ledger; they are written again");
                self.apply(&lease).await?;
            }
        }
        self.forget_old().await?;
        self.remember_uptime().await
    }

    /// Drops the oldest ended records beyond [`MAX_ENDED_KEPT`].
    async fn forget_old(&self) -> Result<(), MeshError> {
        let mut batch = Batch::new();
        let ended = self.tables.executions.filter(|e| e.status.is_final());
        let kept_from = ended.len().saturating_sub(MAX_ENDED_KEPT);
        for execution in ended.iter().take(kept_from) {
            let folder = self.folder(&execution.id);
            self.blocking_mesh(move |_| folder.remove()).await?;
            batch.delete(&self.tables.executions, &execution.id);
        }
        let used: BTreeSet<LeaseId> = ended.into_iter().skip(kept_from).map(|e| e.lease_id).collect();
        let leases = self.tables.leases.filter(|l| !l.status.holds_capacity() && !used.contains(&l.id));
        for lease in leases.iter().take(leases.len().saturating_sub(MAX_ENDED_KEPT)) {
            batch.delete(&self.tables.leases, &lease.id);
        }
        self.commit(batch, "forgetting what ended long ago").await
    }

    /// Records how long the node has run in all.
    pub(crate) async fn remember_uptime(&self) -> Result<(), MeshError> {
        let mut batch = Batch::new();
        let up = self.up_before + self.uptime();
        batch.put(
            &self.tables.node,
            NodeRecord { id: self.node_id.clone(), first_start: self.first_start, up_seconds: up.as_secs() },
        );
        self.commit(batch, "recording the uptime").await
    }
}
