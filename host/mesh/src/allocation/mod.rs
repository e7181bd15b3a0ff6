//! Allocations: request → plan (pure) → intention on disk → kernel → outcome on disk → event.
//!
//! ```text
//! reserve in the ledger ─▶ commit `pending` ─▶ make the cgroup, read it back ─▶ commit `active`
//!          │ refused: nothing was made               │ kernel refused: removed, commit `failed`
//! ```
//! A crash between any two steps leaves either nothing, or a `pending` record that the next start fails and cleans up
//! after, or an `active` one whose cgroup the next start makes again or adopts.

mod ledger;
mod plan;

pub use ledger::{Ledger, MAX_LIVE_LEASES};
pub use plan::{Held, Pool, Totals, Wanted, plan};

use crate::Mesh;
use crate::error::MeshError;
use crate::requests::{AllocationRequest, CpuAmount};
use hypermesh_model::{
    Asset, AssetStatus, AssetType, Bytes, Cause, EnforcementReceipt, EnforcementState, EventKind, Grant,
    Lease, LeaseId, LeaseStatus, MilliCpu, Subject, Terms, Timestamp,
};
use hypermesh_sandbox::{GpuAccess, Limits};
use hypermesh_store::Batch;
use hypermesh_telemetry::{CreateOutcome, ReleaseOutcome};
use serde_json::json;

/// Processes and threads of a lease that names no number: enough for a worker and a shell, too few for a fork bomb.
pub const DEFAULT_PIDS: u32 = 64;
/// The smallest memory lease: less than this, the kernel can't even start a process in it.
pub const MIN_LEASE_MEMORY: Bytes = Bytes::mib(4);

/// What the kernel holds and has counted for a lease, read now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnforcementView {
    /// Each limit.
    pub receipt: EnforcementReceipt,
    /// What was used; `None` once the lease has ended.
    pub usage: Option<LeaseUsage>,
}

/// What a lease has used. `None`: this kernel does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names and units say it")]
pub struct LeaseUsage {
    pub cpu_time_ns: Option<u64>,
    pub memory_current: Option<Bytes>,
    pub memory_peak: Option<Bytes>,
    pub processes: u64,
    pub oom_kills: Option<u64>,
    pub throttled_periods: Option<u64>,
}

impl Mesh {
    /// Leases a part of the machine.
    ///
    /// # Errors
    /// [`MeshError::NotFound`] for the asset; [`MeshError::Invalid`] for an amount that is none;
    /// [`MeshError::Refused`] with every dimension that is short; [`MeshError::Unprocessable`] for what can't be
    /// enforced; [`MeshError::Conflict`] for an asset that is offline or under maintenance.
    pub async fn allocate(&self, by: &Subject, request: AllocationRequest) -> Result<Lease, MeshError> {
        let asset = self.asset(&request.asset_id)?;
        let wanted = self.wanted(&asset, &request)?;
        let lease = self.reserve(by, &asset, request.amount, request.duration_seconds, &wanted, false)?;
        // From here on it is finished even if the caller hangs up: the ledger holds it already.
        let mesh = self.clone();
        self.spawned(async move {
            let mut batch = Batch::new();
            batch.put(&mesh.tables.leases, lease.clone());
            if let Err(error) = mesh.commit(batch, "recording an allocation").await {
                mesh.ledger.remove(&lease.id);
                return Err(error);
            }
            mesh.activate(lease).await
        })
        .await?
    }

    /// Enters a planned lease in the ledger.
    pub(crate) fn reserve(
        &self,
        by: &Subject,
        asset: &Asset,
        amount: f64,
        duration_seconds: u64,
        wanted: &Wanted,
        for_execution: bool,
    ) -> Result<Lease, MeshError> {
        if matches!(asset.status, AssetStatus::Maintenance | AssetStatus::Offline) {
            let detail = format!("asset `{}` is under maintenance or offline", asset.id);
            return Err(MeshError::Conflict { detail });
        }
        if self.is_draining() {
            return Err(MeshError::Busy { detail: "the node is stopping".into() });
        }
        let (id, start) = (LeaseId::generate(), Timestamp::now());
        let end_time = start.plus_seconds(duration_seconds);
        let grant = self.ledger.reserve(&id, wanted, end_time)?;
        let unit = if for_execution { "percentage".to_owned() } else { asset.capacity.unit.clone() };
        Ok(Lease {
            id,
            asset_id: asset.id.clone(),
            requester: by.clone(),
            amount,
            unit,
            grant,
            duration_seconds,
            start_time: start,
            end_time,
            status: LeaseStatus::Pending,
            for_execution,
            receipt: EnforcementReceipt::default(),
            end_reason: None,
            generation: 1,
            terms: Terms::default(),
            wait_until: None,
            frozen_until: None,
            idempotency_key: None,
        })
    }

