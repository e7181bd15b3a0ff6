//! The machine, grants and requests with names resolved to positions, so that planning compares numbers only.
//!
//! What a grant holds of a machine that no longer has it (a GPU that fell off the bus, a CPU that went offline) is left
//! out of its [`Footprint`]: nobody else can be given it either.

use crate::machine::{Foreign, Machine};
use crate::usage::{Amounts, Usage};
use crate::wanted::Wanted;
use hypermesh_model::{CpuMode, GpuUuid, Grant};
use std::collections::{BTreeMap, BTreeSet};

/// Thousandths in a CPU.
pub(crate) const MILLI: u64 = 1000;

#[derive(Debug, Clone)]
pub(crate) struct CoreSlot {
    /// Ascending, never empty.
    pub(crate) cpus: Vec<u32>,
    pub(crate) node: usize,
}

#[derive(Debug, Clone)]
pub(crate) struct NodeSlot {
    pub(crate) id: u32,
    pub(crate) memory: Option<u64>,
}

#[derive(Debug, Clone)]
pub(crate) struct GpuSlot {
    pub(crate) uuid: GpuUuid,
    pub(crate) memory: Option<u64>,
    pub(crate) node: Option<usize>,
    /// The GPU that it is an instance of, or its instances: who holds one of these keeps this from being held whole.
    pub(crate) relatives: Vec<usize>,
    pub(crate) divided: bool,
    /// Foreign processes run there.
    pub(crate) busy: bool,
}

/// The machine.
#[derive(Debug, Clone, Default)]
pub(crate) struct Index {
    /// What leases may hold together.
    pub(crate) capacity: Amounts,
    pub(crate) cores: Vec<CoreSlot>,
    /// Whether all cores have the same number of CPUs, as nearly always.
    pub(crate) uniform: bool,
    pub(crate) nodes: Vec<NodeSlot>,
    pub(crate) gpus: Vec<GpuSlot>,
    core_of_cpu: BTreeMap<u32, usize>,
    gpu_of_uuid: BTreeMap<GpuUuid, usize>,
}

impl Index {
    pub(crate) fn new(machine: &Machine, foreign: &Foreign) -> Self {
        let mut index = Self::default();
        index.take_nodes(machine);
        index.take_cores(machine);
        index.take_gpus(machine);
        let sizes: BTreeSet<usize> = index.cores.iter().map(|core| core.cpus.len()).collect();
        index.uniform = sizes.len() <= 1;
        index.set_foreign(machine, foreign);
        index
    }

    /// Takes in what others hold.
    pub(crate) fn set_foreign(&mut self, machine: &Machine, foreign: &Foreign) {
        // No more than the known CPUs can do, so that what isn't pinned always fits on the CPUs that aren't.
        let cpus = u64::try_from(self.core_of_cpu.len()).unwrap_or(u64::MAX);
        let cpu = u64::from(machine.cpu.0).min(if cpus == 0 { u64::MAX } else { cpus * MILLI });
        self.capacity = Amounts {
            cpu,
            memory: machine.memory.0.saturating_sub(foreign.memory.0),
            storage: machine.storage.0.saturating_sub(foreign.storage.0),
        };
        for gpu in &mut self.gpus {
            gpu.busy = foreign.gpus.contains(&gpu.uuid);
        }
    }

    fn take_nodes(&mut self, machine: &Machine) {
        let named = machine.nodes.iter().map(|node| (node.id, node.memory.map(|memory| memory.0)));
        let cores = machine.cores.iter().map(|core| (core.node, None));
        let gpus = machine.gpus.iter().filter_map(|gpu| Some((gpu.node?, None)));
        let mut nodes = BTreeMap::new();
        for (id, memory) in named.chain(cores).chain(gpus) {
            nodes.entry(id).or_insert(memory);
        }
        self.nodes = nodes.into_iter().map(|(id, memory)| NodeSlot { id, memory }).collect();
    }

    fn node(&self, id: u32) -> Option<usize> {
        self.nodes.binary_search_by_key(&id, |node| node.id).ok()
    }

    fn take_cores(&mut self, machine: &Machine) {
        for core in &machine.cores {
            let Some(node) = self.node(core.node) else { continue };
            let position = self.cores.len();
            let mut cpus = core.cpus.clone();
            cpus.sort_unstable();
            cpus.dedup();
            cpus.retain(|cpu| !self.core_of_cpu.contains_key(cpu));
            if !cpus.is_empty() {
                self.core_of_cpu.extend(cpus.iter().map(|&cpu| (cpu, position)));
                self.cores.push(CoreSlot { cpus, node });
            }
        }
    }

    fn take_gpus(&mut self, machine: &Machine) {
        let mut parents = Vec::new();
        for gpu in &machine.gpus {
            if self.gpu_of_uuid.contains_key(&gpu.uuid) {
                continue;
            }
            self.gpu_of_uuid.insert(gpu.uuid.clone(), self.gpus.len());
            parents.push(gpu.parent.as_ref());
            self.gpus.push(GpuSlot {
                uuid: gpu.uuid.clone(),
                memory: gpu.memory.map(|memory| memory.0),
                node: gpu.node.and_then(|node| self.node(node)),
                relatives: Vec::new(),
                divided: gpu.divided,
                busy: false,
            });
        }
        for (child, parent) in parents.into_iter().enumerate() {
            if let Some(&parent) = parent.and_then(|uuid| self.gpu_of_uuid.get(uuid)) {
                self.gpus[child].relatives.push(parent);
                self.gpus[parent].relatives.push(child);
                // Whatever it says of itself: or one request could be given a GPU and a part of it.
                self.gpus[parent].divided = true;
            }
        }
    }

