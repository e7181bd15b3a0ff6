//! What happens to leases by time, and when there is room: one loop that sleeps until the ledger's next alarm.
//!
//! | alarm | then |
//! |---|---|
//! | warn | an event, so that the holder can renew |
//! | end | killed and completed; or stopped for the grace time |
//! | grace over | killed and completed |
//! | start | a reserved lease is applied |
//! | wait over | a request that found no room is cancelled |
//!
//! After every round, and whenever something was given back, the queue is asked who starts now. Each end and each start
//! is a task of its own: a process that takes its time to die holds up nobody else. What fails comes again in a second.

use super::end::Ending;
use super::event_data;
use super::ledger::{Alarm, freezes};
use crate::Mesh;
use crate::error::MeshError;
use crate::failpoint::at;
use hypermesh_model::{EventKind, Grant, Lease, LeaseId, LeaseStatus, Timestamp, error_chain};
use hypermesh_store::Batch;
use serde_json::json;
use std::time::Duration;

/// How long the loop sleeps when nothing is due: what wakes it otherwise is a change.
const IDLE: Duration = Duration::from_secs(3600);
/// What could not be done is tried again after this many seconds.
const AGAIN_SECONDS: u64 = 1;

impl Mesh {
    /// Runs the loop, for ever.
    pub(crate) async fn live_for_ever(self) {
        loop {
            let next = self.ledger.next_alarm().map_or(IDLE, |at| Timestamp::now().until(at));
            tokio::select! {
                () = tokio::time::sleep(next) => {}
                () = self.life.notified() => {}
            }
            if self.is_draining() {
                continue;
            }
            for (at, alarm, id) in self.ledger.due(Timestamp::now()) {
                tokio::spawn(self.clone().ring(at, alarm, id));
            }
            self.start_waiting();
        }
    }

    /// Tells the loop, and arrays that found no room, that the next alarm or the room may have changed.
    pub(crate) fn wake_life(&self) {
        self.life.notify_one();
        self.arrays.room.notify_waiters();
    }

    async fn ring(self, at: Timestamp, alarm: Alarm, id: LeaseId) {
        let done = match alarm {
            Alarm::Warn => self.warn(&id).await,
            Alarm::End => self.expire(&id).await,
            Alarm::GraceOver => self.end_lease(&id, Ending::Expired).await.map(drop),
            Alarm::WaitOver => self.end_lease(&id, Ending::WaitOver).await.map(drop),
            Alarm::Start => self.begin(&id).await,
        };
        match done {
            Ok(()) | Err(MeshError::NotFound { .. }) => {}
            // Being changed or released at this moment, or not active yet: the next round sees.
            Err(MeshError::Conflict { .. }) => self.again(alarm, id),
            Err(error) => {
                tracing::error!(lease = %id, ?alarm, due = %at, error = error_chain(&error), "an alarm could not be served");
                self.again(alarm, id);
            }
        }
    }

    fn again(&self, alarm: Alarm, id: LeaseId) {
        if self.lease(&id).is_ok_and(|lease| !lease.status.is_final()) {
            self.ledger.again(Timestamp::now().plus_seconds(AGAIN_SECONDS), alarm, id);
            self.wake_life();
        }
    }

    async fn warn(&self, id: &LeaseId) -> Result<(), MeshError> {
        let lease = self.lease(id)?;
        if lease.status != LeaseStatus::Active {
            return Ok(());
        }
        let mut batch = Batch::new();
        let left = Timestamp::now().until(lease.end_time).as_secs();
        let data =
            json!({ "end_time": lease.end_time, "seconds_left": left, "requester_id": lease.requester });
        batch.event(EventKind::AllocationExpiring, id.as_str(), data);
        self.commit(batch, "recording a warning").await
    }

    async fn expire(&self, id: &LeaseId) -> Result<(), MeshError> {
        let lease = self.lease(id)?;
        if lease.status == LeaseStatus::Active && freezes(&lease.terms) && !lease.for_execution {
            return self.freeze(id).await;
        }
        self.end_lease(id, Ending::Expired).await.map(drop)
    }

