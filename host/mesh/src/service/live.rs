//! The services that a node knows, by name: their records, their turns, their logs.
//!
//! A name is claimed before anything is made for it, so that of two who want it one is refused. A service that has ended
//! stays until somebody takes its name or removes it.

use super::log::ServiceLog;
use super::turns::Turns;
use crate::Mesh;
use crate::error::MeshError;
use hypermesh_model::{LeaseId, Service, ServiceName, ServiceStatus};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Most services that serve: each holds a lease, and nothing else while nobody asks it.
pub const MAX_SERVICES: usize = 64;
/// Requests of one service that may wait for their turn, for each that runs.
const WAITING_FOR_EACH: usize = 8;

/// What a request is told to stop for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Nothing: it goes on.
    Not,
    /// The node stops; the service goes on with the next start.
    NodeStops,
    /// The service has ended.
    Ended,
}

/// One service.
#[derive(Debug)]
pub(crate) struct Live {
    record: Mutex<Service>,
    pub(crate) log: ServiceLog,
    pub(crate) turns: Turns,
    pub(crate) stop: watch::Sender<Stop>,
    /// Whether its numbers have changed since they were recorded.
    changed: AtomicBool,
}

impl Live {
    pub(crate) fn new(record: Service, log: ServiceLog) -> Self {
        let concurrency = usize::try_from(record.terms.concurrency).unwrap_or(1).max(1);
        let ended = record.status == ServiceStatus::Ended;
        Self {
            turns: Turns::new(concurrency, concurrency * WAITING_FOR_EACH),
            record: Mutex::new(record),
            log,
            stop: watch::Sender::new(if ended { Stop::Ended } else { Stop::Not }),
            changed: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Service> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As it is now.
    pub(crate) fn record(&self) -> Service {
        self.lock().clone()
    }

    /// Changes the record.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Service) -> T) -> T {
        let changed = change(&mut self.lock());
        self.changed.store(true, Ordering::Release);
        changed
    }

    /// The record, if it was changed since it was last asked for here.
    pub(crate) fn take_changed(&self) -> Option<Service> {
        self.changed.swap(false, Ordering::AcqRel).then(|| self.record())
    }

    fn serves(&self) -> bool {
        self.lock().status == ServiceStatus::Serving
    }
}

/// The services.
#[derive(Debug, Default)]
pub struct Services(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    here: BTreeMap<ServiceName, Arc<Live>>,
    /// Names of services that are being made.
    coming: BTreeSet<ServiceName>,
}

impl Services {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn all(&self) -> Vec<Arc<Live>> {
        self.lock().here.values().cloned().collect()
    }

    pub(crate) fn get(&self, name: &ServiceName) -> Result<Arc<Live>, MeshError> {
        self.lock().here.get(name).cloned().ok_or_else(|| MeshError::not_found("service", name))
    }

    /// Those that serve in a lease.
    pub(crate) fn serving_in(&self, lease: &LeaseId) -> Vec<Arc<Live>> {
        let in_it = |live: &&Arc<Live>| {
            let record = live.lock();
            record.lease_id == *lease && record.status == ServiceStatus::Serving
        };
        self.lock().here.values().filter(in_it).cloned().collect()
    }

    /// Puts a service in; gives the one that had the name.
    pub(crate) fn insert(&self, name: ServiceName, live: Arc<Live>) -> Option<Arc<Live>> {
        self.lock().here.insert(name, live)
    }

    /// Takes a service out, if it is still this one.
    pub(crate) fn remove(&self, live: &Arc<Live>) {
        let name = live.record().name;
        let mut known = self.lock();
        if known.here.get(&name).is_some_and(|there| Arc::ptr_eq(there, live)) {
            known.here.remove(&name);
        }
    }
}

/// A name that nobody else can take while this is held.
pub(crate) struct Claim {
    mesh: Mesh,
    name: ServiceName,
}

impl Claim {
    /// Claims a name for a service that is about to be made.
    ///
    /// # Errors
    /// [`MeshError::Conflict`] when a service that serves has it, and at [`MAX_SERVICES`].
    pub(crate) fn of(mesh: &Mesh, name: &ServiceName) -> Result<Self, MeshError> {
        let mut known = mesh.services.lock();
        let taken = known.here.get(name).is_some_and(|live| live.serves()) || known.coming.contains(name);
        if taken {
            return Err(MeshError::Conflict { detail: format!("there is a service `{name}` already") });
        }
        let serving = known.here.values().filter(|live| live.serves()).count();
        if serving + known.coming.len() >= MAX_SERVICES {
            return Err(MeshError::Conflict {
                detail: format!("this node has {MAX_SERVICES} services, which is the most; end one first"),
            });
        }
        known.coming.insert(name.clone());
        Ok(Self { mesh: mesh.clone(), name: name.clone() })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.mesh.services.lock().coming.remove(&self.name);
    }
}
