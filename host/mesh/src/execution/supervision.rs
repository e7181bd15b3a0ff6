//! Which executions run now, and how to stop them.
//!
//! One driver task owns each execution from its start to its final record; everybody else only leaves it a cause.

use hypermesh_model::{AssetId, Cause, ExecutionId, LeaseId};
use std::collections::HashMap;
use std::io::{PipeReader, PipeWriter};
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Most executions that are queued or run at a time.
pub const MAX_LIVE_EXECUTIONS: usize = 1024;

#[derive(Debug)]
struct Entry {
    vm: AssetId,
    lease: LeaseId,
    stop: watch::Sender<Option<Cause>>,
    done: watch::Receiver<()>,
    /// Where its standard input is written to, until somebody takes it.
    stdin: Option<PipeWriter>,
}

/// The running executions of a node.
#[derive(Debug, Default)]
pub struct Supervision(Mutex<HashMap<ExecutionId, Entry>>);

/// A driver's own end: it hears of a stop here, and its drop says that it is done.
#[derive(Debug)]
pub struct Driven {
    /// The cause to stop for, once there is one.
    stop: watch::Receiver<Option<Cause>>,
    stdin: Mutex<Option<PipeReader>>,
    _done: watch::Sender<()>,
}

impl Driven {
    /// The cause to stop for, if there is one by now.
    pub(super) fn stopped(&self) -> Option<Cause> {
        self.stop.borrow().clone()
    }

    /// The cause to stop for, once there is one.
    pub(super) async fn stopped_some_time(&mut self) -> Cause {
        loop {
            if let Some(cause) = self.stopped() {
                return cause;
            }
            if self.stop.changed().await.is_err() {
                // Nobody is left who could stop it.
                std::future::pending::<()>().await;
            }
        }
    }

    /// The cause to stop for, if it comes in this time.
    pub(super) async fn stopped_within(&mut self, time: Duration) -> Option<Cause> {
        tokio::time::timeout(time, self.stopped_some_time()).await.ok()
    }

    /// The reading end of a streamed standard input, for the first try; a later one finds it at its end.
    pub(super) fn stdin(&self) -> Option<OwnedFd> {
        self.stdin.lock().unwrap_or_else(PoisonError::into_inner).take().map(OwnedFd::from)
    }
}

impl Supervision {
    fn lock(&self) -> MutexGuard<'_, HashMap<ExecutionId, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters an execution; `None` at [`MAX_LIVE_EXECUTIONS`]. `stdin` is a pipe for its standard input.
    pub fn enter(
        &self,
        id: &ExecutionId,
        vm: &AssetId,
        lease: &LeaseId,
        stdin: Option<(PipeReader, PipeWriter)>,
    ) -> Option<Driven> {
        let mut running = self.lock();
        if running.len() >= MAX_LIVE_EXECUTIONS {
            return None;
        }
        let (stop, stopped) = watch::channel(None);
        let (done, finished) = watch::channel(());
        let (reader, writer) = stdin.unzip();
        let entry = Entry { vm: vm.clone(), lease: lease.clone(), stop, done: finished, stdin: writer };
        running.insert(id.clone(), entry);
        Some(Driven { stop: stopped, stdin: Mutex::new(reader), _done: done })
    }

    /// Where to write an execution's standard input, if it is streamed and nobody has begun to.
    pub fn take_stdin(&self, id: &ExecutionId) -> Option<PipeWriter> {
        self.lock().get_mut(id)?.stdin.take()
    }

    /// Takes an execution out, before its driver ends.
    pub fn leave(&self, id: &ExecutionId) {
        self.lock().remove(id);
    }

    /// Whether a vm has an execution that is queued or runs.
    pub fn runs(&self, vm: &AssetId) -> bool {
        self.lock().values().any(|e| e.vm == *vm)
    }

    /// What becomes ready (with an error) when an execution's driver is done; `None` when it is not running.
    pub fn done(&self, id: &ExecutionId) -> Option<watch::Receiver<()>> {
        self.lock().get(id).map(|entry| entry.done.clone())
    }

    /// Leaves an execution a cause; the first one stays. Returns what becomes ready when its driver is done, or
    /// `None` when it is not running.
    pub fn stop(&self, id: &ExecutionId, cause: Cause) -> Option<watch::Receiver<()>> {
        let running = self.lock();
        let entry = running.get(id)?;
        entry.stop.send_if_modified(|slot| slot.is_none() && slot.replace(cause).is_none());
        Some(entry.done.clone())
    }

    /// Stops all executions of a lease and waits until their drivers are done.
    pub async fn stop_in(&self, lease: &LeaseId, cause: &Cause) {
        let ids: Vec<ExecutionId> =
            self.lock().iter().filter(|(_, e)| e.lease == *lease).map(|(id, _)| id.clone()).collect();
        let waits: Vec<_> = ids.iter().filter_map(|id| self.stop(id, cause.clone())).collect();
        for mut done in waits {
            // An error is the driver's end: it drops its sender.
            while done.changed().await.is_ok() {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_cause_stays_and_the_end_is_waited_for() {
        let supervision = Supervision::default();
        let (id, lease) = (ExecutionId::generate(), LeaseId::generate());
        let driven = supervision.enter(&id, &AssetId::generate(), &lease, None).unwrap();
        supervision.stop(&id, Cause::WallTime { limit_seconds: 1 });
        supervision.stop(&id, Cause::LeaseEnded { lease: lease.clone() });
        assert_eq!(driven.stopped(), Some(Cause::WallTime { limit_seconds: 1 }));
        let cause = Cause::LeaseEnded { lease: lease.clone() };
        let ended = supervision.stop_in(&lease, &cause);
        let driver = async {
            tokio::task::yield_now().await;
            supervision.leave(&id);
            drop(driven);
        };
        tokio::join!(ended, driver);
        assert!(supervision.done(&id).is_none());
    }
}
