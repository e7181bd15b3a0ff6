//! Parked workers: made ahead of time, each in groups of its own, so that an execution only has to write its limits and
//! pass its descriptors.
//!
//! ```text
//! node ──posix_spawn──▶ zygote ──clone──▶ parked worker in its leaf ──one job──▶ exit
//! ```
//! A worker for an execution that brings its own lease is parked in the groups of a lease that does not exist yet: only
//! its id was drawn, and the execution takes the id with the worker. For executions in a lease that somebody holds,
//! workers are parked in that lease once it has shown that it runs any.
//!
//! The zygote is restarted when it dies, with a pause that doubles. What is parked dies with it and is forgotten; what
//! runs does not.

mod job;
mod pool;

pub(crate) use job::{Descriptors, Role, WorkerJob};

use crate::error::MeshError;
use crate::{Inner, Mesh};
use hypermesh_model::{Bytes, ExecutionId, JailLayer, Lease, LeaseId};
use hypermesh_sandbox::{Limits, Parked, WorkerExit, Zygote, ZygoteCommand};
use pool::{Pool, QUIET};
use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, Semaphore, oneshot};

/// What a group carries in which a worker is parked: after a crash nobody need ask whose it was.
pub(crate) const PARKED_RECORD: &str = "{\"parked\":true}";
/// Workers that are always parked for executions with a lease of their own, and the most that may be.
const OWN: (usize, usize) = (2, 48);
/// The most that are parked in one lease: they count in it.
const MOST_IN_LEASE: usize = 8;
/// Processes and memory of a lease for each worker that may be parked in it.
const PIDS_PER_PARKED: u32 = 8;
const MEMORY_PER_PARKED: Bytes = Bytes::mib(32);
/// How long parking one may take: a busy machine, and a kernel that moves processes slowly.
const PARK_DEADLINE: Duration = Duration::from_secs(20);
/// First and longest pause before a zygote is started again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// Workers that are parked at a time: one for each of two cores; more would only take turns.
const FILLERS: usize = 2;
/// The leaf of a worker that is parked for a lease of its own.
const OWN_LEAF: &str = "worker";

/// A worker that waits for its job, and where.
#[derive(Debug)]
pub(crate) struct Slot {
    /// The lease in whose groups it is.
    pub(crate) lease: LeaseId,
    /// Its leaf there.
    pub(crate) leaf: String,
    pub(crate) parked: Parked,
    /// Becomes ready when it has ended; an error says that nobody can tell how.
    pub(crate) ended: oneshot::Receiver<WorkerExit>,
    /// CPU time that its leaf has used so far, in nanoseconds.
    pub(crate) cpu_before_ns: u64,
}

/// The zygote and what is parked.
pub(crate) struct Workers {
    zygote: Mutex<Option<Zygote>>,
    /// One start at a time.
    starting: tokio::sync::Mutex<Duration>,
    own: Mutex<Pool<Slot>>,
    leases: Mutex<HashMap<LeaseId, Pool<Slot>>>,
    wake: Notify,
    /// Held by who parks a worker: a stop waits for them, so that none is parked behind its back.
    parking: Semaphore,
    stopped: AtomicBool,
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers")
            .field("own", &self.own)
            .field("leases", &self.leases)
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for Workers {
    fn default() -> Self {
        Self {
            zygote: Mutex::default(),
            starting: tokio::sync::Mutex::new(PAUSES.0),
            own: Mutex::new(Pool::new(OWN.0, OWN.1, Instant::now())),
            leases: Mutex::default(),
            wake: Notify::new(),
            parking: Semaphore::new(FILLERS),
            stopped: AtomicBool::new(false),
        }
    }
}

impl Workers {
    /// What stands between a guest and the machine; empty while there is no zygote.
    pub(crate) fn jail(&self) -> Vec<JailLayer> {
        lock(&self.zygote).as_ref().map(|zygote| zygote.jail().to_vec()).unwrap_or_default()
    }

    /// Whether every guest has this layer around it.
    pub(crate) fn has_layer(&self, name: &str) -> bool {
        lock(&self.zygote)
            .as_ref()
            .is_some_and(|zygote| zygote.jail().iter().any(|layer| layer.layer == name && layer.active))
    }

