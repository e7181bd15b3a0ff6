//! Asking for an allocation: the request, the answer of a dry run, and the filters of the list.

use super::shown::{AllocationStatus, CpuMode, OnExpiry, Phase, QueuePlace, Resources};
use crate::notation::{GpuId, Size};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Limits on the block device of the data folder. `null`: no limit.
///
/// Direct and synchronous I/O; with cgroup v1 the kernel does not see buffered writes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IoLimits {
    /// Bytes read a second.
    #[serde(deserialize_with = "crate::lenient::optional_whole")]
    #[schema(minimum = 1, maximum = 1_000_000_000_000_u64)]
    pub read_bps: Option<u64>,
    /// Bytes written a second.
    #[serde(deserialize_with = "crate::lenient::optional_whole")]
    #[schema(minimum = 1, maximum = 1_000_000_000_000_u64)]
    pub write_bps: Option<u64>,
    /// Reads a second.
    #[serde(deserialize_with = "crate::lenient::optional_whole")]
    #[schema(minimum = 1, maximum = 1_000_000_000_000_u64)]
    pub read_iops: Option<u64>,
    /// Writes a second.
    #[serde(deserialize_with = "crate::lenient::optional_whole")]
    #[schema(minimum = 1, maximum = 1_000_000_000_000_u64)]
    pub write_iops: Option<u64>,
}

/// Which GPUs, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GpuWish {
    /// Only of this model, by the name that the driver gives; case does not matter.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 128, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    pub model: Option<String>,
    /// Only with at least so much memory, e.g. `40GiB`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Size>)]
    pub min_memory: Option<String>,
    /// Only these; none for any.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::lenient::null_is_default")]
    #[schema(value_type = Option<Vec<GpuId>>, max_items = 64)]
    pub uuids: Vec<String>,
    /// Existing MIG instances in place of whole devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mig: Option<bool>,
    /// Share each GPU in time, with so much of its memory. The kernel can't hold that: it is monitored, not enforced.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Size>)]
    pub shared_memory: Option<String>,
}

/// Further dimensions of the same lease, all or nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Requirements {
    /// CPU share of the whole pool, percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(exclusive_minimum = 0, maximum = 100)]
    pub cpu: Option<f64>,
    /// The same in thousandths of one logical CPU; not together with `cpu`.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "crate::lenient::optional_whole")]
    #[schema(minimum = 1, maximum = 4_096_000)]
    pub cpu_millis: Option<u32>,
    /// How CPU time is given; `limited` when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_mode: Option<CpuMode>,
    /// CPU time in microseconds that a limited lease may save up while idle.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "crate::lenient::optional_whole")]
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    pub cpu_burst_us: Option<u64>,
    /// Memory, a hard limit, e.g. `256MiB`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Size>)]
    pub memory: Option<String>,
    /// Memory that is kept for the lease and counts against capacity; all of `memory` when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Size>)]
    pub memory_request: Option<String>,
    /// Processes and threads; 64 when not given.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "crate::lenient::optional_whole")]
    #[schema(minimum = 1, maximum = 4_194_304)]
    pub pids: Option<u32>,
    /// Limits on the block device of the data folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io: Option<IoLimits>,
    /// A folder that holds at most so much, e.g. `1GiB`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Size>)]
    pub storage: Option<String>,
    /// GPUs.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "crate::lenient::optional_whole")]
    #[schema(minimum = 1, maximum = 64)]
    pub gpus: Option<u32>,
    /// Which GPUs, and how.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu: Option<GpuWish>,
}

