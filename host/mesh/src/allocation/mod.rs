//! Allocations: request → plan (pure) → intention on disk → kernel → outcome on disk → event.
//!
//! ```text
//! enter in the ledger ─▶ commit `pending` ─▶ make folder and groups, read them back ─▶ commit `active`
//!     │ refused: nothing was made                      │ kernel refused: removed, commit `failed`
//!     ├ waits: commit `queued`   ─▶ room ─────▶ as above
//!     └ later: commit `reserved` ─▶ its time ─▶ as above
//! ```
//! A crash between any two steps leaves either nothing, or a `pending` record that the next start fails and cleans up
//! after, or an `active` one whose cgroup the next start makes again or adopts. The intention is safe from a crash of
//! the node, not from one of the machine: the groups that it speaks of don't outlive that either.
//!
//! * `wanted`: from the contract's amounts to kernel units · `ledger`: what is held, kept, waited for
//! * `activate`: telling the kernel · `change`: renewing, resizing · `end`: ending · `life`: what happens by time
//! * `usage`, `attach`, `quota`: looking at one, putting a process into one, bounding a requester

mod activate;
mod attach;
mod change;
mod end;
mod ledger;
mod life;
mod quota;
mod usage;
mod volumes;
mod wanted;
mod watch;

pub use attach::{Attached, Stays};
pub use ledger::{Alarm, Entered, Ledger, MAX_LIVE_LEASES, MAX_WAITING, Place, Preview, Request};
pub use quota::QuotaView;
pub use usage::{EnforcementView, GpuUse, LeaseUsage};
pub use volumes::{LeaseFolders, VolumeView};
pub use wanted::{DEFAULT_PIDS, MIN_LEASE_MEMORY, MIN_LEASE_STORAGE};
pub(crate) use watch::OOM_QUEUE;
pub use watch::Overuse;

pub(crate) use end::Ending;
pub(crate) use quota::{QuotaRecord, ShareRecord};
pub(crate) use usage::Readings;
pub(crate) use wanted::wanted_of;

use crate::Mesh;
use crate::error::MeshError;
use crate::failpoint::at;
use crate::records::WaitingRecord;
use crate::requests::AllocationRequest;
use hypermesh_model::{
    Asset, AssetStatus, EnforcementReceipt, EventKind, Grant, Idempotency, Lease, LeaseId, LeaseStatus,
    Subject, Terms, Timestamp,
};
use hypermesh_planner::{Span, Wanted};
use hypermesh_store::Batch;
use hypermesh_telemetry::CreateOutcome;
use serde_json::json;
use sha2::{Digest, Sha256};

/// The lease of an execution that brings its own.
#[derive(Debug)]
pub(crate) struct ForExecution {
    /// Its id.
    pub(crate) id: LeaseId,
    /// Percent of the CPU.
    pub(crate) amount: f64,
    /// Its longest life.
    pub(crate) duration_seconds: u64,
    /// How long it may wait for room; `None` refuses at once.
    pub(crate) wait_seconds: Option<u64>,
    /// Who is served first.
    pub(crate) priority: u8,
}

/// A lease, and whether it was made by an earlier request with the same key.
#[derive(Debug, Clone, PartialEq)]
pub struct Allocated {
    /// The lease.
    pub lease: Lease,
    /// Whether this request made nothing.
    pub replayed: bool,
}

impl Mesh {
    /// Leases a part of the machine: now, at its start time, or when there is room.
    ///
    /// # Errors
    /// [`MeshError::NotFound`] for the asset; [`MeshError::Invalid`] for an amount that is none;
    /// [`MeshError::Refused`] with every dimension that is short; [`MeshError::Unprocessable`] for what can't be
    /// enforced; [`MeshError::Conflict`] for an asset that is offline or under maintenance;
    /// [`MeshError::KeyReused`] for a key that was sent with another request.
    pub async fn allocate(&self, by: &Subject, request: AllocationRequest) -> Result<Allocated, MeshError> {
        let asset = self.asset(&request.asset_id)?;
        let wanted = self.wanted(&asset, &request)?;
        let id = LeaseId::generate();
        let idempotency =
            request.idempotency_key.clone().map(|key| Idempotency { key, request: digest(&request) });
        if let Some(idempotency) = &idempotency
            && let Some(made) = self.ledger.claim_key(by, &idempotency.key, &id)
        {
            return self.replay(&made, idempotency);
        }
        let entered = self.enter(by, &asset, &request, &wanted, &id);
        let allocated = match entered {
            Ok((lease, entered)) => {
                let lease = Lease { idempotency: idempotency.clone(), ..lease };
                // From here on it is finished even if the caller hangs up: the ledger holds it already.
                let mesh = self.clone();
                self.spawned(async move { mesh.record_entered(lease, entered, wanted).await }).await?
            }
            Err(error) => {
                if matches!(error, MeshError::Refused { .. }) {
                    self.metrics.lease_created(CreateOutcome::Refused).inc();
                }
                Err(error)
            }
        };
        if let (Err(_), Some(idempotency)) = (&allocated, &idempotency) {
            self.ledger.release_key(by, &idempotency.key);
        }
        allocated.map(|lease| Allocated { lease, replayed: false })
    }

