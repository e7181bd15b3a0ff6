//! Hearing of leases that ran out of memory, on one thread for all of them.
//!
//! v2: `memory.events` of the node's folder counts for everything below it, and polling it wakes
//! (`Documentation/admin-guide/cgroup-v2.rst`, "memory.events"); which lease it was is looked for only then. One
//! descriptor in all, and nothing to do when a lease is made. Mounted with `memory_localevents` it would stay silent:
//! the kernel ends the lease anyway (`memory.oom.group`).
//!
//! v1: `memory.oom_control` of each lease tells an eventfd (`Documentation/admin-guide/cgroup-v1/memory.rst`, "OOM
//! Control"). The kernel tells it also when the group goes away, so it is forgotten first.
//!
//! Left to others: ending the lease. Fails when the kernel gives no descriptor; a thread that can't go on says so in
//! the log.

use crate::CgroupError;
use crate::backend::TellOom;
use crate::kernel_fs::{children, keyed, keyed_in, write};
use hypermesh_model::LeaseId;
use rustix::buffer::spare_capacity;
use rustix::event::{EventfdFlags, epoll, eventfd};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The token of the eventfd that ends the thread, and of v2's `memory.events`; leases begin after them.
const STOP: u64 = 0;
const EVENTS: u64 = 1;
const FIRST_LEASE: u64 = 2;
/// Events taken at a time.
const BATCH: usize = 32;
/// Descriptors that the soft limit is raised to, if the hard one allows: many more than leases of one machine.
const OPEN_FILES: u64 = 1 << 16;

/// The thread and what it watches.
pub(crate) struct OomWatch {
    shared: Arc<Shared>,
    stop: OwnedFd,
}

struct Shared {
    epoll: OwnedFd,
    tell: Mutex<TellOom>,
    source: Source,
}

enum Source {
    V1(Mutex<Leases>),
    V2 { node: PathBuf, events: File, counted: Mutex<Counted> },
}

/// The kills on v2 so far: of all that ever was below the node's folder, and of each lease that had any.
struct Counted {
    all: u64,
    by_lease: HashMap<String, u64>,
}

/// What is watched on v1. Dropping a descriptor ends the kernel's telling.
struct Leases {
    next: u64,
    by_token: HashMap<u64, (LeaseId, PathBuf, File)>,
    tokens: HashMap<LeaseId, u64>,
}

impl OomWatch {
    /// Watches leases on v1, none yet.
    ///
    /// # Errors
    /// When the kernel gives no descriptor or no thread.
    pub(crate) fn on_v1(tell: TellOom) -> Result<Self, CgroupError> {
        raise_open_files();
        let leases = Leases { next: FIRST_LEASE, by_token: HashMap::new(), tokens: HashMap::new() };
        Self::start(tell, Source::V1(Mutex::new(leases)))
    }

    /// Watches all leases below the node's folder on v2.
    ///
    /// # Errors
    /// As for v1, and when the folder's `memory.events` cannot be read.
    pub(crate) fn on_v2(tell: TellOom, node: &Path) -> Result<Self, CgroupError> {
        let path = node.join("memory.events");
        let events = File::open(&path).map_err(|source| CgroupError::Io { action: "watch", path, source })?;
        // Before the first count, so that nothing falls between: a poll tells of what changed since the last read.
        let all = kills_in(&events);
        let counted = Mutex::new(Counted { all, by_lease: counts(node)? });
        Self::start(tell, Source::V2 { node: node.to_owned(), events, counted })
    }

    fn start(tell: TellOom, source: Source) -> Result<Self, CgroupError> {
        let refused = |error: io::Error| CgroupError::Io {
            action: "watch memory below",
            path: PathBuf::from("memory"),
            source: error,
        };
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|e| refused(e.into()))?;
        let stop = eventfd(0, EventfdFlags::CLOEXEC).map_err(|e| refused(e.into()))?;
        let mut watched = epoll::add(&epoll, &stop, epoll::EventData::new_u64(STOP), epoll::EventFlags::IN);
        if let Source::V2 { events, .. } = &source {
            let data = epoll::EventData::new_u64(EVENTS);
            watched = watched.and_then(|()| epoll::add(&epoll, events, data, epoll::EventFlags::PRI));
        }
        watched.map_err(|e| refused(e.into()))?;
        let shared = Arc::new(Shared { epoll, tell: Mutex::new(tell), source });
        let thread = Arc::clone(&shared);
        std::thread::Builder::new().name("oom".to_owned()).spawn(move || thread.run()).map_err(refused)?;
        Ok(Self { shared, stop })
    }

    /// Tells somebody else from now on.
    pub(crate) fn tell(&self, tell: TellOom) {
        *self.shared.tell.lock().unwrap_or_else(PoisonError::into_inner) = tell;
    }

    /// Watches a lease on v1, given its group in the memory hierarchy. One that is watched already, or that has no such
    /// group, is fine; v2 needs no telling.
    ///
    /// # Errors
    /// When the kernel gives no descriptor.
    pub(crate) fn watch(&self, lease: &LeaseId, dir: &Path) -> Result<(), CgroupError> {
        let Source::V1(leases) = &self.shared.source else { return Ok(()) };
        let mut leases = leases.lock().unwrap_or_else(PoisonError::into_inner);
        if leases.tokens.contains_key(lease) {
            return Ok(());
        }
        let path = dir.join("memory.oom_control");
        let refused = |source: io::Error| CgroupError::Io { action: "watch", path: path.clone(), source };
        let control = match File::open(&path) {
            Ok(control) => control,
            Err(error) if crate::error::is_missing(&error) => return Ok(()),
            Err(error) => return Err(refused(error)),
        };
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let event = File::from(eventfd(0, flags).map_err(|e| refused(e.into()))?);
        let order = format!("{} {}", event.as_raw_fd(), control.as_raw_fd());
        write(&dir.join("cgroup.event_control"), &order)?;
        let token = leases.next;
        let data = epoll::EventData::new_u64(token);
        epoll::add(&self.shared.epoll, &event, data, epoll::EventFlags::IN).map_err(|e| refused(e.into()))?;
        leases.next += 1;
        leases.by_token.insert(token, (lease.clone(), dir.to_owned(), event));
        leases.tokens.insert(lease.clone(), token);
        Ok(())
    }

    /// Forgets a lease. To be called before its group is removed.
    pub(crate) fn forget(&self, lease: &LeaseId) {
        match &self.shared.source {
            Source::V1(leases) => {
                let mut leases = leases.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(token) = leases.tokens.remove(lease) {
                    leases.by_token.remove(&token);
                }
            }
            Source::V2 { counted, .. } => {
                let mut counted = counted.lock().unwrap_or_else(PoisonError::into_inner);
                counted.by_lease.remove(lease.as_str());
            }
        }
    }
}

