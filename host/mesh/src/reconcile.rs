//! Making ledger, kernel and processes agree: at start, and then every [`RECONCILE_INTERVAL`].
//!
//! | record | kernel | then |
//! |---|---|---|
//! | active | group with the right limits | adopted |
//! | active | no group, or other limits | made again |
//! | active, its change interrupted | either size | the change is finished, or undone |
//! | active, past its end | anything | frozen or ended by the first alarm |
//! | frozen | group | adopted, and stopped again if it runs |
//! | queued, reserved | nothing | back into the queue, or kept for its time |
//! | pending, it had waited or was reserved | anything | applied: its holder was told that it would be |
//! | pending, for no execution | anything | failed: it was never acknowledged |
//! | execution running | its worker lives | re-adopted, with what is left of its time |
//! | execution running | its worker is gone | ended with what the worker left behind |
//! | execution starting | its worker is gone, and left nothing | started anew |
//! | execution queued | anything | killed and started anew: a guest has no effect outside its own folder |
//! | service serving | its lease is adopted | serves again; guests of requests that died with the node are killed |
//! | service serving | its lease is gone | ended |
//! | none | a group, a folder | orphan: as [`Orphans`] says |
//!
//! A limit that somebody else changed is reported as an event with both values, and written again.

use crate::Mesh;
use crate::allocation::{Ending, ShareRecord, wanted_of};
use crate::error::MeshError;
use crate::execution::{Begin, drive, event_data};
use crate::records::NodeRecord;
use crate::start::Orphans;
use crate::workers::PARKED_RECORD;
use hypermesh_model::{
    EnforcementReceipt, EventKind, Execution, ExecutionStatus, Lease, LeaseId, LeaseStatus, Timestamp,
    error_chain,
};
use hypermesh_sandbox::{FoundLease, ProcessId, is_alive};
use hypermesh_store::Batch;
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;

/// How often ledger and kernel are compared. A limit that somebody else changed is so found within 30 s, the comparing
/// itself included.
pub(crate) const RECONCILE_INTERVAL: Duration = Duration::from_secs(20);
/// Ended leases and executions that are kept, each; older ones are forgotten, with their folders.
pub(crate) const MAX_ENDED_KEPT: usize = 1000;

impl Mesh {
    /// Everything that an earlier run of this node left, before the first request is taken.
    ///
    /// # Errors
    /// When the store or the kernel can't be read.
    pub(crate) async fn recover(&self) -> Result<(), MeshError> {
        self.recover_requesters();
        let live: Vec<Lease> = self.tables.leases.filter(|l| !l.status.is_final());
        for lease in &live {
            self.recover_entry(lease);
        }
        for lease in self.tables.leases.filter(|l| l.idempotency.is_some()) {
            self.recover_key(&lease);
        }
        // A crash may have come between a pinned lease's end and the sharing of its cores.
        if let Err(error) = self.share_cpus().await {
            tracing::warn!(
                error = error_chain(&error),
                "the CPUs of leases that are not pinned can't be set"
            );
        }
        let executions = self.tables.executions.filter(|e| !e.status.is_final());
        let services = self.leases_of_services();
        let needed: BTreeSet<&LeaseId> = executions.iter().map(|e| &e.lease_id).chain(&services).collect();
        for lease in live {
            self.recover_lease(&lease, needed.contains(&lease.id)).await?;
        }
        self.recover_services().await?;
        self.end_orphans().await?;
        for execution in executions {
            self.recover_execution(execution).await?;
        }
        Ok(())
    }

    async fn recover_lease(&self, lease: &Lease, needed: bool) -> Result<(), MeshError> {
        match lease.status {
            LeaseStatus::Pending if !needed && was_acknowledged(lease) => {
                if let Err(error) = self.activate(lease.clone()).await {
                    tracing::error!(lease = %lease.id, error = error_chain(&error), "a lease can't be begun");
                }
            }
            LeaseStatus::Pending if !needed => {
                let reason = "the node stopped before it was applied";
                self.finish_lease(lease, LeaseStatus::Failed, reason).await?;
            }
            LeaseStatus::Active if lease.for_execution && !needed => {
                self.finish(lease, &Ending::ExecutionEnded).await?;
            }
            LeaseStatus::Active | LeaseStatus::Frozen => self.adopt(lease).await?,
            // Pending and needed: the execution's driver activates it. What waits has alarms and the queue.
            LeaseStatus::Queued
            | LeaseStatus::Reserved
            | LeaseStatus::Pending
            | LeaseStatus::Completed
            | LeaseStatus::Cancelled
            | LeaseStatus::Failed => {}
        }
        Ok(())
    }

    /// Quotas, and what requesters have used so far.
    fn recover_requesters(&self) {
        for record in self.tables.quotas.all() {
            self.ledger.set_quota(&record.requester, Some(record.quota));
        }
        if let Some(record) = self.tables.shares.get(&ShareRecord::KEY.to_owned()) {
            self.ledger.set_shares(record.shares);
        }
    }

