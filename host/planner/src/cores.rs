//! Which cores a pinned lease gets.
//!
//! Whole cores only, since siblings share what makes a core fast, and never the last one, on which all others run. On one
//! memory node if any has room: best the one where the GPUs of the same request are, then one whose memory suffices,
//! then the one where the least is wasted by rounding up, then the one that is left with the fewest free CPUs, so that
//! other nodes stay whole. Else spread over as few nodes as possible.
//!
//! Cores may differ in their number of CPUs (SMT on some cores only, siblings outside the affinity mask). The cores with
//! the smallest sum that suffices are taken then: a lease is refused only if no choice of cores would do.

use crate::index::{Demand, Index, MILLI, PinnedDemand};
use crate::shortage::{Shortage, dimension, unit};
use crate::usage::Usage;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// How many cores of each size (in logical CPUs) are taken.
type Cover = BTreeMap<usize, usize>;

fn cpus_of(cover: &Cover) -> usize {
    cover.iter().map(|(size, cores)| size * cores).sum()
}

/// Thousandths of `cpus` CPUs.
pub(crate) fn milli(cpus: usize) -> u64 {
    u64::try_from(cpus).unwrap_or(u64::MAX).saturating_mul(MILLI)
}

/// What pinned cores are chosen from.
#[derive(Debug)]
pub(crate) struct Choice {
    free: Vec<usize>,
    cover: Cover,
}

impl Choice {
    /// Looks whether there are cores for a demand.
    ///
    /// # Errors
    /// The shortage if not.
    pub(crate) fn new(index: &Index, usage: &Usage, demand: &PinnedDemand) -> Result<Self, Shortage> {
        Self::find(index, usage, demand).ok_or_else(|| shortage(index, usage, demand))
    }

    /// The same without saying why not.
    pub(crate) fn find(index: &Index, usage: &Usage, demand: &PinnedDemand) -> Option<Self> {
        let free = free(index, usage);
        let cover = cover(index, &free, demand.cpus)?;
        // At every instant a core is left that nobody pins.
        let left = cover.values().sum::<usize>() < others(index, usage);
        left.then_some(Self { free, cover })
    }

    /// The CPU time that the lease is charged with at least, in thousandths.
    pub(crate) fn cpu(&self) -> u64 {
        milli(cpus_of(&self.cover))
    }

    /// Chooses; ascending. `budget`: thousandths of CPU that may be taken; `gpus`: those that would do.
    pub(crate) fn choose(
        &self,
        index: &Index,
        usage: &Usage,
        demand: &Demand,
        budget: u64,
        gpus: &[usize],
    ) -> Vec<usize> {
        let Some(pinned) = &demand.pinned else { return Vec::new() };
        let wanted_gpus = demand.gpus.as_ref().map_or(0, |gpus| gpus.count);
        let gpus_on = |node: usize| {
            let on_node = gpus.iter().filter(|&&gpu| index.gpus[gpu].node == Some(node)).count();
            on_node.min(wanted_gpus)
        };
        let mut cores = None;
        if pinned.mine.is_empty() {
            cores = self.on_one_node(index, usage, demand, budget, gpus_on);
        }
        let mut cores = cores.unwrap_or_else(|| self.spread(index, &pinned.mine, gpus_on));
        cores.sort_unstable();
        cores
    }

    fn on_node(&self, index: &Index, node: usize) -> Vec<usize> {
        self.free.iter().copied().filter(|&core| index.cores[core].node == node).collect()
    }

    fn on_one_node(
        &self,
        index: &Index,
        usage: &Usage,
        demand: &Demand,
        budget: u64,
        gpus_on: impl Fn(usize) -> usize,
    ) -> Option<Vec<usize>> {
        let cpus = demand.pinned.as_ref()?.cpus;
        let others = others(index, usage);
        let nodes = (0..index.nodes.len()).filter_map(|node| {
            let free = self.on_node(index, node);
            let cover = cover(index, &free, cpus)?;
            let sum = cpus_of(&cover);
            if milli(sum) > budget || cover.values().sum::<usize>() >= others {
                return None;
            }
            let memory =
                demand.memory_limit.is_none_or(|limit| memory_suffices(index, usage, &[node], limit));
            let rank = (Reverse(gpus_on(node)), !memory, sum, index.cpus(&free) - sum, node);
            Some((rank, free, cover))
        });
        let (_, free, cover) = nodes.min_by_key(|(rank, ..)| *rank)?;
        Some(take(index, &free, cover))
    }

