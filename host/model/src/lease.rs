//! Leases: a part of the machine, held by a subject until released or expired.
//!
//! ```text
//! pending ──applied──▶ active ──released──▶ completed
//!    │                   └─────expired────▶ completed
//!    ├──cancelled (caller went away before it was applied)──▶ cancelled
//!    └──kernel refused──▶ failed
//! ```

use crate::{AssetId, Bytes, EnforcementReceipt, GpuUuid, LeaseId, MilliCpu, Subject, Timestamp};
use serde::{Deserialize, Serialize};

/// Where a lease is in its life. See the module head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaseStatus {
    /// Recorded, not yet applied.
    Pending,
    /// The kernel holds its limits.
    Active,
    /// Released or expired; its cgroup is gone.
    Completed,
    /// Given up before it was applied.
    Cancelled,
    /// The kernel refused it; `end_reason` says why.
    Failed,
}

impl LeaseStatus {
    /// Whether the lease counts against capacity.
    pub fn holds_capacity(self) -> bool {
        match self {
            Self::Pending | Self::Active => true,
            Self::Completed | Self::Cancelled | Self::Failed => false,
        }
    }

    /// Whether `next` may follow this state.
    pub fn may_become(self, next: Self) -> bool {
        match self {
            Self::Pending => next != Self::Pending,
            Self::Active => next == Self::Completed || next == Self::Failed,
            Self::Completed | Self::Cancelled | Self::Failed => false,
        }
    }
}

/// What a lease holds. An absent dimension is not limited and not counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// CPU time a second, a hard limit (quota).
    pub cpu: Option<MilliCpu>,
    /// Memory, a hard limit; no swap on top.
    pub memory: Option<Bytes>,
    /// Processes and threads.
    pub pids: Option<u32>,
    /// Whole GPUs, exclusively.
    #[serde(default)]
    pub gpus: Vec<GpuUuid>,
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ended_lease_stays_ended() {
        use LeaseStatus::{Active, Cancelled, Completed, Failed, Pending};
        let all = [Pending, Active, Completed, Cancelled, Failed];
        for from in [Completed, Cancelled, Failed] {
            for to in all {
                assert!(!from.may_become(to), "{from:?} -> {to:?}");
            }
        }
        assert!(Pending.may_become(Active) && Active.may_become(Completed) && !Active.may_become(Pending));
    }
}