    /// A key stands for its lease as long as that is remembered; one that came to nothing may be asked for again.
    fn recover_key(&self, lease: &Lease) {
        let came_to_nothing =
            lease.status == LeaseStatus::Failed && lease.receipt == EnforcementReceipt::default();
        if let Some(idempotency) = lease.idempotency.as_ref().filter(|_| !came_to_nothing) {
            self.ledger.claim_key(&lease.requester, &idempotency.key, &lease.id);
        }
    }

    /// Enters what an earlier run held, kept or had waiting.
    fn recover_entry(&self, lease: &Lease) {
        if lease.status == LeaseStatus::Queued {
            let waiting = self.tables.waiting.get(&lease.id);
            let wanted = waiting.map_or_else(|| wanted_of(&lease.grant), |record| record.wanted);
            self.ledger.restore_waiting(lease, wanted);
        } else {
            self.ledger.restore(lease);
        }
    }

    /// Takes over a lease that an earlier run of this node held.
    async fn adopt(&self, lease: &Lease) -> Result<(), MeshError> {
        let applied = match self.apply(lease, false).await {
            Ok(_) if lease.resizing.is_some() => self.finish_resizing(lease.clone()).await.map(drop),
            applied => applied.map(drop),
        };
        if let Err(error) = applied {
            tracing::error!(lease = %lease.id, error = error_chain(&error), "a lease can't be kept");
            self.finish_lease(lease, LeaseStatus::Failed, &error.to_string()).await?;
            return Ok(());
        }
        if lease.status == LeaseStatus::Frozen {
            let id = lease.id.clone();
            self.blocking("freezing a cgroup", move |mesh| mesh.cgroups.freeze(&id)).await?;
        }
        let mut batch = Batch::new();
        let data = json!({ "end_time": lease.end_time });
        batch.event(EventKind::AllocationAdopted, lease.id.as_str(), data);
        self.commit(batch, "recording an adoption").await
    }

    async fn recover_execution(&self, mut execution: Execution) -> Result<(), MeshError> {
        // A streamed standard input ended with the node.
        let entered =
            self.supervision.enter(&execution.id, &execution.vm_asset_id, &execution.lease_id, None);
        let Some(driven) = entered else { return Ok(()) };
        let begin = match (execution.status, execution.worker) {
            (ExecutionStatus::Starting | ExecutionStatus::Running, Some((pid, start_ticks)))
                if !self.never_began(&execution, pid, start_ticks) =>
            {
                let mut batch = Batch::new();
                batch.event(EventKind::ExecutionAdopted, execution.id.as_str(), event_data(&execution));
                self.commit(batch, "recording an adoption").await?;
                Begin::Adopted { worker: ProcessId { pid, start_ticks } }
            }
            _ => {
                let leaf = std::mem::take(&mut execution.leaf);
                if !leaf.is_empty() {
                    self.remove_leaf(&execution.lease_id, &leaf).await?;
                }
                execution.status = ExecutionStatus::Queued;
                Begin::Fresh { lease: Box::new(self.lease(&execution.lease_id)?), slot: None }
            }
        };
        tokio::spawn(drive(self.clone(), execution, driven, begin));
        Ok(())
    }

    /// Whether a worker was named and is gone without a trace: the node died before it gave it the job, or the worker
    /// did before it began. One that reached for something outside its folder is not run again unasked.
    fn never_began(&self, execution: &Execution, pid: u32, start_ticks: u64) -> bool {
        execution.status == ExecutionStatus::Starting
            && !is_alive(&ProcessId { pid, start_ticks })
            && execution.request.folders.is_empty()
            && execution.request.network.is_empty()
            && self.folder(&execution.id).read_outcome().is_none()
    }

    /// Groups and folders that no lease and no child of the node's own accounts for.
    async fn end_orphans(&self) -> Result<(), MeshError> {
        let found = self.blocking("listing cgroups", |mesh| mesh.cgroups.leases()).await?;
        for group in found {
            let Ok(id) = LeaseId::parse(group.id.as_str()) else {
                tracing::warn!(group = group.id, "a group that is not ours is left alone");
                continue;
            };
            if !self.ledger.knows(&id) && !self.changing.contains(&id) {
                self.end_orphan(&id, &group).await?;
            }
        }
        let folders = self.blocking_mesh(|mesh| mesh.volumes.list()).await?;
        for folder in folders.into_iter().filter(|folder| !folder.kept && !self.ledger.knows(&folder.lease)) {
            if !self.changing.contains(&folder.lease) {
                tracing::warn!(lease = %folder.lease, "an orphaned folder is removed");
                self.blocking_mesh(move |mesh| mesh.volumes.remove(&folder.lease)).await?;
            }
        }
        Ok(())
    }