    /// From the contract's amounts to kernel units.
    fn wanted(&self, asset: &Asset, request: &AllocationRequest) -> Result<Wanted, MeshError> {
        let (pool, _) = self.ledger.snapshot();
        let more = &request.requirements;
        let mut wanted = Wanted { pids: Some(more.pids.unwrap_or(DEFAULT_PIDS)), ..Wanted::default() };
        let percent = |member: &str, percent: f64| {
            MilliCpu::from_percent_of(percent, pool.cpu).map_err(|e| MeshError::unfit(member, e.to_string()))
        };
        wanted.cpu = match more.cpu {
            Some(CpuAmount::Percent(p)) => Some(percent("requirements.cpu", p)?),
            Some(CpuAmount::Milli(milli)) => Some(milli),
            None => None,
        };
        wanted.memory = more.memory;
        wanted.gpus = more.gpus.map(|n| (n, pool.gpus.clone()));
        let twice = |member: &str| {
            Err(MeshError::unfit(member, "the asset is of this dimension already; give it in `amount` alone"))
        };
        match asset.asset_type {
            AssetType::Cpu if wanted.cpu.is_some() => return twice("requirements.cpu"),
            AssetType::Memory if wanted.memory.is_some() => return twice("requirements.memory"),
            AssetType::Gpu if wanted.gpus.is_some() => return twice("requirements.gpus"),
            AssetType::Cpu => wanted.cpu = Some(percent("amount", request.amount)?),
            AssetType::Memory => {
                let bytes = Bytes::from_gb(request.amount);
                wanted.memory = Some(bytes.map_err(|e| MeshError::unfit("amount", e.to_string()))?);
            }
            AssetType::Gpu => wanted.gpus = Some((whole(request.amount)?, self.gpu_group(&asset.id))),
            AssetType::Storage
            | AssetType::Network
            | AssetType::Service
            | AssetType::Container
            | AssetType::Vm
            | AssetType::Application => return Err(not_leasable(asset)),
        }
        if wanted.memory.is_some_and(|m| m < MIN_LEASE_MEMORY) {
            let detail = format!("memory of a lease starts at {MIN_LEASE_MEMORY}");
            let member = if asset.asset_type == AssetType::Memory { "amount" } else { "requirements.memory" };
            return Err(MeshError::unfit(member, detail));
        }
        Ok(wanted)
    }

