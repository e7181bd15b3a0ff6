//! Acting on a run that is on record: asking for its execution, unless the one before is in its way.
//!
//! The record is written before and after; between the two stands the execution's own record, under the id that the run
//! knows. Whoever starts after a crash looks there (`timer`).

use super::refusal;
use super::runs::planned;
use super::template::request;
use crate::Mesh;
use crate::error::MeshError;
use crate::failpoint::at;
use hypermesh_model::{
    Concurrency, ExecutionId, Run, RunStatus, Schedule, ScheduleId, Timestamp, error_chain,
};
use hypermesh_store::Batch;

impl Mesh {
    /// Has a schedule run now, whatever its times are. Gives the run, begun or not.
    ///
    /// # Errors
    /// [`MeshError::NotFound`]; when it can't be recorded.
    pub async fn run_now(&self, id: &ScheduleId) -> Result<Run, MeshError> {
        let (mesh, id) = (self.clone(), id.clone());
        // To its end even if the caller hangs up: it is on record by then.
        let run = async move {
            let _turn = mesh.turns.take(&id).await;
            let schedule = mesh.schedule(&id)?.schedule;
            let run = planned(&schedule, Timestamp::now(), 0, true);
            let mut batch = Batch::new();
            mesh.put_run(&mut batch, &run);
            mesh.commit_intention(batch, "recording a run").await?;
            mesh.act(&schedule, run).await
        };
        self.spawned(run).await?
    }

    /// Begins a run that is recorded as pending, in its schedule's turn, and records what came of it.
    pub(super) async fn act(&self, schedule: &Schedule, run: Run) -> Result<Run, MeshError> {
        at("schedule-recorded");
        let run = self.begun(schedule, run).await;
        at("schedule-started");
        let recorded = self.record_run(&run).await;
        if run.status == RunStatus::Running {
            self.follow_run(run.clone());
        }
        recorded.map(|()| run)
    }

    /// What comes of a run: running, skipped or refused.
    async fn begun(&self, schedule: &Schedule, run: Run) -> Run {
        let now = Timestamp::now();
        let nothing = |status, reason: String| Run {
            status,
            reason: Some(reason),
            execution: None,
            ended_at: Some(Timestamp::now()),
            ..run.clone()
        };
        let running = self.still_running(schedule, &run);
        match (schedule.concurrency, running.first()) {
            (Concurrency::Forbid, Some(before)) => {
                let reason = format!("`{before}`, of the run before, has not ended");
                return nothing(RunStatus::Skipped, reason);
            }
            (Concurrency::Replace, Some(_)) => self.make_way(schedule, &running).await,
            (Concurrency::Allow, _) | (Concurrency::Forbid | Concurrency::Replace, None) => {}
        }
        match self
            .execute(&schedule.requester, request(schedule.template.clone(), run.execution.clone()), false)
            .await
        {
            Ok(execution) => Run {
                status: RunStatus::Running,
                execution: Some(execution.id),
                started_at: Some(now),
                ..run
            },
            Err(error) => {
                let reason = refusal(&error);
                tracing::warn!(schedule = %schedule.id, reason, "a run was refused");
                nothing(RunStatus::Refused, reason)
            }
        }
    }

    /// The executions of a schedule's other runs that have not ended.
    fn still_running(&self, schedule: &Schedule, except: &Run) -> Vec<ExecutionId> {
        let others = self.tables.runs.filter(|run| {
            run.schedule == schedule.id && run.id != except.id && run.status == RunStatus::Running
        });
        let live = |id: &ExecutionId| self.execution(id).is_ok_and(|execution| !execution.status.is_final());
        others.into_iter().filter_map(|run| run.execution).filter(live).collect()
    }

    async fn make_way(&self, schedule: &Schedule, running: &[ExecutionId]) {
        for id in running {
            if let Err(error) = self.cancel(id, &schedule.requester).await {
                tracing::warn!(execution = %id, error = error_chain(&error), "it could not be replaced; both run");
            }
        }
    }
}
