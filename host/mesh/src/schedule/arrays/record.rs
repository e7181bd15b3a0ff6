//! What is stored of an index of an array: from its intention to its end.

use hypermesh_model::{ArrayId, Bytes, Cause, Execution, ExecutionId, ExecutionStatus};
use hypermesh_planner::State;
use hypermesh_store::Record;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A result up to this length is kept with the array; a longer one is only in its execution, as long as that is kept.
pub(super) const MAX_KEPT_OUTPUT: u64 = 16 << 10;
/// Results of one array that are kept with it, in all.
pub(super) const MAX_KEPT_OUTPUTS: u64 = 8 << 20;

/// Which index of which array.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TaskKey {
    pub(super) array: ArrayId,
    pub(super) index: u32,
}

impl fmt::Display for TaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:05}", self.array, self.index)
    }
}

/// An index that was begun, or is about to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct TaskRecord {
    pub(super) array: ArrayId,
    pub(super) index: u32,
    /// The execution that it has, or is going to have.
    pub(super) execution: ExecutionId,
    /// How it ended, once it has.
    pub(super) end: Option<TaskEnd>,
}

/// How an index ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct TaskEnd {
    /// As its execution.
    pub(super) status: ExecutionStatus,
    /// So many had ended before it.
    pub(super) place: u32,
    /// The result, JSON text, if it is kept here.
    pub(super) output: Option<String>,
    /// The length of the result.
    pub(super) output_bytes: Bytes,
    /// Why it ended, if not with a result.
    pub(super) cause: Option<Cause>,
}

impl Record for TaskRecord {
    const TABLE: &'static str = "array_tasks";
    type Key = TaskKey;
    fn key(&self) -> TaskKey {
        TaskKey { array: self.array.clone(), index: self.index }
    }
}

impl TaskEnd {
    /// From the execution's final record; `None` when that is gone. `room`: how much of its result may be kept.
    pub(super) fn of(execution: Option<Execution>, place: u32, room: u64) -> Self {
        let Some(execution) = execution else {
            let detail = "the record of its execution is gone".to_owned();
            return Self {
                status: ExecutionStatus::Failed,
                place,
                output: None,
                output_bytes: Bytes(0),
                cause: Some(Cause::WorkerLost { detail }),
            };
        };
        let length = execution.output.as_ref().map_or(0, |output| output.len() as u64);
        Self {
            status: execution.status,
            place,
            output: execution.output.filter(|_| length <= room.min(MAX_KEPT_OUTPUT)),
            output_bytes: Bytes(length),
            cause: execution.cause,
        }
    }

    /// Bytes that it keeps.
    pub(super) fn kept(&self) -> u64 {
        self.output.as_ref().map_or(0, |output| output.len() as u64)
    }

    /// The same for the planner.
    pub(super) fn state(&self) -> State {
        match self.status {
            ExecutionStatus::Completed => State::Completed,
            ExecutionStatus::Cancelled => State::Cancelled,
            ExecutionStatus::Failed => State::Failed,
            // No end is recorded before there is one.
            ExecutionStatus::Queued | ExecutionStatus::Starting | ExecutionStatus::Running => State::Running,
        }
    }
}
