//! What a worker does to itself before anything else, while it has one thread.
//!
//! Joining comes first, so that all that follows is counted and killable; the limits that can't be taken back come with
//! it. There is deliberately no parent-death signal: a worker outlives a crash of the node and is adopted again.

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, setrlimit, setsid, umask};
use serde::{Deserialize, Serialize};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;

/// The environment variable in which [`super::spawn`] passes the entry.
pub const ENTRY_VARIABLE: &str = "HYPERMESH_WORKER_ENTRY";
/// Open files of a worker: its job, its artefact, streams, an event queue, with room.
pub const DEFAULT_OPEN_FILES: u64 = 64;
/// How often a join is tried when the kernel says EINVAL: it does while a thread group is being set up, and a fresh
/// single-threaded process is past that within a millisecond or never.
const JOIN_TRIES: u32 = 5;
/// The pause between two tries.
const JOIN_PAUSE: Duration = Duration::from_millis(2);
/// When memory runs out on the machine, workers go before the node (range -1000 to 1000, proc_pid_oom_score_adj(5)).
const OOM_SCORE: i32 = 500;

/// What a worker does to itself first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The files to write `0` to, from `CgroupBackend::join_files`. All must succeed.
    pub join: Vec<PathBuf>,
    /// RLIMIT_NOFILE.
    pub open_files: u64,
    /// RLIMIT_FSIZE: the largest file that it may write, in bytes; `None` leaves it as it is.
    pub file_bytes: Option<u64>,
}

/// A worker that could not set itself up must end: it would run without its limits.
#[derive(Debug, Error)]
pub enum EnterError {
    /// It was not started by `spawn`.
    #[error("{ENTRY_VARIABLE} is not set")]
    NoEntry,
    /// The entry is not what `spawn` writes.
    #[error("{ENTRY_VARIABLE} is not a worker's entry")]
    BadEntry(#[source] serde_json::Error),
    /// It is not in its cgroup.
    #[error("cannot join {}", path.display())]
    Join {
        /// The cgroup's file.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// It has more than one thread, so that something else may hold open what would be closed.
    #[error("a worker has to enter before it starts threads, it has {threads}")]
    Threads {
        /// How many.
        threads: usize,
    },
    /// A limit or flag was refused.
    #[error("cannot set {what}")]
    Setup {
        /// Which.
        what: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

impl Entry {
    /// An entry with the default limits.
    pub fn joining(join: Vec<PathBuf>) -> Self {
        Self { join, open_files: DEFAULT_OPEN_FILES, file_bytes: None }
    }

    /// The entry that [`super::spawn`] passed to this process.
    ///
    /// # Errors
    /// [`EnterError::NoEntry`] and [`EnterError::BadEntry`].
    pub fn from_environment() -> Result<Self, EnterError> {
        let text = std::env::var(ENTRY_VARIABLE).map_err(|_| EnterError::NoEntry)?;
        serde_json::from_str(&text).map_err(EnterError::BadEntry)
    }
}

/// Sets this process up. To be called once, first in `main`, before any thread and any open file: descriptors from 3 up
/// are closed.
///
/// # Errors
/// [`EnterError`]; the process should end then.
pub fn enter(entry: &Entry) -> Result<(), EnterError> {
    let threads = std::fs::read_dir("/proc/self/task")
        .map_err(|source| EnterError::Setup { what: "anything without /proc", source })?
        .count();
    if threads != 1 {
        return Err(EnterError::Threads { threads });
    }
    for path in &entry.join {
        join(path).map_err(|source| EnterError::Join { path: path.clone(), source })?;
    }
    umask(Mode::RWXG | Mode::RWXO);
    // EPERM: it already leads a process group, and so a session or a shell's job; nothing to detach from.
    match setsid() {
        Ok(_) | Err(rustix::io::Errno::PERM) => {}
        Err(error) => return Err(setup("a session", error)),
    }
    rustix::thread::set_no_new_privs(true).map_err(|error| setup("no_new_privs", error))?;
    limit("RLIMIT_CORE", Resource::Core, 0)?;
    limit("RLIMIT_NOFILE", Resource::Nofile, entry.open_files)?;
    if let Some(bytes) = entry.file_bytes {
        limit("RLIMIT_FSIZE", Resource::Fsize, bytes)?;
    }
    // Best effort: it only decides who goes first when the whole machine is out of memory.
    let _ = std::fs::write("/proc/self/oom_score_adj", OOM_SCORE.to_string());
    close_inherited().map_err(|source| EnterError::Setup { what: "descriptors", source })
}

#[expect(unsafe_code, reason = "the call is safe under the promise in `enter`'s documentation")]
fn close_inherited() -> io::Result<()> {
    // SAFETY: `enter` runs first in `main`, in the only thread, as checked; nothing has opened a descriptor yet.
    unsafe { super::fds::close_inherited() }
}

fn join(path: &Path) -> io::Result<()> {
    let mut tries = 1;
    loop {
        // One write a try; a new descriptor each time keeps the offset at 0.
        let written = OpenOptions::new().write(true).open(path).and_then(|mut file| file.write_all(b"0"));
        match written {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput && tries < JOIN_TRIES => {
                tries += 1;
                std::thread::sleep(JOIN_PAUSE);
            }
            result => return result,
        }
    }
}

/// Sets the soft and the hard limit. One that is already lower stays: it can't be raised and need not be.
fn limit(what: &'static str, resource: Resource, value: u64) -> Result<(), EnterError> {
    let held = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let value = Some(value.min(held));
    setrlimit(resource, Rlimit { current: value, maximum: value }).map_err(|error| setup(what, error))
}

fn setup(what: &'static str, error: rustix::io::Errno) -> EnterError {
    EnterError::Setup { what, source: error.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_survives_its_way_through_the_environment() {
        let entry =
            Entry { file_bytes: Some(4096), ..Entry::joining(vec![PathBuf::from("/sys/x/cgroup.procs")]) };
        let text = serde_json::to_string(&entry).unwrap();
        assert_eq!(serde_json::from_str::<Entry>(&text).unwrap(), entry);
    }

    #[test]
    fn joining_makes_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cgroup.procs");
        assert_eq!(join(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(!path.exists());
    }
}
