//! Executions at a time, again and again, and over many parameters.
//!
//! Both are on top of [`Mesh::execute`]: what is stored is a request, and who asked for it. What is due and which index is
//! next is decided in `hypermesh_planner`, from values alone; here is who acts on it, and what is recorded in which order.
//!
//! The intention first: a run, or an index of an array, is on record with the id that its execution is going to have
//! before that is asked for. After a crash the record of that execution says whether it was, so nothing is begun twice
//! and nothing that was on record is forgotten.

mod act;
mod arrays;
mod runs;
mod schedules;
mod template;
mod timer;
mod turns;
mod when;

pub use arrays::{
    ArrayItem, ArrayView, ItemPage, ItemStatus, MAX_ARRAY_SIZE, MAX_PARALLELISM, NewArray, Order,
};
pub(crate) use arrays::{Arrays, TaskRecord};
pub use schedules::{MAX_HISTORY, MAX_SCHEDULES, NewSchedule, ScheduleChange, ScheduleView};
pub use template::request as request_of;
pub(crate) use turns::Turns;

use crate::Mesh;
use crate::error::{MeshError, Shortage};
use hypermesh_model::{Execution, ExecutionId, error_chain};
use std::time::Duration;

/// Longest single wait for an end. Only its being over matters.
const WAIT: Duration = Duration::from_secs(3600);
/// Pause before something that failed, or gave no notice, is tried again.
const AGAIN: Duration = Duration::from_secs(1);

impl Mesh {
    /// An execution once it has ended; `None` when its record is gone.
    async fn execution_ended(&self, id: &ExecutionId) -> Option<Execution> {
        loop {
            match self.wait(id, WAIT).await {
                Ok(execution) if execution.status.is_final() => return Some(execution),
                // Its driver is gone and its record is not final: reconciliation will see to it.
                Ok(_) => tokio::time::sleep(AGAIN).await,
                Err(_) => return None,
            }
        }
    }
}

/// Why the node refused, in one line that may be shown to whom it was refused.
fn refusal(error: &MeshError) -> String {
    match error {
        MeshError::Refused { shortages } => {
            let short = |s: &Shortage| {
                format!("{}: asked for {} {}, {} free", s.dimension, s.requested, s.unit, s.available)
            };
            let all: Vec<String> = shortages.iter().map(short).collect();
            format!("not enough capacity: {}", all.join("; "))
        }
        MeshError::Internal { doing, .. } => {
            tracing::error!(error = error_chain(error), "an execution could not be begun");
            format!("the node failed while {doing}")
        }
        MeshError::NotFound { .. }
        | MeshError::Invalid { .. }
        | MeshError::Unfit { .. }
        | MeshError::Conflict { .. }
        | MeshError::Precondition { .. }
        | MeshError::KeyReused { .. }
        | MeshError::Forbidden { .. }
        | MeshError::Unprocessable { .. }
        | MeshError::TooLarge { .. }
        | MeshError::Missing { .. }
        | MeshError::Busy { .. } => error.to_string(),
    }
}
