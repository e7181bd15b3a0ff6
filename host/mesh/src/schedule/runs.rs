//! The records of runs: what there is, how one becomes final, how many are kept.

use crate::Mesh;
use crate::error::MeshError;
use crate::schedule::AGAIN;
use hypermesh_model::{
    EventKind, Execution, ExecutionId, Run, RunId, RunStatus, Schedule, ScheduleId, Timestamp, error_chain,
};
use hypermesh_store::Batch;
use serde_json::json;

/// A run that is about to be acted upon.
pub(super) fn planned(schedule: &Schedule, due: Timestamp, missed: u64, manual: bool) -> Run {
    Run {
        id: RunId::generate(),
        schedule: schedule.id.clone(),
        due,
        manual,
        missed,
        execution: Some(ExecutionId::generate()),
        status: RunStatus::Pending,
        reason: None,
        cause: None,
        started_at: None,
        ended_at: None,
    }
}

/// What an event says of a run.
pub(super) fn event_data(run: &Run) -> serde_json::Value {
    json!({
        "run_id": run.id,
        "execution_id": run.execution,
        "due": run.due,
        "manual": run.manual,
        "missed": run.missed,
        "status": run.status,
        "reason": run.reason,
    })
}

/// The event of a status that a run has reached.
pub(super) fn event_kind(status: RunStatus) -> EventKind {
    match status {
        RunStatus::Pending | RunStatus::Running => EventKind::ScheduleRunStarted,
        RunStatus::Completed | RunStatus::Failed | RunStatus::Cancelled => EventKind::ScheduleRunEnded,
        RunStatus::Refused => EventKind::ScheduleRunRefused,
        RunStatus::Skipped => EventKind::ScheduleRunSkipped,
        RunStatus::Missed => EventKind::ScheduleRunMissed,
    }
}

/// What becomes of a run when its execution has ended; `None`: nobody knows how.
fn concluded(run: Run, execution: Option<Execution>) -> Run {
    match execution {
        Some(execution) => Run {
            status: execution.status.into(),
            cause: execution.cause,
            ended_at: execution.ended_at,
            ..run
        },
        None => Run {
            status: RunStatus::Failed,
            reason: Some("the record of its execution is gone".to_owned()),
            ended_at: Some(Timestamp::now()),
            ..run
        },
    }
}

impl Mesh {
    /// A schedule's runs that are kept, oldest first.
    pub fn runs_of(&self, id: &ScheduleId) -> Vec<Run> {
        self.tables.runs.filter(|run| run.schedule == *id)
    }

    /// Records where a run is now. A run whose schedule was removed stays away.
    pub(super) async fn record_run(&self, run: &Run) -> Result<(), MeshError> {
        let Ok(view) = self.schedule(&run.schedule) else { return Ok(()) };
        let mut batch = Batch::new();
        self.put_run(&mut batch, run);
        if run.status.is_final() {
            self.trim_history(&mut batch, &view.schedule);
        }
        self.commit(batch, "recording a run").await
    }

    /// Adds a run and its event to a batch.
    pub(super) fn put_run(&self, batch: &mut Batch, run: &Run) {
        batch.put(&self.tables.runs, run.clone());
        if run.status != RunStatus::Pending {
            batch.event(event_kind(run.status), run.schedule.as_str(), event_data(run));
        }
    }

    /// Lets go of the oldest ended runs beyond the limit.
    pub(super) fn trim_history(&self, batch: &mut Batch, schedule: &Schedule) {
        let ended = self.tables.runs.filter(|run| run.schedule == schedule.id && run.status.is_final());
        let kept = usize::try_from(schedule.history_limit).unwrap_or(usize::MAX);
        for run in ended.iter().take(ended.len().saturating_sub(kept)) {
            batch.delete(&self.tables.runs, &run.id);
        }
    }

    /// Waits for the end of a run's execution and records it; in a task of its own.
    pub(super) fn follow_run(&self, run: Run) {
        let mesh = self.clone();
        tokio::spawn(async move {
            let Some(id) = run.execution.clone() else { return };
            let run = concluded(run, mesh.execution_ended(&id).await);
            loop {
                // In its turn: the schedule may be being removed.
                let turn = mesh.turns.take(&run.schedule).await;
                let recorded = match mesh.tables.runs.contains(&run.id) {
                    true => mesh.record_run(&run).await,
                    false => Ok(()),
                };
                drop(turn);
                match recorded {
                    Ok(()) => return,
                    Err(error) => {
                        tracing::error!(run = %run.id, error = error_chain(&error), "the end of a run could not be recorded");
                        tokio::time::sleep(AGAIN).await;
                    }
                }
            }
        });
    }
}
