//! The plain data of the cgroup interface: what to open, which limits, what was counted, what was found.

use hypermesh_model::{Bytes, MilliCpu, NodeId, ResourceUsage};
use std::fmt;
use std::path::PathBuf;

/// Which kernel interface holds the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CgroupVersion {
    /// Controllers on v1 hierarchies, no cgroup2 mount.
    V1,
    /// One cgroup2 hierarchy with all controllers.
    V2,
    /// Controllers on v1, and a cgroup2 mount without them.
    Hybrid,
    /// No usable cgroups.
    None,
}

impl fmt::Display for CgroupVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
            Self::Hybrid => "hybrid",
            Self::None => "none",
        })
    }
}

/// What [`crate::open`] needs to know.
#[derive(Debug, Clone)]
pub struct CgroupSettings {
    /// `/` in production; a folder with `proc` and `sys` below it in tests.
    pub system_root: PathBuf,
    /// Absolute cgroup path below the mount (`/hypermesh.slice`) under which `hypermesh` is made. `None` chooses, in each
    /// hierarchy, the group where an earlier start of this node left its folder, else the node's own group. So a node
    /// that crashed and was started again in another group still finds its leases.
    pub parent: Option<String>,
    /// The node, which names its own folder.
    pub node: NodeId,
    /// Device minors of all NVIDIA GPUs of the machine (`/dev/nvidia<minor>`).
    pub gpu_minors: Vec<u32>,
}

/// Hard limits of one group. `None` is no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// CPU time a second. The kernel's smallest quota is 1 ms a second; less is held to that.
    pub cpu: Option<MilliCpu>,
    /// Memory, page cache included; the kernel rounds it down to whole pages. Swap on top is forbidden.
    pub memory: Option<Bytes>,
    /// Processes and threads.
    pub pids: Option<u32>,
    /// The GPUs that may be opened; `None` asks for no filter, no access forbids all.
    pub gpus: Option<GpuAccess>,
}

/// GPUs that a group may open. The default is none of the machine's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GpuAccess {
    /// Whole GPUs, by device minor (`/dev/nvidia<minor>`).
    pub minors: Vec<u32>,
    /// MIG instances.
    pub instances: Vec<MigAccess>,
}

impl GpuAccess {
    /// Whole GPUs.
    pub fn whole(minors: impl IntoIterator<Item = u32>) -> Self {
        Self { minors: minors.into_iter().collect(), instances: Vec::new() }
    }

    /// Whether no GPU may be opened.
    pub fn is_empty(&self) -> bool {
        self.minors.is_empty() && self.instances.is_empty()
    }
}

/// For people: `GPU 0, 1, 2/gi3/ci0`.
impl fmt::Display for GpuAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.minors.iter().map(u32::to_string);
        let parts: Vec<_> = whole.chain(self.instances.iter().map(MigAccess::to_string)).collect();
        if parts.is_empty() { f.write_str("no GPU") } else { write!(f, "GPU {}", parts.join(", ")) }
    }
}

/// A MIG instance that a group may open (NVIDIA, "MIG User Guide").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MigAccess {
    /// Device minor of the GPU that it is a part of.
    pub minor: u32,
    /// Its GPU instance.
    pub gpu_instance: u32,
    /// Its compute instance; `None` for all of the GPU instance.
    pub compute_instance: Option<u32>,
}

impl fmt::Display for MigAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/gi{}", self.minor, self.gpu_instance)?;
        self.compute_instance.map_or(Ok(()), |compute| write!(f, "/ci{compute}"))
    }
}

/// What the kernel has counted for a group and everything below it. `None`: this kernel does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupUsage {
    /// CPU time in nanoseconds.
    pub cpu_time_ns: Option<u64>,
    /// Memory now, page cache included.
    pub memory_current: Option<Bytes>,
    /// The highest memory so far, page cache included.
    pub memory_peak: Option<Bytes>,
    /// Kills by the OOM killer. On v1 those of leaves that were removed are no longer counted; on v2, where the lease
    /// ends as a whole, the kernel may count its first victim twice.
    pub oom_kills: Option<u64>,
    /// Periods in which this group's own quota held it back; `None` for a group without one: a leaf that is held back
    /// by its lease's quota shows in the lease's count.
    pub throttled_periods: Option<u64>,
    /// Bytes read from and written to block devices. v1 counts only where the kernel's throttle policy is active
    /// (always before Linux 6.10, since then on devices that ever had a throttle rule); otherwise `None`.
    pub io_bytes: Option<u64>,
}

impl From<GroupUsage> for ResourceUsage {
    fn from(usage: GroupUsage) -> Self {
        Self {
            cpu_time_ns: usage.cpu_time_ns,
            memory_peak: usage.memory_peak,
            network_bytes: None,
            storage_io: usage.io_bytes,
            throttled_periods: usage.throttled_periods,
        }
    }
}

/// A lease that the kernel's tree holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundLease {
    /// The name of its group.
    pub id: String,
    /// The record that was saved with it, where the kernel keeps extended attributes.
    pub record: Option<String>,
    /// Whether a process lives in it.
    pub populated: bool,
}
