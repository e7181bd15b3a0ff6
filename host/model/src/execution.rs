//! VM executions: one run of one operation of one package, in its own worker process.
//!
//! ```text
//! queued ──lease active──▶ starting ──worker in its cgroup──▶ running ──result──▶ completed
//!    │                        │                                  ├──cause──▶ failed
//!    └────────────────────────┴────────────cancel────────────────┴─────────▶ cancelled
//! ```

use crate::{AssetId, BlobDigest, Bytes, CatalogId, ExecutionId, LeaseId, Subject, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Where an execution is in its life. See the module head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the contract's")]
pub enum ExecutionStatus {
    Queued,
    Starting,
    Running,
    Completed,
    Failed,
    Cancelled,
}

impl ExecutionStatus {
    /// Whether nothing more will happen.
    pub fn is_final(self) -> bool {
        match self {
            Self::Completed | Self::Failed | Self::Cancelled => true,
            Self::Queued | Self::Starting | Self::Running => false,
        }
    }
}

/// A file that is granted to the guest, read-only, under a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputFile {
    /// The name that the guest sees.
    pub name: String,
    /// Which stored blob it is.
    pub digest: BlobDigest,
}

/// A file that the guest wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputFile {
    /// The name that the guest gave.
    pub name: String,
    /// Its length.
    pub size: Bytes,
}

/// What was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExecutionRequest {
    /// The operation of the package.
    pub operation: String,
    /// Its parameters.
    pub parameters: Map<String, Value>,
    /// Wall-time limit in seconds.
    pub timeout_seconds: u64,
    /// CPU-time limit in seconds, user and system; `None`: what the wall-time limit and the CPU quota allow.
    pub cpu_limit_seconds: Option<u64>,
    /// Whether the caller wants the four proofs.
    pub requires_consensus: bool,
    /// Files that are granted.
    pub inputs: Vec<InputFile>,
    /// What the guest reads as standard input.
    #[serde(default)]
    pub stdin: Stdin,
    /// Folders of the host that are granted.
    #[serde(default)]
    pub folders: Vec<FolderGrant>,
    /// Where it may connect to.
    #[serde(default)]
    pub network: Vec<HostGrant>,
    /// Limits of its own, each at most what the vm allows.
    #[serde(default)]
    pub limits: ExecutionLimits,
    /// Whether it is tried again.
    #[serde(default)]
    pub retries: Retries,
}

/// What a guest reads as standard input.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stdin {
    /// Nothing: it is at its end at once.
    #[default]
    Closed,
    /// A stored blob.
    Blob(BlobDigest),
    /// What is sent while it runs. It ends with the node: a restarted one can't go on with it.
    Stream,
}

/// A folder of the host that is granted to a guest, with everything below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderGrant {
    /// Its path on the host, absolute.
    pub path: std::path::PathBuf,
    /// Where the guest finds it, absolute.
    pub guest_path: String,
    /// Whether the guest may change what is in it.
    pub writable: bool,
}

/// A TCP port of a host that a guest may connect to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostGrant {
    /// A name, or an address as text.
    pub host: String,
    /// The port, 1 to 65535.
    pub port: u16,
}

/// Limits of one execution. `None`: what the vm allows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutionLimits {
    /// Memory of the guest.
    pub memory: Option<Bytes>,
    /// Units of fuel: about one an instruction (`Config::consume_fuel` of wasmtime). Counting costs time, so there is
    /// none without a limit.
    pub fuel: Option<u64>,
    /// Bytes of output files and standard output together.
    pub output: Option<Bytes>,
    /// Bytes of log; lines over it are dropped and counted.
    pub log: Option<Bytes>,
    /// Open files of the worker process (RLIMIT_NOFILE), its own few included.
    pub open_files: Option<u32>,
}

/// Whether a failed execution is tried again. One that was cancelled, whose lease ended or that has no such operation
/// is not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retries {
    /// How often at most, after the first time.
    pub max: u32,
    /// Seconds before the first further try; doubled for each one after it.
    pub backoff_seconds: u64,
}

/// The longest wait before a further try, in seconds.
pub const MAX_BACKOFF_SECONDS: u64 = 3600;

impl Retries {
    /// Seconds before the next try, after so many tries; `None` when there is none.
    pub fn wait_after(&self, tries: u32) -> Option<u64> {
        let factor = 1u64.checked_shl(tries.saturating_sub(1)).unwrap_or(u64::MAX);
        (tries <= self.max).then(|| self.backoff_seconds.saturating_mul(factor).min(MAX_BACKOFF_SECONDS))
    }
}

/// A try that failed and was followed by another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// When its worker process was started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Exit code of the worker process.
    pub exit_code: Option<i32>,
    /// Why it ended.
    pub cause: Cause,
    /// What the kernel counted.
    pub usage: ResourceUsage,
}

