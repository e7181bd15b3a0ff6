//! The node's side of the zygote: starting it, and asking it for workers.
//!
//! Asking is a message and returns at once. What it answers comes on a thread of its own ([`super::reader`]), which calls
//! back; the callbacks should only pass it on. The zygote ends with the last [`Zygote`]: what is parked ends, what has
//! started runs on.

use super::protocol::{Ask, IdMap, Tell};
use super::{Parked, WorkerExit, ZygoteError, reader, socket};
use crate::backend::GroupEntry;
use crate::{PidFd, ProcessId, identify};
use hypermesh_model::JailLayer;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{Shutdown, shutdown};
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a zygote may take to get ready: it makes namespaces and engines, some tens of milliseconds.
const HELLO: Duration = Duration::from_secs(10);
/// How long a user namespace may take: a fork.
const MAP: Duration = Duration::from_secs(10);

/// User namespaces that are kept: a descriptor each. An execution asks for the same one for each of its folders.
const KEPT_USERS: usize = 64;
/// How long a zygote without a socket may take to end.
const GRACE: Duration = Duration::from_secs(1);

/// What to start as the zygote. Its environment is empty, its standard output `/dev/null`.
#[derive(Debug)]
pub struct ZygoteCommand {
    /// The program, absolute. It calls [`crate::zygote_main`] before it has a second thread.
    pub exe: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Where its standard error goes, and that of its workers that get no other; `/dev/null` without.
    pub stderr: Option<File>,
}

/// Hears of a worker that waits, or why there is none. Called once.
pub type TellParked = Box<dyn FnOnce(Result<Parked, ZygoteError>) + Send>;
/// Hears how a worker ended; after it was told of as parked, once. Never called for one that was not.
pub type TellEnded = Box<dyn FnOnce(WorkerExit) + Send>;
/// Hears why the zygote ended by itself.
pub type TellEnd = Box<dyn FnOnce(String) + Send>;

/// A running zygote. Cheap to clone.
#[derive(Clone)]
pub struct Zygote {
    handle: Arc<Handle>,
}

struct Handle {
    shared: Arc<Shared>,
    id: ProcessId,
    jail: Vec<JailLayer>,
    /// Those that were asked for lately.
    users: Mutex<HashMap<IdMap, Arc<OwnedFd>>>,
}

/// What handle and reader both need.
pub(super) struct Shared {
    pub(super) control: OwnedFd,
    state: Mutex<State>,
}

/// What was asked and not yet answered, and who runs.
#[derive(Default)]
pub(super) struct State {
    next: u64,
    pub(super) parks: HashMap<u64, Park>,
    pub(super) maps: HashMap<u64, Sender<Result<OwnedFd, String>>>,
    /// Nobody reads answers any more.
    pub(super) has_ended: bool,
    /// The last handle was dropped.
    pub(super) is_closing: bool,
}

