//! The enforcement receipt of an allocation: what the kernel holds, where, and how to join it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whether the kernel enforces a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EnforcementState {
    /// Written, read back, equal.
    Enforced,
    /// The kernel took it but gives no guarantee.
    BestEffort,
    /// The kernel can't hold it; the node watches it and acts when it is passed.
    Monitored,
    /// Not enforced; the reason says why.
    Unenforced,
}

/// One limit: what was asked, which file holds it, what the kernel said it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EnforcementEntry {
    /// `cpu`, `cpu_weight`, `cpuset`, `memory`, `memory_request`, `swap`, `pids`, `io_read_bps`, `storage`, `gpu`, …
    pub limit: String,
    /// Whether it is enforced.
    pub state: EnforcementState,
    /// What was asked, in the file's notation.
    pub requested: String,
    /// What the kernel holds.
    pub actual: Option<String>,
    /// The kernel file.
    pub file: Option<String>,
    /// Why it is not enforced.
    pub reason: Option<String>,
}

/// What the lease has used so far, as the kernel counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LeaseUsage {
    /// CPU time in seconds.
    pub cpu_time: Option<f64>,
    /// Memory now, bytes.
    pub memory_current: Option<u64>,
    /// Highest memory, bytes.
    pub memory_peak: Option<u64>,
    /// Processes now.
    pub processes: u64,
    /// Processes that the OOM killer ended.
    pub oom_kills: Option<u64>,
    /// Periods in which the CPU limit held it back.
    pub throttled_periods: Option<u64>,
}

/// A layer of the jail around every guest of this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JailLayer {
    /// `mount_namespace`, `pid_namespace`, `network_namespace`, …, `uid`, `capabilities`, `no_new_privileges`, `landlock`,
    /// `seccomp`.
    pub layer: String,
    /// Whether it is there. A guest does not run when one that is can't be put around it.
    pub active: bool,
    /// What it does here, or why it is not there.
    pub detail: String,
}

/// The enforcement receipt of an allocation, read from the kernel now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Enforcement {
    /// The allocation.
    pub allocation_id: String,
    /// `v1`, `v2`, `hybrid` or `none`.
    pub cgroup_version: String,
    /// The cgroup directories.
    pub cgroups: Vec<String>,
    /// The files to which a process of this machine writes `0` to join the allocation, all of them, in this order. Where
    /// one has `{leaf}` in its path, the process first makes the folder of that name, of its own choice but the same in
    /// all files: a folder of the allocation's own group, which takes in no processes itself. Empty where there is no
    /// group to join.
    pub join: Vec<String>,
    /// One entry a limit.
    pub entries: Vec<EnforcementEntry>,
    /// What stands between a guest that runs in it and the machine, beside the limits.
    #[serde(default)]
    pub jail: Vec<JailLayer>,
    /// What was used; `null` once the allocation has ended.
    pub usage: Option<LeaseUsage>,
    /// When this was read.
    #[schema(value_type = String, format = DateTime)]
    pub read_at: Timestamp,
}
