//! VM executions.

use crate::allocations::Proof;
use crate::lenient::optional_whole;
use crate::notation::Size;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

/// Where an execution is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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

/// A stored blob that the guest may read, under a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The name that the guest sees.
    #[schema(min_length = 1, max_length = 128, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    pub name: String,
    /// SHA-256 of the blob, from `POST /api/v1/blobs`.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub digest: String,
}

fn default_timeout() -> u64 {
    300
}
fn default_requires_consensus() -> bool {
    true
}
fn default_allocation_duration() -> u64 {
    3600
}
fn timeout<'de, D: Deserializer<'de>>(d: D) -> Result<u64, D::Error> {
    Ok(optional_whole(d)?.unwrap_or_else(default_timeout))
}
fn requires_consensus<'de, D: Deserializer<'de>>(d: D) -> Result<bool, D::Error> {
    Ok(Option::deserialize(d)?.unwrap_or_else(default_requires_consensus))
}
fn allocation_duration<'de, D: Deserializer<'de>>(d: D) -> Result<u64, D::Error> {
    Ok(optional_whole(d)?.unwrap_or_else(default_allocation_duration))
}

/// Asks for an execution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExecuteVm {
    /// The vm asset to run.
    #[schema(pattern = "^[a-z0-9][a-z0-9._-]{0,63}$")]
    pub vm_asset_id: String,
    /// The operation; the vm's entrypoint when empty.
    #[schema(max_length = 128, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    pub operation: String,
    /// Parameters of the operation.
    #[schema(value_type = Object)]
    pub parameters: Map<String, Value>,
    /// Wall-time limit in seconds.
    #[serde(default = "default_timeout", deserialize_with = "timeout")]
    #[schema(nullable, default = 300, minimum = 1, maximum = 31_536_000)]
    pub timeout: u64,
    /// CPU-time limit in seconds, user and system; without it only the wall-time limit and the CPU quota hold.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "optional_whole")]
    #[schema(minimum = 1, maximum = 31_536_000)]
    pub cpu_time_limit: Option<u64>,
    /// Whether the four proofs are wanted. Recorded; no validator is configured in this build.
    #[serde(default = "default_requires_consensus", deserialize_with = "requires_consensus")]
    #[schema(nullable, default = true)]
    pub requires_consensus: bool,
    /// Longest life of the allocation that is made for it, in seconds. It ends with the execution.
    #[serde(default = "default_allocation_duration", deserialize_with = "allocation_duration")]
    #[schema(nullable, default = 3600, minimum = 1, maximum = 31_536_000)]
    pub allocation_duration: u64,
    /// Runs in this active allocation, which must hold cpu and memory, instead of making one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[a-z0-9][a-z0-9._-]{0,63}$")]
    pub allocation_id: Option<String>,
    /// Files that are granted, read-only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 256)]
    pub inputs: Vec<Input>,
    /// What a guest reads as standard input; nothing when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<Stdin>,
    /// Folders of the node's machine that are granted. The node's operator lists what may be (`grant_folders`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 16)]
    pub folders: Vec<Folder>,
    /// TCP ports that the guest may connect to; none when not given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 16)]
    pub network: Vec<Host>,
    /// Limits below those of the vm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// Tries it again when it fails; not when it was cancelled, its allocation ended, or it has no such operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<Retries>,
    /// How long it may wait for room, in seconds, where it brings its own allocation. Without it, what does not fit now is
    /// refused.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "optional_whole")]
    #[schema(minimum = 0, maximum = 604_800)]
    pub wait_s: Option<u64>,
    /// Its place among those that wait, 0 to 100; the higher is served first. 50 when not given.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "optional_whole")]
    #[schema(minimum = 0, maximum = 100)]
    pub priority: Option<u8>,
}

impl ExecuteVm {
    /// A request with everything else as it is when not given.
    pub fn new(vm_asset_id: impl Into<String>, operation: impl Into<String>) -> Self {
        Self {
            vm_asset_id: vm_asset_id.into(),
            operation: operation.into(),
            parameters: Map::new(),
            timeout: default_timeout(),
            cpu_time_limit: None,
            requires_consensus: default_requires_consensus(),
            allocation_duration: default_allocation_duration(),
            allocation_id: None,
            inputs: Vec::new(),
            stdin: None,
            folders: Vec::new(),
            network: Vec::new(),
            limits: None,
            retries: None,
            wait_s: None,
            priority: None,
        }
    }
}

/// What a guest reads as standard input: one of the two.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Stdin {
    /// SHA-256 of a stored blob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub digest: Option<String>,
    /// What is sent to `PUT /api/v1/vm/executions/{id}/stdin` while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<bool>,
}