impl Drop for OomWatch {
    fn drop(&mut self) {
        // The thread may be the one that drops this: it is told, not waited for.
        if let Err(error) = rustix::io::write(&self.stop, &1u64.to_ne_bytes()) {
            tracing::warn!(%error, "the thread that watches memory does not end");
        }
    }
}

impl Shared {
    fn run(&self) {
        let mut events = Vec::with_capacity(BATCH);
        loop {
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return tracing::error!(%error, "memory is no longer watched"),
            }
            for event in &events {
                match { event.data }.u64() {
                    STOP => return,
                    EVENTS => self.look(),
                    token => self.tell_of(token),
                }
            }
        }
    }

    /// v1: one lease's eventfd is readable.
    fn tell_of(&self, token: u64) {
        let Source::V1(leases) = &self.source else { return };
        let lease = {
            let mut leases = leases.lock().unwrap_or_else(PoisonError::into_inner);
            // Not there: it was forgotten after the kernel had woken us.
            let Some((lease, dir, event)) = leases.by_token.get(&token) else { return };
            drain_eventfd(event);
            let lease = lease.clone();
            // Somebody else removed the group, which tells too.
            if !dir.is_dir() {
                leases.by_token.remove(&token);
                leases.tokens.remove(&lease);
                return;
            }
            lease
        };
        self.tell(lease);
    }

    /// v2: something happened to the memory of some lease.
    fn look(&self) {
        let Source::V2 { node, events, counted } = &self.source else { return };
        let all = kills_in(events);
        let grown: Vec<String> = {
            let mut counted = counted.lock().unwrap_or_else(PoisonError::into_inner);
            // Most events are of limits that were reached and reclaimed below.
            if all <= counted.all {
                return;
            }
            match counts(node) {
                Ok(now) => {
                    let before = std::mem::replace(&mut *counted, Counted { all, by_lease: now }).by_lease;
                    let has_grown =
                        |(id, kills): &(&String, &u64)| before.get(*id).copied().unwrap_or(0) < **kills;
                    counted.by_lease.iter().filter(has_grown).map(|(id, _)| id.clone()).collect()
                }
                Err(error) => {
                    tracing::warn!(reason = error.reason(), "who ran out of memory could not be read");
                    Vec::new()
                }
            }
        };
        grown.into_iter().filter_map(|id| LeaseId::parse(id).ok()).for_each(|lease| self.tell(lease));
    }

    fn tell(&self, lease: LeaseId) {
        let tell = Arc::clone(&self.tell.lock().unwrap_or_else(PoisonError::into_inner));
        tell(lease);
    }
}

/// The kills of each lease below the node's folder; those without any are left out.
fn counts(node: &Path) -> Result<HashMap<String, u64>, CgroupError> {
    let mut counts = HashMap::new();
    for dir in children(node)? {
        let kills = keyed(&dir.join("memory.events"), "oom_kill")?.unwrap_or(0);
        if let Some(id) = dir.file_name().and_then(|name| name.to_str())
            && kills > 0
        {
            counts.insert(id.to_owned(), kills);
        }
    }
    Ok(counts)
}

/// The kills that the file counts; reading it also makes the next poll wait for the next change.
fn kills_in(events: &File) -> u64 {
    let mut buffer = [0; 1024];
    match events.read_at(&mut buffer, 0) {
        Ok(length) => keyed_in(&String::from_utf8_lossy(&buffer[..length]), "oom_kill").unwrap_or(0),
        Err(error) => {
            tracing::warn!(%error, "a file that is watched could not be read");
            0
        }
    }
}

fn drain_eventfd(mut event: &File) {
    // WouldBlock: somebody else's wake-up, nothing is lost.
    let _ = event.read(&mut [0; 8]);
}

/// A process begins with a soft limit that suits `select(2)`; a lease needs a descriptor.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(OPEN_FILES).min(OPEN_FILES);
    if limit.current.is_none_or(|current| current >= most) {
        return;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: limit.maximum }) {
        Ok(()) => tracing::info!(from = ?limit.current, to = most, "raised the limit on open files"),
        Err(error) => tracing::warn!(%error, ?limit.current, "the limit on open files stays"),
    }
}
