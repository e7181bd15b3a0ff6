//! What an allocation uses now, as the kernel and the GPUs' driver count. `null`: not counted here.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// CPU time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CpuUsage {
    /// Used since the allocation began, seconds.
    pub time_s: Option<f64>,
    /// CPUs in use since the last reading; `null` in the first.
    pub cores: Option<f64>,
    /// Time that its threads were held back by its limit, seconds.
    pub throttled_s: Option<f64>,
    /// Periods in which they were.
    pub throttled_periods: Option<u64>,
    /// Periods in which it ran at all.
    pub periods: Option<u64>,
}

/// Memory, bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemoryUsage {
    /// Charged now.
    pub current: Option<u64>,
    /// The same without what the kernel would drop first: inactive file pages.
    pub working_set: Option<u64>,
    /// Anonymous memory.
    pub anon: Option<u64>,
    /// Cached files.
    pub file: Option<u64>,
    /// Swapped out.
    pub swap: Option<u64>,
    /// Highest so far.
    pub peak: Option<u64>,
    /// The limit.
    pub limit: Option<u64>,
}

/// Processes and threads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PidsUsage {
    /// Now.
    pub current: Option<u64>,
    /// The limit.
    pub limit: Option<u64>,
    /// How often the limit refused one.
    pub limit_hits: Option<u64>,
}

/// Block I/O since the allocation began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IoUsage {
    /// Bytes read.
    pub read_bytes: Option<u64>,
    /// Bytes written.
    pub write_bytes: Option<u64>,
    /// Reads.
    pub reads: Option<u64>,
    /// Writes.
    pub writes: Option<u64>,
}

/// Time lost waiting for one resource, percent (kernel documentation, accounting/psi).
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Pressure {
    /// Some task waited, average of 10 s.
    pub some_avg10: Option<f64>,
    /// Some task waited, average of 60 s.
    pub some_avg60: Option<f64>,
    /// All tasks waited, average of 10 s.
    pub full_avg10: Option<f64>,
    /// All tasks waited, average of 60 s.
    pub full_avg60: Option<f64>,
}

/// Time lost waiting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PressureUsage {
    /// For a CPU.
    pub cpu: Option<Pressure>,
    /// For memory.
    pub memory: Option<Pressure>,
    /// For block I/O.
    pub io: Option<Pressure>,
}

/// One GPU of the allocation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct GpuUsage {
    /// Its UUID.
    pub uuid: String,
    /// Time in which a kernel ran on it, percent.
    pub utilization_percent: Option<f64>,
    /// Bytes of its memory in use by anybody.
    pub memory_used: Option<u64>,
    /// Bytes of its memory in use by processes of this allocation.
    pub memory_of_lease: Option<u64>,
    /// Watts.
    pub power_watts: Option<f64>,
    /// Degrees Celsius.
    pub temperature_celsius: Option<f64>,
}

/// The folder, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StorageUsage {
    /// In use.
    pub used: Option<u64>,
    /// The most that it can hold.
    pub size: Option<u64>,
}

/// What an allocation uses now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AllocationUsage {
    /// The allocation.
    pub allocation_id: String,
    /// When it was read.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// CPU time.
    pub cpu: CpuUsage,
    /// Memory.
    pub memory: MemoryUsage,
    /// Processes and threads.
    pub pids: PidsUsage,
    /// Block I/O.
    pub io: IoUsage,
    /// Time lost waiting.
    pub pressure: PressureUsage,
    /// Its GPUs.
    pub gpus: Vec<GpuUsage>,
    /// Its folder; `null` without one.
    pub storage: Option<StorageUsage>,
    /// Processes that the OOM killer ended.
    pub oom_kills: Option<u64>,
    /// Processes now.
    pub processes: Option<u64>,
}

/// The data of the last event, `ended`, of a followed usage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsageEnded {
    /// The allocation.
    pub allocation_id: String,
    /// How it ended.
    pub phase: super::Phase,
    /// Why.
    pub end_reason: Option<String>,
}

/// How usage is read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct UsageQuery {
    /// Go on until the allocation ends, as server-sent events; `accept: text/event-stream` means the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub follow: Option<bool>,
    /// Seconds between two readings of a followed usage; 1 when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 60)]
    pub interval: Option<u64>,
}