    /// The lease that the first request with this key made.
    fn replay(&self, made: &LeaseId, idempotency: &Idempotency) -> Result<Allocated, MeshError> {
        let in_flight = |_| MeshError::Conflict {
            detail: "a request with this idempotency key is being handled right now; try again".into(),
        };
        let lease = self.lease(made).map_err(in_flight)?;
        if lease.idempotency.as_ref() == Some(idempotency) {
            return Ok(Allocated { lease, replayed: true });
        }
        Err(MeshError::KeyReused { key: idempotency.key.clone() })
    }

    /// What would come of a request, without making anything.
    ///
    /// # Errors
    /// As [`Mesh::allocate`], but for what is short: that is the answer.
    pub fn preview(&self, by: &Subject, request: &AllocationRequest) -> Result<Preview, MeshError> {
        let asset = self.asset(&request.asset_id)?;
        self.check_usable(&asset)?;
        let wanted = self.wanted(&asset, request)?;
        let now = Timestamp::now();
        let request = Self::to_enter(by, request, &wanted, &LeaseId::generate(), now);
        match self.ledger.preview(&request, now) {
            Err(MeshError::Refused { shortages }) => Ok(Preview { shortages, ..Preview::default() }),
            preview => preview,
        }
    }

    fn check_usable(&self, asset: &Asset) -> Result<(), MeshError> {
        if matches!(asset.status, AssetStatus::Maintenance | AssetStatus::Offline) {
            let detail = format!("asset `{}` is under maintenance or offline", asset.id);
            return Err(MeshError::Conflict { detail });
        }
        if self.is_draining() {
            return Err(MeshError::Busy { detail: "the node is stopping".into() });
        }
        Ok(())
    }

    fn to_enter(
        by: &Subject,
        request: &AllocationRequest,
        wanted: &Wanted,
        id: &LeaseId,
        now: Timestamp,
    ) -> Request {
        let from = request.start.map_or(now, |start| start.max(now));
        Request {
            id: id.clone(),
            by: by.clone(),
            wanted: wanted.clone(),
            span: Span { from, until: from.plus_seconds(request.duration_seconds) },
            terms: request.terms,
            wait_until: request.wait_seconds.map(|seconds| now.plus_seconds(seconds)),
        }
    }

    /// Enters a request in the ledger.
    fn enter(
        &self,
        by: &Subject,
        asset: &Asset,
        request: &AllocationRequest,
        wanted: &Wanted,
        id: &LeaseId,
    ) -> Result<(Lease, Entered), MeshError> {
        self.check_usable(asset)?;
        let now = Timestamp::now();
        let to_enter = Self::to_enter(by, request, wanted, id, now);
        let entered = self.ledger.enter(&to_enter, now)?;
        let (status, grant) = match &entered {
            Entered::Waiting => (LeaseStatus::Queued, asked(wanted)),
            Entered::Granted(grant) if to_enter.span.from > now => (LeaseStatus::Reserved, (**grant).clone()),
            Entered::Granted(grant) => (LeaseStatus::Pending, (**grant).clone()),
        };
        let lease = Lease {
            id: id.clone(),
            asset_id: asset.id.clone(),
            requester: by.clone(),
            amount: request.amount,
            unit: asset.capacity.unit.clone(),
            grant,
            duration_seconds: request.duration_seconds,
            start_time: to_enter.span.from,
            end_time: to_enter.span.until,
            status,
            for_execution: false,
            receipt: EnforcementReceipt::default(),
            end_reason: None,
            generation: 1,
            terms: request.terms,
            wait_until: to_enter.wait_until.filter(|_| status == LeaseStatus::Queued),
            frozen_until: None,
            resizing: None,
            idempotency: None,
        };
        Ok((lease, entered))
    }