/// A folder that is granted, with everything below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Folder {
    /// Its real path on the node's machine, absolute.
    #[schema(min_length = 1, max_length = 1024, pattern = r"^/[^\x00-\x1f\x7f-\x9f]*$")]
    pub path: String,
    /// Where the guest finds it, absolute; the same path when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 1024, pattern = r"^/[^\x00-\x1f\x7f-\x9f]*$")]
    pub guest_path: Option<String>,
    /// Whether the guest may change what is in it; `false` when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writable: Option<bool>,
}

/// A TCP port of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// A name or an address. A name is resolved when the execution starts.
    #[schema(min_length = 1, max_length = 253, pattern = r"^[A-Za-z0-9.:_-]*$")]
    pub host: String,
    /// The port.
    #[serde(deserialize_with = "crate::lenient::whole")]
    #[schema(minimum = 1, maximum = 65_535)]
    pub port: u16,
}

/// Limits of one execution, each at most what its vm allows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Memory of the guest, e.g. `64MiB`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Size>)]
    pub memory: Option<String>,
    /// Units of fuel, about one a WebAssembly instruction. Only what has a limit is counted.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "optional_whole")]
    #[schema(minimum = 1, maximum = 1_000_000_000_000_000_u64)]
    pub fuel: Option<u64>,
    /// Output files and standard output together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Size>)]
    pub output: Option<String>,
    /// Log; lines over it are dropped and counted. At most 1 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Size>)]
    pub log: Option<String>,
    /// Open files of the worker process, its own few included.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "optional_whole")]
    #[schema(minimum = 32, maximum = 1024)]
    pub open_files: Option<u32>,
}

/// Whether a failed execution is tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Retries {
    /// How often at most, after the first time.
    #[serde(deserialize_with = "crate::lenient::whole")]
    #[schema(minimum = 0, maximum = 20)]
    pub max: u32,
    /// Seconds before the first further try, doubled for each one after it, at most an hour. 1 when not given.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "optional_whole")]
    #[schema(minimum = 0, maximum = 3600)]
    pub backoff_s: Option<u64>,
}

/// A try that failed and was followed by another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AttemptView {
    /// When its worker process was started.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub start_time: Option<Timestamp>,
    /// When it ended.
    #[schema(value_type = String, format = DateTime)]
    pub end_time: Timestamp,
    /// Exit code of the worker.
    pub exit_code: Option<i32>,
    /// Why it ended.
    pub cause: CauseView,
    /// What the kernel counted.
    pub resource_usage: ResourceUsage,
}

/// How long to wait for the end.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct WaitQuery {
    /// Answer when the execution has ended, or after so many seconds, whichever is first. 0: at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(minimum = 0, maximum = 60)]
    pub wait: Option<u32>,
}

/// What was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RequestView {
    /// The operation.
    pub operation: String,
    /// Its parameters.
    #[schema(value_type = Object)]
    pub parameters: Map<String, Value>,
    /// Wall-time limit in seconds.
    pub timeout: u64,
    /// CPU-time limit in seconds; `null` for none of its own.
    pub cpu_time_limit: Option<u64>,
    /// Whether the four proofs are wanted.
    pub requires_consensus: bool,
    /// Files that were granted.
    pub inputs: Vec<Input>,
    /// Standard input; `null` for none.
    pub stdin: Option<Stdin>,
    /// Folders that were granted.
    pub folders: Vec<Folder>,
    /// Where it may connect to.
    pub network: Vec<Host>,
    /// Limits of its own.
    pub limits: Limits,
    /// Whether it is tried again.
    pub retries: Retries,
}

/// What the kernel counted, from the execution's own cgroup. `null`: not measurable here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ResourceUsage {
    /// CPU time in seconds.
    pub cpu_time: Option<f64>,
    /// Highest memory in bytes, page cache included.
    pub memory_peak: Option<u64>,
    /// Bytes over the network.
    pub network_bytes: Option<u64>,
    /// Bytes read from and written to block devices.
    pub storage_io: Option<u64>,
    /// Periods in which the CPU limit held it back.
    pub throttled_periods: Option<u64>,
}

/// How it went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExecutionView {
    /// When its worker process was started.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub start_time: Option<Timestamp>,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub end_time: Option<Timestamp>,
    /// Exit code of the worker; `null` while it runs, after a signal, and after a re-adoption.
    pub exit_code: Option<i32>,
    /// The result, JSON text from the guest; up to 1 MiB.
    pub output: Option<String>,
    /// The blob that holds a longer result: `GET /api/v1/blobs/{digest}`.
    pub output_digest: Option<String>,
    /// What the kernel counted.
    pub resource_usage: ResourceUsage,
    /// When it was accepted.
    #[schema(value_type = String, format = DateTime)]
    pub queued_at: Timestamp,
    /// When its guest began to run.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub running_at: Option<Timestamp>,
}

