//! VM executions.

use crate::allocations::Proof;
use crate::lenient::optional_whole;
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
    /// The result, JSON text from the guest.
    pub output: Option<String>,
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
    /// `guest_error`, `trap`, `guest_memory`, `out_of_memory`, `wall_time`, `cpu_time`, `output_limit`, `cancelled`,
    /// `lease_ended`, `unknown_operation`, `worker_lost`.
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
