//! Who holds what, when: footprints ordered by begin and by end, and their sum.
//!
//! `ends` is a sorted array with the plain sums inside rather than a tree: finding out when a request will fit walks it
//! from the front, a nanosecond an entry, and putting one in moves some ten kilobytes at a thousand entries. The usual
//! question, whether something fits from now on while nothing is reserved, needs neither: what is in use only falls, so
//! the sum of everything is the peak.
//!
//! Times are milliseconds since 1970. An entry whose end has passed still holds, because its cgroup is still there; it is
//! taken to be gone one millisecond from now, the next instant there is.

use crate::index::{Footprint, Index};
use crate::usage::{Amounts, Usage};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// The position of an entry; given again once it is removed.
pub(crate) type Slot = usize;

/// Entries that are looked at as if they weren't there.
pub(crate) type Without = BTreeSet<Slot>;

/// A window, `from` inclusive, `until` exclusive, and now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub(crate) from: i64,
    pub(crate) until: i64,
    pub(crate) now: i64,
}

impl Window {
    /// A window that is not empty and not in the past.
    pub(crate) fn new(from: i64, until: i64, now: i64) -> Self {
        let from = from.max(now);
        Self { from, until: until.max(from.saturating_add(1)), now }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) from: i64,
    pub(crate) until: i64,
    pub(crate) footprint: Footprint,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    pub(crate) at: i64,
    pub(crate) slot: Slot,
    pub(crate) amounts: Amounts,
    /// Whether the footprint holds more than amounts.
    pub(crate) discrete: bool,
}

/// See the module head.
#[derive(Debug, Clone)]
pub(crate) struct Timeline {
    items: Vec<Option<Item>>,
    unused: Vec<Slot>,
    starts: Vec<(i64, Slot)>,
    ends: Vec<End>,
    /// Everything, begun or not.
    all: Usage,
}

impl Timeline {
    pub(crate) fn new(index: &Index) -> Self {
        let all = Usage::empty(index);
        Self { items: Vec::new(), unused: Vec::new(), starts: Vec::new(), ends: Vec::new(), all }
    }

    pub(crate) fn insert(&mut self, from: i64, until: i64, footprint: Footprint) -> Slot {
        let until = until.max(from.saturating_add(1));
        let slot = self.unused.pop().unwrap_or_else(|| {
            self.items.push(None);
            self.items.len() - 1
        });
        self.all.add(&footprint);
        let at = self.starts.partition_point(|start| *start < (from, slot));
        self.starts.insert(at, (from, slot));
        let end = End { at: until, slot, amounts: footprint.amounts, discrete: footprint.is_discrete() };
        let at = self.ends.partition_point(|end| (end.at, end.slot) < (until, slot));
        self.ends.insert(at, end);
        self.items[slot] = Some(Item { from, until, footprint });
        slot
    }

    /// Takes an entry out; `None` if it isn't there.
    pub(crate) fn remove(&mut self, slot: Slot) -> Option<Item> {
        let item = self.items.get_mut(slot)?.take()?;
        self.all.sub(&item.footprint);
        let at = self.starts.partition_point(|start| *start < (item.from, slot));
        self.starts.remove(at);
        let at = self.ends.partition_point(|end| (end.at, end.slot) < (item.until, slot));
        self.ends.remove(at);
        self.unused.push(slot);
        Some(item)
    }

    /// Changes when an entry ends.
    pub(crate) fn set_until(&mut self, slot: Slot, until: i64) {
        if let Some(item) = self.remove(slot) {
            // The slot that was freed last is given first: it stays the same.
            let same = self.insert(item.from, until, item.footprint);
            debug_assert_eq!(same, slot);
        }
    }

    pub(crate) fn item(&self, slot: Slot) -> Option<&Item> {
        self.items.get(slot)?.as_ref()
    }

    pub(crate) fn starts(&self) -> &[(i64, Slot)] {
        &self.starts
    }

    pub(crate) fn ends(&self) -> &[End] {
        &self.ends
    }

    /// The ends that take effect after an instant.
    pub(crate) fn ends_after(&self, instant: i64, now: i64) -> &[End] {
        let gone = if instant > now { self.ends.partition_point(|end| end.at <= instant) } else { 0 };
        &self.ends[gone..]
    }

    /// When an end takes effect.
    pub(crate) fn effective(end: i64, now: i64) -> i64 {
        end.max(now.saturating_add(1))
    }

    /// Whether nothing begins after an instant.
    pub(crate) fn only_falls_after(&self, instant: i64) -> bool {
        self.starts.last().is_none_or(|(at, _)| *at <= instant)
    }