/// One worker, from the moment that it was asked for.
pub(super) enum Park {
    /// The zygote has to fork.
    Asked { parked: TellParked, ended: TellEnded },
    /// It joins its groups.
    Joining { worker: super::Worker, parked: TellParked, ended: TellEnded },
    /// Somebody has it.
    Told { pidfd: Arc<PidFd>, ended: TellEnded },
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Zygote {
    /// Starts a zygote and waits until it is ready, 10 s at most. `on_end` hears when it ends by itself; what is parked
    /// is gone then, and a new one can be started.
    ///
    /// # Errors
    /// [`ZygoteError`]; no process is left then.
    pub fn start(command: ZygoteCommand, on_end: TellEnd) -> Result<Self, ZygoteError> {
        let (control, theirs) = socket::pair().map_err(ZygoteError::io("make a socket"))?;
        let mut child = Command::new(&command.exe)
            .args(command.args)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(command.stderr.map_or_else(Stdio::null, Stdio::from))
            .spawn()
            .map_err(|source| ZygoteError::Start { exe: command.exe, source })?;
        let greeted = hello(&control).and_then(|jail| {
            // Not reaped yet, so the id is still this child's.
            Ok((jail, identify(child.id()).ok_or(ZygoteError::Ended)?))
        });
        let (jail, id) = match greeted {
            Ok(greeted) => greeted,
            Err(error) => {
                drop(control);
                let how = end(&mut child);
                let has_ended = matches!(error, ZygoteError::Ended);
                return Err(if has_ended { ZygoteError::NotReady { reason: how } } else { error });
            }
        };
        let shared = Arc::new(Shared { control, state: Mutex::default() });
        let reader = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("zygote".to_owned());
        match thread.spawn(move || reader::read(&reader, child, on_end)) {
            Ok(_detached) => {
                Ok(Self { handle: Arc::new(Handle { shared, id, jail, users: Mutex::default() }) })
            }
            // The child went with the closure; its control socket closes with `shared`, and it ends.
            Err(source) => Err(ZygoteError::Io { what: "start a thread", source }),
        }
    }

    /// The layers around every worker, as probed when the zygote started.
    pub fn jail(&self) -> &[JailLayer] {
        &self.handle.jail
    }

    /// The zygote's name for ever.
    pub fn id(&self) -> ProcessId {
        self.handle.id
    }

    /// Asks for a worker in a group. Returns at once; `parked` is called on the zygote's thread, or here when there is
    /// no zygote any more.
    pub fn park(&self, group: GroupEntry, parked: TellParked, ended: TellEnded) {
        let shared = &self.handle.shared;
        let mut state = shared.state();
        if state.has_ended {
            drop(state);
            return parked(Err(ZygoteError::Ended));
        }
        let park = state.next();
        state.parks.insert(park, Park::Asked { parked, ended });
        drop(state);
        let ask = Ask::Park { park, into: group.into.is_some() };
        let fds: Vec<_> = group.into.iter().chain(&group.join).map(AsFd::as_fd).collect();
        if let Err(source) = socket::send(&shared.control, &ask, &fds)
            // Not there: the reader has told already.
            && let Some(Park::Asked { parked, .. }) = { shared.state().parks.remove(&park) }
        {
            parked(Err(ZygoteError::Io { what: "ask the zygote", source }));
        }
    }

    /// A user namespace that shows one user and group of a file system as `ids.to`, made or kept.
    pub(super) fn users(&self, ids: IdMap) -> Result<Arc<OwnedFd>, ZygoteError> {
        let kept = || self.handle.users.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(users) = kept().get(&ids) {
            return Ok(Arc::clone(users));
        }
        // Not under the lock: it blocks for a fork. Two that ask for the same at once make two.
        let users = Arc::new(self.map(ids)?);
        let mut kept = kept();
        if kept.len() >= KEPT_USERS {
            kept.clear();
        }
        kept.insert(ids, Arc::clone(&users));
        Ok(users)
    }

    fn map(&self, ids: IdMap) -> Result<OwnedFd, ZygoteError> {
        let (sender, receiver): (_, Receiver<Result<OwnedFd, String>>) = channel();
        let shared = &self.handle.shared;
        let mut state = shared.state();
        if state.has_ended {
            return Err(ZygoteError::Ended);
        }
        let map = state.next();
        state.maps.insert(map, sender);
        drop(state);
        let sent = socket::send(&shared.control, &Ask::Map { map, ids }, &[]);
        let answer = sent.map_err(ZygoteError::io("ask the zygote")).and_then(|()| {
            // The sender is dropped when the zygote ends.
            receiver.recv_timeout(MAP).map_err(|_| ZygoteError::Ended)
        });
        shared.state().maps.remove(&map);
        answer?.map_err(|reason| ZygoteError::Map { reason })
    }
}

impl State {
    fn next(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.state().is_closing = true;
        // The reader holds the socket open; this ends it for both sides. Refused only when it has ended already.
        let _ = shutdown(&self.shared.control, Shutdown::Both);
    }
}

/// Waits for the first message. [`ZygoteError::Ended`] when there is none.
fn hello(control: &OwnedFd) -> Result<Vec<JailLayer>, ZygoteError> {
    let limit: Timespec = HELLO.try_into().map_err(|_| ZygoteError::Silent { waited: HELLO })?;
    let ready = poll(&mut [PollFd::new(control, PollFlags::IN)], Some(&limit));
    if ready.map_err(|error| ZygoteError::Io { what: "wait for the zygote", source: error.into() })? == 0 {
        return Err(ZygoteError::Silent { waited: HELLO });
    }
    let read = ZygoteError::io("hear the zygote");
    match socket::receive(control).map_err(read)? {
        None => Err(ZygoteError::Ended),
        Some(message) => match socket::parse(&message).map_err(ZygoteError::io("understand the zygote"))? {
            Tell::Hello { jail } => Ok(jail),
            Tell::Failed { reason } => Err(ZygoteError::NotReady { reason }),
            Tell::Forked { .. }
            | Tell::Refused { .. }
            | Tell::Ended { .. }
            | Tell::Mapped { .. }
            | Tell::Unmapped { .. } => Err(ZygoteError::NotReady { reason: "it said no hello".to_owned() }),
        },
    }
}

/// Ends and reaps it; how it ended, for people. One that has closed its socket gets a moment to end by itself, so that
/// its own exit code is what is told.
pub(super) fn end(child: &mut Child) -> String {
    if let Some(Ok(pidfd)) = identify(child.id()).map(|id| PidFd::open(&id)) {
        // What can't be waited for is killed, as below.
        let _ = pidfd.wait(GRACE);
    }
    // Refused when it has ended already, which is no error here.
    match child.kill().and_then(|()| child.wait()) {
        Ok(status) => format!("it ended with {status}"),
        Err(error) => format!("it cannot be reaped: {error}"),
    }
}
