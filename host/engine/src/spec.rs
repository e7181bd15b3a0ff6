//! One run: what is asked, with which descriptors, who watches, how it ended.
//!
//! The specification and the outcome are serialisable, because a parent process writes the one and a worker process the
//! other. What a worker may open it gets as descriptors ([`Handles`]): it has no file system to open a path in.

use hypermesh_model::{Bytes, Cause, LogLine, Operation, OutputFile};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::OwnedFd;

/// Where a guest finds the folder of its lease; `hypermesh-guest-sdk` names it to authors.
pub const LEASE_FOLDER: &str = "/lease";

/// What to run and within which limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// What to call.
    pub call: Call,
    /// The user whom the artefact's file must belong to (or to root), as the worker sees user ids: the node's.
    pub artefact_owner: u32,
    /// The most that all linear memories and tables may hold together.
    pub memory_limit: Bytes,
    /// How much fuel the guest's code has, its start function included; `None` counts none. Needs an artefact of
    /// [`Profile::Metered`](crate::Profile::Metered).
    #[serde(default)]
    pub fuel: Option<u64>,
    /// The most that standard output, an HTTP response's body and all outputs may hold together.
    pub output_bytes_limit: Bytes,
    /// The longest result, and the longest message of an error.
    pub result_bytes_limit: Bytes,
    /// The most that the log may hold; lines over it are dropped and counted.
    pub log_bytes_limit: Bytes,
    /// Granted inputs by the names that the guest sees; number i is the file named `i` in [`Handles::inputs`].
    #[serde(default)]
    pub inputs: Vec<String>,
    /// Granted folders, one for each of [`Handles::folders`].
    #[serde(default)]
    pub folders: Vec<GrantedFolder>,
    /// Where it may connect to, over TCP. None: it has no network.
    #[serde(default)]
    pub hosts: Vec<GrantedHost>,
}

/// A folder that a guest may use, and nothing above it: neither `..` nor a symbolic link leads out.
///
/// How much it may hold is the filesystem's matter: a write to a full one is an error to the guest, which WASI can name
/// (`insufficient-space`) and wasi-libc reports as EIO. A worker's RLIMIT_FSIZE counts for files in it too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantedFolder {
    /// Where the guest finds it, e.g. [`LEASE_FOLDER`].
    pub guest_path: String,
    /// Whether the guest may change what is in it.
    pub writable: bool,
}

/// A host and port that a guest may connect to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantedHost {
    /// Its name as the guest says it, or an address.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// Its addresses: what the guest is told when it looks the name up, and where it may connect to. Looked up by
    /// whoever granted it: a worker has no resolver.
    pub addresses: Vec<IpAddr>,
}

/// What to call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// Ask a job what it can do.
    Describe,
    /// Run an operation of a job.
    Run {
        /// Its name.
        operation: String,
        /// A JSON object.
        parameters: String,
    },
    /// Run a command.
    Command {
        /// Its arguments; the first is the program's name, by convention.
        arguments: Vec<String>,
        /// Its environment.
        environment: BTreeMap<String, String>,
    },
    /// Answer one HTTP request, which comes over [`Handles::connection`].
    Http,
}

/// The descriptors of one run.
#[derive(Debug)]
pub struct Handles {
    /// The compiled artefact, open for reading. Must be a file that [`vet_and_compile`](crate::vet_and_compile) made,
    /// of [`JobSpec::artefact_owner`] and writable by nobody else: it holds machine code.
    pub artefact: OwnedFd,
    /// The folder of inputs.
    pub inputs: Option<OwnedFd>,
    /// The folder for outputs; each becomes a new file there under its own name.
    pub outputs: Option<OwnedFd>,
    /// The granted folders, as in [`JobSpec::folders`].
    pub folders: Vec<OwnedFd>,
    /// What the guest reads as its standard input: a pipe, a socket or a file. Is made non-blocking. `None`: closed.
    pub stdin: Option<OwnedFd>,
    /// Where a guest's standard output goes, byte for byte. Is made blocking. `None`: to the log, by lines.
    pub stdout: Option<OwnedFd>,
    /// For [`Call::Http`]: a connected Unix stream socket, over which one HTTP/1.1 request comes.
    pub connection: Option<OwnedFd>,
}

impl Handles {
    /// Only an artefact.
    pub fn new(artefact: OwnedFd) -> Self {
        let (inputs, outputs, stdin, stdout, connection) = (None, None, None, None, None);
        Self { artefact, inputs, outputs, folders: Vec::new(), stdin, stdout, connection }
    }
}

/// Who watches a run. Called on the thread of [`Loaded::run`](crate::Loaded::run), in order, while the guest waits.
pub trait JobObserver {
    /// The guest's code begins to run.
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
    /// The answer to [`Call::Describe`].
    Described(Vec<Operation>),
    /// It gave a result.
    Completed {
        /// JSON text: a job's own; of a command `{"exit_code":0}`; of HTTP `{"status":200}`, with null where the
        /// connection ended before a whole request had come.
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