    pub(crate) fn gpu(&self, uuid: &GpuUuid) -> Option<usize> {
        self.gpu_of_uuid.get(uuid).copied()
    }

    /// Logical CPUs of some cores.
    pub(crate) fn cpus(&self, cores: &[usize]) -> usize {
        cores.iter().map(|&core| self.cores[core].cpus.len()).sum()
    }

    /// What is free of the plain sums.
    pub(crate) fn free(&self, usage: &Usage) -> Amounts {
        self.capacity.less(usage.amounts)
    }
}

/// What a grant takes of the machine.
#[derive(Debug, Clone, Default)]
pub(crate) struct Footprint {
    pub(crate) amounts: Amounts,
    pub(crate) cores: Vec<usize>,
    /// The nodes that its memory is bound to, and how many bytes.
    pub(crate) bound_to: Vec<usize>,
    pub(crate) bound: u64,
    pub(crate) gpus: Vec<usize>,
    /// Bytes of each GPU, if it shares them.
    pub(crate) shared: Option<u64>,
}

impl Footprint {
    pub(crate) fn new(index: &Index, grant: &Grant) -> Self {
        let cores: BTreeSet<usize> =
            grant.cpus.iter().filter_map(|cpu| index.core_of_cpu.get(cpu).copied()).collect();
        let gpus: BTreeSet<usize> = grant.gpus.iter().filter_map(|uuid| index.gpu(uuid)).collect();
        let amounts = Amounts {
            cpu: u64::from(grant.cpu.unwrap_or_default().0),
            memory: grant.memory_held().0,
            storage: grant.storage.unwrap_or_default().0,
        };
        Self {
            amounts,
            cores: cores.into_iter().collect(),
            bound_to: grant.mems.iter().filter_map(|&id| index.node(id)).collect(),
            bound: grant.memory.or(grant.memory_request).unwrap_or_default().0,
            gpus: gpus.into_iter().collect(),
            shared: grant.gpu_memory.map(|memory| memory.0),
        }
    }

    /// Whether it holds single things, and not only a part of sums.
    pub(crate) fn is_discrete(&self) -> bool {
        !self.cores.is_empty() || !self.gpus.is_empty() || !self.bound_to.is_empty()
    }
}

/// What a request takes of the machine, wherever it is placed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Demand {
    /// CPU: of a pinned request the least that it can come to.
    pub(crate) amounts: Amounts,
    pub(crate) pinned: Option<PinnedDemand>,
    /// The most memory it can use, bytes.
    pub(crate) memory_limit: Option<u64>,
    pub(crate) gpus: Option<GpuDemand>,
}

#[derive(Debug, Clone)]
pub(crate) struct PinnedDemand {
    /// Logical CPUs: with uniform cores rounded up to these, else the least.
    pub(crate) cpus: usize,
    /// Cores that it holds already and would keep.
    pub(crate) mine: Vec<usize>,
}

#[derive(Debug, Clone)]
pub(crate) struct GpuDemand {
    pub(crate) count: usize,
    /// Candidates that the machine has, each once.
    pub(crate) of: Vec<usize>,
    /// Bytes of each, to share it.
    pub(crate) shared: Option<u64>,
    /// GPUs that it holds already and would keep.
    pub(crate) mine: Vec<usize>,
}

impl Demand {
    pub(crate) fn new(index: &Index, wanted: &Wanted) -> Self {
        let mut demand = Self {
            amounts: Amounts {
                cpu: u64::from(wanted.cpu.unwrap_or_default().0),
                memory: wanted.memory_held().0,
                storage: wanted.storage.unwrap_or_default().0,
            },
            pinned: None,
            memory_limit: wanted.memory.or(wanted.memory_request).map(|memory| memory.0),
            gpus: None,
        };
        if let (CpuMode::Pinned, Some(cpu)) = (wanted.cpu_mode, wanted.cpu) {
            let mut cpus = usize::try_from(cpu.0.div_ceil(1000).max(1)).unwrap_or(usize::MAX);
            if index.uniform
                && let Some(core) = index.cores.first()
            {
                cpus = cpus.next_multiple_of(core.cpus.len());
            }
            demand.amounts.cpu = u64::try_from(cpus).unwrap_or(u64::MAX).saturating_mul(MILLI);
            demand.pinned = Some(PinnedDemand { cpus, mine: Vec::new() });
        }
        if let Some(gpus) = wanted.gpus.as_ref().filter(|gpus| gpus.count > 0) {
            let of: BTreeSet<usize> = gpus.of.iter().filter_map(|uuid| index.gpu(uuid)).collect();
            demand.gpus = Some(GpuDemand {
                count: usize::try_from(gpus.count).unwrap_or(usize::MAX),
                of: of.into_iter().collect(),
                shared: gpus.shared_memory.map(|memory| memory.0),
                mine: Vec::new(),
            });
        }
        demand
    }

    /// Whether it asks for single things, and not only for a part of sums.
    pub(crate) fn is_discrete(&self) -> bool {
        self.pinned.is_some() || self.gpus.is_some()
    }

    /// The same by somebody who holds `mine` already.
    pub(crate) fn keeping(mut self, mine: &Footprint) -> Self {
        if let Some(pinned) = &mut self.pinned {
            pinned.mine.clone_from(&mine.cores);
        }
        if let Some(gpus) = &mut self.gpus {
            gpus.mine.clone_from(&mine.gpus);
        }
        self
    }
}
