//! The enforcement receipt: for each limit, which file holds it and which value the kernel said it holds.

use serde::{Deserialize, Serialize};

/// Whether the kernel enforces a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnforcementState {
    /// Written, read back, equal.
    Enforced,
    /// The kernel took it but gives no guarantee (e.g. `memory.soft_limit_in_bytes`).
    BestEffort,
    /// The kernel can't hold it; the node watches it and acts when it is passed.
    Monitored,
    /// Not enforced; the reason says why.
    Unenforced,
}

/// One limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnforcementEntry {
    /// `cpu`, `cpu_weight`, `cpuset`, `memory`, `memory_request`, `swap`, `oom_group`, `pids`, `io_read_bps`, …, `storage`,
    /// `gpu`, `gpu_memory`.
    pub limit: String,
    /// Whether it is enforced.
    pub state: EnforcementState,
    /// What was asked, in the file's own notation.
    pub requested: String,
    /// What the kernel holds, as read back; `None` when nothing could be read.
    pub actual: Option<String>,
    /// The kernel file, absolute; of a device program the group that it is attached to.
    pub file: Option<String>,
    /// Why it is not (fully) enforced.
    pub reason: Option<String>,
}

/// One layer of the jail around a guest: what the kernel does beside the limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JailLayer {
    /// `mount_namespace`, `pid_namespace`, …, `uid`, `capabilities`, `no_new_privileges`, `rlimits`, `landlock`, `seccomp`.
    pub layer: String,
    /// Whether it surrounds every guest. A guest doesn't run when an active one can't be put around it.
    pub active: bool,
    /// What it does here, or why it is not active, for people.
    pub detail: String,
}

/// All limits of one lease.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnforcementReceipt {
    /// `v1`, `v2`, `hybrid` or `none`.
    pub cgroup_version: String,
    /// The cgroup directories of the lease, absolute.
    pub cgroups: Vec<String>,
    /// One entry a limit.
    pub entries: Vec<EnforcementEntry>,
}

impl EnforcementReceipt {
    /// Whether the kernel holds every limit. A guarantee that it gives as best effort is not a limit.
    pub fn is_enforced(&self) -> bool {
        self.entries
            .iter()
            .all(|e| matches!(e.state, EnforcementState::Enforced | EnforcementState::BestEffort))
    }
}
