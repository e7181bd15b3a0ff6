//! Changing a live lease: renewing moves its end, resizing its limits.
//!
//! ```text
//! resize: refit in the ledger, the larger of both sizes held ─▶ commit `resizing` ─▶ groups, then folder ─▶ commit the outcome
//!                                          the kernel refuses: the old size again, in kernel, ledger and record
//! ```
//! A node that finds `resizing` at its start finishes the change: the ledger holds the larger of both meanwhile.

use super::activate::record_of;
use super::end::expect_generation;
use super::{event_data, status_name};
use crate::Mesh;
use crate::error::MeshError;
use crate::failpoint::at;
use crate::requests::Resize;
use hypermesh_model::{
    EnforcementEntry, EventKind, Grant, Lease, LeaseId, LeaseStatus, Timestamp, error_chain,
};
use hypermesh_sandbox::CgroupError;
use hypermesh_store::Batch;

impl Mesh {
    /// Has a lease end so many seconds from now, which is later than it would. A frozen one goes on.
    ///
    /// # Errors
    /// [`MeshError::NotFound`]; [`MeshError::Precondition`]; [`MeshError::Conflict`] when it has no time to renew;
    /// [`MeshError::Refused`] where somebody has reserved what it holds.
    pub async fn renew(&self, id: &LeaseId, seconds: u64, expected: Option<u64>) -> Result<Lease, MeshError> {
        let (mesh, id) = (self.clone(), id.clone());
        self.spawned(async move { mesh.renew_now(&id, seconds, expected).await }).await?
    }

    async fn renew_now(&self, id: &LeaseId, seconds: u64, expected: Option<u64>) -> Result<Lease, MeshError> {
        let (lease, _changing) = self.begin_change(id, expected)?;
        let until = Timestamp::now().plus_seconds(seconds);
        if lease.status == LeaseStatus::Active && until <= lease.end_time {
            let detail = format!(
                "allocation `{id}` ends at {} already, which is later; release it to end it",
                lease.end_time
            );
            return Err(MeshError::Conflict { detail });
        }
        self.ledger.extend(id, until)?;
        let renewed = self.prolong(&lease, until).await;
        if renewed.is_err() {
            // It ends when it would have: nobody was told otherwise.
            match lease.frozen_until {
                Some(grace) if lease.status == LeaseStatus::Frozen => self.ledger.set_grace(id, grace),
                Some(_) | None => self.ledger.set_end(id, lease.end_time),
            }
        }
        self.wake_life();
        renewed
    }

    /// Thaws a lease and records its new end.
    async fn prolong(&self, lease: &Lease, until: Timestamp) -> Result<Lease, MeshError> {
        let id = &lease.id;
        let renewed = Lease {
            status: LeaseStatus::Active,
            end_time: until,
            duration_seconds: lease.start_time.until(until).as_secs(),
            frozen_until: None,
            generation: lease.generation + 1,
            ..lease.clone()
        };
        if lease.status == LeaseStatus::Frozen {
            let id = id.clone();
            self.blocking("thawing a cgroup", move |mesh| mesh.cgroups.thaw(&id)).await?;
        }
        at("renew-thawed");
        let mut batch = Batch::new();
        batch.put(&self.tables.leases, renewed.clone());
        batch.event(EventKind::AllocationRenewed, id.as_str(), event_data(&renewed));
        self.commit(batch, "recording a renewal").await?;
        self.save_record(&renewed).await;
        Ok(renewed)
    }

    /// Changes what a lease holds, all or nothing.
    ///
    /// # Errors
    /// [`MeshError::NotFound`]; [`MeshError::Precondition`]; [`MeshError::Unfit`]; [`MeshError::Refused`] with every
    /// dimension that is short; [`MeshError::Conflict`] when it uses more than it is to hold.
    pub async fn resize(
        &self,
        id: &LeaseId,
        change: Resize,
        expected: Option<u64>,
    ) -> Result<Lease, MeshError> {
        let (mesh, id) = (self.clone(), id.clone());
        self.spawned(async move { mesh.resize_now(&id, change, expected).await }).await?
    }

    async fn resize_now(
        &self,
        id: &LeaseId,
        change: Resize,
        expected: Option<u64>,
    ) -> Result<Lease, MeshError> {
        let (lease, _changing) = self.begin_change(id, expected)?;
        let wanted = self.wanted_after(&lease.grant, &change)?;
        let grant = self.ledger.refit(id, &wanted, Timestamp::now())?;
        at("resize-entered");
        let intended = Lease { resizing: Some(grant.clone()), ..lease.clone() };
        let mut batch = Batch::new();
        batch.put(&self.tables.leases, intended);
        if let Err(error) = self.commit_intention(batch, "recording a change of an allocation").await {
            self.ledger.set_grant(id, &lease.grant);
            return Err(error);
        }
        at("resize-recorded");
        match self.tell(&lease, &grant, change.force).await {
            Ok(resized) => {
                at("resize-applied");
                self.record_size(resized, EventKind::AllocationResized).await
            }
            Err(error) => {
                let restored = Lease { resizing: None, ..lease };
                let told = self.tell(&restored, &restored.grant, true).await;
                if let Err(error) = told {
                    tracing::error!(lease = %id, error = error_chain(&error), "an old size could not be restored");
                }
                self.ledger.set_grant(id, &restored.grant);
                let mut batch = Batch::new();
                batch.put(&self.tables.leases, restored);
                self.commit(batch, "recording a refused change").await?;
                Err(error)
            }
        }
    }

