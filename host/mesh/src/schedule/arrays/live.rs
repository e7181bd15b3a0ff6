//! Where each array is, in memory: what its driver decides from, and what callers are shown without reading thousands of
//! records.
//!
//! It says nothing that is not on record: a state is set here after its commit.

use super::record::{MAX_KEPT_OUTPUTS, TaskEnd, TaskRecord};
use hypermesh_model::{Array, ArrayId};
use hypermesh_planner::{Counts, Fanout, Next, State};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, watch};

/// The arrays of a node.
#[derive(Debug, Default)]
pub(crate) struct Arrays {
    all: Mutex<BTreeMap<ArrayId, Arc<Live>>>,
    /// Something was given back: who was held back may try again.
    pub(crate) room: Notify,
}

impl Arrays {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<ArrayId, Arc<Live>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters an array, unless `most` of them have not ended.
    pub(super) fn enter(&self, live: &Arc<Live>, most: usize) -> bool {
        let mut all = self.lock();
        let fits = all.values().filter(|live| !live.has_ended()).count() < most;
        if fits {
            all.insert(live.id.clone(), Arc::clone(live));
        }
        fits
    }

    pub(super) fn get(&self, id: &ArrayId) -> Option<Arc<Live>> {
        self.lock().get(id).cloned()
    }

    pub(super) fn remove(&self, id: &ArrayId) {
        self.lock().remove(id);
    }
}

/// An array in memory.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) id: ArrayId,
    progress: Mutex<Progress>,
    /// One writer of the array's own record at a time.
    pub(super) record: tokio::sync::Mutex<()>,
    /// Tells the driver that the array was cancelled.
    pub(super) cancelled: Notify,
    /// Tells who waits that something ended.
    changed: watch::Sender<()>,
}

#[derive(Debug)]
struct Progress {
    fanout: Fanout,
    kept: u64,
    ended: bool,
}

impl Live {
    /// Of a new array, or of one of which nothing is known yet.
    pub(super) fn new(array: &Array) -> Self {
        let mut fanout = Fanout::new(array.size, array.parallelism, array.max_failures);
        if array.cancelled_by.is_some() || array.reason.is_some() {
            fanout.stop();
        }
        Self {
            id: array.id.clone(),
            progress: Mutex::new(Progress { fanout, kept: 0, ended: array.status.is_final() }),
            record: tokio::sync::Mutex::default(),
            cancelled: Notify::new(),
            changed: watch::Sender::new(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn next(&self, room: bool) -> Next {
        self.lock().fanout.next(room)
    }

    pub(super) fn began(&self, index: u32) {
        self.lock().fanout.began(index);
    }

    pub(super) fn hold_back(&self) {
        self.lock().fanout.hold_back();
    }

    /// Nothing is started any more.
    pub(super) fn stop(&self) {
        self.lock().fanout.stop();
    }

    /// The end of an index, which is on record.
    pub(super) fn ended(&self, task: &TaskRecord, end: &TaskEnd) {
        {
            let mut progress = self.lock();
            progress.fanout.ended(task.index, end.state());
            progress.kept += end.kept();
        }
        self.changed.send_replace(());
    }

    /// The end of the whole, which is on record.
    pub(super) fn finish(&self) {
        self.lock().ended = true;
        self.changed.send_replace(());
    }

    pub(super) fn has_ended(&self) -> bool {
        self.lock().ended
    }

    pub(super) fn counts(&self) -> Counts {
        self.lock().fanout.counts()
    }

    pub(super) fn state(&self, index: u32) -> Option<State> {
        self.lock().fanout.state(index)
    }

    pub(super) fn too_many_failures(&self) -> bool {
        self.lock().fanout.too_many_failures()
    }

    /// Indexes by the order of their ends, from the `after`th on.
    pub(super) fn order(&self, after: usize, limit: usize) -> Vec<u32> {
        self.lock().fanout.order().iter().skip(after).take(limit).copied().collect()
    }

    /// Bytes of results that may still be kept.
    pub(super) fn output_room(&self) -> u64 {
        MAX_KEPT_OUTPUTS.saturating_sub(self.lock().kept)
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}
