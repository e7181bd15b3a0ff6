//! One loop for all schedules: it sleeps until the next one is due, and looks at the clock at least every
//! [`LONGEST_SLEEP`], since that may jump.
//!
//! What a schedule has to do is decided, recorded and begun in its turn, in a task of its own: a run that waits for the
//! one before to be killed holds up nobody else. The decision and the runs that it makes are one commit, so a time is
//! decided about once.

use super::AGAIN;
use super::runs::planned;
use super::turns::Turn;
use super::when::moments_of;
use crate::Mesh;
use crate::error::MeshError;
use hypermesh_model::{Run, RunStatus, Schedule, Timestamp, error_chain};
use hypermesh_planner::{Missed, due, still_wanted, was_wrong};
use hypermesh_store::Batch;
use std::time::Duration;

/// A clock that was set is noticed within this time.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// Whether there is something to decide: a time has come, or the clock is far behind what was decided.
fn needs_decision(schedule: &Schedule, now: Timestamp) -> bool {
    schedule.next_at.is_some_and(|next| next <= now || was_wrong(schedule.decided_until, now))
}

impl Mesh {
    /// Takes up what an earlier run of the node left.
    ///
    /// # Errors
    /// When it can't be recorded.
    pub(crate) async fn recover_schedules(&self) -> Result<(), MeshError> {
        for run in self.tables.runs.filter(|run| !run.status.is_final()) {
            let Ok(view) = self.schedule(&run.schedule) else { continue };
            let execution = run.execution.as_ref().and_then(|id| self.execution(id).ok());
            match (run.status, execution) {
                (RunStatus::Pending, Some(execution)) => {
                    let run =
                        Run { status: RunStatus::Running, started_at: Some(execution.queued_at), ..run };
                    self.record_run(&run).await?;
                    self.follow_run(run);
                }
                (RunStatus::Pending, None) => self.resume(view.schedule, run).await?,
                (
                    RunStatus::Running
                    | RunStatus::Completed
                    | RunStatus::Failed
                    | RunStatus::Cancelled
                    | RunStatus::Refused
                    | RunStatus::Skipped
                    | RunStatus::Missed,
                    _,
                ) => self.follow_run(run),
            }
        }
        Ok(())
    }

    /// A run that was recorded, and not begun when the node died.
    async fn resume(&self, schedule: Schedule, run: Run) -> Result<(), MeshError> {
        let now = Timestamp::now();
        if still_wanted(run.due, run.manual, schedule.catch_up, now) {
            let mesh = self.clone();
            let turn = self.turns.take(&schedule.id).await;
            tokio::spawn(async move {
                let acted = mesh.act(&schedule, run).await;
                mesh.end_turn(&schedule, turn, acted.map(drop)).await;
            });
            return Ok(());
        }
        let reason = "the node was down when it was due".to_owned();
        let run = Run {
            status: RunStatus::Missed,
            reason: Some(reason),
            missed: run.missed + 1,
            execution: None,
            ended_at: Some(now),
            ..run
        };
        self.record_run(&run).await
    }

    /// Runs the loop, for ever.
    pub(crate) async fn keep_schedules(self) {
        let since = Timestamp::now();
        loop {
            let now = Timestamp::now();
            let mut sleep = LONGEST_SLEEP;
            let watched =
                if self.is_draining() { Vec::new() } else { self.tables.schedules.filter(|s| s.enabled) };
            for schedule in watched {
                if !needs_decision(&schedule, now) {
                    sleep = schedule.next_at.map_or(sleep, |next| sleep.min(now.until(next)));
                } else if let Some(turn) = self.turns.try_take(&schedule.id) {
                    let mesh = self.clone();
                    tokio::spawn(async move {
                        let decided = mesh.decide(&schedule, since).await;
                        mesh.end_turn(&schedule, turn, decided).await;
                    });
                }
            }
            tokio::select! {
                () = tokio::time::sleep(sleep) => {}
                () = self.turns.changed.notified() => {}
            }
        }
    }

    /// Lets the loop look at a schedule again; after a failure not at once.
    async fn end_turn(&self, schedule: &Schedule, turn: Turn, done: Result<(), MeshError>) {
        if let Err(error) = done {
            tracing::error!(schedule = %schedule.id, error = error_chain(&error), "a schedule could not be served");
            tokio::time::sleep(AGAIN).await;
        }
        drop(turn);
        self.turns.changed.notify_one();
    }

    /// Decides what a schedule has to do now, records it, and begins it.
    async fn decide(&self, seen: &Schedule, since: Timestamp) -> Result<(), MeshError> {
        // It may have been changed or removed before the turn was had.
        let Ok(view) = self.schedule(&seen.id) else { return Ok(()) };
        let schedule = view.schedule;
        if !schedule.enabled {
            return Ok(());
        }
        let moments = match moments_of(&schedule) {
            Ok(moments) => moments,
            Err(error) => return self.give_up(schedule, &error).await,
        };
        let decision = due(&moments, schedule.catch_up, schedule.decided_until, Timestamp::now(), since);
        let run = decision.run.map(|to_run| planned(&schedule, to_run.due, to_run.missed, false));
        let schedule = Schedule { decided_until: decision.decided_until, next_at: decision.next, ..schedule };
        let mut batch = Batch::new();
        if let Some(missed) = decision.missed {
            self.put_run(&mut batch, &missed_run(&schedule, missed));
            self.trim_history(&mut batch, &schedule);
        }
        if let Some(run) = &run {
            self.put_run(&mut batch, run);
        }
        batch.put(&self.tables.schedules, schedule.clone());
        // What comes of it is synced, and this with it: it is earlier in the same log.
        self.commit_intention(batch, "recording that a schedule is due").await?;
        match run {
            Some(run) => self.act(&schedule, run).await.map(drop),
            None => Ok(()),
        }
    }
}

impl Mesh {
    /// Pauses a schedule whose times can't be told any more: its time zone is gone from the machine.
    async fn give_up(&self, schedule: Schedule, error: &MeshError) -> Result<(), MeshError> {
        tracing::error!(schedule = %schedule.id, error = error_chain(error), "a schedule is paused");
        let run = Run {
            status: RunStatus::Refused,
            reason: Some(format!("{error}; the schedule is paused")),
            execution: None,
            ended_at: Some(Timestamp::now()),
            ..planned(&schedule, schedule.next_at.unwrap_or_else(Timestamp::now), 0, false)
        };
        let mut batch = Batch::new();
        self.put_run(&mut batch, &run);
        batch.put(&self.tables.schedules, Schedule { enabled: false, next_at: None, ..schedule });
        self.commit(batch, "recording that a schedule is paused").await
    }
}

fn missed_run(schedule: &Schedule, missed: Missed) -> Run {
    Run {
        status: RunStatus::Missed,
        reason: Some("its time passed while the node was down or the clock jumped".to_owned()),
        execution: None,
        ended_at: Some(Timestamp::now()),
        ..planned(schedule, missed.last, missed.count, false)
    }
}
