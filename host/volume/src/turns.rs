//! One call at a time for each lease, so that different leases proceed in parallel and the same one never meets itself.

use hypermesh_model::LeaseId;
use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, PoisonError};

/// The leases that a call is working on.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    taken: Mutex<BTreeSet<LeaseId>>,
    freed: Condvar,
}

/// The right to work on one lease.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    turns: &'a Turns,
    lease: LeaseId,
}

impl Turns {
    /// Waits until no other call works on the lease.
    pub(crate) fn take(&self, lease: &LeaseId) -> Turn<'_> {
        // A set of ids is right whatever its holder did before it panicked.
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        while !taken.insert(lease.clone()) {
            taken = self.freed.wait(taken).unwrap_or_else(PoisonError::into_inner);
        }
        Turn { turns: self, lease: lease.clone() }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.taken.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.lease);
        self.turns.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn a_lease_is_worked_on_by_one_call_at_a_time() {
        let turns = Turns::default();
        let lease = LeaseId::parse("a").unwrap();
        let _other = turns.take(&LeaseId::parse("b").unwrap());
        let (inside, most) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let _turn = turns.take(&lease);
                        most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(most.into_inner(), 1);
    }
}
