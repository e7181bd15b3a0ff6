//! What the ledger holds after it was entered: taken over from an earlier run, changed, moved, charged, taken out.

use super::{Alarm, Ledger};
use crate::error::MeshError;
use hypermesh_model::{Grant, Lease, LeaseId, LeaseStatus, Timestamp};
use hypermesh_planner::{Entry, Held, Shares, Span, Ticket, Wanted, quota_shortages};

impl Ledger {
    /// Puts a request back into the queue that waited when the node stopped.
    pub fn restore_waiting(&self, lease: &Lease, wanted: Wanted) {
        let mut state = self.lock();
        let wait_until = lease.wait_until.unwrap_or(lease.start_time);
        state.alarms.insert((wait_until, Alarm::WaitOver, lease.id.clone()));
        state.queue.insert(Ticket {
            id: lease.id.clone(),
            requester: lease.requester.clone(),
            wanted,
            duration_s: lease.duration_seconds,
            terms: lease.terms,
            since: lease.start_time,
            wait_until,
        });
    }

    /// Enters a lease that was granted before the node's last stop, whatever the machine has now.
    pub fn restore(&self, lease: &Lease) {
        let mut state = self.lock();
        let frozen_until = lease.frozen_until.filter(|_| lease.status == LeaseStatus::Frozen);
        let span = Span { from: lease.start_time, until: frozen_until.unwrap_or(lease.end_time) };
        if state.book.get(&lease.id).is_some() {
            return;
        }
        // A change that was under way may have told the kernel either size.
        let grant =
            lease.resizing.as_ref().map_or_else(|| lease.grant.clone(), |to| larger(&lease.grant, to));
        state.book.insert(Entry {
            id: lease.id.clone(),
            requester: lease.requester.clone(),
            grant,
            from: span.from,
            until: span.until,
            terms: lease.terms,
        });
        match lease.status {
            LeaseStatus::Frozen => {
                state.alarms.insert((span.until, Alarm::GraceOver, lease.id.clone()));
            }
            LeaseStatus::Reserved => {
                state.alarms.insert((span.from, Alarm::Start, lease.id.clone()));
                state.set_alarms(&lease.id, span, lease.terms);
            }
            LeaseStatus::Queued
            | LeaseStatus::Pending
            | LeaseStatus::Active
            | LeaseStatus::Completed
            | LeaseStatus::Cancelled
            | LeaseStatus::Failed => state.set_alarms(&lease.id, span, lease.terms),
        }
    }

    /// Has a reserved lease begin at its time.
    pub fn set_start(&self, id: &LeaseId, at: Timestamp) {
        self.lock().alarms.insert((at, Alarm::Start, id.clone()));
    }

    /// Takes a lease out, out of the queue too. Unknown ids are ignored.
    pub fn remove(&self, id: &LeaseId) {
        let mut state = self.lock();
        state.clear_alarms(id);
        state.leaving.remove(id);
        state.book.remove(id);
        if let Some(ticket) = state.queue.remove(id) {
            state.alarms.remove(&(ticket.wait_until, Alarm::WaitOver, id.clone()));
        }
    }

    /// Charges every requester for what it has held since the last time.
    pub fn charge_all(&self, now: Timestamp) {
        let mut guard = self.lock();
        let state = &mut *guard;
        for entry in state.book.entries() {
            let share = state.book.dominant_share(&Held::from(&entry.grant));
            state.shares.charge(&entry.requester, share, entry.from.max(state.charged), now);
        }
        state.shares.forget_negligible(now);
        state.charged = now;
    }

    /// Charges a requester for a lease that is about to leave.
    pub fn charge(&self, id: &LeaseId, now: Timestamp) {
        let mut guard = self.lock();
        let state = &mut *guard;
        if let Some(entry) = state.book.get(id) {
            let share = state.book.dominant_share(&Held::from(&entry.grant));
            state.shares.charge(&entry.requester, share, entry.from.max(state.charged), now);
        }
    }

