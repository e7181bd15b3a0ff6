//! The plain data of the cgroup interface: what to open, which limits, what was counted, what was found.

use hypermesh_model::{Bytes, CpuMode, IoLimits, MilliCpu, NodeId, ResourceUsage};
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

/// What one group is held to. `None` is no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// CPU time a second; `cpu_mode` says how it is given. The kernel's smallest quota is 1 ms a second; less is held
    /// to that. A thousand milli-CPUs weigh 100 (v1: 1024 shares), in proportion from 1 to 10000.
    pub cpu: Option<MilliCpu>,
    /// Shared: the weight alone. Limited: a quota, and the weight for when others want the CPU too. Pinned: `cpuset`.
    pub cpu_mode: CpuMode,
    /// CPU time in microseconds that a limited group may save up and use above its quota; the kernel takes at most the
    /// quota of one period (`Documentation/scheduler/sched-bwc.rst`).
    pub cpu_burst_us: Option<u64>,
    /// The cores of a pinned group; nothing for the other modes.
    pub cpuset: Option<CpuSet>,
    /// Memory, page cache included; the kernel rounds it down to whole pages. Swap on top is forbidden.
    pub memory: Option<Bytes>,
    /// Memory that the kernel takes away last when the machine runs short.
    pub memory_request: Option<Bytes>,
    /// Processes and threads.
    pub pids: Option<u32>,
    /// Rates on one block device.
    pub io: Option<IoRule>,
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

impl Limits {
    /// The cores, if the group is pinned to some.
    pub fn pinned(&self) -> Option<&CpuSet> {
        match self.cpu_mode {
            CpuMode::Pinned => self.cpuset.as_ref(),
            CpuMode::Shared | CpuMode::Limited => None,
        }
    }
}

/// Logical CPUs and memory nodes, in any order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CpuSet {
    /// Logical CPUs as the kernel numbers them.
    pub cpus: Vec<u32>,
    /// Memory nodes (NUMA); empty for all.
    pub mems: Vec<u32>,
}

/// Rates on one block device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IoRule {
    /// Major and minor number of the whole disk; the kernel refuses a partition.
    pub device: (u32, u32),
    /// The rates; zero is held to one, since the kernel reads it as none.
    pub limits: IoLimits,
}

/// What the kernel has counted for a group and everything below it. `None`: this kernel does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupUsage {
    /// CPU time in nanoseconds.
    pub cpu_time_ns: Option<u64>,
    /// Periods of the quota in which the group wanted to run; `None` for a group without a quota of its own.
    pub periods: Option<u64>,
    /// Periods in which this group's own quota held it back; `None` for a group without one: a leaf that is held back
    /// by its lease's quota shows in the lease's count.
    pub throttled_periods: Option<u64>,
    /// How long its own quota held it back, in nanoseconds, added up over CPUs.
    pub throttled_ns: Option<u64>,
    /// Memory now, page cache included.
    pub memory_current: Option<Bytes>,
    /// Memory now less page cache that was not used lately: what the kernel cannot take back without harm.
    pub memory_working_set: Option<Bytes>,
    /// Anonymous memory now.
    pub memory_anon: Option<Bytes>,
    /// Page cache now.
    pub memory_file: Option<Bytes>,
    /// Swap now.
    pub swap: Option<Bytes>,
    /// The highest memory so far, page cache included.
    pub memory_peak: Option<Bytes>,
    /// How often the memory limit stood in the way, page cache being reclaimed each time (v1 `memory.failcnt`, v2 `max`).
    pub memory_limit_hits: Option<u64>,
    /// How often the limit was hit and nothing could be reclaimed, so that the OOM killer was called. v1 counts only
    /// the kills, which are given here too.
    pub oom: Option<u64>,
    /// Kills by the OOM killer. On v1 those of leaves that were removed are no longer counted; on v2, where the lease
    /// ends as a whole, the kernel may count its first victim twice.
    pub oom_kills: Option<u64>,
    /// Bytes read from and written to block devices. v1 counts only where the kernel's throttle policy is active
    /// (always before Linux 6.10, since then on devices that ever had a throttle rule); otherwise `None`, as for a leaf of a
    /// lease with rates, which v1 counts only as a whole.
    pub io_bytes: Option<u64>,
    /// Bytes read from block devices; known when `io_bytes` is.
    pub io_read_bytes: Option<u64>,
    /// Bytes written to block devices.
    pub io_write_bytes: Option<u64>,
    /// Read operations on block devices.
    pub io_read_ops: Option<u64>,
    /// Write operations on block devices.
    pub io_write_ops: Option<u64>,
    /// Processes and threads now.
    pub pids_current: Option<u64>,
    /// How often a fork failed at the limit on processes. Before Linux 6.11, and on v1, those of leaves that were removed
    /// are no longer counted.
    pub pids_limit_hits: Option<u64>,
}

/// Pressure stall information of a group (`Documentation/accounting/psi.rst`). `None`: not counted here.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GroupPressure {
    /// Waiting for a CPU.
    pub cpu: Option<Pressure>,
    /// Waiting for memory.
    pub memory: Option<Pressure>,
    /// Waiting for block devices.
    pub io: Option<Pressure>,
}

/// The pressure on one resource.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Pressure {
    /// At least one task waited.
    pub some: Option<Stall>,
    /// All tasks that could have run waited.
    pub full: Option<Stall>,
}

/// How long tasks waited.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stall {
    /// Percent of the last 10 s, 0 to 100.
    pub avg10: f64,
    /// Percent of the last 60 s, 0 to 100.
    pub avg60: f64,
    /// Microseconds since the group was made.
    pub total_us: u64,
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
