//! The worker process: enters its cgroup, runs one guest, leaves the outcome, exits.
//!
//! Runs in a process of its own (hidden subcommand of the same binary), single-threaded when it starts. It says `R` on
//! its standard output when the guest begins; everything else goes through the files of [`super::folder`].
//!
//! Exit codes: 0 a result, 1 the guest failed with a cause in the outcome, 70 the worker could not even begin.

use super::folder::{Folder, WorkerJob};
use hypermesh_engine::{Handles, JobObserver, JobOutcome, Runtime};
use hypermesh_model::{Cause, error_chain};
use hypermesh_model::{LogLine, Timestamp};
use hypermesh_sandbox::Entry;
use std::error::Error;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// EX_SOFTWARE of sysexits(3).
const CANNOT_BEGIN: u8 = 70;

/// The worker's main function. Returns the exit code.
pub fn run(folder: PathBuf) -> u8 {
    let folder = Folder::at(folder);
    let begun = Entry::from_environment()
        .and_then(|entry| hypermesh_sandbox::enter(&entry))
        .map_err(|e| describe("entering the sandbox", &e))
        .and_then(|()| {
            let job = folder.read_job().map_err(|e| describe("reading the job", &e))?;
            let log = File::create(folder.log()).map_err(|e| describe("making the log", &e))?;
            Ok((job, log))
        });
    let (job, log) = match begun {
        Ok(begun) => begun,
        Err(message) => {
            // The node shows this as the cause's detail.
            let _ = writeln!(io::stderr(), "{message}");
            return CANNOT_BEGIN;
        }
    };
    let mut observer = Observer { log: BufWriter::new(log) };
    let outcome = execute(&job, &folder, &mut observer)
        .unwrap_or_else(|cause| JobOutcome::Failed { cause, dropped_log_lines: 0 });
    let failed = matches!(outcome, JobOutcome::Failed { .. });
    if let Err(error) = observer.log.flush().and_then(|()| folder.write_outcome(&outcome)) {
        let _ = writeln!(io::stderr(), "writing the outcome: {error}");
        return CANNOT_BEGIN;
    }
    u8::from(failed)
}

fn execute(job: &WorkerJob, folder: &Folder, observer: &mut Observer) -> Result<JobOutcome, Cause> {
    let lost = |doing: &str, error: &dyn Error| Cause::WorkerLost { detail: describe(doing, error) };
    let open = |path: &Path| {
        File::open(path).map(OwnedFd::from).map_err(|e| lost(&format!("opening {}", path.display()), &e))
    };
    let runtime = Runtime::new().map_err(|e| lost("setting up the engine", &e))?;
    let handles = Handles {
        inputs: Some(open(&folder.inputs())?),
        outputs: Some(open(&folder.outputs())?),
        folders: job.folder.iter().map(|path| open(path)).collect::<Result<_, _>>()?,
        ..Handles::new(open(&job.artefact)?)
    };
    Ok(runtime.load(&job.spec, handles)?.run(observer))
}

fn describe(doing: &str, error: &dyn Error) -> String {
    format!("{doing}: {}", error_chain(error))
}

struct Observer {
    log: BufWriter<File>,
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
        let mut out = io::stdout();
        // The node may be gone; then nobody waits for this.
        let _ = out.write_all(b"R").and_then(|()| out.flush());
    }

    fn log(&mut self, line: LogLine) {
        self.line(&line);
    }

    fn progress(&mut self, done: u64, total: Option<u64>, note: &str) {
        let message = serde_json::json!({ "done": done, "total": total, "note": note }).to_string();
        self.line(&LogLine { at: Timestamp::now(), level: "progress".into(), message });
    }
}