    /// Records a lease that the ledger holds, and goes on with it.
    async fn record_entered(
        &self,
        lease: Lease,
        entered: Entered,
        wanted: Wanted,
    ) -> Result<Lease, MeshError> {
        at("create-entered");
        let mut batch = Batch::new();
        batch.put(&self.tables.leases, lease.clone());
        let begins_now = lease.status == LeaseStatus::Pending;
        match (&entered, begins_now) {
            (Entered::Waiting, _) => {
                batch.put(&self.tables.waiting, WaitingRecord { lease: lease.id.clone(), wanted });
                batch.event(EventKind::AllocationQueued, lease.id.as_str(), event_data(&lease));
            }
            (Entered::Granted(_), false) => {
                batch.event(EventKind::AllocationReserved, lease.id.as_str(), event_data(&lease));
            }
            (Entered::Granted(_), true) => {}
        }
        let committed = if begins_now {
            self.commit_intention(batch, "recording an allocation").await
        } else {
            self.commit(batch, "recording an allocation").await
        };
        if let Err(error) = committed {
            self.ledger.remove(&lease.id);
            return Err(error);
        }
        at("create-recorded");
        match lease.status {
            LeaseStatus::Reserved => self.ledger.set_start(&lease.id, lease.start_time),
            LeaseStatus::Queued => {
                self.metrics.lease_created(CreateOutcome::Queued).inc();
            }
            LeaseStatus::Pending
            | LeaseStatus::Active
            | LeaseStatus::Frozen
            | LeaseStatus::Completed
            | LeaseStatus::Cancelled
            | LeaseStatus::Failed => {}
        }
        let lease = if begins_now { self.activate(lease).await? } else { lease };
        self.wake_life();
        Ok(lease)
    }

    /// Enters a lease that an execution needs now, or as soon as there is room.
    pub(crate) fn reserve_for_execution(
        &self,
        by: &Subject,
        asset: &Asset,
        terms: &ForExecution,
        wanted: &Wanted,
    ) -> Result<Lease, MeshError> {
        let request = AllocationRequest {
            asset_id: asset.id.clone(),
            amount: terms.amount,
            duration_seconds: terms.duration_seconds,
            requirements: crate::requests::Requirements::default(),
            terms: Terms { priority: terms.priority, ..Terms::default() },
            start: None,
            wait_seconds: terms.wait_seconds,
            idempotency_key: None,
        };
        let (lease, _) = self.enter(by, asset, &request, wanted, &terms.id)?;
        Ok(Lease { unit: "percentage".into(), for_execution: true, ..lease })
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

    /// Where a lease stands in the queue; `None` when it does not wait.
    pub fn place(&self, id: &LeaseId) -> Option<Place> {
        self.ledger.place(id, Timestamp::now())
    }

    /// Who waits for room, in order.
    pub fn queue(&self) -> Vec<(Lease, Place)> {
        let places = self.ledger.places(Timestamp::now());
        places.into_iter().filter_map(|(id, place)| Some((self.lease(&id).ok()?, place))).collect()
    }
}

/// The request as one number: what is sent again under the same key must be the same.
fn digest(request: &AllocationRequest) -> String {
    let text = serde_json::to_vec(request).unwrap_or_default();
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a lease that waits shows as its resources: what it asked for.
fn asked(wanted: &Wanted) -> Grant {
    Grant {
        cpu: wanted.cpu,
        cpu_mode: wanted.cpu_mode,
        cpu_burst_us: wanted.cpu_burst_us,
        memory: wanted.memory,
        memory_request: wanted.memory_request,
        pids: wanted.pids,
        io: (!wanted.io.is_empty()).then_some(wanted.io),
        storage: wanted.storage,
        ..Grant::default()
    }
}

pub(crate) fn event_data(lease: &Lease) -> serde_json::Value {
    json!({
        "asset_id": lease.asset_id,
        "requester_id": lease.requester,
        "amount": lease.amount,
        "unit": lease.unit,
        "status": lease.status,
        "end_time": lease.end_time,
        "generation": lease.generation,
        "reason": lease.end_reason,
    })
}

pub(crate) fn status_name(status: LeaseStatus) -> &'static str {
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
