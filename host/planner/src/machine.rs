//! What there is to give, and what others took of it: plain data, measured by somebody else.
//!
//! A [`Machine`] changes when hardware does (a CPU goes offline, MIG instances are made), [`Foreign`] with every
//! measurement. Nothing is checked here: a core without CPUs or a GPU that is listed twice is dropped when the machine is
//! taken in, so that a measuring fault makes the machine smaller, never larger.

use hypermesh_model::{Bytes, GpuUuid, MilliCpu};

/// What the machine can give.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Machine {
    /// All CPU time: the smallest of online CPUs, affinity and the quotas of the own cgroup chain.
    pub cpu: MilliCpu,
    /// Every core that may be used; empty where the topology isn't known: then nothing can be pinned.
    pub cores: Vec<Core>,
    /// The memory nodes. Those that only cores or GPUs name are known too, with unknown memory.
    pub nodes: Vec<NumaNode>,
    /// All memory: the smaller of host and own cgroup chain.
    pub memory: Bytes,
    /// All that folders of leases may hold together.
    pub storage: Bytes,
    /// All GPUs and MIG instances.
    pub gpus: Vec<Gpu>,
}

/// A physical core.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Core {
    /// Its logical CPUs (SMT siblings) that may be used.
    pub cpus: Vec<u32>,
    /// The memory node that it is next to.
    pub node: u32,
}

/// A memory node (NUMA).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NumaNode {
    /// The kernel's number of it.
    pub id: u32,
    /// Its memory; `None` when the kernel doesn't say: then no lease is bound to it.
    pub memory: Option<Bytes>,
}

/// A GPU, or a MIG instance, which is leased like one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    /// Its UUID as NVML prints it.
    pub uuid: GpuUuid,
    /// Its model.
    pub model: Option<String>,
    /// Its memory; `None`: unknown, so that it can't be shared.
    pub memory: Option<Bytes>,
    /// The memory node that it is next to.
    pub node: Option<u32>,
    /// The GPU that it is an instance of; `None` for a whole GPU.
    pub parent: Option<GpuUuid>,
    /// Whether it has MIG instances. Then these can be leased, and it can't. One that instances name is divided anyway.
    pub divided: bool,
}

/// What others hold (the system, processes outside leases), as measured last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Foreign {
    /// Memory.
    pub memory: Bytes,
    /// Storage where the folders of leases are.
    pub storage: Bytes,
    /// GPUs and MIG instances on which foreign processes run. None of these is given exclusively; a lease that shares
    /// a GPU may come to one, but goes to another where it can, since how much memory is left there isn't known.
    pub gpus: Vec<GpuUuid>,
}