    fn spread(&self, index: &Index, mine: &[usize], gpus_on: impl Fn(usize) -> usize) -> Vec<usize> {
        let rank_of_node: Vec<_> = (0..index.nodes.len())
            .map(|node| {
                let mine = mine.iter().filter(|&&core| index.cores[core].node == node).count();
                let free = index.cpus(&self.on_node(index, node));
                (Reverse(mine), Reverse(gpus_on(node)), Reverse(free), node)
            })
            .collect();
        let mut free = self.free.clone();
        free.sort_by_key(|core| (!mine.contains(core), rank_of_node[index.cores[*core].node], *core));
        take(index, &free, self.cover.clone())
    }
}

/// Whether the memory of some nodes that nobody is bound to suffices; false when it isn't known.
pub(crate) fn memory_suffices(index: &Index, usage: &Usage, nodes: &[usize], limit: u64) -> bool {
    let room =
        |&node: &usize| index.nodes[node].memory.map(|memory| memory.saturating_sub(usage.bound[node]));
    let rooms: Option<Vec<u64>> = nodes.iter().map(room).collect();
    rooms.is_some_and(|rooms| rooms.into_iter().fold(0, u64::saturating_add) >= limit)
}

/// The cover's cores, the first of each size.
fn take(index: &Index, cores: &[usize], mut cover: Cover) -> Vec<usize> {
    let mut taken = Vec::new();
    for &core in cores {
        if let Some(left) = cover.get_mut(&index.cores[core].cpus.len()).filter(|left| **left > 0) {
            *left -= 1;
            taken.push(core);
        }
    }
    taken
}

/// The cores with the smallest sum of CPUs that is at least `cpus`; `None` when all together are fewer.
fn cover(index: &Index, cores: &[usize], cpus: usize) -> Option<Cover> {
    let mut sizes: Vec<usize> = cores.iter().map(|&core| index.cores[core].cpus.len()).collect();
    if sizes.iter().sum::<usize>() < cpus {
        return None;
    }
    if index.uniform {
        let size = *sizes.first()?;
        return Some(Cover::from([(size, cpus.div_ceil(size))]));
    }
    // Which sums can be reached, core by core, large ones first: fewer cores.
    sizes.sort_unstable_by_key(|size| Reverse(*size));
    let most = cpus + sizes.first()? - 1;
    let mut reached: Vec<Option<Cover>> = vec![None; most + 1];
    reached[0] = Some(Cover::new());
    for size in sizes {
        for sum in (size..=most).rev() {
            if reached[sum].is_none()
                && let Some(before) = &reached[sum - size]
            {
                let mut cover = before.clone();
                *cover.entry(size).or_default() += 1;
                reached[sum] = Some(cover);
            }
        }
    }
    reached.into_iter().skip(cpus).flatten().next()
}

/// The cores that nobody pins at any time.
fn free(index: &Index, usage: &Usage) -> Vec<usize> {
    (0..index.cores.len()).filter(|&core| usage.cores[core] == 0).collect()
}

/// How many cores nobody pins at the worst time.
fn others(index: &Index, usage: &Usage) -> usize {
    index.cores.len().saturating_sub(usage.pinned)
}

fn shortage(index: &Index, usage: &Usage, demand: &PinnedDemand) -> Shortage {
    let free = free(index, usage);
    let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let all = index.cpus(&free);
    // Of what is free, the smallest core must stay if no other is left.
    let stays = if free.len() >= others(index, usage) {
        free.iter().map(|&core| index.cores[core].cpus.len()).min().unwrap_or(0)
    } else {
        0
    };
    let detail = if index.cores.is_empty() {
        "which CPUs share a core is not known here, so none can be pinned"
    } else {
        "whole cores are pinned, and one always stays for everybody else"
    };
    Shortage::new(dimension::PINNED_CPUS, number(demand.cpus), number(all - stays), unit::CPUS)
        .because(detail.to_owned())
}
