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
    /// Exit code of the worker process; `None` while it runs, when a signal ended it, or when it was re-adopted.
    pub exit_code: Option<i32>,
    /// The result, JSON text from the guest.
    pub output: Option<String>,
    /// Why it ended, if not with a result.
    pub cause: Option<Cause>,
    /// Files that the guest wrote.
    pub outputs: Vec<OutputFile>,
    /// Log lines that were dropped over the limit.
    pub dropped_log_lines: u64,
    /// What the kernel counted.
    pub usage: ResourceUsage,
}