    /// A worker that is parked for an execution with a lease of its own, if there is one.
    pub(crate) fn take_own(&self) -> Option<Slot> {
        let taken = lock(&self.own).take(Instant::now());
        self.wake.notify_one();
        taken
    }

    /// Gives back what [`Self::take_own`] gave.
    pub(crate) fn put_back_own(&self, slot: Slot) {
        lock(&self.own).put_back(slot);
    }

    fn take_in(&self, lease: &Lease) -> Option<Slot> {
        let now = Instant::now();
        let mut leases = lock(&self.leases);
        let pool = leases.entry(lease.id.clone()).or_insert_with(|| Pool::new(0, most_in(lease), now));
        let taken = pool.take(now);
        self.wake.notify_one();
        taken
    }

    /// What is parked in a lease ends. To be called before the lease's groups are removed.
    pub(crate) fn forget(&self, lease: &LeaseId) {
        lock(&self.leases).remove(lease);
    }

    /// The next worker that should be parked now: in a lease, or in one of its own.
    fn lacking(&self) -> Option<Option<LeaseId>> {
        if self.stopped.load(Ordering::Acquire) {
            return None;
        }
        let now = Instant::now();
        if lock(&self.own).begin_making(now) {
            return Some(None);
        }
        let mut leases = lock(&self.leases);
        leases.iter_mut().find_map(|(id, pool)| pool.begin_making(now).then(|| Some(id.clone())))
    }

    /// How long until the next one should be.
    fn until_lacking(&self) -> Option<Duration> {
        let own = lock(&self.own).due();
        let theirs = lock(&self.leases).values().filter_map(Pool::due).min();
        own.into_iter().chain(theirs).min().map(|due| due.saturating_duration_since(Instant::now()))
    }

    fn parked(&self, place: Option<&LeaseId>, made: Option<Slot>) -> Option<Slot> {
        let enter = |pool: &mut Pool<Slot>, made| match made {
            Some(slot) => pool.made(slot),
            None => pool.not_made(),
        };
        match place {
            None => enter(&mut lock(&self.own), made),
            Some(lease) => match lock(&self.leases).get_mut(lease) {
                Some(pool) => enter(pool, made),
                // The lease ended meanwhile.
                None => return made,
            },
        }
        None
    }

    /// What nobody needs any more. What is parked in leases just ends with its descriptor.
    fn surplus(&self) -> (Vec<Slot>, Vec<Slot>) {
        let now = Instant::now();
        let own = lock(&self.own).surplus(now);
        let mut leases = lock(&self.leases);
        let theirs = leases.values_mut().flat_map(|pool| pool.surplus(now)).collect();
        leases.retain(|_, pool| !pool.is_idle());
        (own, theirs)
    }

    fn drain(&self) -> (Vec<Slot>, Vec<Slot>) {
        let own = lock(&self.own).drain();
        let theirs = lock(&self.leases).values_mut().flat_map(Pool::drain).collect();
        (own, theirs)
    }
}

/// How many may be parked in a lease, by what it has.
fn most_in(lease: &Lease) -> usize {
    let by_pids = lease.grant.pids.map_or(usize::MAX, |pids| (pids / PIDS_PER_PARKED) as usize);
    let by_memory = lease.grant.memory.map_or(usize::MAX, |memory| {
        usize::try_from(memory.0 / MEMORY_PER_PARKED.0).unwrap_or(usize::MAX).saturating_sub(1)
    });
    by_pids.min(by_memory).min(MOST_IN_LEASE)
}

impl Mesh {
    /// A worker in a lease that somebody holds.
    ///
    /// # Errors
    /// When none can be made.
    pub(crate) async fn slot_in(&self, lease: &Lease) -> Result<Slot, MeshError> {
        match self.workers.take_in(lease) {
            Some(slot) => Ok(slot),
            None => self.make_slot(&lease.id, fresh_leaf()).await,
        }
    }

