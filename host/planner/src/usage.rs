//! What is in use at an instant, or at most at any instant of a window.
//!
//! Every rule of the planner is of the form "the most that is in use during the window, plus what is wanted, is at most
//! what there is", dimension by dimension. So one [`Usage`] stands for an instant as well as for the peak of a window,
//! and one function ([`crate::place`]) judges both.

use crate::index::{Footprint, Index};

/// The dimensions that are plain sums.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Amounts {
    /// Thousandths of a CPU, pinned ones included.
    pub(crate) cpu: u64,
    /// Bytes.
    pub(crate) memory: u64,
    /// Bytes.
    pub(crate) storage: u64,
}

impl Amounts {
    pub(crate) fn add(&mut self, other: Self) {
        self.cpu = self.cpu.saturating_add(other.cpu);
        self.memory = self.memory.saturating_add(other.memory);
        self.storage = self.storage.saturating_add(other.storage);
    }

    pub(crate) fn sub(&mut self, other: Self) {
        *self = self.less(other);
    }

    /// What is left of it.
    pub(crate) fn less(self, other: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(other.cpu),
            memory: self.memory.saturating_sub(other.memory),
            storage: self.storage.saturating_sub(other.storage),
        }
    }

    fn raise(&mut self, other: Self) {
        self.cpu = self.cpu.max(other.cpu);
        self.memory = self.memory.max(other.memory);
        self.storage = self.storage.max(other.storage);
    }

    /// Whether this and `held` are together at most `capacity`. What isn't wanted isn't looked at: a dimension that is
    /// over capacity, because others took more of it, hinders only those who want it.
    pub(crate) fn fits(self, held: Self, capacity: Self) -> bool {
        let fits = |want: u64, held: u64, capacity: u64| want == 0 || held.saturating_add(want) <= capacity;
        fits(self.cpu, held.cpu, capacity.cpu)
            && fits(self.memory, held.memory, capacity.memory)
            && fits(self.storage, held.storage, capacity.storage)
    }
}

/// How a GPU is in use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct GpuUse {
    /// Leases that hold it alone; more than one only after nonsense was restored.
    pub(crate) exclusive: u32,
    /// Leases that share it.
    pub(crate) shared: u32,
    /// Bytes that these were promised.
    pub(crate) memory: u64,
}

impl GpuUse {
    /// Whether anybody holds it.
    pub(crate) fn held(self) -> bool {
        self.exclusive > 0 || self.shared > 0
    }
}

/// See the module head. Vectors are parallel to those of [`Index`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) amounts: Amounts,
    /// Leases that pin each core.
    pub(crate) cores: Vec<u32>,
    /// Cores that are pinned; of a window the most at one instant.
    pub(crate) pinned: usize,
    /// Bytes of leases that are bound to each node. One that is bound to several counts in full on each: a little too
    /// careful, and never too much.
    pub(crate) bound: Vec<u64>,
    pub(crate) gpus: Vec<GpuUse>,
}

impl Usage {
    pub(crate) fn empty(index: &Index) -> Self {
        Self {
            amounts: Amounts::default(),
            cores: vec![0; index.cores.len()],
            pinned: 0,
            bound: vec![0; index.nodes.len()],
            gpus: vec![GpuUse::default(); index.gpus.len()],
        }
    }

    pub(crate) fn add(&mut self, footprint: &Footprint) {
        self.amounts.add(footprint.amounts);
        for &core in &footprint.cores {
            self.pinned += usize::from(self.cores[core] == 0);
            self.cores[core] += 1;
        }
        for &node in &footprint.bound_to {
            self.bound[node] = self.bound[node].saturating_add(footprint.bound);
        }
        for &gpu in &footprint.gpus {
            let gpu = &mut self.gpus[gpu];
            match footprint.shared {
                None => gpu.exclusive += 1,
                Some(memory) => {
                    gpu.shared += 1;
                    gpu.memory = gpu.memory.saturating_add(memory);
                }
            }
        }
    }

    pub(crate) fn sub(&mut self, footprint: &Footprint) {
        self.amounts.sub(footprint.amounts);
        for &core in &footprint.cores {
            self.cores[core] = self.cores[core].saturating_sub(1);
            self.pinned = self.pinned.saturating_sub(usize::from(self.cores[core] == 0));
        }
        for &node in &footprint.bound_to {
            self.bound[node] = self.bound[node].saturating_sub(footprint.bound);
        }
        for &gpu in &footprint.gpus {
            let gpu = &mut self.gpus[gpu];
            match footprint.shared {
                None => gpu.exclusive = gpu.exclusive.saturating_sub(1),
                Some(memory) => {
                    gpu.shared = gpu.shared.saturating_sub(1);
                    gpu.memory = gpu.memory.saturating_sub(memory);
                }
            }
        }
    }

    /// Raises a peak to what is in use now, where `footprint`, which has just begun, touches it.
    pub(crate) fn raise(&mut self, now: &Self, footprint: &Footprint) {
        self.amounts.raise(now.amounts);
        self.pinned = self.pinned.max(now.pinned);
        for &core in &footprint.cores {
            self.cores[core] = self.cores[core].max(now.cores[core]);
        }
        for &node in &footprint.bound_to {
            self.bound[node] = self.bound[node].max(now.bound[node]);
        }
        for &gpu in &footprint.gpus {
            let (peak, now) = (&mut self.gpus[gpu], now.gpus[gpu]);
            peak.exclusive = peak.exclusive.max(now.exclusive);
            peak.shared = peak.shared.max(now.shared);
            peak.memory = peak.memory.max(now.memory);
        }
    }
}