/// Why an execution ended other than with a result. Every variant carries the number that was hit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Cause {
    /// The guest returned its own error.
    GuestError {
        /// What it said, cut to the output limit.
        message: String,
    },
    /// A WebAssembly trap.
    Trap {
        /// The trap, e.g. `wasm unreachable instruction executed`.
        message: String,
        /// The WebAssembly backtrace, innermost first.
        backtrace: Vec<String>,
    },
    /// The guest asked for more memory than its limit and gave up.
    GuestMemory {
        /// The limit on its linear memories and tables.
        limit: Bytes,
        /// What it would have held.
        wanted: Bytes,
    },
    /// The kernel's OOM killer ended the worker.
    OutOfMemory {
        /// The cgroup's limit.
        limit: Bytes,
    },
    /// The wall-time limit passed.
    WallTime {
        /// The limit in seconds.
        limit_seconds: u64,
    },
    /// The CPU-time limit passed.
    CpuTime {
        /// The limit in milliseconds.
        limit_ms: u64,
        /// What the kernel had counted.
        used_ms: u64,
    },
    /// The guest's code took more fuel than it was given. Fuel is counted by executed instruction: same component, same
    /// input, same count.
    Fuel {
        /// How much it was given.
        limit: u64,
    },
    /// The guest's calls nested deeper than its stack holds.
    Stack {
        /// The size of the stack.
        limit: Bytes,
        /// The WebAssembly backtrace, innermost first.
        backtrace: Vec<String>,
    },
    /// A command ended with an exit code that says failure.
    ExitCode {
        /// The code, 1 to 255. A guest that only says that it failed, as WASI has it, gives 1.
        code: u8,
    },
    /// The result, the standard output or the output files were larger than allowed.
    OutputLimit {
        /// The limit.
        limit: Bytes,
    },
    /// Somebody cancelled it.
    Cancelled {
        /// Who.
        by: Subject,
    },
    /// Its lease ended before it did.
    LeaseEnded {
        /// The lease.
        lease: LeaseId,
    },
    /// The component does not export what the host calls, or refused the operation's name.
    UnknownOperation {
        /// The operations that it has.
        known: Vec<String>,
    },
    /// The worker ended without an outcome: killed by something else, or a fault of ours.
    WorkerLost {
        /// What is known.
        detail: String,
    },
}

/// What the kernel counted, read from the execution's own cgroup.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ResourceUsage {
    /// CPU time in nanoseconds.
    pub cpu_time_ns: Option<u64>,
    /// Highest memory, page cache included.
    pub memory_peak: Option<Bytes>,
    /// Bytes over the network. Guests have none here, so the kernel counts none: `None`.
    pub network_bytes: Option<u64>,
    /// Bytes read from and written to block devices.
    pub storage_io: Option<u64>,
    /// Periods in which the CPU limit held it back.
    pub throttled_periods: Option<u64>,
}

/// One line that a guest logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When.
    pub at: Timestamp,
    /// `trace`, `debug`, `info`, `warn`, `error`, `stdout`, `stderr` or `progress`.
    pub level: String,
    /// The text, without its newline.
    pub message: String,
}

/// An execution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Execution {
    /// Its id.
    pub id: ExecutionId,
    /// The vm asset that it runs.
    pub vm_asset_id: AssetId,
    /// The package that it runs.
    pub package: CatalogId,
    /// The lease that it runs in.
    pub lease_id: LeaseId,
    /// Who asked.
    pub requester: Subject,
    /// What was asked.
    pub request: ExecutionRequest,
    /// Where it is in its life.
    pub status: ExecutionStatus,
    /// When it was accepted.
    pub queued_at: Timestamp,
    /// When its worker process was started.
    pub started_at: Option<Timestamp>,
    /// When its guest began to run.
    pub running_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// The worker: process id and its start time in clock ticks since boot, which together name one process.
    pub worker: Option<(u32, u64)>,
    /// The leaf of the lease's group that its worker is in; empty before it has one.
    #[serde(default)]
    pub leaf: String,
    /// CPU time in nanoseconds that the leaf had used before the guest was given to it.
    #[serde(default)]
    pub cpu_before_ns: u64,
    /// Tries that failed before the present one.
    #[serde(default)]
    pub attempts: Vec<Attempt>,
    /// When it is tried again, while it waits for that.
    #[serde(default)]
    pub retry_at: Option<Timestamp>,
    /// Exit code of the worker process; `None` while it runs, when a signal ended it, or when it was re-adopted.
    pub exit_code: Option<i32>,
    /// The result, JSON text from the guest; `None` too when it is too long to be kept here.
    pub output: Option<String>,
    /// The blob that holds a result that is too long.
    #[serde(default)]
    pub output_blob: Option<BlobDigest>,
    /// Why it ended, if not with a result.
    pub cause: Option<Cause>,
    /// Files that the guest wrote.
    pub outputs: Vec<OutputFile>,
    /// Log lines that were dropped over the limit.
    pub dropped_log_lines: u64,
    /// What the kernel counted.
    pub usage: ResourceUsage,
}
