//! Does it fit, and where: one request against one peak.
//!
//! The only place that compares what is wanted with what there is; everything else decides which peak to ask about.

use crate::cores::{self, Choice};
use crate::gpus;
use crate::index::{Demand, Index};
use crate::shortage::{Shortage, dimension, unit};
use crate::usage::Usage;
use crate::wanted::Wanted;
use hypermesh_model::{Grant, MilliCpu};
use std::collections::BTreeSet;

/// Where a request goes, in positions of the [`Index`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Placement {
    cores: Vec<usize>,
    mems: Vec<usize>,
    gpus: Vec<usize>,
}

impl Placement {
    pub(crate) fn grant(&self, index: &Index, wanted: &Wanted) -> Grant {
        let mut grant = wanted.unplanned();
        if !self.cores.is_empty() {
            grant.cpus = self.cores.iter().flat_map(|&core| index.cores[core].cpus.iter().copied()).collect();
            grant.cpus.sort_unstable();
            let milli = cores::milli(grant.cpus.len());
            grant.cpu = Some(MilliCpu(u32::try_from(milli).unwrap_or(u32::MAX)));
            grant.mems = self.mems.iter().map(|&node| index.nodes[node].id).collect();
        }
        if !self.gpus.is_empty() {
            grant.gpus = self.gpus.iter().map(|&gpu| index.gpus[gpu].uuid.clone()).collect();
            grant.gpu_memory = wanted.gpus.as_ref().and_then(|gpus| gpus.shared_memory);
        }
        grant
    }
}

/// Places a request beside the most that is in use while it runs.
///
/// # Errors
/// Every dimension that was short.
pub(crate) fn place(index: &Index, peak: &Usage, demand: &Demand) -> Result<Placement, Vec<Shortage>> {
    if !demand.is_discrete() {
        let fits = demand.amounts.fits(peak.amounts, index.capacity);
        return if fits { Ok(Placement::default()) } else { Err(sums_short(index, peak, demand, None)) };
    }
    let choice = demand.pinned.as_ref().map(|pinned| Choice::new(index, peak, pinned)).transpose();
    let eligible = demand.gpus.as_ref().map(|gpus| gpus::eligible(index, peak, gpus)).transpose();
    let cpu = choice.as_ref().ok().and_then(Option::as_ref).map(Choice::cpu);
    let mut short = sums_short(index, peak, demand, cpu);
    let (choice, eligible) = match (choice, eligible) {
        (Ok(choice), Ok(eligible)) if short.is_empty() => (choice, eligible.unwrap_or_default()),
        (choice, eligible) => {
            let after_cpu = short.iter().take_while(|s| s.dimension == dimension::CPU).count();
            short.splice(after_cpu..after_cpu, choice.err());
            short.extend(eligible.err());
            return Err(short);
        }
    };
    let budget = index.free(peak).cpu;
    let cores =
        choice.map(|choice| choice.choose(index, peak, demand, budget, &eligible)).unwrap_or_default();
    let nodes: BTreeSet<usize> = cores.iter().map(|&core| index.cores[core].node).collect();
    let nodes: Vec<usize> = nodes.into_iter().collect();
    let gpus = demand.gpus.as_ref().map(|gpus| gpus::choose(index, peak, gpus, eligible, &nodes));
    let bind = demand.memory_limit.is_some_and(|limit| cores::memory_suffices(index, peak, &nodes, limit));
    let mems = if bind { nodes } else { Vec::new() };
    Ok(Placement { cores, mems, gpus: gpus.unwrap_or_default() })
}

/// The plain sums that are short. `cpu`: what pinned cores come to, if there are any.
fn sums_short(index: &Index, peak: &Usage, demand: &Demand, cpu: Option<u64>) -> Vec<Shortage> {
    let (want, free) = (demand.amounts, index.free(peak));
    let mut short = Vec::new();
    let cpu = cpu.unwrap_or(want.cpu);
    if cpu > free.cpu {
        let pool = milli(index.capacity.cpu);
        let (want, free) = (milli(cpu).as_percent_of(pool), milli(free.cpu).as_percent_of(pool));
        short.push(Shortage::new(dimension::CPU, want, free, unit::PERCENTAGE));
    }
    if want.memory > free.memory {
        short.push(Shortage::bytes(dimension::MEMORY, want.memory, free.memory));
    }
    if want.storage > free.storage {
        short.push(Shortage::bytes(dimension::STORAGE, want.storage, free.storage));
    }
    short
}

/// As the model counts; more than 4 million CPUs are 4 million.
pub(crate) fn milli(cpu: u64) -> MilliCpu {
    MilliCpu(u32::try_from(cpu).unwrap_or(u32::MAX))
}
