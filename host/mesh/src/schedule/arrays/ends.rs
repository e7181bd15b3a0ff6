//! Recording the ends of an array's indexes, and of the array.

use super::live::Live;
use super::record::{TaskEnd, TaskKey, TaskRecord};
use super::{MAX_ENDED_ARRAYS, event_data};
use crate::Mesh;
use crate::error::MeshError;
use crate::failpoint::at;
use crate::schedule::AGAIN;
use hypermesh_model::{Array, ArrayStatus, EventKind, Execution, ExecutionId, Timestamp, error_chain};
use hypermesh_planner::Counts;
use hypermesh_store::Batch;
use std::time::Duration;
use tokio::time::Instant;

/// Events that tell of progress are at least this far apart.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// The end of an execution of an array: which index, which execution, and how; `None`: its record is gone.
pub(super) type Ended = (u32, ExecutionId, Option<Execution>);

/// When progress was told last.
#[derive(Debug, Default)]
pub(super) struct Told(Option<Instant>);

impl Told {
    fn is_due(&mut self) -> bool {
        let due = self.0.is_none_or(|last| last.elapsed() >= PROGRESS_INTERVAL);
        if due {
            self.0 = Some(Instant::now());
        }
        due
    }
}

impl Mesh {
    /// Records ends, however often it takes.
    pub(super) async fn record_ends(&self, live: &Live, ended: Vec<Ended>, told: &mut Told) {
        let mut room = live.output_room();
        let places = live.counts().ended()..;
        let mut tasks = Vec::with_capacity(ended.len());
        for (place, (index, execution, last)) in places.zip(ended) {
            let end = TaskEnd::of(last, place, room);
            room = room.saturating_sub(end.kept());
            tasks.push(TaskRecord { array: live.id.clone(), index, execution, end: Some(end) });
        }
        at("array-ended");
        let progress = told.is_due().then(|| self.tables.arrays.get(&live.id)).flatten();
        while let Err(error) = self.put_ends(live, &tasks, progress.as_ref()).await {
            tracing::error!(array = %live.id, error = error_chain(&error), "ends could not be recorded");
            tokio::time::sleep(AGAIN).await;
        }
        for task in &tasks {
            if let Some(end) = &task.end {
                live.ended(task, end);
            }
        }
    }

    async fn put_ends(
        &self,
        live: &Live,
        tasks: &[TaskRecord],
        progress: Option<&Array>,
    ) -> Result<(), MeshError> {
        let mut batch = Batch::new();
        for task in tasks {
            batch.put(&self.tables.array_tasks, task.clone());
        }
        if let Some(array) = progress {
            let counts = after(live.counts(), tasks);
            batch.event(EventKind::ArrayProgress, live.id.as_str(), event_data(array, counts));
        }
        // Were it lost, the executions' own records, which are earlier in the log, would say the same again.
        self.commit_intention(batch, "recording the ends of an array's executions").await
    }

    /// Records the end of an array, however often it takes, and forgets the oldest ones beyond the limit.
    pub(super) async fn finish_array(&self, live: &Live) {
        while let Err(error) = self.put_finished(live).await {
            tracing::error!(array = %live.id, error = error_chain(&error), "an array's end could not be recorded");
            tokio::time::sleep(AGAIN).await;
        }
        live.finish();
        self.forget_arrays().await;
    }

    async fn put_finished(&self, live: &Live) -> Result<(), MeshError> {
        let _writing = live.record.lock().await;
        let Some(array) = self.tables.arrays.get(&live.id) else { return Ok(()) };
        let counts = live.counts();
        let status = match &array.cancelled_by {
            _ if counts.completed == array.size => ArrayStatus::Completed,
            Some(_) => ArrayStatus::Cancelled,
            None => ArrayStatus::Failed,
        };
        let stopped = live.too_many_failures() && counts.waiting > 0 && array.cancelled_by.is_none();
        let reason = stopped.then(|| format!("stopped after {} failures", counts.failed));
        let array = Array {
            status,
            ended_at: Some(Timestamp::now()),
            reason: array.reason.clone().or(reason),
            ..array
        };
        let mut batch = Batch::new();
        batch.event(EventKind::ArrayEnded, live.id.as_str(), event_data(&array, counts));
        batch.put(&self.tables.arrays, array);
        self.commit(batch, "recording the end of an array").await
    }

    async fn forget_arrays(&self) {
        let ended = self.tables.arrays.filter(|array| array.status.is_final());
        for array in ended.iter().take(ended.len().saturating_sub(MAX_ENDED_ARRAYS)) {
            let mut batch = Batch::new();
            batch.delete(&self.tables.arrays, &array.id);
            for index in 0..array.size {
                batch.delete(&self.tables.array_tasks, &TaskKey { array: array.id.clone(), index });
            }
            if let Err(error) = self.commit_intention(batch, "forgetting an old array").await {
                tracing::warn!(array = %array.id, error = error_chain(&error), "an old array could not be removed; the next end tries again");
                return;
            }
            self.arrays.remove(&array.id);
        }
    }
}

/// What the counts will be once these have ended.
fn after(mut counts: Counts, tasks: &[TaskRecord]) -> Counts {
    use hypermesh_planner::State;
    for end in tasks.iter().filter_map(|task| task.end.as_ref()) {
        counts.running = counts.running.saturating_sub(1);
        match end.state() {
            State::Completed => counts.completed += 1,
            State::Failed => counts.failed += 1,
            State::Cancelled => counts.cancelled += 1,
            State::Waiting | State::Running => {}
        }
    }
    counts
}
