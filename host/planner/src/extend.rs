//! Whether an entry may end later: a renewal must not run into a reservation.
//!
//! What holds already goes on holding; only what was promised to others can be in the way. So only the instants at which
//! another entry begins are looked at, and there only what that one takes. Capacity that shrank since (others use more
//! memory) keeps nobody from a renewal.

use crate::index::{Footprint, Index};
use crate::place::milli;
use crate::shortage::{Shortage, dimension, unit};
use crate::timeline::{Slot, Sweep, Timeline, Without};
use crate::usage::Usage;
use hypermesh_model::Timestamp;

/// Looks whether an entry may end at `until`.
///
/// # Errors
/// What the first reservation that is in the way takes from it.
pub(crate) fn may_extend(
    index: &Index,
    timeline: &Timeline,
    slot: Slot,
    until: i64,
    now: i64,
) -> Result<(), Vec<Shortage>> {
    let Some(item) = timeline.item(slot) else { return Ok(()) };
    if until <= item.until || timeline.only_falls_after(item.until.saturating_sub(1)) {
        return Ok(());
    }
    let without = Without::from([slot]);
    let before = item.until.saturating_sub(1);
    let usage = timeline.at(before, now, &without).into_owned();
    let mut sweep = Sweep::new(timeline, before, now, &without, usage);
    while sweep.next_start().is_some_and(|at| at < until) {
        let Some((at, begun)) = sweep.step_to_start() else { break };
        for other in begun.into_iter().filter_map(|slot| timeline.item(slot)) {
            let short = collisions(index, &sweep.usage, &item.footprint, &other.footprint);
            if !short.is_empty() {
                let at = Timestamp::from_millis(at);
                let detail = format!("reserved for somebody else from {at} on; it can be kept until then");
                return Err(short.into_iter().map(|s| s.because(detail.clone())).collect());
            }
        }
    }
    Ok(())
}

/// What an entry that is held already would be short of beside `others`, which have just begun; nothing else is looked
/// at. For a renewal: it holds what it holds, only what others were promised is in its way.
fn collisions(index: &Index, usage: &Usage, mine: &Footprint, begun: &Footprint) -> Vec<Shortage> {
    let mut short = Vec::new();
    let free = index.free(usage);
    let (my, their) = (mine.amounts, begun.amounts);
    if their.cpu > 0 && my.cpu > free.cpu {
        let pool = milli(index.capacity.cpu);
        let (want, free) = (milli(my.cpu).as_percent_of(pool), milli(free.cpu).as_percent_of(pool));
        short.push(Shortage::new(dimension::CPU, want, free, unit::PERCENTAGE));
    }
    let taken = mine.cores.iter().filter(|&&core| usage.cores[core] > 0);
    let taken: Vec<usize> = taken.copied().collect();
    let all = usage.pinned + mine.cores.len() - taken.len() >= index.cores.len();
    if !begun.cores.is_empty() && !mine.cores.is_empty() && (all || !taken.is_empty()) {
        let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        let (want, lost) = (index.cpus(&mine.cores), index.cpus(&taken));
        short.push(Shortage::new(dimension::PINNED_CPUS, number(want), number(want - lost), unit::CPUS));
    }
    if their.memory > 0 && my.memory > free.memory {
        short.push(Shortage::bytes(dimension::MEMORY, my.memory, free.memory));
    }
    if their.storage > 0 && my.storage > free.storage {
        short.push(Shortage::bytes(dimension::STORAGE, my.storage, free.storage));
    }
    short.extend(gpu_collision(index, usage, mine, begun));
    short
}

fn gpu_collision(index: &Index, usage: &Usage, mine: &Footprint, begun: &Footprint) -> Option<Shortage> {
    let touched = |gpu: usize| {
        let relatives = &index.gpus[gpu].relatives;
        begun.gpus.iter().any(|other| *other == gpu || relatives.contains(other))
    };
    let lost = |gpu: usize| {
        let (slot, used) = (&index.gpus[gpu], usage.gpus[gpu]);
        let left = slot.memory.unwrap_or_default().saturating_sub(used.memory);
        let held = match mine.shared {
            None => used.held(),
            Some(memory) => used.exclusive > 0 || memory > left,
        };
        held || slot.relatives.iter().any(|&relative| usage.gpus[relative].held())
    };
    let lost = mine.gpus.iter().filter(|&&gpu| touched(gpu) && lost(gpu)).count();
    let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let (all, left) = (number(mine.gpus.len()), number(mine.gpus.len() - lost));
    (lost > 0).then(|| Shortage::new(dimension::GPU, all, left, unit::UNITS))
}
