//! Label values of the metrics, each from a closed set: a label that a client can choose would grow the registry without
//! bound.

use hypermesh_model::{EnforcementState, ExecutionStatus, LeaseStatus};
use prometheus_client::encoding::EncodeLabelSet;
use std::sync::Arc;

/// How asking for a lease ended. A request that waits counts twice: as queued, and as what its wait ends in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreateOutcome {
    /// The kernel holds its limits.
    Active,
    /// It did not fit, or was not valid.
    Refused,
    /// The kernel refused it.
    Failed,
    /// It waits for room, or for its time.
    Queued,
    /// It was withdrawn, or its wait was over, before it held anything.
    Cancelled,
}

impl CreateOutcome {
    pub(crate) const ALL: [Self; 5] =
        [Self::Active, Self::Refused, Self::Failed, Self::Queued, Self::Cancelled];

    pub(crate) fn label(self) -> Outcome {
        Outcome {
            outcome: match self {
                Self::Active => "active",
                Self::Refused => "refused",
                Self::Failed => "failed",
                Self::Queued => "queued",
                Self::Cancelled => "cancelled",
            },
        }
    }
}

/// How a lease's end went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseOutcome {
    /// Its holder gave it back.
    Released,
    /// Its time was over.
    Expired,
    /// Its cgroup could not be removed.
    Failed,
    /// It had to make room for another.
    Preempted,
    /// It ran out of memory, which ends it as a whole.
    OutOfMemory,
}

impl ReleaseOutcome {
    pub(crate) const ALL: [Self; 5] =
        [Self::Released, Self::Expired, Self::Failed, Self::Preempted, Self::OutOfMemory];

    pub(crate) fn label(self) -> Outcome {
        Outcome {
            outcome: match self {
                Self::Released => "released",
                Self::Expired => "expired",
                Self::Failed => "failed",
                Self::Preempted => "preempted",
                Self::OutOfMemory => "out_of_memory",
            },
        }
    }
}

/// A stretch of an execution's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// From acceptance until its lease is active.
    Queue,
    /// From then until its guest runs.
    Start,
    /// From then until its end.
    Run,
}

impl Phase {
    pub(crate) const ALL: [Self; 3] = [Self::Queue, Self::Start, Self::Run];

    pub(crate) fn label(self) -> PhaseLabel {
        PhaseLabel {
            phase: match self {
                Self::Queue => "queue",
                Self::Start => "start",
                Self::Run => "run",
            },
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Outcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct PhaseLabel {
    phase: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Status {
    status: &'static str,
}

impl Status {
    /// The states in which executions end.
    pub(crate) const FINAL: [ExecutionStatus; 3] =
        [ExecutionStatus::Completed, ExecutionStatus::Failed, ExecutionStatus::Cancelled];

    pub(crate) fn of(status: ExecutionStatus) -> Self {
        Self {
            status: match status {
                ExecutionStatus::Queued => "queued",
                ExecutionStatus::Starting => "starting",
                ExecutionStatus::Running => "running",
                ExecutionStatus::Completed => "completed",
                ExecutionStatus::Failed => "failed",
                ExecutionStatus::Cancelled => "cancelled",
            },
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct LeasePhase {
    phase: &'static str,
}

impl LeasePhase {
    /// The states of leases that have not ended.
    pub(crate) const LIVE: [LeaseStatus; 5] = [
        LeaseStatus::Queued,
        LeaseStatus::Reserved,
        LeaseStatus::Pending,
        LeaseStatus::Active,
        LeaseStatus::Frozen,
    ];

    pub(crate) fn of(status: LeaseStatus) -> Self {
        Self {
            phase: match status {
                LeaseStatus::Queued => "queued",
                LeaseStatus::Reserved => "reserved",
                LeaseStatus::Pending => "pending",
                LeaseStatus::Active => "active",
                LeaseStatus::Frozen => "frozen",
                LeaseStatus::Completed => "completed",
                LeaseStatus::Cancelled => "cancelled",
                LeaseStatus::Failed => "failed",
            },
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Enforcement {
    state: &'static str,
}

impl Enforcement {
    pub(crate) const ALL: [EnforcementState; 4] = [
        EnforcementState::Enforced,
        EnforcementState::BestEffort,
        EnforcementState::Monitored,
        EnforcementState::Unenforced,
    ];

    pub(crate) fn of(state: EnforcementState) -> Self {
        Self {
            state: match state {
                EnforcementState::Enforced => "enforced",
                EnforcementState::BestEffort => "best_effort",
                EnforcementState::Monitored => "monitored",
                EnforcementState::Unenforced => "unenforced",
            },
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Request {
    pub(crate) service: &'static str,
    pub(crate) method: &'static str,
    pub(crate) route: Arc<str>,
    pub(crate) status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Route {
    pub(crate) service: &'static str,
    pub(crate) route: Arc<str>,
}

/// The methods of RFC 9110 and PATCH (RFC 5789); a client may send any word.
pub(crate) fn method(name: &str) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    KNOWN.into_iter().find(|known| *known == name).unwrap_or("other")
}
