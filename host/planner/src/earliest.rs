//! When will it fit, if nothing is renewed?
//!
//! One walk through all begins and ends. For every dimension, and every single core and GPU, it is known since when
//! without a break it would do; the request could have begun when the last of these began, and it fits if that leaves it
//! its time before the next entry begins (between begins, what is in use only falls). The first such time is the
//! earliest, so the answer costs one pass, however many reservations there are.
//!
//! Where nothing is reserved, what is in use only falls, and what fits once fits for good. Then the sums are one tight loop
//! and the rest, for which few entries matter, a binary search: refusals are most frequent when many compete.
//!
//! With cores of different sizes a set of cores isn't made from single ones that would do; there both ways give a lower
//! bound, and every later end is tried.

use crate::cores::Choice;
use crate::gpus;
use crate::index::{Demand, Index};
use crate::place::place;
use crate::timeline::{End, Sweep, Timeline, Window, Without};
use crate::usage::Usage;

/// How long it must fit.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Needs {
    /// So many milliseconds.
    For(i64),
    /// From whenever it begins until then.
    Until(i64),
}

impl Needs {
    /// The end of what begins at `start`; `None` if there is nothing left of it.
    fn end(self, start: i64) -> Option<i64> {
        match self {
            Self::For(ms) => Some(start.saturating_add(ms.max(1))),
            Self::Until(end) => (start < end).then_some(end),
        }
    }
}

/// The earliest time from `from` on at which a demand fits as long as it needs.
pub(crate) fn earliest(
    index: &Index,
    timeline: &Timeline,
    demand: &Demand,
    (from, now): (i64, i64),
    needs: Needs,
    without: &Without,
) -> Option<i64> {
    if !demand.amounts.fits(Usage::default().amounts, index.capacity) {
        return None;
    }
    let from = from.max(now);
    let bound = if timeline.only_falls_after(from) {
        once_enough_ended(index, timeline, demand, (from, now), without)
    } else {
        sweep(index, timeline, demand, (from, now), needs, without)
    }?;
    needs.end(bound)?;
    if index.uniform || demand.pinned.is_none() {
        return Some(bound);
    }
    try_ends(index, timeline, demand, (bound, now), needs, without)
}

/// The earliest time if nothing begins from `from` on.
fn once_enough_ended(
    index: &Index,
    timeline: &Timeline,
    demand: &Demand,
    (from, now): (i64, i64),
    without: &Without,
) -> Option<i64> {
    let usage = timeline.at(from, now, without);
    let ends = timeline.ends_after(from, now).iter();
    let ends = ends.filter(|end| without.is_empty() || !without.contains(&end.slot));
    let time = |end: &End| Timeline::effective(end.at, now);
    let mut instant = from;
    if !demand.amounts.fits(usage.amounts, index.capacity) {
        let mut held = usage.amounts;
        let end = ends.clone().find(|end| {
            held.sub(end.amounts);
            demand.amounts.fits(held, index.capacity)
        });
        instant = time(end?);
    }
    if !demand.is_discrete() {
        return Some(instant);
    }
    let ends: Vec<&End> = ends.filter(|end| end.discrete).collect();
    let fits_after = |count: usize| {
        let mut usage = usage.clone().into_owned();
        let ended = ends[..count].iter().filter_map(|end| timeline.item(end.slot));
        ended.for_each(|item| usage.sub(&item.footprint));
        single_things_fit(index, &usage, demand)
    };
    let needed = fewest(ends.len(), fits_after);
    if needed == ends.len() && !fits_after(needed) {
        return None;
    }
    Some(needed.checked_sub(1).map_or(instant, |last| instant.max(time(ends[last]))))
}

/// Whether there are the cores and the GPUs, whatever else is short.
fn single_things_fit(index: &Index, usage: &Usage, demand: &Demand) -> bool {
    let cores = demand.pinned.as_ref().is_none_or(|pinned| Choice::find(index, usage, pinned).is_some());
    cores && demand.gpus.as_ref().is_none_or(|gpus| gpus::are_enough(index, usage, gpus))
}

/// The smallest count for which something holds; if it holds for a count, it holds for all larger ones, and it is taken to
/// hold for `most`.
pub(crate) fn fewest(most: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, most);
    while low < high {
        let middle = low.midpoint(high);
        if holds(middle) { high = middle } else { low = middle + 1 }
    }
    high
}

