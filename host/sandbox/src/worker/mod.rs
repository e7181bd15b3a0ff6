//! Programs of ours with a task, such as the compiler: started without copying the node, named for ever, waited for and
//! killed through a pidfd.
//!
//! A worker is started with `posix_spawn` (what `std::process::Command` uses when nothing runs between fork and exec):
//! the node's page tables are never copied. So everything that must happen before the worker's own code happens in the
//! worker, in [`enter`], first of all joining its cgroup. A worker outlives a crash of the node on purpose; a restarted
//! node adopts it by [`ProcessId`].
//!
//! Guests do not run in these but in workers of the [`crate::zygote`]. Left to others: the limits themselves, what such a
//! program may do beside them ([`crate::confine`], which it calls after [`enter`]), what it runs.

mod enter;
mod fds;
mod identity;
mod pidfd;

pub use enter::{DEFAULT_OPEN_FILES, ENTRY_VARIABLE, EnterError, Entry, enter};
pub use identity::{ProcessId, identify, is_alive};
pub use pidfd::{PidFd, PidFdError};

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use thiserror::Error;

/// What to start. Standard input is `/dev/null`; the environment holds `env` and the entry, nothing else.
#[derive(Debug)]
pub struct WorkerCommand {
    /// The program, absolute (a relative name would be searched in the node's PATH).
    pub exe: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// What it does to itself first.
    pub entry: Entry,
    /// Its working folder.
    pub cwd: PathBuf,
    /// Where standard output goes, e.g. the end of a pipe; `/dev/null` without.
    pub stdout: Option<OwnedFd>,
    /// Where standard error goes; `/dev/null` without.
    pub stderr: Option<File>,
    /// Its environment.
    pub env: Vec<(OsString, OsString)>,
}

/// A worker that could not be started.
#[derive(Debug, Error)]
pub enum SpawnError {
    /// The entry has a path that is not UTF-8.
    #[error("the worker's entry cannot be written as JSON")]
    Entry(#[source] serde_json::Error),
    /// The kernel refused to start it.
    #[error("cannot start {}", exe.display())]
    Start {
        /// The program.
        exe: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// It started, but cannot be watched; it was killed.
    #[error("cannot watch worker {pid}")]
    Watch {
        /// Its process id.
        pid: u32,
        /// Why.
        #[source]
        source: PidFdError,
    },
}

/// A worker that this process started. Dropping it neither kills nor reaps it.
#[derive(Debug)]
pub struct WorkerProcess {
    child: Child,
    id: ProcessId,
    pidfd: PidFd,
}

/// Starts a worker. It is not in its cgroup until it has called [`enter`].
///
/// # Errors
/// [`SpawnError`]; no process is left then.
pub fn spawn(command: WorkerCommand) -> Result<WorkerProcess, SpawnError> {
    let entry = serde_json::to_string(&command.entry).map_err(SpawnError::Entry)?;
    let stdout = command.stdout.map_or_else(Stdio::null, Stdio::from);
    let stderr = command.stderr.map_or_else(Stdio::null, Stdio::from);
    let mut child = Command::new(&command.exe)
        .args(command.args)
        .env_clear()
        .envs(command.env)
        .env(ENTRY_VARIABLE, entry)
        .current_dir(command.cwd)
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr)
        .spawn()
        .map_err(|source| SpawnError::Start { exe: command.exe, source })?;
    let pid = child.id();
    // Not reaped yet, so the id is still this child's, even if it has ended.
    let watched = identify(pid).ok_or(PidFdError::Gone { pid }).and_then(|id| Ok((id, PidFd::open(&id)?)));
    match watched {
        Ok((id, pidfd)) => Ok(WorkerProcess { child, id, pidfd }),
        Err(source) => {
            let ended = child.kill().and_then(|()| child.wait());
            if let Err(error) = ended {
                tracing::warn!(pid, %error, "a worker that cannot be watched could not be ended");
            }
            Err(SpawnError::Watch { pid, source })
        }
    }
}

impl WorkerProcess {
    /// Its name for ever.
    pub fn id(&self) -> ProcessId {
        self.id
    }

    /// Its descriptor: readable when it has ended.
    pub fn pidfd(&self) -> &PidFd {
        &self.pidfd
    }

    /// Reaps it if it has ended; the same answer again afterwards.
    ///
    /// # Errors
    /// When somebody else reaped it (ECHILD).
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }
}
