//! Telling the kernel: a planned lease becomes groups, limits and a folder, each read back; then it is active.
//!
//! ```text
//! pin: move the shared leases off its cores ─▶ make its folder ─▶ make its groups with their limits ─▶ commit `active`
//!                                     any of them refused: all removed again, commit `failed`
//! ```
//! Every step may be done again with the same result, so a restarted node goes through the same function.

use super::event_data;
use crate::Mesh;
use crate::error::MeshError;
use crate::failpoint::at;
use hypermesh_model::{
    EnforcementEntry, EnforcementReceipt, EnforcementState, EventKind, Grant, Lease, LeaseId, LeaseStatus,
    Timestamp,
};
use hypermesh_sandbox::{CpuSet, IoRule, Limits};
use hypermesh_store::Batch;
use hypermesh_telemetry::CreateOutcome;

impl Mesh {
    /// Tells the kernel, and records what it said. On refusal the lease is failed and nothing is left of it.
    pub(crate) async fn activate(&self, lease: Lease) -> Result<Lease, MeshError> {
        // A lease of a second may expire before a busy machine has applied it; one of the two must wait.
        let Some(_changing) = self.changing.enter(&lease.id) else {
            return Err(MeshError::Conflict {
                detail: format!("allocation `{}` is being ended already", lease.id),
            });
        };
        match self.apply(&lease, false).await {
            Ok(receipt) => {
                debug_assert!(
                    lease.status.may_become(LeaseStatus::Active),
                    "{} is {:?}",
                    lease.id,
                    lease.status
                );
                at("activate-applied");
                let lease =
                    Lease { status: LeaseStatus::Active, receipt, generation: lease.generation + 1, ..lease };
                let mut batch = Batch::new();
                batch.put(&self.tables.leases, lease.clone());
                batch.event(EventKind::AllocationActive, lease.id.as_str(), event_data(&lease));
                self.commit(batch, "recording an active allocation").await?;
                at("activate-recorded");
                self.metrics.lease_created(CreateOutcome::Active).inc();
                Ok(lease)
            }
            Err(error) => {
                self.finish_lease(&lease, LeaseStatus::Failed, &error.to_string()).await?;
                self.metrics.lease_created(CreateOutcome::Failed).inc();
                Err(error)
            }
        }
    }

    /// Makes groups and folder with their limits and refuses what the kernel does not enforce. With `is_parked` the groups
    /// are there already, without limits: a worker waits in them.
    pub(crate) async fn apply(
        &self,
        lease: &Lease,
        is_parked: bool,
    ) -> Result<EnforcementReceipt, MeshError> {
        if !lease.grant.cpus.is_empty() {
            self.share_cpus().await?;
        }
        let folder = self.make_folder(lease).await?;
        at("apply-folder");
        let (id, limits, record) = (lease.id.clone(), self.limits(&lease.grant), record_of(lease));
        let limited = self.blocking("making a cgroup", move |mesh| {
            if is_parked {
                mesh.cgroups.limit(&id, &limits, &record)
            } else {
                mesh.cgroups.create(&id, &limits, &record)
            }
        });
        let mut receipt = limited.await?;
        at("apply-groups");
        receipt.entries.extend(folder);
        receipt.entries.extend(monitored(&lease.grant));
        match self.check_enforced(&receipt) {
            Ok(()) => Ok(receipt),
            Err(error) => {
                self.remove_parts(lease, false).await?;
                Err(error)
            }
        }
    }

    /// Refuses a receipt with a limit that nothing holds, unless that was allowed.
    pub(crate) fn check_enforced(&self, receipt: &EnforcementReceipt) -> Result<(), MeshError> {
        let unenforced: Vec<String> = receipt
            .entries
            .iter()
            .filter(|e| e.state == EnforcementState::Unenforced)
            .map(|e| format!("{}: {}", e.limit, e.reason.as_deref().unwrap_or("not enforced")))
            .collect();
        if unenforced.is_empty() || self.settings.allow_unenforced {
            return Ok(());
        }
        Err(MeshError::Unprocessable {
            detail: "the kernel would not enforce this allocation; start the node with --allow-unenforced to lease \
                     without enforcement, or give it a cgroup that it may write (`hypermesh doctor` says more)"
                .into(),
            reasons: unenforced,
        })
    }

