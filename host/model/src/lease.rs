//! Leases: a part of the machine, held by a subject until released or expired.
//!
//! ```text
//! queued ──────fits──────▶ pending ──applied──▶ active ──────released, expired────▶ completed
//!    │                     ▲  │  │                │ ▲ ▲                                  ▲
//!    │  reserved ──start───┘  │  │         expired│ │ └──renewed (thawed)──┐             │
//!    │      │                 │  │        (freeze)│ └───────────────────────┤             │
//!    ├──────┴──withdrawn──────┤  │                └────────▶ frozen ────────┴──grace over─┘
//!    ▼                        ▼  └──kernel refused──▶ failed ◀──out of memory, pre-empted── active, frozen
//! cancelled ◀──wait over── queued
//! ```
//! The contract knows five states: `queued` and `reserved` show as its `pending`, `frozen` as its `active`.

use crate::{AssetId, Bytes, EnforcementReceipt, GpuUuid, LeaseId, MilliCpu, Subject, Timestamp};
use serde::{Deserialize, Serialize};

/// Where a lease is in its life. See the module head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaseStatus {
    /// Waits for room; holds nothing.
    Queued,
    /// Room is kept for it from its start on; holds nothing yet.
    Reserved,
    /// Recorded, not yet applied.
    Pending,
    /// The kernel holds its limits.
    Active,
    /// Its time is over and its processes are stopped; it can still be renewed.
    Frozen,
    /// Released or expired; its cgroup is gone.
    Completed,
    /// Given up before it was applied.
    Cancelled,
    /// It ended otherwise than by its holder's will or its time; `end_reason` says why.
    Failed,
}

impl LeaseStatus {
    /// Whether the lease counts against capacity now.
    pub fn holds_capacity(self) -> bool {
        match self {
            Self::Pending | Self::Active | Self::Frozen => true,
            Self::Queued | Self::Reserved | Self::Completed | Self::Cancelled | Self::Failed => false,
        }
    }

    /// Whether the kernel holds a group for it.
    pub fn has_group(self) -> bool {
        match self {
            Self::Active | Self::Frozen => true,
            Self::Queued
            | Self::Reserved
            | Self::Pending
            | Self::Completed
            | Self::Cancelled
            | Self::Failed => false,
        }
    }

    /// Whether nothing more will happen.
    pub fn is_final(self) -> bool {
        match self {
            Self::Completed | Self::Cancelled | Self::Failed => true,
            Self::Queued | Self::Reserved | Self::Pending | Self::Active | Self::Frozen => false,
        }
    }

    /// Whether `next` may follow this state.
    pub fn may_become(self, next: Self) -> bool {
        use LeaseStatus::{Active, Cancelled, Completed, Failed, Frozen, Pending};
        match self {
            Self::Queued | Self::Reserved => matches!(next, Pending | Cancelled | Failed),
            Self::Pending => matches!(next, Active | Completed | Cancelled | Failed),
            Self::Active => matches!(next, Frozen | Completed | Failed),
            Self::Frozen => matches!(next, Active | Completed | Failed),
            Self::Completed | Self::Cancelled | Self::Failed => false,
        }
    }
}

/// How CPU time is given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CpuMode {
    /// At least this much when others want the CPU too, and more while nobody does: a weight.
    Shared,
    /// Never more than this: a quota.
    #[default]
    Limited,
    /// Whole cores that no other lease runs on: a cpuset.
    Pinned,
}

/// Limits on block devices; `None` is no limit. Direct and synchronous I/O; v1 does not see buffered writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "bytes a second and operations a second, as the names say")]
pub struct IoLimits {
    pub read_bps: Option<u64>,
    pub write_bps: Option<u64>,
    pub read_iops: Option<u64>,
    pub write_iops: Option<u64>,
}

impl IoLimits {
    /// Whether nothing is limited.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What a lease holds. An absent dimension is not limited and not counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Grant {
    /// CPU time a second; `cpu_mode` says how.
    pub cpu: Option<MilliCpu>,
    /// How CPU time is given.
    pub cpu_mode: CpuMode,
    /// CPU time in microseconds that a limited lease may save up while idle and use above its quota.
    pub cpu_burst_us: Option<u64>,
    /// The logical CPUs of a pinned lease, ascending; empty for the others, which share what is left.
    pub cpus: Vec<u32>,
    /// The memory nodes (NUMA) that a pinned lease is bound to, ascending; empty for all.
    pub mems: Vec<u32>,
    /// Memory, a hard limit; no swap on top.
    pub memory: Option<Bytes>,
    /// Memory that is kept for the lease and counts against capacity; `None`: all of `memory`.
    pub memory_request: Option<Bytes>,
    /// Processes and threads.
    pub pids: Option<u32>,
    /// Limits on the block device of the data folder.
    pub io: Option<IoLimits>,
    /// A folder that holds at most so many bytes.
    pub storage: Option<Bytes>,
    /// Whole GPUs and MIG instances by UUID, exclusively unless `gpu_memory` says otherwise.
    pub gpus: Vec<GpuUuid>,
    /// Memory of each GPU for a lease that shares it in time. The kernel can't hold that: it is monitored.
    pub gpu_memory: Option<Bytes>,
}

