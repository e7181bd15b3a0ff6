//! Short histories of one value: 10 minutes by the second, a day by the minute, 30 days by the hour.
//!
//! Fixed memory, pure, no clock inside. Each level keeps the mean of the samples that fell into each of its slots; a slot
//! without a sample is a gap (`None`), never a zero or its neighbour's value. A sample older than a level's whole window
//! means that the clock was set back: that level starts anew, since it would otherwise refuse samples until the clock has
//! caught up.

use hypermesh_model::Timestamp;
use std::collections::VecDeque;

/// A level of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// 600 slots of a second: 10 minutes.
    Second,
    /// 1440 slots of a minute: a day.
    Minute,
    /// 720 slots of an hour: 30 days.
    Hour,
}

impl Resolution {
    /// Every level, finest first.
    pub const ALL: [Self; 3] = [Self::Second, Self::Minute, Self::Hour];

    /// The length of a slot in milliseconds. Slots begin at its multiples since 1970-01-01T00:00:00Z.
    pub fn slot_millis(self) -> i64 {
        match self {
            Self::Second => 1000,
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
        }
    }

    /// How many slots are kept.
    pub fn capacity(self) -> usize {
        match self {
            Self::Second => 600,
            Self::Minute => 1440,
            Self::Hour => 720,
        }
    }
}

/// One slot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// When the slot begins.
    pub at: Timestamp,
    /// The mean of its samples; `None` when it had none.
    pub value: Option<f64>,
}

/// A history of one value.
#[derive(Debug, Clone)]
pub struct Series {
    levels: [Level; 3],
}

impl Default for Series {
    fn default() -> Self {
        Self::new()
    }
}

impl Series {
    /// Without samples.
    pub fn new() -> Self {
        Self { levels: Resolution::ALL.map(Level::new) }
    }

    /// Adds a sample. `None`, and a value that is not finite, records that nothing could be measured.
    pub fn push(&mut self, at: Timestamp, value: Option<f64>) {
        let value = value.filter(|v| v.is_finite());
        for level in &mut self.levels {
            level.push(at, value);
        }
    }

    /// The slots that overlap `[from, to)` and are kept, oldest first, gaps included; at most the level's capacity. Empty
    /// when `to <= from`. Nothing is made up before the first sample or after the last.
    pub fn range(&self, from: Timestamp, to: Timestamp, resolution: Resolution) -> Vec<Point> {
        let level = match resolution {
            Resolution::Second => &self.levels[0],
            Resolution::Minute => &self.levels[1],
            Resolution::Hour => &self.levels[2],
        };
        if to <= from { Vec::new() } else { level.range(from.as_millis(), to.as_millis()) }
    }
}

/// A running mean: no sum that could overflow or lose small samples.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    mean: f64,
    samples: u32,
}

impl Slot {
    fn add(&mut self, value: f64) {
        self.samples = self.samples.saturating_add(1);
        let n = f64::from(self.samples);
        self.mean = self.mean * ((n - 1.0) / n) + value / n;
    }
}

#[derive(Debug, Clone)]
struct Level {
    resolution: Resolution,
    /// The number of the first slot, counted from 1970 in slots; meaningless while there is none.
    first: i64,
    slots: VecDeque<Slot>,
}

impl Level {
    fn new(resolution: Resolution) -> Self {
        Self { resolution, first: 0, slots: VecDeque::new() }
    }

    fn push(&mut self, at: Timestamp, value: Option<f64>) {
        let number = at.as_millis().div_euclid(self.resolution.slot_millis());
        let slot = self.make_room(number);
        if let Some(value) = value {
            slot.add(value);
        }
    }

    /// The slot of that number, after moving the window so that it has one.
    fn make_room(&mut self, number: i64) -> &mut Slot {
        let capacity = self.resolution.capacity();
        let last = self.first + len(&self.slots) - 1;
        if self.slots.is_empty() || last - number >= len_of(capacity) {
            self.slots.clear();
            self.slots.push_back(Slot::default());
            self.first = number;
        } else if number > last {
            let steps = usize::try_from(number - last).unwrap_or(capacity).min(capacity);
            let kept = self.slots.len().min(capacity - steps);
            self.slots.drain(..self.slots.len() - kept);
            self.slots.resize(kept + steps, Slot::default());
            self.first = number - len(&self.slots) + 1;
        } else {
            while number < self.first {
                self.slots.push_front(Slot::default());
                self.first -= 1;
            }
        }
        let index = usize::try_from(number - self.first).unwrap_or(0);
        // `number` lies in the window: each branch above ended with first <= number <= last.
        &mut self.slots[index]
    }

    fn range(&self, from: i64, to: i64) -> Vec<Point> {
        let millis = self.resolution.slot_millis();
        let begin = from.div_euclid(millis).max(self.first);
        let end = (to - 1).div_euclid(millis).min(self.first + len(&self.slots) - 1);
        let skip = usize::try_from(begin - self.first).unwrap_or(0);
        (begin..=end)
            .zip(self.slots.iter().skip(skip))
            .map(|(number, slot)| Point {
                at: Timestamp::from_millis(number * millis),
                value: (slot.samples > 0).then_some(slot.mean),
            })
            .collect()
    }
}

fn len(slots: &VecDeque<Slot>) -> i64 {
    len_of(slots.len())
}

fn len_of(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