    async fn freeze(&self, id: &LeaseId) -> Result<(), MeshError> {
        let Some(_changing) = self.changing.enter(id) else {
            return Err(MeshError::Conflict {
                detail: format!("allocation `{id}` is being changed right now"),
            });
        };
        let lease = self.lease(id)?;
        let now = Timestamp::now();
        if lease.status != LeaseStatus::Active || lease.end_time > now {
            return Ok(()); // Renewed or ended meanwhile.
        }
        let group = id.clone();
        self.blocking("freezing a cgroup", move |mesh| mesh.cgroups.freeze(&group)).await?;
        at("freeze-frozen");
        let until = now.plus_seconds(lease.terms.grace_seconds);
        let frozen = Lease {
            status: LeaseStatus::Frozen,
            frozen_until: Some(until),
            generation: lease.generation + 1,
            ..lease
        };
        let mut batch = Batch::new();
        let mut data = event_data(&frozen);
        data["frozen_until"] = json!(until);
        batch.put(&self.tables.leases, frozen);
        batch.event(EventKind::AllocationFrozen, id.as_str(), data);
        self.commit(batch, "recording a frozen allocation").await?;
        self.ledger.set_grace(id, until);
        self.wake_life();
        Ok(())
    }

    /// A reserved lease begins.
    async fn begin(&self, id: &LeaseId) -> Result<(), MeshError> {
        let lease = self.lease(id)?;
        if lease.status != LeaseStatus::Reserved {
            return Ok(());
        }
        if lease.end_time <= Timestamp::now() {
            return self.end_lease(id, Ending::Missed).await.map(drop);
        }
        // What must be gone before: its end has come as well, or it would not have been in this one's way.
        let ending = self.ledger.read(|book| book.ended(Timestamp::now()));
        if let Some(before) = ending.first() {
            return Err(MeshError::Conflict { detail: format!("allocation `{before}` is still ending") });
        }
        self.start_lease(lease).await
    }

    /// Everybody who waits and has room now, and those who have to go for them.
    fn start_waiting(&self) {
        let turns = self.ledger.schedule(Timestamp::now());
        for (id, grant) in turns.start {
            let mesh = self.clone();
            tokio::spawn(async move {
                if let Err(error) = mesh.start_waiting_one(&id, grant).await {
                    tracing::warn!(lease = %id, error = error_chain(&error), "a request that waited could not start");
                }
            });
        }
        for (victim, by) in turns.preempt {
            let mesh = self.clone();
            tokio::spawn(async move {
                tracing::info!(lease = %victim, %by, "pre-empted");
                let ended = mesh.end_lease(&victim, Ending::Preempted { by }).await;
                if let Err(error) = ended {
                    tracing::warn!(lease = %victim, error = error_chain(&error), "it could not be pre-empted");
                }
            });
        }
    }

    async fn start_waiting_one(&self, id: &LeaseId, grant: Grant) -> Result<(), MeshError> {
        let lease = self.lease(id)?;
        if lease.status != LeaseStatus::Queued {
            // Withdrawn in the moment in which it was chosen.
            self.ledger.remove(id);
            self.wake_life();
            return Ok(());
        }
        let (from, until) = self
            .ledger
            .read(|book| book.get(id).map_or((lease.start_time, lease.end_time), |e| (e.from, e.until)));
        self.start_lease(Lease { grant, start_time: from, end_time: until, wait_until: None, ..lease }).await
    }

    /// From waiting or reserved to active.
    async fn start_lease(&self, lease: Lease) -> Result<(), MeshError> {
        let pending = Lease { status: LeaseStatus::Pending, generation: lease.generation + 1, ..lease };
        let mut batch = Batch::new();
        batch.put(&self.tables.leases, pending.clone());
        batch.delete(&self.tables.waiting, &pending.id);
        self.commit_intention(batch, "recording an allocation").await?;
        at("start-recorded");
        self.activate(pending).await.map(drop)
    }
}