    /// What every requester has used, decayed, and how to set it again after a restart.
    pub fn shares(&self) -> Shares {
        self.lock().shares.clone()
    }

    /// Sets what requesters had used before a restart.
    pub fn set_shares(&self, shares: Shares) {
        self.lock().shares = shares;
    }

    /// Plans another size for a lease and holds the larger of both until [`Ledger::set_grant`].
    ///
    /// # Errors
    /// [`MeshError::Refused`] with every shortage.
    pub fn refit(&self, id: &LeaseId, wanted: &Wanted, now: Timestamp) -> Result<Grant, MeshError> {
        let mut state = self.lock();
        let Some(entry) = state.book.get(id).cloned() else {
            return Err(MeshError::not_found("allocation", id));
        };
        let refused = |shortages| MeshError::Refused { shortages };
        let fit = state.book.refit(id, wanted, now).ok_or_else(|| MeshError::not_found("allocation", id))?;
        let grant = fit.map_err(refused)?;
        let mut held = state.book.held_by(&entry.requester);
        held -= Held::from(&entry.grant);
        let shortages = quota_shortages(state.quotas.of(&entry.requester), &held, &Held::from(&grant));
        if !shortages.is_empty() {
            return Err(refused(shortages));
        }
        state.book.set_grant(id, larger(&entry.grant, &grant));
        Ok(grant)
    }

    /// Sets what a lease holds.
    pub fn set_grant(&self, id: &LeaseId, grant: &Grant) {
        self.lock().book.set_grant(id, grant.clone());
    }

    /// Moves a lease's end.
    ///
    /// # Errors
    /// [`MeshError::Refused`] where somebody has reserved what it holds.
    pub fn extend(&self, id: &LeaseId, until: Timestamp) -> Result<(), MeshError> {
        let mut state = self.lock();
        let Some(entry) = state.book.get(id).cloned() else {
            return Err(MeshError::not_found("allocation", id));
        };
        state
            .book
            .may_extend(id, until, Timestamp::now())
            .map_err(|shortages| MeshError::Refused { shortages })?;
        state.clear_alarms(id);
        state.book.set_until(id, until);
        state.set_alarms(id, Span { from: entry.from, until }, entry.terms);
        Ok(())
    }

    /// Sets a lease's end without asking who is in the way: back to where it was.
    pub fn set_end(&self, id: &LeaseId, until: Timestamp) {
        let mut state = self.lock();
        let Some(entry) = state.book.get(id).cloned() else { return };
        state.clear_alarms(id);
        state.book.set_until(id, until);
        state.set_alarms(id, Span { from: entry.from, until }, entry.terms);
    }

    /// Has a frozen lease wait for its killing until then.
    pub fn set_grace(&self, id: &LeaseId, until: Timestamp) {
        let mut state = self.lock();
        state.clear_alarms(id);
        state.book.set_until(id, until);
        state.alarms.insert((until, Alarm::GraceOver, id.clone()));
    }
}

/// Each dimension as large as in the larger of both.
fn larger(a: &Grant, b: &Grant) -> Grant {
    let mut gpus = a.gpus.clone();
    gpus.extend(b.gpus.iter().filter(|gpu| !a.gpus.contains(gpu)).cloned());
    let mut cpus: Vec<u32> = a.cpus.iter().chain(&b.cpus).copied().collect();
    cpus.sort_unstable();
    cpus.dedup();
    Grant {
        cpu: a.cpu.max(b.cpu),
        cpus,
        memory: a.memory.max(b.memory),
        memory_request: Some(a.memory_held().max(b.memory_held())).filter(|held| held.0 > 0),
        storage: a.storage.max(b.storage),
        pids: a.pids.max(b.pids),
        gpus,
        gpu_memory: a.gpu_memory.max(b.gpu_memory),
        ..a.clone()
    }
}
