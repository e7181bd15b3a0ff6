//! How many workers are kept parked: as many as were missing lately, fewer when nobody asks.
//!
//! Pure: the time is given. A take that finds none doubles the target, so that the next burst of that size finds enough; a
//! quiet time halves it again. What is in the making counts, so that two fillers don't make too many.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// After so long without a miss half of a pool's target is given up.
pub(crate) const QUIET: Duration = Duration::from_secs(20);

/// What is kept ready for one place.
#[derive(Debug)]
pub(crate) struct Pool<T> {
    ready: VecDeque<T>,
    making: usize,
    target: usize,
    least: usize,
    most: usize,
    /// When the target last changed, or was last too small.
    since: Instant,
}

impl<T> Pool<T> {
    /// Never fewer than `least`, never more than `most`.
    pub(crate) fn new(least: usize, most: usize, now: Instant) -> Self {
        Self { ready: VecDeque::new(), making: 0, target: least, least, most: most.max(least), since: now }
    }

    /// The one that has waited longest. `None` is a miss: more are wanted from now on.
    pub(crate) fn take(&mut self, now: Instant) -> Option<T> {
        let taken = self.ready.pop_front();
        if taken.is_none() {
            self.target = (self.target * 2).clamp(1, self.most);
            self.since = now;
        }
        taken
    }

    /// Gives back what was not used; it is the next to be taken.
    pub(crate) fn put_back(&mut self, one: T) {
        self.ready.push_front(one);
    }

    /// Whether one should be made now; then it is counted as in the making.
    pub(crate) fn begin_making(&mut self) -> bool {
        let lacks = self.ready.len() + self.making < self.target;
        self.making += usize::from(lacks);
        lacks
    }

    /// It was made.
    pub(crate) fn made(&mut self, one: T) {
        self.making = self.making.saturating_sub(1);
        self.ready.push_back(one);
    }

    /// It could not be made.
    pub(crate) fn not_made(&mut self) {
        self.making = self.making.saturating_sub(1);
    }

    /// What nobody needs any more, after a quiet time.
    pub(crate) fn surplus(&mut self, now: Instant) -> Vec<T> {
        if now.duration_since(self.since) >= QUIET && self.target > self.least {
            self.target = (self.target / 2).max(self.least);
            self.since = now;
        }
        let keep = self.ready.len().min(self.target);
        // The oldest are kept: they are taken first.
        self.ready.split_off(keep).into()
    }

    /// Everything, e.g. because all of them have died.
    pub(crate) fn drain(&mut self) -> Vec<T> {
        self.ready.drain(..).collect()
    }

    /// Whether it holds nothing, makes nothing and wants nothing.
    pub(crate) fn is_idle(&self) -> bool {
        self.ready.is_empty() && self.making == 0 && self.target == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fill(pool: &mut Pool<u32>) -> usize {
        let mut made = 0;
        while pool.begin_making() {
            pool.made(made);
            made += 1;
        }
        usize::try_from(made).unwrap()
    }

    #[test]
    fn a_miss_doubles_and_a_quiet_time_halves() {
        let start = Instant::now();
        let mut pool = Pool::new(1, 8, start);
        assert_eq!(fill(&mut pool), 1);
        assert_eq!(pool.take(start), Some(0));
        assert_eq!(pool.take(start), None);
        assert_eq!(fill(&mut pool), 2);
        for _ in 0..10 {
            pool.take(start);
        }
        assert_eq!(fill(&mut pool), 8);
        assert!(pool.surplus(start + QUIET / 2).is_empty());
        assert_eq!(pool.surplus(start + QUIET).len(), 4);
        assert_eq!(pool.surplus(start + 2 * QUIET).len(), 2);
        assert_eq!(pool.surplus(start + 9 * QUIET).len(), 1);
        assert_eq!(pool.surplus(start + 20 * QUIET).len(), 0);
        assert_eq!(pool.drain().len(), 1);
    }

    #[test]
    fn a_pool_that_need_not_keep_any_becomes_idle() {
        let start = Instant::now();
        let mut pool: Pool<u32> = Pool::new(0, 4, start);
        assert!(pool.is_idle());
        assert_eq!(pool.take(start), None);
        assert_eq!(fill(&mut pool), 1);
        assert_eq!(pool.surplus(start + QUIET).len(), 1);
        assert!(pool.is_idle());
    }

    proptest! {
        #[test]
        fn it_stays_within_its_bounds(steps in proptest::collection::vec((0u8..5, 0u64..60), 0..200)) {
            let mut now = Instant::now();
            let mut pool = Pool::new(2, 16, now);
            let mut making = 0usize;
            for (step, seconds) in steps {
                match step {
                    0 => { pool.take(now); }
                    1 => making += usize::from(pool.begin_making()),
                    2 if making > 0 => { making -= 1; pool.made(0u32); }
                    3 if making > 0 => { making -= 1; pool.not_made(); }
                    _ => {
                        now += Duration::from_secs(seconds);
                        pool.surplus(now);
                        prop_assert!(pool.ready.len() <= 16);
                    }
                }
                prop_assert!((2..=16).contains(&pool.target));
                prop_assert!(pool.ready.len() + pool.making <= 32);
            }
        }
    }
}