    /// A worker in the groups of a lease that has none parked.
    ///
    /// # Errors
    /// When the kernel or the zygote refuses.
    pub(crate) async fn make_slot(&self, lease: &LeaseId, leaf: String) -> Result<Slot, MeshError> {
        let fault = MeshError::internal("parking a worker");
        let zygote = self.zygote().await?;
        let (parked, answer) = oneshot::channel();
        let (tell_end, ended) = oneshot::channel();
        let (id, name) = (lease.clone(), leaf.clone());
        self.blocking("parking a worker", move |mesh| {
            mesh.cgroups.create_leaf(&id, &name, None)?;
            let entry = mesh.cgroups.entry(&id, &name)?;
            zygote.park(
                entry,
                Box::new(move |result| drop(parked.send(result))),
                Box::new(move |exit| {
                    let _ = tell_end.send(exit);
                }),
            );
            Ok(())
        })
        .await?;
        let parked = match tokio::time::timeout(PARK_DEADLINE, answer).await {
            Ok(Ok(Ok(parked))) => parked,
            Ok(Ok(Err(error))) => return Err(fault(Box::new(error))),
            Ok(Err(_)) => return Err(fault("the zygote ended".into())),
            Err(_) => return Err(fault("the zygote did not answer".into())),
        };
        let (id, name) = (lease.clone(), leaf.clone());
        let counted = self
            .blocking("parking a worker", move |mesh| mesh.cgroups.usage(&id, Some(name.as_str())))
            .await
            .ok()
            .and_then(|usage| usage.cpu_time_ns);
        Ok(Slot { lease: lease.clone(), leaf, parked, ended, cpu_before_ns: counted.unwrap_or(0) })
    }

    /// Makes groups under a new id, and a worker in them.
    pub(crate) async fn make_own_slot(&self) -> Result<Slot, MeshError> {
        let id = LeaseId::generate();
        // The ledger knows it, so that it is no orphan.
        self.ledger.enter_internal(&id);
        let group = id.clone();
        let made = self
            .blocking("making a cgroup", move |mesh| {
                mesh.cgroups.create(&group, &Limits::default(), PARKED_RECORD)
            })
            .await;
        let slot = match made {
            Ok(_) => self.make_slot(&id, OWN_LEAF.to_owned()).await,
            Err(error) => Err(error),
        };
        if slot.is_err() {
            self.remove_parked_group(&id).await;
        }
        slot
    }

    /// Ends a worker that was parked for a lease of its own, and removes its groups.
    pub(crate) async fn discard_own(&self, slot: Slot) {
        let id = slot.lease.clone();
        drop(slot);
        self.remove_parked_group(&id).await;
    }

    pub(crate) async fn remove_parked_group(&self, id: &LeaseId) {
        if let Err(error) = self.remove_group(id).await {
            // The next reconciliation finds it as an orphan.
            tracing::warn!(group = %id, error = hypermesh_model::error_chain(&error), "groups of a parked worker stay behind");
        }
        self.ledger.leave_internal(id);
    }

    /// Ends a worker that was parked in a lease, and removes its leaf.
    async fn discard_in(&self, slot: Slot) {
        let (lease, leaf) = (slot.lease.clone(), slot.leaf.clone());
        drop(slot);
        if let Err(error) = self.remove_leaf(&lease, &leaf).await {
            tracing::debug!(
                error = hypermesh_model::error_chain(&error),
                "a parked worker's leaf went with its lease"
            );
        }
    }

    /// Ends parked workers: those with groups of their own, and those in leases.
    async fn discard(&self, (own, theirs): (Vec<Slot>, Vec<Slot>)) {
        for slot in own {
            self.discard_own(slot).await;
        }
        for slot in theirs {
            self.discard_in(slot).await;
        }
    }

