//! The ledger: what is held now, in memory, under one lock.
//!
//! A lease is entered here in the same critical section that planned it, before anything is written to disk or to the
//! kernel, and leaves only when its cgroup is gone. So concurrent requests can't both get the last core, and a cgroup
//! that the ledger does not know is an orphan.

use super::plan::{Held, Pool, Totals, Wanted, plan};
use crate::error::{MeshError, Shortage};
use hypermesh_model::{Bytes, Grant, LeaseId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most leases at a time: each is up to six kernel directories, and `cgroup.max.descendants` is a common limit.
pub const MAX_LIVE_LEASES: usize = 4096;

#[derive(Debug)]
struct State {
    pool: Pool,
    totals: Totals,
    held: BTreeMap<LeaseId, Held>,
    internal: BTreeSet<LeaseId>,
}

/// See the module head.
#[derive(Debug)]
pub struct Ledger(Mutex<State>);

impl Ledger {
    /// An empty ledger over a pool.
    pub fn new(pool: Pool) -> Self {
        Self(Mutex::new(State {
            pool,
            totals: Totals::default(),
            held: BTreeMap::new(),
            internal: BTreeSet::new(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every critical section leaves the state whole even if it panics between two statements.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Plans and enters a lease.
    ///
    /// # Errors
    /// [`MeshError::Refused`] with every shortage; [`MeshError::Busy`] at [`MAX_LIVE_LEASES`].
    pub fn reserve(&self, id: &LeaseId, wanted: &Wanted, ends_at: Timestamp) -> Result<Grant, MeshError> {
        let mut state = self.lock();
        if state.held.len() >= MAX_LIVE_LEASES {
            return Err(MeshError::Busy {
                detail: format!("{MAX_LIVE_LEASES} allocations are live; release some"),
            });
        }
        let grant = plan(&state.pool, &state.totals, &state.held, wanted)
            .map_err(|shortages: Vec<Shortage>| MeshError::Refused { shortages })?;
        state.totals.add(&grant);
        state.held.insert(id.clone(), Held { grant: grant.clone(), ends_at });
        Ok(grant)
    }

    /// Enters a lease that was granted before the node's last stop, whatever the pool is now.
    pub fn restore(&self, id: &LeaseId, grant: &Grant, ends_at: Timestamp) {
        let mut state = self.lock();
        if state.held.insert(id.clone(), Held { grant: grant.clone(), ends_at }).is_none() {
            state.totals.add(grant);
        }
    }

    /// Takes a lease out. Unknown ids are ignored.
    pub fn remove(&self, id: &LeaseId) {
        let mut state = self.lock();
        if let Some(held) = state.held.remove(id) {
            state.totals.remove(&held.grant);
        }
    }

    /// Enters a group of the node's own (a compile), which holds no capacity but is no orphan.
    pub fn enter_internal(&self, id: &LeaseId) {
        self.lock().internal.insert(id.clone());
    }

    /// Takes it out.
    pub fn leave_internal(&self, id: &LeaseId) {
        self.lock().internal.remove(id);
    }

    /// Whether this node knows the group.
    pub fn knows(&self, id: &LeaseId) -> bool {
        let state = self.lock();
        state.held.contains_key(id) || state.internal.contains(id)
    }

    /// The pool and what is held of it.
    pub fn snapshot(&self) -> (Pool, Totals) {
        let state = self.lock();
        (state.pool.clone(), state.totals.clone())
    }

    /// Sets what others hold.
    pub fn set_foreign_memory(&self, foreign: Bytes) {
        self.lock().pool.foreign_memory = foreign;
    }

    /// When the next lease ends.
    pub fn next_end(&self) -> Option<Timestamp> {
        self.lock().held.values().map(|h| h.ends_at).min()
    }

    /// Leases that should have ended by now.
    pub fn ended(&self, now: Timestamp) -> Vec<LeaseId> {
        self.lock().held.iter().filter(|(_, h)| h.ends_at <= now).map(|(id, _)| id.clone()).collect()
    }

    /// Ids and memory grants of all leases.
    pub fn ids(&self) -> Vec<LeaseId> {
        self.lock().held.keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hypermesh_model::MilliCpu;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn concurrent_requests_never_get_more_than_there_is() {
        let pool = Pool { cpu: MilliCpu(1000), ..Pool::default() };
        let (ledger, granted) = (Ledger::new(pool), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let wanted = Wanted { cpu: Some(MilliCpu(30)), ..Wanted::default() };
                        if ledger.reserve(&LeaseId::generate(), &wanted, Timestamp::now()).is_ok() {
                            granted.fetch_add(30, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(granted.load(Ordering::Relaxed), 990);
        assert_eq!(ledger.snapshot().1.cpu, 990);
    }

    #[test]
    fn restoring_twice_counts_once() {
        let ledger = Ledger::new(Pool::default());
        let (id, grant) = (LeaseId::generate(), Grant { cpu: Some(MilliCpu(5)), ..Grant::default() });
        ledger.restore(&id, &grant, Timestamp::now());
        ledger.restore(&id, &grant, Timestamp::now());
        assert_eq!(ledger.snapshot().1.cpu, 5);
        ledger.remove(&id);
        assert_eq!(ledger.snapshot().1, Totals::default());
    }
}