impl Grant {
    /// The memory that counts against capacity.
    pub fn memory_held(&self) -> Bytes {
        self.memory_request.or(self.memory).unwrap_or_default()
    }
}

/// What happens when a lease's time is over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnExpiry {
    /// What runs in it is killed at once.
    #[default]
    Kill,
    /// What runs in it is stopped for the grace time, in which a renewal lets it go on; then it is killed.
    Freeze,
}

/// How a lease is treated beside its resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Terms {
    /// What happens at its end.
    pub on_expiry: OnExpiry,
    /// How long it stays frozen before it is killed, seconds; only with [`OnExpiry::Freeze`].
    pub grace_seconds: u64,
    /// How long before its end the warning event comes, seconds; 0 for none.
    pub warn_seconds: u64,
    /// 0 to 100; a higher one goes first in the queue and may pre-empt a lower one.
    pub priority: u8,
    /// Whether a lease of a higher priority may end it, once it has run for `min_runtime_seconds`.
    pub preemptible: bool,
    /// How long it is safe from pre-emption, seconds.
    pub min_runtime_seconds: u64,
    /// Whether its folder is kept when it ends. Kept folders are listed and removed by hand.
    pub keep_storage: bool,
}

impl Terms {
    /// The priority of a lease that names none.
    pub const DEFAULT_PRIORITY: u8 = 50;
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            on_expiry: OnExpiry::Kill,
            grace_seconds: 0,
            warn_seconds: 0,
            priority: Self::DEFAULT_PRIORITY,
            preemptible: false,
            min_runtime_seconds: 0,
            keep_storage: false,
        }
    }
}

/// A lease.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lease {
    /// Its id.
    pub id: LeaseId,
    /// The asset that was asked for; further dimensions of the grant come from `requirements`.
    pub asset_id: AssetId,
    /// Who holds it.
    pub requester: Subject,
    /// How much of the asset, in `unit`.
    pub amount: f64,
    /// The asset's unit.
    pub unit: String,
    /// What the kernel is told.
    pub grant: Grant,
    /// Length in seconds.
    pub duration_seconds: u64,
    /// When it began.
    pub start_time: Timestamp,
    /// When it ends or ended.
    pub end_time: Timestamp,
    /// Where it is in its life.
    pub status: LeaseStatus,
    /// Whether it exists only for one execution and ends with it.
    pub for_execution: bool,
    /// What the kernel enforces; empty until active.
    pub receipt: EnforcementReceipt,
    /// Why it ended, for people: `released`, `expired`, or the kernel's refusal.
    pub end_reason: Option<String>,
    /// Grows by one with every change; what `If-Match` compares.
    #[serde(default)]
    pub generation: u64,
    /// How it is treated beside its resources.
    #[serde(default)]
    pub terms: Terms,
    /// Until when it waits for room; only while queued.
    #[serde(default)]
    pub wait_until: Option<Timestamp>,
    /// Until when it stays frozen; only while frozen.
    #[serde(default)]
    pub frozen_until: Option<Timestamp>,
    /// The grant that it is being changed to; a node that finds this at its start finishes the change.
    #[serde(default)]
    pub resizing: Option<Grant>,
    /// The caller's key, so that the same request sent twice makes one lease.
    #[serde(default)]
    pub idempotency: Option<Idempotency>,
}

/// A caller's key and what it was sent with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Idempotency {
    /// The key, of the caller's choice.
    pub key: String,
    /// SHA-256 of the request, lower-case hex: the same key with another request is a mistake.
    pub request: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [LeaseStatus; 8] = {
        use LeaseStatus::{Active, Cancelled, Completed, Failed, Frozen, Pending, Queued, Reserved};
        [Queued, Reserved, Pending, Active, Frozen, Completed, Cancelled, Failed]
    };

    #[test]
    fn an_ended_lease_stays_ended_and_every_other_can_end() {
        use LeaseStatus::{Active, Completed, Failed, Frozen, Pending, Queued};
        for from in ALL {
            assert_eq!(ALL.iter().any(|to| from.may_become(*to)), !from.is_final(), "{from:?}");
            assert!(from.is_final() || from.may_become(Failed), "{from:?}");
        }
        assert!(Pending.may_become(Active) && Active.may_become(Completed) && !Active.may_become(Pending));
        assert!(Active.may_become(Frozen) && Frozen.may_become(Active) && !Queued.may_become(Active));
    }

    #[test]
    fn a_grant_of_an_earlier_build_is_read() {
        let grant: Grant =
            serde_json::from_str(r#"{"cpu":500,"memory":1048576,"pids":64,"gpus":[]}"#).unwrap();
        assert_eq!((grant.cpu, grant.cpu_mode), (Some(MilliCpu(500)), CpuMode::Limited));
        assert_eq!(grant.memory_held(), Bytes(1 << 20));
    }
}
