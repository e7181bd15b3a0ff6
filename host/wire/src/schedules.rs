//! Schedules: executions at a time, or again and again.

use crate::executions::{CauseView, ExecuteVm};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// What a cron expression is written with; whether it is one, the node says.
pub const CRON_PATTERN: &str = "^[@*,/#?+ 0-9A-Za-z-]{1,256}$";
/// A name of the IANA time zone database.
pub const ZONE_PATTERN: &str = "^[A-Za-z0-9_+-]{1,32}(/[A-Za-z0-9_+-]{1,32}){0,2}$";

/// What happens when a run is due and the one before has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Concurrency {
    /// They run beside each other.
    Allow,
    /// The new one is skipped.
    Forbid,
    /// The old one is cancelled first.
    Replace,
}

/// What happens with times that passed while the node was down or the clock jumped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// They are recorded as missed.
    Skip,
    /// All of them together are one run.
    RunOnce,
}

/// Whether a schedule runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleState {
    /// It has a next time.
    Active,
    /// It lets its times pass.
    Paused,
    /// It has no time left.
    Ended,
}

/// Asks for a schedule. It needs `at` or `cron`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateSchedule {
    /// A name for people.
    #[schema(min_length = 1, max_length = 128, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    pub name: String,
    /// What is executed, as `POST /api/v1/vm/execute` takes it.
    pub execution: ExecuteVm,
    /// Once, then; not in the past.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::lenient::optional_time"
    )]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub at: Option<Timestamp>,
    /// Again and again: five fields (minute, hour, day of month, month, day of week), six with seconds in front, or a
    /// name such as `@hourly`. A time that the wall clock jumps over runs right after the jump, and one that it shows
    /// twice runs once; an expression of an interval goes on as the wall clock shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[@*,/#?+ 0-9A-Za-z-]{1,256}$")]
    pub cron: Option<String>,
    /// Whose wall clock `cron` speaks of, e.g. `Europe/Berlin`; UTC when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z0-9_+-]{1,32}(/[A-Za-z0-9_+-]{1,32}){0,2}$")]
    pub time_zone: Option<String>,
    /// Whether it runs; `true` when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// What happens when the run before has not ended; `allow` when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// What happens with times that were missed; `run_once` when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catch_up: Option<CatchUp>,
    /// No run before this.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::lenient::optional_time"
    )]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub starts_at: Option<Timestamp>,
    /// No run after this.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::lenient::optional_time"
    )]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ends_at: Option<Timestamp>,
    /// So many ended runs are kept; 20 when not given.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::lenient::optional_whole"
    )]
    #[schema(minimum = 1, maximum = 100)]
    pub history_limit: Option<u32>,
}

impl CreateSchedule {
    /// An execution, without a time yet, and otherwise as the node has it.
    pub fn new(name: impl Into<String>, execution: ExecuteVm) -> Self {
        Self {
            name: name.into(),
            execution,
            at: None,
            cron: None,
            time_zone: None,
            enabled: None,
            concurrency: None,
            catch_up: None,
            starts_at: None,
            ends_at: None,
            history_limit: None,
        }
    }
}

/// Changes a schedule: members that are not given stay as they are. With another time, or enabled again, its times count
/// from now on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ChangeSchedule {
    /// A name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 128, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    pub name: Option<String>,
    /// What is executed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution: Option<ExecuteVm>,
    /// Once, then, in place of what it was.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "crate::lenient::optional_time")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub at: Option<Timestamp>,
    /// Again and again, in place of what it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[@*,/#?+ 0-9A-Za-z-]{1,256}$")]
    pub cron: Option<String>,
    /// Whose wall clock `cron` speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z0-9_+-]{1,32}(/[A-Za-z0-9_+-]{1,32}){0,2}$")]
    pub time_zone: Option<String>,
    /// Whether it runs. What passed while it was paused is not made up for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// What happens when the run before has not ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// What happens with times that were missed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catch_up: Option<CatchUp>,
    /// No run before this.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "crate::lenient::optional_time")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub starts_at: Option<Timestamp>,
    /// No run after this.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "crate::lenient::optional_time")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ends_at: Option<Timestamp>,
    /// So many ended runs are kept.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "crate::lenient::optional_whole")]
    #[schema(minimum = 1, maximum = 100)]
    pub history_limit: Option<u32>,
}

/// Where a run is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// It is about to be begun.
    Pending,
    /// Its execution has not ended.
    Running,
    /// Its execution gave a result.
    Completed,
    /// Its execution ended otherwise.
    Failed,
    /// Its execution was cancelled.
    Cancelled,
    /// The node refused its execution.
    Refused,
    /// The run before had not ended.
    Skipped,
    /// Its time passed while nobody could act.
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

/// One time that a schedule was due, or that somebody had it run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ScheduleRun {
    /// Its id.
    pub id: String,
    /// The schedule.
    pub schedule_id: String,
    /// When it was due; of several missed times the last.
    #[schema(value_type = String, format = DateTime)]
    pub due: Timestamp,
    /// Whether somebody had it run, out of turn.
    pub manual: bool,
    /// Earlier times that were missed and that it stands for; of a missed run, how many there were. Counted to 1000.
    pub missed: u64,
    /// Where it is in its life.
    pub status: RunStatus,
    /// Its execution; `null` where it came to none.
    pub execution_id: Option<String>,
    /// Why it came to none.
    pub reason: Option<String>,
    /// Why its execution ended, if not with a result.
    pub cause: Option<CauseView>,
    /// When it was begun.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started_at: Option<Timestamp>,
    /// When nothing more happened to it.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
}

/// A schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Schedule {
    /// Its id.
    pub id: String,
    /// A name for people.
    pub name: String,
    /// Whose it is, and who its executions are asked by.
    pub requester_id: String,
    /// What is executed.
    pub execution: ExecuteVm,
    /// Once, then.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub at: Option<Timestamp>,
    /// Again and again.
    pub cron: Option<String>,
    /// Whose wall clock `cron` speaks of.
    pub time_zone: Option<String>,
    /// Whether it was paused.
    pub enabled: bool,
    /// Whether it runs.
    pub state: ScheduleState,
    /// What happens when the run before has not ended.
    pub concurrency: Concurrency,
    /// What happens with times that were missed.
    pub catch_up: CatchUp,
    /// No run before this.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub starts_at: Option<Timestamp>,
    /// No run after this.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ends_at: Option<Timestamp>,
    /// So many ended runs are kept.
    pub history_limit: u32,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it is due next; `null` when it is paused, or has no time left.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_at: Option<Timestamp>,
    /// Its newest run.
    pub last_run: Option<ScheduleRun>,
}

/// Which part of a list of schedules or runs.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ScheduleQuery {
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
    /// Only those after this id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(max_length = 64)]
    pub after: Option<String>,
}