    /// The zygote; started if there is none.
    pub(crate) async fn zygote(&self) -> Result<Zygote, MeshError> {
        if let Some(zygote) = lock(&self.workers.zygote).clone() {
            return Ok(zygote);
        }
        let mut pause = self.workers.starting.lock().await;
        if let Some(zygote) = lock(&self.workers.zygote).clone() {
            return Ok(zygote);
        }
        if self.workers.stopped.load(Ordering::Acquire) {
            return Err(MeshError::Busy { detail: "the node is stopping".into() });
        }
        let weak = Arc::downgrade(&self.0);
        let started = self.blocking_mesh(move |mesh| start(mesh, weak)).await;
        match started {
            Ok(zygote) => {
                *pause = PAUSES.0;
                *lock(&self.workers.zygote) = Some(zygote.clone());
                tracing::info!(pid = zygote.id().pid, "zygote started");
                Ok(zygote)
            }
            Err(error) => {
                tokio::time::sleep(*pause).await;
                *pause = (*pause * 2).min(PAUSES.1);
                Err(error)
            }
        }
    }

    /// Keeps workers parked, for ever.
    pub(crate) async fn park_for_ever(self) {
        for _ in 1..FILLERS {
            tokio::spawn(self.clone().fill());
        }
        self.fill().await;
    }

    async fn fill(self) {
        while !self.workers.stopped.load(Ordering::Acquire) {
            match self.workers.lacking() {
                Some(place) => self.park_one(place).await,
                None => {
                    self.discard(self.workers.surplus()).await;
                    let wait = self.workers.until_lacking().map_or(QUIET / 4, |due| due.min(QUIET / 4));
                    // A wake that comes before the wait is kept.
                    let _ = tokio::time::timeout(wait, self.workers.wake.notified()).await;
                }
            }
        }
    }

    async fn park_one(&self, place: Option<LeaseId>) {
        // Never closed.
        let _parking = self.workers.parking.acquire().await;
        if self.workers.stopped.load(Ordering::Acquire) {
            return;
        }
        let made = match &place {
            None => self.make_own_slot().await,
            Some(lease) => self.make_slot(lease, fresh_leaf()).await,
        };
        let failed = made.is_err();
        if let Err(error) = &made {
            tracing::warn!(error = hypermesh_model::error_chain(error), "no worker could be parked");
        }
        if let Some(homeless) = self.workers.parked(place.as_ref(), made.ok()) {
            self.discard_in(homeless).await;
        }
        if failed {
            match &place {
                // Whoever needs one makes it and hears why it can't be.
                Some(lease) => self.workers.forget(lease),
                None => tokio::time::sleep(PAUSES.0).await,
            }
        }
    }

    /// The zygote has ended: what was parked has too.
    async fn zygote_ended(self, why: String) {
        if self.workers.stopped.load(Ordering::Acquire) {
            return;
        }
        tracing::error!(why, "the zygote ended; it is started again");
        lock(&self.workers.zygote).take();
        self.discard(self.workers.drain()).await;
        self.workers.wake.notify_waiters();
    }

    /// Ends zygote and parked workers; what runs goes on.
    pub(crate) async fn stop_workers(&self) {
        self.workers.stopped.store(true, Ordering::Release);
        self.workers.wake.notify_waiters();
        let fillers = u32::try_from(FILLERS).unwrap_or(u32::MAX);
        let _none_parks = self.workers.parking.acquire_many(fillers).await;
        self.discard(self.workers.drain()).await;
        lock(&self.workers.zygote).take();
    }
}

fn fresh_leaf() -> String {
    ExecutionId::generate().to_string()
}

fn start(mesh: &Mesh, weak: Weak<Inner>) -> Result<Zygote, MeshError> {
    let fault = MeshError::internal("starting the zygote");
    let log = mesh.settings.data_dir.join("zygote.log");
    let stderr = File::create(log).map_err(|e| MeshError::internal("starting the zygote")(Box::new(e)))?;
    let command = ZygoteCommand {
        exe: mesh.settings.worker_exe.clone(),
        args: vec!["__zygote".into()],
        stderr: Some(stderr),
    };
    let runtime = mesh.runtime.clone();
    let on_end = move |why: String| {
        if let Some(inner) = weak.upgrade() {
            runtime.spawn(Mesh(inner).zygote_ended(why));
        }
    };
    Zygote::start(command, Box::new(on_end)).map_err(|e| fault(Box::new(e)))
}