/// Asks for an allocation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateAllocation {
    /// The asset to lease a part of: a cpu, memory, storage or gpu asset.
    #[schema(pattern = "^[a-z0-9][a-z0-9._-]{0,63}$")]
    pub asset_id: String,
    /// How much, in the asset's unit: percent of the pool, GB, or GPUs.
    #[schema(exclusive_minimum = 0, maximum = 1e9)]
    pub amount: f64,
    /// For how long, in seconds.
    #[serde(deserialize_with = "crate::lenient::whole")]
    #[schema(minimum = 1, maximum = 31_536_000)]
    pub duration: u64,
    /// Further dimensions of the same lease.
    #[serde(default, deserialize_with = "crate::lenient::null_is_default")]
    #[schema(value_type = Option<Requirements>)]
    pub requirements: Requirements,
    /// How long it may wait for room, in seconds. Without it, what does not fit now is refused.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::lenient::optional_whole"
    )]
    #[schema(minimum = 0, maximum = 604_800)]
    pub wait_s: Option<u64>,
    /// When it is to begin: room is kept for it from then on. At most a year ahead; not together with `wait_s`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::lenient::optional_time"
    )]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub start_time: Option<Timestamp>,
    /// A higher one goes first in the queue and may pre-empt a lower one; 50 when not given.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::lenient::optional_whole"
    )]
    #[schema(minimum = 0, maximum = 100)]
    pub priority: Option<u8>,
    /// Whether a lease of a higher priority may end it; `false` when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preemptible: Option<bool>,
    /// How long it is safe from that, in seconds; 0 when not given.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::lenient::optional_whole"
    )]
    #[schema(minimum = 0, maximum = 31_536_000)]
    pub min_runtime_s: Option<u64>,
    /// What happens when its time is over; `kill` when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_expiry: Option<OnExpiry>,
    /// How long it stays frozen before it is killed, in seconds; only with `freeze`, and then 30 when not given.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::lenient::optional_whole"
    )]
    #[schema(minimum = 1, maximum = 86_400)]
    pub grace_s: Option<u64>,
    /// How long before its end the event `allocation_expiring` comes, in seconds; 0 for none. When not given: 60, but at
    /// most half of `duration`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::lenient::optional_whole"
    )]
    #[schema(minimum = 0, maximum = 31_536_000)]
    pub warn_s: Option<u64>,
    /// Whether its folder is kept when it ends; `false` when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_storage: Option<bool>,
}

impl CreateAllocation {
    /// So much of an asset for so many seconds, and nothing else.
    pub fn new(asset_id: impl Into<String>, amount: f64, duration: u64) -> Self {
        Self {
            asset_id: asset_id.into(),
            amount,
            duration,
            requirements: Requirements::default(),
            wait_s: None,
            start_time: None,
            priority: None,
            preemptible: None,
            min_runtime_s: None,
            on_expiry: None,
            grace_s: None,
            warn_s: None,
            keep_storage: None,
        }
    }
}

/// How a request for an allocation is treated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct CreateQuery {
    /// Make nothing, and answer what would be made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
}

/// One dimension that is short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Shortage {
    /// `cpu`, `memory`, `storage`, `gpu`, `gpu_memory`, `quota_cpu` and so on.
    pub dimension: String,
    /// What was asked, in `unit`.
    pub requested: f64,
    /// What is free, in `unit`.
    pub available: f64,
    /// `percentage`, `GB`, `units`, …
    pub unit: String,
    /// When the whole request will fit if no lease is renewed; `null`: never, or nobody can say.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub fits_at: Option<Timestamp>,
    /// What the numbers don't say.
    pub detail: Option<String>,
}

/// What a request would lead to now: the answer of a dry run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AllocationPlan {
    /// Whether it would be granted at once.
    pub fits: bool,
    /// What would be granted; `null` when it does not fit.
    pub resources: Option<Resources>,
    /// Every dimension that is short.
    pub reasons: Vec<Shortage>,
    /// When it would fit if no lease is renewed; `null` when it fits now or never does.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub fits_at: Option<Timestamp>,
    /// Where it would stand in the queue, were it allowed to wait.
    pub would_wait: Option<QueuePlace>,
    /// Allocations that would be ended for it.
    pub would_preempt: Vec<String>,
}

/// Filters of the allocation list.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct AllocationQuery {
    /// Only of this asset.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(max_length = 64, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    pub asset_id: Option<String>,
    /// Only with this status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<AllocationStatus>,
    /// Only in this phase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
    /// Only those after this id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(max_length = 64)]
    pub after: Option<String>,
}