/// Why an execution ended other than with a result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CauseView {
    /// `guest_error`, `exit_code`, `trap`, `stack`, `guest_memory`, `out_of_memory`, `wall_time`, `cpu_time`, `fuel`,
    /// `output_limit`, `cancelled`, `lease_ended`, `unknown_operation`, `worker_lost`.
    pub kind: String,
    /// The same for people, with the number that was hit.
    pub message: String,
    /// The numbers, by name.
    #[schema(value_type = Object)]
    pub data: Map<String, Value>,
}

/// What is known of the four proofs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConsensusState {
    /// The caller did not want them.
    NotRequired,
    /// The caller wanted them; this node has no validator to check them.
    NoValidatorConfigured,
}

/// A file that the guest wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Output {
    /// Its name; fetch it from `/api/v1/vm/executions/{id}/outputs/{name}`.
    pub name: String,
    /// Its length in bytes.
    pub size: u64,
}

/// An execution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VmExecution {
    /// Its id.
    pub id: String,
    /// The vm that it runs.
    pub vm_asset_id: String,
    /// The allocation that it runs in.
    pub allocation_id: String,
    /// Where it is in its life.
    pub status: ExecutionStatus,
    /// What was asked.
    pub request: RequestView,
    /// How it went.
    pub execution: ExecutionView,
    /// Empty until validators are configured.
    pub consensus_proofs: Vec<Proof>,
    /// What is known of the four proofs.
    pub consensus: ConsensusState,
    /// The address of a proxy to it, where there is one.
    pub proxy_address: Option<String>,
    /// Why it ended, if not with a result.
    pub cause: Option<CauseView>,
    /// Files that the guest wrote.
    pub outputs: Vec<Output>,
    /// Tries that failed before the present one.
    pub attempts: Vec<AttemptView>,
    /// When it is tried again, while it waits for that.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub retry_at: Option<Timestamp>,
    /// Log lines dropped over the limit.
    pub dropped_log_lines: u64,
    /// Who asked.
    pub requester_id: String,
}

/// Filters of the execution list.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ExecutionQuery {
    /// Only of this vm.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(max_length = 64, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    pub vm_asset_id: Option<String>,
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
    /// Only those after this id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(max_length = 64)]
    pub after: Option<String>,
}

/// What a cancel did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Cancelled {
    /// Whether it was running and is now ending.
    pub cancelled: bool,
    /// Why not.
    pub reason: Option<String>,
}

/// One line of an execution's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// `trace`, `debug`, `info`, `warn`, `error`, `stdout`, `stderr` or `progress`.
    pub level: String,
    /// The text.
    pub message: String,
}

/// A page of an execution's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Logs {
    /// The execution.
    pub execution_id: String,
    /// Lines, oldest first.
    pub lines: Vec<LogLine>,
    /// Give this as `after` to read on.
    pub next: u64,
    /// Whether no more lines will come.
    pub complete: bool,
    /// Lines dropped over the limit so far, where known.
    pub dropped_log_lines: u64,
}

/// Which part of a log.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct LogQuery {
    /// Skip so many lines: `next` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(minimum = 0, maximum = 1_000_000_000_000_u64)]
    pub after: Option<u64>,
    /// At most so many lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 10_000)]
    pub limit: Option<u32>,
    /// When no line is there yet, wait so many seconds for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(minimum = 0, maximum = 60)]
    pub wait: Option<u32>,
}

/// A line of a log that is followed, or its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum StreamLine {
    /// An event `line`.
    Line(LogLine),
    /// An event `end`.
    End {
        /// Lines dropped over the limit.
        dropped_log_lines: u64,
    },
}

/// Which part of a standard output.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct StdoutQuery {
    /// Skip so many bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(minimum = 0, maximum = 1_000_000_000_000_u64)]
    pub offset: Option<u64>,
    /// Go on until the execution has ended; `false` when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub follow: Option<bool>,
}

/// What a standard input took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Sent {
    /// Bytes that the guest was given.
    pub bytes: u64,
    /// Whether the guest ended, or closed it, before all was sent.
    pub closed_by_guest: bool,
}

/// A stored blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Blob {
    /// SHA-256, 64 hexadecimal digits.
    pub digest: String,
    /// Length in bytes.
    pub size: u64,
}

/// Which part of the list of blobs.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct BlobQuery {
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
    /// Only those after this digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(max_length = 64)]
    pub after: Option<String>,
}