    async fn end_orphan(&self, id: &LeaseId, group: &FoundLease) -> Result<(), MeshError> {
        let orphans = if group.record.as_deref() == Some(PARKED_RECORD) {
            Orphans::Kill
        } else {
            self.settings.orphans
        };
        if orphans == Orphans::Adopt
            && let Some(lease) = adoptable(group, id)
        {
            tracing::warn!(lease = %id, "an orphaned group is adopted");
            let mut batch = Batch::new();
            batch.put(&self.tables.leases, lease.clone());
            self.ledger.restore(&lease);
            self.commit(batch, "recording an adoption").await?;
            return self.adopt(&lease).await;
        }
        if orphans == Orphans::Freeze {
            let id = id.clone();
            return self
                .blocking("freezing a cgroup", move |mesh| {
                    if !mesh.cgroups.is_frozen(&id)? {
                        tracing::warn!(lease = %id, "an orphaned group is stopped");
                        mesh.cgroups.freeze(&id)?;
                    }
                    Ok(())
                })
                .await;
        }
        tracing::warn!(lease = %id, populated = group.populated, "an orphaned group is removed");
        self.remove_group(id).await
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
        for lease in self.tables.leases.filter(|l| l.status.has_group()) {
            if let Err(error) = self.compare(&lease).await {
                tracing::error!(lease = %lease.id, error = error_chain(&error), "a lease could not be compared");
            }
        }
        self.charge_requesters().await?;
        self.remember_services().await?;
        self.forget_old().await?;
        self.remember_uptime().await
    }

    /// Compares what the kernel holds for a lease with what it held when that was recorded.
    async fn compare(&self, lease: &Lease) -> Result<(), MeshError> {
        let asked = lease.clone();
        let read = self.blocking_mesh(move |mesh| mesh.read_receipt(&asked)).await;
        let drifts = match &read {
            Ok(receipt) => drifts(&lease.receipt, receipt),
            Err(error) => vec![json!({ "limit": "all", "reason": error_chain(error) })],
        };
        let still = |mesh: &Self| {
            mesh.lease(&lease.id)
                .is_ok_and(|now| now.generation == lease.generation && now.status == lease.status)
        };
        if drifts.is_empty() || !still(self) || self.changing.contains(&lease.id) {
            return Ok(());
        }
        tracing::warn!(lease = %lease.id, ?drifts, "the kernel holds other limits than the ledger; they are written again");
        let receipt = self.apply(lease, false).await?;
        let mut batch = Batch::new();
        let restored = receipt.is_enforced();
        let data = json!({ "drifts": drifts, "restored": restored, "requester_id": lease.requester });
        batch.event(EventKind::AllocationDrifted, lease.id.as_str(), data);
        self.metrics.lease_drift().inc();
        self.commit(batch, "recording a drift").await
    }

    /// Charges requesters for what their leases held since the last time, and remembers it.
    async fn charge_requesters(&self) -> Result<(), MeshError> {
        self.ledger.charge_all(Timestamp::now());
        let mut batch = Batch::new();
        batch.put(&self.tables.shares, ShareRecord { shares: self.ledger.shares() });
        self.commit_intention(batch, "recording what requesters used").await
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
        let leases = self.tables.leases.filter(|l| l.status.is_final() && !used.contains(&l.id));
        for lease in leases.iter().take(leases.len().saturating_sub(MAX_ENDED_KEPT)) {
            if let Some(idempotency) = &lease.idempotency {
                self.ledger.release_key(&lease.requester, &idempotency.key);
            }
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

/// Whether a pending lease was promised to somebody: it changed at least once since it was made, as only those do that
/// waited or were reserved.
fn was_acknowledged(lease: &Lease) -> bool {
    lease.generation > 1
}

/// The lease that a group's record speaks of, if it is this group's and still has time.
fn adoptable(group: &FoundLease, id: &LeaseId) -> Option<Lease> {
    let lease: Lease = serde_json::from_str(group.record.as_deref()?).ok()?;
    let lives = !lease.status.is_final() && !lease.for_execution && lease.end_time > Timestamp::now();
    (lease.id == *id && lives).then_some(Lease { status: LeaseStatus::Active, resizing: None, ..lease })
}

/// The limits that the kernel holds otherwise than it did.
fn drifts(recorded: &EnforcementReceipt, now: &EnforcementReceipt) -> Vec<serde_json::Value> {
    let differs = |before: &&hypermesh_model::EnforcementEntry| {
        let after = now.entries.iter().find(|entry| entry.limit == before.limit);
        after.is_none_or(|after| after.state != before.state || after.actual != before.actual)
    };
    let shown = |before: &hypermesh_model::EnforcementEntry| {
        let after = now.entries.iter().find(|entry| entry.limit == before.limit);
        json!({
            "limit": before.limit,
            "file": before.file,
            "expected": before.actual,
            "held": after.and_then(|entry| entry.actual.clone()),
        })
    };
    recorded.entries.iter().filter(differs).map(shown).collect()
}
