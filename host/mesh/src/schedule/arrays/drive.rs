//! The driver of one array: begins what may begin, records what ends, until nothing is left to do.
//!
//! What may begin is the planner's decision. An index is recorded with the id of its execution before that is asked for;
//! where the node has no room for it, it stays recorded and waits: for an end of its own, for room that somebody else
//! gives back, and, since not everything tells, for a pause that doubles. What every index would be refused for (the vm
//! is gone, its lease has ended) stops the array with that reason.

use super::ends::{Ended, Told};
use super::live::Live;
use super::record::TaskRecord;
use crate::Mesh;
use crate::error::MeshError;
use crate::failpoint::at;
use crate::schedule::template::request;
use crate::schedule::{AGAIN, refusal};
use hypermesh_model::{Array, Cause, Execution, ExecutionId, error_chain};
use hypermesh_planner::Next;
use hypermesh_store::Batch;
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// First pause after a refusal for want of room.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What an earlier run of the node had begun.
#[derive(Debug, Default)]
pub(super) struct Begun {
    /// Indexes whose execution there is.
    pub(super) running: BTreeMap<u32, ExecutionId>,
    /// Indexes that are on record and whose execution there isn't.
    pub(super) recorded: BTreeMap<u32, ExecutionId>,
}

struct Driver {
    mesh: Mesh,
    live: Arc<Live>,
    begun: Begun,
    ends: JoinSet<Ended>,
    told: Told,
    pause: Duration,
}

/// Works through an array.
pub(super) async fn drive(mesh: Mesh, live: Arc<Live>, begun: Begun) {
    let ends = JoinSet::new();
    let mut driver = Driver { mesh, live, begun, ends, told: Told::default(), pause: FIRST_PAUSE };
    for (index, id) in driver.begun.running.clone() {
        driver.follow(index, id);
    }
    driver.cancel_if_asked();
    driver.run().await;
}

impl Driver {
    async fn run(&mut self) {
        let mesh = self.mesh.clone();
        let mut room = false;
        loop {
            // Before the decision: what is given back from here on is heard.
            let mut freed = pin!(mesh.arrays.room.notified());
            freed.as_mut().enable();
            let held_back = match self.live.next(room) {
                // The next start of the node goes on with it.
                Next::Start(_) if self.mesh.is_draining() => return,
                Next::Start(indexes) => {
                    room = false;
                    self.start(indexes).await;
                    continue;
                }
                Next::Wait { held_back } => held_back,
                Next::End => break,
            };
            tokio::select! {
                Some(ended) = self.ends.join_next(), if !self.ends.is_empty() => {
                    self.ended(ended).await;
                    room = true;
                }
                () = self.live.cancelled.notified() => self.cancel_if_asked(),
                () = &mut freed, if held_back => room = true,
                () = tokio::time::sleep(self.pause), if held_back => room = true,
            }
        }
        self.mesh.finish_array(&self.live).await;
    }

    /// Asks for the executions of these indexes, all at once.
    async fn start(&mut self, indexes: Vec<u32>) {
        let Some(array) = self.mesh.tables.arrays.get(&self.live.id) else { return self.live.stop() };
        if let Err(error) = self.record(&indexes).await {
            tracing::error!(array = %array.id, error = error_chain(&error), "an array could not go on; it is tried again");
            return tokio::time::sleep(AGAIN).await;
        }
        at("array-recorded");
        let alone = self.nothing_is_held();
        let mut asked = JoinSet::new();
        for index in indexes {
            let Some(id) = self.begun.recorded.get(&index).cloned() else { continue };
            asked.spawn(ask(self.mesh.clone(), array.clone(), index, id));
        }
        let mut refused = Vec::new();
        // A task that panicked was logged; its index stays on record and is asked for again.
        while let Some(answer) = asked.join_next().await {
            let Ok((index, answer)) = answer else { continue };
            match answer {
                Ok(execution) => {
                    self.begun.recorded.remove(&index);
                    self.live.began(index);
                    self.pause = FIRST_PAUSE;
                    self.follow(index, execution.id);
                }
                Err(error) => refused.push((index, error)),
            }
        }
        at("array-started");
        // What is refused when nothing is held, before and after, never fits.
        let never = alone && self.nothing_is_held();
        for (index, error) in refused {
            self.refused(index, &error, never).await;
        }
    }