    /// Writes the CPUs that are not pinned to where the other leases run. In the order of the calls: the last one reads
    /// the ledger last.
    pub(crate) async fn share_cpus(&self) -> Result<(), MeshError> {
        let _turn = self.pins.lock().await;
        let cpus = self.ledger.read(|book| book.shared_cpus(Timestamp::now()));
        self.blocking("sharing the CPUs", move |mesh| mesh.cgroups.share_cpus(&cpus)).await
    }

    /// The folder of a lease that holds storage, and its entry in the receipt.
    async fn make_folder(&self, lease: &Lease) -> Result<Option<EnforcementEntry>, MeshError> {
        let Some(size) = lease.grant.storage else { return Ok(None) };
        let (id, changing_to) = (lease.id.clone(), lease.resizing.as_ref().and_then(|grant| grant.storage));
        self.blocking_mesh(move |mesh| {
            mesh.volumes.create(&id, size, changing_to).map(|volume| Some(volume.receipt))
        })
        .await
    }

    /// A grant as kernel limits.
    pub(crate) fn limits(&self, grant: &Grant) -> Limits {
        let pinned = !grant.cpus.is_empty();
        Limits {
            cpu: grant.cpu,
            cpu_mode: grant.cpu_mode,
            cpu_burst_us: grant.cpu_burst_us,
            cpuset: pinned.then(|| CpuSet { cpus: grant.cpus.clone(), mems: grant.mems.clone() }),
            memory: grant.memory,
            memory_request: grant.memory_request,
            pids: grant.pids,
            io: grant.io.and_then(|limits| Some(IoRule { device: self.machine.data_device()?, limits })),
            gpus: self.machine.gpu_access(&grant.gpus),
        }
    }

    /// Kills what runs in a lease and removes its groups.
    pub(crate) async fn remove_group(&self, id: &LeaseId) -> Result<(), MeshError> {
        let id = id.clone();
        self.blocking("removing a cgroup", move |mesh| {
            mesh.cgroups.kill(&id, None)?;
            mesh.cgroups.remove(&id)
        })
        .await
    }

    /// Kills what runs in one leaf of a lease and removes it.
    pub(crate) async fn remove_leaf(&self, lease: &LeaseId, leaf: &str) -> Result<(), MeshError> {
        let (lease, leaf) = (lease.clone(), leaf.to_owned());
        self.blocking("removing a cgroup", move |mesh| {
            mesh.cgroups.kill(&lease, Some(leaf.as_str()))?;
            mesh.cgroups.remove_leaf(&lease, leaf.as_str())
        })
        .await
    }

    /// Removes groups and, unless it is kept, the folder.
    pub(crate) async fn remove_parts(&self, lease: &Lease, keep_folder: bool) -> Result<(), MeshError> {
        self.remove_group(&lease.id).await?;
        at("remove-groups");
        if lease.grant.storage.is_none() {
            return Ok(());
        }
        let id = lease.id.clone();
        self.blocking_mesh(
            move |mesh| if keep_folder { mesh.volumes.keep(&id) } else { mesh.volumes.remove(&id) },
        )
        .await
    }
}

/// What the group carries, so that a node that lost its database knows whose it is.
pub(crate) fn record_of(lease: &Lease) -> String {
    let without_receipt = Lease { receipt: EnforcementReceipt::default(), ..lease.clone() };
    serde_json::to_string(&without_receipt).unwrap_or_default()
}

/// What no kernel file can hold, and the node watches.
fn monitored(grant: &Grant) -> Option<EnforcementEntry> {
    let memory = grant.gpu_memory?;
    Some(EnforcementEntry {
        limit: "gpu_memory".into(),
        state: EnforcementState::Monitored,
        requested: memory.0.to_string(),
        actual: None,
        file: None,
        reason: Some(
            "no kernel limit on GPU memory; NVML is asked every second, and what passes it is ended".into(),
        ),
    })
}