    /// The lease to change, which nobody else changes meanwhile.
    fn begin_change(
        &self,
        id: &LeaseId,
        expected: Option<u64>,
    ) -> Result<(Lease, crate::ChangingGuard), MeshError> {
        let changing = self.changing.enter(id).ok_or_else(|| MeshError::Conflict {
            detail: format!("allocation `{id}` is being changed right now"),
        });
        let lease = self.lease(id)?;
        let changing = changing?;
        expect_generation(&lease, expected)?;
        if !lease.status.has_group() {
            let detail = format!("allocation `{id}` is {}, not active", status_name(lease.status));
            return Err(MeshError::Conflict { detail });
        }
        Ok((lease, changing))
    }

    /// Tells folder and kernel about a size; the lease with it and with the new receipt.
    async fn tell(&self, lease: &Lease, grant: &Grant, force: bool) -> Result<Lease, MeshError> {
        let resized =
            Lease { grant: grant.clone(), generation: lease.generation + 1, resizing: None, ..lease.clone() };
        if grant.cpus != lease.grant.cpus {
            self.share_cpus().await?;
        }
        let (id, limits, record) = (lease.id.clone(), self.limits(grant), record_of(&resized));
        let told = self
            .blocking_mesh(move |mesh| {
                mesh.cgroups.resize(&id, &limits, force, &record).map_err(|error| in_use(error, &id))
            })
            .await;
        let mut receipt = told?;
        // Last, because an image that has grown does not shrink again.
        let folder = self.resize_folder(lease, grant).await?;
        at("resize-folder");
        receipt.entries.extend(folder);
        receipt
            .entries
            .extend(lease.receipt.entries.iter().find(|entry| entry.limit == "gpu_memory").cloned());
        self.check_enforced(&receipt)?;
        Ok(Lease { receipt, ..resized })
    }

    /// The folder's new size, where it changes, and its entry in the receipt.
    async fn resize_folder(
        &self,
        lease: &Lease,
        grant: &Grant,
    ) -> Result<Option<EnforcementEntry>, MeshError> {
        match grant.storage.filter(|_| grant.storage != lease.grant.storage) {
            Some(size) => {
                let id = lease.id.clone();
                let resized = self.blocking_mesh(move |mesh| mesh.volumes.resize(&id, size)).await?;
                Ok(Some(resized.receipt))
            }
            None => Ok(lease.receipt.entries.iter().find(|entry| entry.limit == "storage").cloned()),
        }
    }

    async fn record_size(&self, resized: Lease, kind: EventKind) -> Result<Lease, MeshError> {
        let mut batch = Batch::new();
        batch.put(&self.tables.leases, resized.clone());
        batch.event(kind, resized.id.as_str(), event_data(&resized));
        self.commit(batch, "recording a change of an allocation").await?;
        self.ledger.set_grant(&resized.id, &resized.grant);
        self.share_cpus_if_pinned(&resized).await?;
        self.wake_life();
        Ok(resized)
    }

    async fn share_cpus_if_pinned(&self, lease: &Lease) -> Result<(), MeshError> {
        if lease.grant.cpus.is_empty() { Ok(()) } else { self.share_cpus().await }
    }

    /// Finishes a change that a crash interrupted; the lease as it is then.
    pub(crate) async fn finish_resizing(&self, lease: Lease) -> Result<Lease, MeshError> {
        let Some(grant) = lease.resizing.clone() else { return Ok(lease) };
        match self.tell(&lease, &grant, false).await {
            Ok(resized) => self.record_size(resized, EventKind::AllocationResized).await,
            Err(error) => {
                tracing::warn!(lease = %lease.id, error = error_chain(&error), "an interrupted change is undone");
                let restored = self.with_folder_as_it_is(Lease { resizing: None, ..lease }).await?;
                self.ledger.set_grant(&restored.id, &restored.grant);
                let mut batch = Batch::new();
                batch.put(&self.tables.leases, restored.clone());
                self.commit(batch, "recording a refused change").await?;
                Ok(restored)
            }
        }
    }

    /// The lease with the size that its folder has: one that had grown before the crash stays so.
    async fn with_folder_as_it_is(&self, mut lease: Lease) -> Result<Lease, MeshError> {
        if lease.grant.storage.is_some() {
            let id = lease.id.clone();
            let found =
                self.blocking_mesh(move |mesh| Ok(mesh.volumes.list()?.into_iter().find(|v| v.lease == id)));
            lease.grant.storage = found.await?.map(|volume| volume.size).or(lease.grant.storage);
        }
        Ok(lease)
    }

    /// Saves the lease with its group; without it a lease is found by its name only.
    pub(crate) async fn save_record(&self, lease: &Lease) {
        let (id, record) = (lease.id.clone(), record_of(lease));
        let saved = self
            .blocking("saving a record", move |mesh| {
                mesh.cgroups.save_record(&id, &record);
                Ok(())
            })
            .await;
        if let Err(error) = saved {
            tracing::debug!(lease = %lease.id, error = error_chain(&error), "a group keeps an older record");
        }
    }
}

/// What is in use is the caller's to know; anything else is a fault.
fn in_use(error: CgroupError, id: &LeaseId) -> MeshError {
    if matches!(error, CgroupError::InUse { .. }) {
        let detail = format!(
            "allocation `{id}`: {error}; shrink it less, or with `force`, which may end what runs in it"
        );
        return MeshError::Conflict { detail };
    }
    MeshError::internal("changing a cgroup")(Box::new(error))
}
