//! Changing an allocation: its size, its end, and the processes in it.

use super::create::IoLimits;
use crate::notation::Size;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Changes the size of an allocation. What is not given stays as it is; the change is made as a whole or not at all.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ResizeAllocation {
    /// CPU share of the whole pool, percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(exclusive_minimum = 0, maximum = 100)]
    pub cpu: Option<f64>,
    /// The same in thousandths of one logical CPU; not together with `cpu`.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "crate::lenient::optional_whole")]
    #[schema(minimum = 1, maximum = 4_096_000)]
    pub cpu_millis: Option<u32>,
    /// CPU time in microseconds that may be saved up; 0 for none.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "crate::lenient::optional_whole")]
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    pub cpu_burst_us: Option<u64>,
    /// Memory, a hard limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Size>)]
    pub memory: Option<String>,
    /// Memory that is kept for the lease.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Size>)]
    pub memory_request: Option<String>,
    /// Processes and threads.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "crate::lenient::optional_whole")]
    #[schema(minimum = 1, maximum = 4_194_304)]
    pub pids: Option<u32>,
    /// Limits on the block device; members that are not given stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io: Option<IoLimits>,
    /// The folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Size>)]
    pub storage: Option<String>,
    /// Shrink below what is in use; what does not fit is killed. Without it, that is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
}

/// Moves the end of an allocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RenewAllocation {
    /// It ends so many seconds from now.
    #[serde(deserialize_with = "crate::lenient::whole")]
    #[schema(minimum = 1, maximum = 31_536_000)]
    pub duration: u64,
}

/// Moves a running process into an allocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AttachProcess {
    /// The process, as the node's machine numbers it.
    #[serde(deserialize_with = "crate::lenient::whole")]
    #[schema(minimum = 1, maximum = 4_194_304)]
    pub pid: u32,
}

/// Something of an attached process that did not move with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Stays {
    /// What, e.g. `charged_memory`, `open_device`, `child`.
    pub what: String,
    /// Which, and what that means.
    pub detail: String,
    /// How much, where it is memory.
    pub bytes: Option<u64>,
}

/// A process that was moved into an allocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Attached {
    /// The allocation.
    pub allocation_id: String,
    /// The process.
    pub pid: u32,
    /// Its command, where it can be read.
    pub command: Option<String>,
    /// Its threads, which moved with it.
    pub threads: u32,
    /// What holds it from now on.
    pub moved: Vec<String>,
    /// What did not move with it.
    pub stays: Vec<Stays>,
}
