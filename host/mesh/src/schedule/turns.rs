//! One change of a schedule at a time, and what wakes who waits for its times.

use hypermesh_model::ScheduleId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Notify, OwnedMutexGuard};

/// Whose turn it is with each schedule.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    locks: Mutex<HashMap<ScheduleId, Arc<tokio::sync::Mutex<()>>>>,
    /// The next time may have changed, or a turn is over.
    pub(super) changed: Notify,
}

/// Held while a schedule is decided about or changed.
#[derive(Debug)]
pub(super) struct Turn(#[expect(dead_code, reason = "held for its drop")] OwnedMutexGuard<()>);

impl Turns {
    fn lock(&self, id: &ScheduleId) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(locks.entry(id.clone()).or_default())
    }

    /// The turn, when those before are done.
    pub(super) async fn take(&self, id: &ScheduleId) -> Turn {
        Turn(self.lock(id).lock_owned().await)
    }

    /// The turn, if it is nobody's.
    pub(super) fn try_take(&self, id: &ScheduleId) -> Option<Turn> {
        self.lock(id).try_lock_owned().ok().map(Turn)
    }

    /// Forgets a schedule that is no more. Who waits for it still gets its turn, and finds nothing.
    pub(super) fn forget(&self, id: &ScheduleId) {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
}
