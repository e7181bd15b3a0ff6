//! One run: what is asked, who watches, how it ended.
//!
//! Serialisable, because a parent process writes the specification and a worker process the outcome.

use hypermesh_model::{Bytes, Cause, LogLine, Operation, OutputFile};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Where a guest finds the folder that was granted to it; `hypermesh-guest-sdk` names it to authors.
pub const LEASE_FOLDER: &str = "/lease";

/// What to run and within which limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// The compiled artefact. Must be a file that [`vet_and_compile`](crate::vet_and_compile) made, owned by this user
    /// and writable by nobody else: it holds machine code.
    pub cwasm: PathBuf,
    /// What to call.
    pub call: JobCall,
    /// The most that all linear memories and tables may hold together.
    pub memory_limit: Bytes,
    /// Granted inputs: the name that the guest sees, and the file.
    pub inputs: Vec<(String, PathBuf)>,
    /// The folder of its lease, which the guest finds at [`LEASE_FOLDER`]; `None` gives it no folder at all.
    #[serde(default)]
    pub folder: Option<GrantedFolder>,
    /// An existing folder for outputs; each becomes a new file there under its own name.
    pub output_dir: PathBuf,
    /// The most that all outputs may hold together.
    pub output_bytes_limit: Bytes,
    /// The longest result, and the longest message of an error.
    pub result_bytes_limit: Bytes,
    /// The most that the log may hold; lines over it are dropped and counted.
    pub log_bytes_limit: Bytes,
}

/// A folder that a guest may use, and nothing above it: neither `..` nor a symbolic link leads out.
///
/// How much it may hold is the filesystem's matter: a write to a full one is an error to the guest, which WASI can name
/// (`insufficient-space`) and wasi-libc reports as EIO. A worker's RLIMIT_FSIZE counts for files in it too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantedFolder {
    /// An existing folder, absolute.
    pub path: PathBuf,
    /// Whether the guest may change what is in it.
    pub writable: bool,
}

/// What to call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobCall {
    /// Ask what the job can do.
    Describe,
    /// Run an operation.
    Run {
        /// Its name.
        operation: String,
        /// A JSON object.
        parameters: String,
    },
}

/// Who watches a run. Called on the thread of [`run`](crate::run), in order, while the guest waits.
pub trait JobObserver {
    /// The component is loaded and its code begins to run.
    fn running(&mut self);
    /// The guest logged or printed a line.
    fn log(&mut self, line: LogLine);
    /// The guest reported progress: `done` of `total`, and what it was doing. At most ten a second, and the last one.
    fn progress(&mut self, done: u64, total: Option<u64>, note: &str);
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobOutcome {
    /// The answer to [`JobCall::Describe`].
    Described(Vec<Operation>),
    /// The operation gave a result.
    Completed {
        /// JSON text.
        result: String,
        /// The files that it wrote, in order of creation.
        outputs: Vec<OutputFile>,
        /// Log lines that were dropped over the limit.
        dropped_log_lines: u64,
    },
    /// It gave none. Files in the output folder are leftovers.
    Failed {
        /// Why.
        cause: Cause,
        /// Log lines that were dropped over the limit.
        dropped_log_lines: u64,
    },
}
