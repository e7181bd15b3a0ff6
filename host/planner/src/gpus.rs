//! Which GPUs a request gets.
//!
//! - Exclusive: nobody holds it, shared or not, and no foreign process runs there.
//! - Shared: nobody holds it exclusively, and the memory that was promised to all who share it is at most its own.
//! - A divided GPU is not given; an instance is, unless somebody still holds the GPU it is part of.
//!
//! Which of those that would do: those that the lease has already, then those next to its cores, then the emptiest GPU
//! for an exclusive instance (fewest neighbours on the same chip) and the fullest for a shared one (so that whole GPUs
//! stay free), then the first.

use crate::index::{GpuDemand, Index};
use crate::shortage::{Shortage, dimension, unit};
use crate::usage::Usage;
use std::cmp::Reverse;

/// Why a GPU can't be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hindrance {
    Divided,
    Foreign,
    Held,
    /// Its memory isn't known, so that it can't be shared.
    MemoryUnknown,
    /// So many bytes are left.
    Memory(u64),
}

/// Whether a candidate can be given.
pub(crate) fn hindrance(index: &Index, usage: &Usage, demand: &GpuDemand, gpu: usize) -> Option<Hindrance> {
    let (slot, used) = (&index.gpus[gpu], usage.gpus[gpu]);
    if slot.divided {
        return Some(Hindrance::Divided);
    }
    if used.exclusive > 0 || slot.relatives.iter().any(|&relative| usage.gpus[relative].held()) {
        return Some(Hindrance::Held);
    }
    let Some(wanted) = demand.shared else {
        let foreign = slot.busy && !demand.mine.contains(&gpu);
        return match (used.held(), foreign) {
            (true, _) => Some(Hindrance::Held),
            (false, true) => Some(Hindrance::Foreign),
            (false, false) => None,
        };
    };
    let Some(memory) = slot.memory else { return Some(Hindrance::MemoryUnknown) };
    let left = memory.saturating_sub(used.memory);
    (wanted > left).then_some(Hindrance::Memory(left))
}

/// The candidates that can be given.
///
/// # Errors
/// The shortage when these are too few.
pub(crate) fn eligible(index: &Index, usage: &Usage, demand: &GpuDemand) -> Result<Vec<usize>, Shortage> {
    let fine = |gpu: &usize| hindrance(index, usage, demand, *gpu).is_none();
    let eligible: Vec<usize> = demand.of.iter().copied().filter(fine).collect();
    if eligible.len() >= demand.count { Ok(eligible) } else { Err(shortage(index, usage, demand)) }
}

/// Whether enough candidates can be given.
pub(crate) fn are_enough(index: &Index, usage: &Usage, demand: &GpuDemand) -> bool {
    let fine = demand.of.iter().filter(|&&gpu| hindrance(index, usage, demand, gpu).is_none());
    fine.count() >= demand.count
}

/// Counts, as far as people can read them.
fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn shortage(index: &Index, usage: &Usage, demand: &GpuDemand) -> Shortage {
    let (mut fine, mut divided, mut foreign, mut unknown) = (0, 0, 0, 0);
    // Bytes left on each GPU that can be shared at all.
    let mut left: Vec<u64> = Vec::new();
    for &gpu in &demand.of {
        match hindrance(index, usage, demand, gpu) {
            None => {
                fine += 1;
                let total = index.gpus[gpu].memory.unwrap_or_default();
                left.push(total.saturating_sub(usage.gpus[gpu].memory));
            }
            Some(Hindrance::Divided) => divided += 1,
            Some(Hindrance::Foreign) => foreign += 1,
            Some(Hindrance::Held) => {}
            Some(Hindrance::MemoryUnknown) => unknown += 1,
            Some(Hindrance::Memory(bytes)) => left.push(bytes),
        }
    }
    let reasons = [
        (divided, "divided into MIG instances, which can be leased instead"),
        (foreign, "busy with processes that belong to no lease"),
        (unknown, "of unknown memory, so that it can't be shared"),
    ];
    let reasons = reasons.iter().filter(|(count, _)| *count > 0);
    let detail: Vec<String> = reasons.map(|(count, reason)| format!("{count} {reason}")).collect();
    let detail = (!detail.is_empty()).then(|| format!("of the GPUs asked for: {}", detail.join("; ")));
    left.sort_unstable_by_key(|bytes| Reverse(*bytes));
    match (demand.shared, left.get(demand.count - 1)) {
        // There are enough to share, with too little memory on them.
        (Some(wanted), Some(&bytes)) => Shortage::bytes(dimension::GPU_MEMORY, wanted, bytes),
        // None says how large it is: it is the memory that is missing, not the GPU.
        (Some(wanted), None) if unknown > 0 && unknown + left.len() >= demand.count => {
            Shortage::bytes(dimension::GPU_MEMORY, wanted, 0)
        }
        (Some(_), None) => {
            Shortage::new(dimension::GPU, number(demand.count), number(left.len()), unit::UNITS)
        }
        (None, _) => Shortage::new(dimension::GPU, number(demand.count), number(fine), unit::UNITS),
    }
    .because(detail)
}

/// Chooses among the eligible, of which there are enough; ascending. `near`: the nodes of the lease's cores.
pub(crate) fn choose(
    index: &Index,
    usage: &Usage,
    demand: &GpuDemand,
    mut eligible: Vec<usize>,
    near: &[usize],
) -> Vec<usize> {
    let mut near: Vec<Option<usize>> = near.iter().copied().map(Some).collect();
    if near.is_empty() && demand.count > 1 {
        near.extend(best_node(index, &eligible, demand.count).map(Some));
    }
    eligible.sort_by_key(|&gpu| {
        let slot = &index.gpus[gpu];
        let neighbours = || {
            let siblings = slot.relatives.iter().flat_map(|&parent| &index.gpus[parent].relatives);
            siblings.filter(|&&sibling| usage.gpus[sibling].held()).count()
        };
        let rank = match demand.shared {
            None => u64::try_from(neighbours()).unwrap_or(u64::MAX),
            Some(_) => slot.memory.unwrap_or(u64::MAX).saturating_sub(usage.gpus[gpu].memory),
        };
        let shared_with_strangers = demand.shared.is_some() && slot.busy;
        (!demand.mine.contains(&gpu), shared_with_strangers, !near.contains(&slot.node), rank, gpu)
    });
    eligible.truncate(demand.count);
    eligible.sort_unstable();
    eligible
}

/// The node with enough GPUs for all, and the fewest of these.
fn best_node(index: &Index, eligible: &[usize], count: usize) -> Option<usize> {
    let on = |node: usize| eligible.iter().filter(|&&gpu| index.gpus[gpu].node == Some(node)).count();
    let nodes = (0..index.nodes.len()).map(|node| (on(node), node));
    nodes.filter(|(gpus, _)| *gpus >= count).min().map(|(_, node)| node)
}