    /// What is in use at an instant.
    pub(crate) fn at(&self, instant: i64, now: i64, without: &Without) -> Cow<'_, Usage> {
        let nothing_ended = instant <= now || self.ends.first().is_none_or(|end| end.at > instant);
        if without.is_empty() && nothing_ended && self.only_falls_after(instant) {
            return Cow::Borrowed(&self.all);
        }
        let mut usage = self.all.clone();
        let excluded = |slot: &Slot| !without.is_empty() && without.contains(slot);
        let later = self.starts.iter().rev().take_while(|(at, _)| *at > instant).map(|(_, slot)| slot);
        let gone = without.iter().chain(later.filter(|slot| !excluded(slot)));
        for item in gone.filter_map(|slot| self.item(*slot)) {
            usage.sub(&item.footprint);
        }
        if instant > now {
            // What ended began before, so nothing is taken away twice.
            let ended = self.ends.iter().take_while(|end| end.at <= instant);
            ended.filter(|end| !excluded(&end.slot)).for_each(|end| self.end(&mut usage, end));
        }
        Cow::Owned(usage)
    }

    /// Takes away what an entry held.
    fn end(&self, usage: &mut Usage, end: &End) {
        if !end.discrete {
            usage.amounts.sub(end.amounts);
        } else if let Some(item) = self.item(end.slot) {
            usage.sub(&item.footprint);
        }
    }

    /// The most that is in use at any instant of a window.
    pub(crate) fn peak(&self, window: Window, without: &Without) -> Cow<'_, Usage> {
        let first = self.at(window.from, window.now, without);
        if self.only_falls_after(window.from) {
            return first;
        }
        let mut peak = first.into_owned();
        let mut sweep = Sweep::new(self, window.from, window.now, without, peak.clone());
        while sweep.next_start().is_some_and(|at| at < window.until) {
            let Some((_, begun)) = sweep.step_to_start() else { break };
            for slot in begun {
                if let Some(item) = self.item(slot) {
                    peak.raise(&sweep.usage, &item.footprint);
                }
            }
        }
        Cow::Owned(peak)
    }
}

/// Walks a timeline forward and keeps what is in use.
#[derive(Debug)]
pub(crate) struct Sweep<'a> {
    timeline: &'a Timeline,
    without: &'a Without,
    now: i64,
    next_start: usize,
    next_end: usize,
    pub(crate) usage: Usage,
    /// Whether the last step changed more than amounts.
    pub(crate) discrete_changed: bool,
}

impl<'a> Sweep<'a> {
    /// Begins after all that happens at `from`; `usage` is what is in use then.
    pub(crate) fn new(
        timeline: &'a Timeline,
        from: i64,
        now: i64,
        without: &'a Without,
        usage: Usage,
    ) -> Self {
        let next_start = timeline.starts.partition_point(|(at, _)| *at <= from);
        let next_end = if from > now { timeline.ends.partition_point(|end| end.at <= from) } else { 0 };
        Self { timeline, without, now, next_start, next_end, usage, discrete_changed: true }
    }

    /// When the next entry begins.
    pub(crate) fn next_start(&self) -> Option<i64> {
        self.timeline.starts.get(self.next_start).map(|(at, _)| *at)
    }

    fn next_end(&self) -> Option<i64> {
        self.timeline.ends.get(self.next_end).map(|end| Timeline::effective(end.at, self.now))
    }

    /// Goes to the next instant at which anything begins or ends.
    pub(crate) fn step(&mut self) -> Option<i64> {
        self.discrete_changed = false;
        let at = match (self.next_start(), self.next_end()) {
            (None, None) => return None,
            (Some(at), None) | (None, Some(at)) => at,
            (Some(start), Some(end)) => start.min(end),
        };
        self.end_until(at);
        self.begin_at(at);
        Some(at)
    }

    /// Goes to the next instant at which anything begins; also returns what.
    pub(crate) fn step_to_start(&mut self) -> Option<(i64, Vec<Slot>)> {
        let at = self.next_start()?;
        self.end_until(at);
        Some((at, self.begin_at(at)))
    }

    fn end_until(&mut self, instant: i64) {
        while let Some(end) = self.timeline.ends.get(self.next_end) {
            if Timeline::effective(end.at, self.now) > instant {
                break;
            }
            self.next_end += 1;
            if self.without.is_empty() || !self.without.contains(&end.slot) {
                self.timeline.end(&mut self.usage, end);
                self.discrete_changed |= end.discrete;
            }
        }
    }

    fn begin_at(&mut self, instant: i64) -> Vec<Slot> {
        let mut begun = Vec::new();
        while let Some(&(at, slot)) = self.timeline.starts.get(self.next_start) {
            if at != instant {
                break;
            }
            self.next_start += 1;
            if self.without.contains(&slot) {
                continue;
            }
            if let Some(item) = self.timeline.item(slot) {
                self.usage.add(&item.footprint);
                self.discrete_changed |= item.footprint.is_discrete();
                begun.push(slot);
            }
        }
        begun
    }
}
