//! Schedules: an execution at a time, or again and again; and their runs, one for each time that came.
//!
//! ```text
//! pending ──execution recorded──▶ running ──result──▶ completed
//!    │                               ├──cause──▶ failed
//!    │                               └──cancel──▶ cancelled
//!    ├──refused by the node──▶ refused
//!    └──the one before still runs──▶ skipped
//! missed: its time passed while nobody could act, and the schedule doesn't catch up
//! ```
//! A run is recorded as `pending`, with the id that its execution is going to have, before anything is started. So a node
//! that dies in between knows after its restart whether that execution was begun.

use crate::{
    AssetId, Cause, ExecutionId, ExecutionLimits, ExecutionStatus, FolderGrant, HostGrant, InputFile,
    LeaseId, Retries, RunId, ScheduleId, Stdin, Subject, Terms, Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What an execution is made from: a request as it can be stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExecutionTemplate {
    /// The vm asset.
    pub vm_asset_id: AssetId,
    /// The operation; empty means the vm's entrypoint.
    pub operation: String,
    /// Its parameters.
    pub parameters: Map<String, Value>,
    /// Wall-time limit, seconds.
    pub timeout_seconds: u64,
    /// CPU-time limit, seconds; `None` for none of its own.
    pub cpu_limit_seconds: Option<u64>,
    /// Whether the four proofs are wanted.
    pub requires_consensus: bool,
    /// Longest life of the lease made for it, seconds.
    pub allocation_seconds: u64,
    /// Run in this lease instead.
    pub lease: Option<LeaseId>,
    /// Files that are granted.
    pub inputs: Vec<InputFile>,
    /// Standard input.
    #[serde(default)]
    pub stdin: Stdin,
    /// Folders of the host that are granted.
    #[serde(default)]
    pub folders: Vec<FolderGrant>,
    /// Where it may connect to.
    #[serde(default)]
    pub network: Vec<HostGrant>,
    /// Limits below the vm's.
    #[serde(default)]
    pub limits: ExecutionLimits,
    /// Whether it is tried again.
    #[serde(default)]
    pub retries: Retries,
    /// How long a lease made for it may wait for room, seconds; `None` refuses at once.
    #[serde(default)]
    pub wait_seconds: Option<u64>,
    /// Its place among those that wait.
    #[serde(default = "default_priority")]
    pub priority: u8,
}

/// When a schedule is due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Timing {
    /// Once.
    At {
        /// Then.
        at: Timestamp,
    },
    /// Again and again.
    Cron {
        /// Five fields, six with seconds in front, or a name such as `@hourly`.
        expression: String,
        /// Whose wall clock the expression speaks of: a name of the IANA time zone database.
        time_zone: String,
    },
}

/// What happens when a run is due and the one before has not ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Concurrency {
    /// They run beside each other.
    #[default]
    Allow,
    /// The new one is skipped.
    Forbid,
    /// The old one is cancelled first.
    Replace,
}

/// What happens with times that passed while nobody could act: the node was down, or the clock jumped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// They are recorded as missed.
    Skip,
    /// All of them together are one run, now.
    #[default]
    RunOnce,
}

/// A schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Its id.
    pub id: ScheduleId,
    /// A name for people.
    pub name: String,
    /// Whose it is, and who its executions are asked by.
    pub requester: Subject,
    /// What is executed.
    pub template: ExecutionTemplate,
    /// When.
    pub timing: Timing,
    /// Whether it runs; a paused one lets its times pass.
    pub enabled: bool,
    /// What happens when the run before has not ended.
    pub concurrency: Concurrency,
    /// What happens with times that were missed.
    pub catch_up: CatchUp,
    /// No run before this.
    pub starts_at: Option<Timestamp>,
    /// No run after this.
    pub ends_at: Option<Timestamp>,
    /// So many ended runs are kept.
    pub history_limit: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// What was due up to here is decided: nothing before or at it runs any more.
    pub decided_until: Timestamp,
    /// When it is due next; `None` when it is paused, or has no time left.
    pub next_at: Option<Timestamp>,
}

/// Where a run is in its life. See the module head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "drawn at the module's head")]
pub enum RunStatus {
    Pending,
    Running,
    Completed,
    Failed,
    Cancelled,
    Refused,
    Skipped,
    Missed,
}

impl RunStatus {
    /// Whether nothing more will happen.
    pub fn is_final(self) -> bool {
        match self {
            Self::Pending | Self::Running => false,
            Self::Completed
            | Self::Failed
            | Self::Cancelled
            | Self::Refused
            | Self::Skipped
            | Self::Missed => true,
        }
    }
}

impl From<ExecutionStatus> for RunStatus {
    fn from(status: ExecutionStatus) -> Self {
        match status {
            ExecutionStatus::Queued | ExecutionStatus::Starting | ExecutionStatus::Running => Self::Running,
            ExecutionStatus::Completed => Self::Completed,
            ExecutionStatus::Failed => Self::Failed,
            ExecutionStatus::Cancelled => Self::Cancelled,
        }
    }
}

/// One time that a schedule was due, or that somebody had it run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Whose it is.
    pub schedule: ScheduleId,
    /// When it was due; of several missed ones the last.
    pub due: Timestamp,
    /// Whether somebody had it run, out of turn.
    pub manual: bool,
    /// Earlier times that were missed and that it stands for; of a missed run, all of them.
    pub missed: u64,
    /// The execution that it has, or was going to have.
    pub execution: Option<ExecutionId>,
    /// Where it is in its life.
    pub status: RunStatus,
    /// Why it came to no execution.
    pub reason: Option<String>,
    /// Why its execution ended, if not with a result.
    pub cause: Option<Cause>,
    /// When it was acted upon.
    pub started_at: Option<Timestamp>,
    /// When it became final.
    pub ended_at: Option<Timestamp>,
}

fn default_priority() -> u8 {
    Terms::DEFAULT_PRIORITY
}