/// The earliest time in general.
fn sweep(
    index: &Index,
    timeline: &Timeline,
    demand: &Demand,
    (from, now): (i64, i64),
    needs: Needs,
    without: &Without,
) -> Option<i64> {
    let usage = timeline.at(from, now, without).into_owned();
    let mut sweep = Sweep::new(timeline, from, now, without, usage);
    let mut since = Since::new(index, demand);
    let mut instant = from;
    loop {
        since.observe(instant, &sweep.usage, sweep.discrete_changed);
        if let Some(start) = since.all() {
            let end = needs.end(start)?;
            if sweep.next_start().is_none_or(|next| next >= end) {
                return Some(start);
            }
        }
        instant = sweep.step()?;
        needs.end(instant)?;
    }
}

/// Tries a start and every later end.
fn try_ends(
    index: &Index,
    timeline: &Timeline,
    demand: &Demand,
    (from, now): (i64, i64),
    needs: Needs,
    without: &Without,
) -> Option<i64> {
    let ends = timeline.ends().iter().map(|end| Timeline::effective(end.at, now)).filter(|end| *end > from);
    std::iter::once(from).chain(ends).find(|start| {
        needs.end(*start).is_some_and(|end| {
            let peak = timeline.peak(Window::new(*start, end, now), without);
            place(index, &peak, demand).is_ok()
        })
    })
}

/// Since when each part of a demand would have fitted without a break.
#[derive(Debug)]
struct Since<'a> {
    index: &'a Index,
    demand: &'a Demand,
    amounts: Option<i64>,
    /// A core is left for everybody else.
    spared: Option<i64>,
    cores: Vec<Option<i64>>,
    gpus: Vec<Option<i64>>,
    /// The latest of the three above, as needed.
    discrete: Option<i64>,
}

fn hold(since: &mut Option<i64>, fits: bool, instant: i64) {
    *since = if fits { since.or(Some(instant)) } else { None };
}

impl<'a> Since<'a> {
    fn new(index: &'a Index, demand: &'a Demand) -> Self {
        let cores = if demand.pinned.is_some() { index.cores.len() } else { 0 };
        let gpus = demand.gpus.as_ref().map_or(0, |gpus| gpus.of.len());
        let (amounts, spared, discrete) = (None, None, None);
        Self { index, demand, amounts, spared, cores: vec![None; cores], gpus: vec![None; gpus], discrete }
    }

    fn observe(&mut self, instant: i64, usage: &Usage, discrete_changed: bool) {
        hold(&mut self.amounts, self.demand.amounts.fits(usage.amounts, self.index.capacity), instant);
        if !discrete_changed || !self.demand.is_discrete() {
            return;
        }
        if let Some(pinned) = &self.demand.pinned {
            let size = self.index.cores.first().map_or(1, |core| core.cpus.len());
            let cores = if self.index.uniform { pinned.cpus.div_ceil(size) } else { 1 };
            hold(&mut self.spared, usage.pinned + cores < self.index.cores.len(), instant);
            for (core, since) in self.cores.iter_mut().enumerate() {
                hold(since, usage.cores[core] == 0, instant);
            }
        }
        if let Some(demand) = &self.demand.gpus {
            for (gpu, since) in demand.of.iter().zip(&mut self.gpus) {
                hold(since, gpus::hindrance(self.index, usage, demand, *gpu).is_none(), instant);
            }
        }
        self.discrete = self.latest_of_discrete();
    }

    fn latest_of_discrete(&self) -> Option<i64> {
        let mut latest = i64::MIN;
        if let Some(pinned) = &self.demand.pinned {
            let sizes = self.index.cores.iter().map(|core| core.cpus.len());
            let free = self.cores.iter().zip(sizes).filter_map(|(since, size)| Some(((*since)?, size)));
            latest = self.spared?.max(enough(free.collect(), pinned.cpus)?);
        }
        if let Some(gpus) = &self.demand.gpus {
            let free = self.gpus.iter().filter_map(|since| Some(((*since)?, 1)));
            latest = latest.max(enough(free.collect(), gpus.count)?);
        }
        Some(latest)
    }

    /// Since when everything fits.
    fn all(&self) -> Option<i64> {
        let amounts = self.amounts?;
        if !self.demand.is_discrete() {
            return Some(amounts);
        }
        Some(amounts.max(self.discrete?))
    }
}

/// Since when there have been as many as are needed.
fn enough(mut free: Vec<(i64, usize)>, needed: usize) -> Option<i64> {
    free.sort_unstable();
    let mut sum = 0;
    let found = free.into_iter().find(|(_, size)| {
        sum += size;
        sum >= needed
    });
    found.map(|(since, _)| since)
}
