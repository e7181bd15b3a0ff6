//! The worker process: waits parked, runs one guest, leaves the outcome, exits.
//!
//! Forked from the zygote (hidden subcommand of the same binary), which has made the engine and linked the host's
//! interfaces before. It has no filesystem: all that it may touch came as descriptors ([`crate::workers::Role`]). It says
//! `R` to the node when the guest begins; everything else goes into the files of [`super::folder`], so that what it leaves
//! outlives the node.
//!
//! Exit codes: 0 a result, 1 the guest failed with a cause in the outcome, 70 the worker could not even begin.

use super::folder::write_outcome;
use crate::workers::{Role, WorkerJob};
use hypermesh_engine::{Handles, JobObserver, JobOutcome, JobSpec, Runtime};
use hypermesh_model::{LogLine, Timestamp, error_chain};
use hypermesh_sandbox::Task;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::mem::ManuallyDrop;
use std::os::fd::OwnedFd;

/// EX_SOFTWARE of sysexits(3).
const CANNOT_BEGIN: u8 = 70;
/// What a worker says when its guest begins.
pub(crate) const RUNNING: u8 = b'R';

/// The zygote's main function. Returns its exit code.
pub fn zygote_main() -> u8 {
    hypermesh_sandbox::zygote_main(|| Runtime::new().map_err(|e| error_chain(&e)), work)
}

/// One job, in a process of its own. Returns the exit code.
fn work(runtime: &Runtime, mut task: Task) -> u8 {
    let given = match Given::take(&mut task) {
        Ok(given) => given,
        Err(message) => return give_up(&message),
    };
    let Given { spec, handles, log, outcome } = given;
    let mut observer = Observer { log: BufWriter::new(log), task };
    let ended = match runtime.load(&spec, handles) {
        Ok(loaded) => match observer.task.close_jail() {
            // Never dropped: this process ends next, and the kernel frees its memory at once.
            Ok(()) => ManuallyDrop::new(loaded).run(&mut observer),
            // Never without its jail.
            Err(error) => return give_up(&format!("closing the jail: {}", error_chain(&error))),
        },
        Err(cause) => JobOutcome::Failed { cause, dropped_log_lines: 0 },
    };
    let failed = matches!(ended, JobOutcome::Failed { .. });
    if let Err(error) = observer.log.flush().and_then(|()| write_outcome(outcome, ended)) {
        return give_up(&format!("writing the outcome: {error}"));
    }
    u8::from(failed)
}

/// The node shows this as the cause's detail.
fn give_up(message: &str) -> u8 {
    let _ = writeln!(io::stderr(), "{message}");
    CANNOT_BEGIN
}

/// What was given, by role.
struct Given {
    spec: JobSpec,
    handles: Handles,
    log: File,
    outcome: File,
}

impl Given {
    fn take(task: &mut Task) -> Result<Self, String> {
        let job: WorkerJob =
            serde_json::from_slice(&task.job).map_err(|e| format!("the job can't be read: {e}"))?;
        let (mut one, mut folders) = (Vec::new(), Vec::new());
        for (role, fd) in job.roles.into_iter().zip(std::mem::take(&mut task.fds)) {
            if role == Role::Folder { folders.push(fd) } else { one.push((role, fd)) }
        }
        let mut find = |role: Role| -> Option<OwnedFd> {
            let at = one.iter().position(|(r, _)| *r == role)?;
            Some(one.swap_remove(at).1)
        };
        let missing = |what: &str| format!("no {what} was given");
        Ok(Self {
            log: find(Role::Log).ok_or_else(|| missing("log"))?.into(),
            outcome: find(Role::Outcome).ok_or_else(|| missing("outcome"))?.into(),
            handles: Handles {
                artefact: find(Role::Artefact).ok_or_else(|| missing("artefact"))?,
                inputs: find(Role::Inputs),
                outputs: find(Role::Outputs),
                folders,
                stdin: find(Role::Stdin),
                stdout: find(Role::Stdout),
                connection: find(Role::Connection),
            },
            spec: job.spec,
        })
    }
}

struct Observer {
    log: BufWriter<File>,
    task: Task,
}

impl Observer {
    fn line(&mut self, line: &LogLine) {
        // The engine bounds the text (`MAX_LOG_BYTES`); a full disk loses log lines, not the result.
        let written = serde_json::to_writer(&mut self.log, line).map_err(io::Error::from);
        let _ = written.and_then(|()| self.log.write_all(b"\n")).and_then(|()| self.log.flush());
    }
}

impl JobObserver for Observer {
    fn running(&mut self) {
        self.task.say(RUNNING);
    }

    fn log(&mut self, line: LogLine) {
        self.line(&line);
    }

    fn progress(&mut self, done: u64, total: Option<u64>, note: &str) {
        let message = serde_json::json!({ "done": done, "total": total, "note": note }).to_string();
        self.line(&LogLine { at: Timestamp::now(), level: "progress".into(), message });
    }
}