    /// Tells the kernel, and records what it said. On refusal the lease is failed and nothing is left of it.
    pub(crate) async fn activate(&self, lease: Lease) -> Result<Lease, MeshError> {
        // A lease of a second may expire before a busy machine has applied it; one of the two must wait.
        let Some(_changing) = self.changing.enter(&lease.id) else {
            return Err(MeshError::Conflict {
                detail: format!("allocation `{}` is being ended already", lease.id),
            });
        };
        match self.apply(&lease).await {
            Ok(receipt) => {
                debug_assert!(
                    lease.status.may_become(LeaseStatus::Active),
                    "{} is {:?}",
                    lease.id,
                    lease.status
                );
                let lease = Lease { status: LeaseStatus::Active, receipt, ..lease };
                let mut batch = Batch::new();
                batch.put(&self.tables.leases, lease.clone());
                batch.event(EventKind::AllocationActive, lease.id.as_str(), event_data(&lease));
                self.commit(batch, "recording an active allocation").await?;
                self.wake_expiry();
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

    /// Makes the cgroup with its limits and refuses what the kernel does not enforce.
    pub(crate) async fn apply(&self, lease: &Lease) -> Result<EnforcementReceipt, MeshError> {
        let (id, limits) = (lease.id.clone(), self.limits(&lease.grant));
        let record =
            json!({ "lease": id, "requester": lease.requester, "end_time": lease.end_time }).to_string();
        let receipt =
            self.blocking("making a cgroup", move |mesh| mesh.cgroups.create(&id, &limits, &record)).await?;
        let unenforced: Vec<String> = receipt
            .entries
            .iter()
            .filter(|e| e.state == EnforcementState::Unenforced)
            .map(|e| format!("{}: {}", e.limit, e.reason.as_deref().unwrap_or("not enforced")))
            .collect();
        if unenforced.is_empty() || self.settings.allow_unenforced {
            return Ok(receipt);
        }
        let id = lease.id.clone();
        self.blocking("removing a cgroup", move |mesh| mesh.cgroups.remove(&id)).await?;
        Err(MeshError::Unprocessable {
            detail: "the kernel would not enforce this allocation; start the node with --allow-unenforced to lease \
                     without enforcement, or give it a cgroup that it may write (`hypermesh doctor` says more)"
                .into(),
            reasons: unenforced,
        })
    }

    /// A grant as kernel limits.
    pub(crate) fn limits(&self, grant: &Grant) -> Limits {
        Limits {
            cpu: grant.cpu,
            memory: grant.memory,
            pids: grant.pids,
            gpus: self.machine.gpu_minors(&grant.gpus).map(GpuAccess::whole),
        }
    }

    /// All leases, by id, that is by age; ended ones as long as they are kept.
    pub fn leases(&self) -> Vec<Lease> {
        self.tables.leases.all()
    }

    /// One lease.
    ///
    /// # Errors
    /// [`MeshError::NotFound`].
    pub fn lease(&self, id: &LeaseId) -> Result<Lease, MeshError> {
        self.tables.leases.get(id).ok_or_else(|| MeshError::not_found("allocation", id))
    }

    /// Releases an active lease; what runs in it is killed.
    ///
    /// # Errors
    /// [`MeshError::NotFound`]; [`MeshError::Conflict`] when it is not active.
    pub async fn release(&self, id: &LeaseId) -> Result<Lease, MeshError> {
        let lease = self.lease(id)?;
        if lease.status != LeaseStatus::Active {
            let detail = format!("allocation `{id}` is {}, not active", status_name(lease.status));
            return Err(MeshError::Conflict { detail });
        }
        let (mesh, id) = (self.clone(), id.clone());
        self.spawned(async move { mesh.end_lease(&id, LeaseStatus::Completed, "released").await }).await?
    }

    /// Ends a lease: kills what runs in it, removes its cgroup, records it. Of two callers at once one wins, and the
    /// other gets a conflict.
    pub(crate) async fn end_lease(
        &self,
        id: &LeaseId,
        status: LeaseStatus,
        reason: &str,
    ) -> Result<Lease, MeshError> {
        let Some(_changing) = self.changing.enter(id) else {
            return Err(MeshError::Conflict {
                detail: format!("allocation `{id}` is being changed right now"),
            });
        };
        let lease = self.lease(id)?;
        if !lease.status.holds_capacity() {
            return Err(MeshError::Conflict { detail: format!("allocation `{id}` has ended already") });
        }
        // Each execution reads its usage from its own cgroup before that goes; so they end first.
        self.supervision.stop_in(id, &Cause::LeaseEnded { lease: id.clone() }).await;
        let lease = self.lease(id)?;
        if !lease.status.holds_capacity() {
            return Ok(lease); // It was made for an execution and ended with it.
        }
        self.finish_lease(&lease, status, reason).await
    }

    /// The last step of every lease: no process, no cgroup, no reservation, a final record.
    pub(crate) async fn finish_lease(
        &self,
        lease: &Lease,
        status: LeaseStatus,
        reason: &str,
    ) -> Result<Lease, MeshError> {
        self.remove_group(&lease.id).await?;
        let mut batch = Batch::new();
        let ended = self.put_ended(&mut batch, lease, status, reason);
        self.commit(batch, "recording the end of an allocation").await?;
        self.ledger.remove(&ended.id);
        Ok(ended)
    }

    /// Kills what runs in a lease and removes its cgroup.
    pub(crate) async fn remove_group(&self, id: &LeaseId) -> Result<(), MeshError> {
        let id = id.clone();
        self.blocking("removing a cgroup", move |mesh| {
            mesh.cgroups.kill(&id, None)?;
            mesh.cgroups.remove(&id)
        })
        .await
    }

    /// Adds the final record of a lease to a batch.
    pub(crate) fn put_ended(
        &self,
        batch: &mut Batch,
        lease: &Lease,
        status: LeaseStatus,
        reason: &str,
    ) -> Lease {
        debug_assert!(lease.status.may_become(status), "{} is {:?}", lease.id, lease.status);
        let ended = Lease {
            status,
            end_time: Timestamp::now().min(lease.end_time),
            end_reason: Some(reason.to_owned()),
            ..lease.clone()
        };
        let failed = status == LeaseStatus::Failed;
        let kind = if failed { EventKind::AllocationFailed } else { EventKind::AllocationEnded };
        batch.put(&self.tables.leases, ended.clone());
        batch.event(kind, ended.id.as_str(), event_data(&ended));
        let outcome = match reason {
            "expired" => ReleaseOutcome::Expired,
            _ if failed => ReleaseOutcome::Failed,
            _ => ReleaseOutcome::Released,
        };
        self.metrics.lease_released(outcome).inc();
        ended
    }

    /// What the kernel holds and has counted for a lease. Of an ended one: what it held last.
    ///
    /// # Errors
    /// [`MeshError::NotFound`].
    pub async fn enforcement(&self, id: &LeaseId) -> Result<EnforcementView, MeshError> {
        let lease = self.lease(id)?;
        if lease.status != LeaseStatus::Active {
            return Ok(EnforcementView { receipt: lease.receipt, usage: None });
        }
        let (id, limits) = (id.clone(), self.limits(&lease.grant));
        let read = self
            .blocking("reading a cgroup", move |mesh| {
                let receipt = mesh.cgroups.read_back(&id, &limits)?;
                let (usage, processes) = (mesh.cgroups.usage(&id, None)?, mesh.cgroups.processes(&id, None)?);
                Ok((receipt, usage, processes.len() as u64))
            })
            .await;
        match read {
            Ok((receipt, usage, processes)) => Ok(EnforcementView {
                receipt,
                usage: Some(LeaseUsage {
                    cpu_time_ns: usage.cpu_time_ns,
                    memory_current: usage.memory_current,
                    memory_peak: usage.memory_peak,
                    processes,
                    oom_kills: usage.oom_kills,
                    throttled_periods: usage.throttled_periods,
                }),
            }),
            // Ended while it was read.
            Err(error) if self.lease(&lease.id)?.status.has_group() => Err(error),
            Err(_) => Ok(EnforcementView { receipt: lease.receipt, usage: None }),
        }
    }
}

fn whole(amount: f64) -> Result<u32, MeshError> {
    if (1.0..=1024.0).contains(&amount) && amount.fract() == 0.0 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
        Ok(amount as u32)
    } else {
        Err(MeshError::unfit("amount", "GPUs are leased whole: a number from 1 to 1024"))
    }
}

fn not_leasable(asset: &Asset) -> MeshError {
    let why = match asset.asset_type {
        AssetType::Storage => {
            "leases of storage need a folder of bounded size, which this build does not make"
        }
        AssetType::Network => "the kernel limit for network interfaces is not built; they are measured only",
        AssetType::Vm => "a vm is executed, not leased: POST /api/v1/vm/execute",
        AssetType::Service
        | AssetType::Container
        | AssetType::Application
        | AssetType::Cpu
        | AssetType::Memory
        | AssetType::Gpu => "it was registered by hand and has no capacity that the kernel could enforce",
    };
    MeshError::Unprocessable {
        detail: format!("asset `{}` can't be leased: {why}", asset.id),
        reasons: vec![why.to_owned()],
    }
}

fn event_data(lease: &Lease) -> serde_json::Value {
    json!({
        "asset_id": lease.asset_id,
        "requester_id": lease.requester,
        "amount": lease.amount,
        "unit": lease.unit,
        "status": lease.status,
        "end_time": lease.end_time,
        "reason": lease.end_reason,
    })
}

fn status_name(status: LeaseStatus) -> &'static str {
    match status {
        LeaseStatus::Queued => "queued",
        LeaseStatus::Reserved => "reserved",
        LeaseStatus::Pending => "pending",
        LeaseStatus::Active => "active",
        LeaseStatus::Frozen => "frozen",
        LeaseStatus::Completed => "completed",
        LeaseStatus::Cancelled => "cancelled",
        LeaseStatus::Failed => "failed",
    }
}