    /// Puts the intention to begin these on record.
    async fn record(&mut self, indexes: &[u32]) -> Result<(), MeshError> {
        let mut batch = Batch::new();
        let new: Vec<u32> =
            indexes.iter().filter(|index| !self.begun.recorded.contains_key(index)).copied().collect();
        if new.is_empty() {
            return Ok(());
        }
        let mut recorded = BTreeMap::new();
        for index in new {
            let execution = ExecutionId::generate();
            recorded.insert(index, execution.clone());
            let task = TaskRecord { array: self.live.id.clone(), index, execution, end: None };
            batch.put(&self.mesh.tables.array_tasks, task);
        }
        self.mesh.commit_intention(batch, "recording what an array begins").await?;
        self.begun.recorded.append(&mut recorded);
        Ok(())
    }

    async fn refused(&mut self, index: u32, error: &MeshError, never: bool) {
        let reason = refusal(error);
        match error {
            MeshError::Refused { .. } if never => {}
            MeshError::Refused { .. } | MeshError::Busy { .. } | MeshError::Internal { .. } => {
                tracing::debug!(array = %self.live.id, index, reason, "held back");
                self.live.hold_back();
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                return;
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
            | MeshError::Missing { .. } => {}
        }
        self.stop(reason).await;
    }

    /// Starts nothing more, for a reason that goes on record.
    async fn stop(&self, reason: String) {
        tracing::warn!(array = %self.live.id, reason, "an array is stopped");
        self.live.stop();
        let stopped = self.mesh.update_array(&self.live, |array| {
            array.reason.get_or_insert(reason);
        });
        if let Err(error) = stopped.await {
            tracing::error!(array = %self.live.id, error = error_chain(&error), "why an array is stopped could not be recorded");
        }
    }

    /// Whether no lease is in the way.
    fn nothing_is_held(&self) -> bool {
        self.ends.is_empty() && self.mesh.ledger.read(hypermesh_planner::Book::is_empty)
    }

    fn follow(&mut self, index: u32, id: ExecutionId) {
        self.begun.running.insert(index, id.clone());
        let mesh = self.mesh.clone();
        self.ends.spawn(async move {
            let ended = mesh.execution_ended(&id).await;
            (index, id, ended)
        });
    }

    /// Records this end and what else has ended by now, in one go.
    async fn ended(&mut self, first: Result<Ended, tokio::task::JoinError>) {
        let mut ended: Vec<Ended> = first.into_iter().collect();
        while let Some(more) = self.ends.try_join_next() {
            ended.extend(more);
        }
        for (index, _, execution) in &ended {
            self.begun.running.remove(index);
            if let Some(reason) = execution.as_ref().and_then(|execution| self.lease_is_gone(execution)) {
                self.stop(reason).await;
            }
        }
        self.mesh.record_ends(&self.live, ended, &mut self.told).await;
    }

    /// Why no other index can run, when this one ended with the lease that all were to run in. It may be that the lease's
    /// own end is not on record yet, and one more would be begun in it.
    fn lease_is_gone(&self, execution: &Execution) -> Option<String> {
        let Some(Cause::LeaseEnded { lease }) = &execution.cause else { return None };
        let given = self.mesh.tables.arrays.get(&self.live.id)?.template.lease?;
        (given == *lease).then(|| format!("allocation `{lease}`, which all of it was to run in, has ended"))
    }

    /// Kills what runs, if the array was cancelled. Their ends come like all others.
    fn cancel_if_asked(&self) {
        let Some(by) = self.mesh.tables.arrays.get(&self.live.id).and_then(|array| array.cancelled_by) else {
            return;
        };
        for id in self.begun.running.values() {
            let (mesh, id, by) = (self.mesh.clone(), id.clone(), by.clone());
            tokio::spawn(async move {
                if let Err(error) = mesh.cancel(&id, &by).await {
                    tracing::warn!(execution = %id, error = error_chain(&error), "it could not be cancelled");
                }
            });
        }
    }
}

/// Asks for the execution of an index.
async fn ask(mesh: Mesh, array: Array, index: u32, id: ExecutionId) -> (u32, Result<Execution, MeshError>) {
    let parameters = array.items.parameters(index.into(), &array.template.parameters).unwrap_or_default();
    let mut template = array.template;
    template.parameters = parameters;
    (index, mesh.execute(&array.requester, request(template, Some(id)), true).await)
}
