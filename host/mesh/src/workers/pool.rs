//! How many workers are kept parked: as many as were missing lately, fewer when nobody asks.
//!
//! Pure: the time is given. A take that finds none doubles the target, so that the next burst of that size finds enough; a
//! quiet time halves it again. What is in the making counts, so that two fillers don't make too many.
//!
//! What was taken is replaced once the takes pause, or when less than half is left. On cgroup v1 a process that joins
//! holds the lock of all cgroups for as long as the kernel waits for its other CPUs (some 10 ms), and what was just taken
//! would wait for that lock when it ends.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// After so long without a miss half of a pool's target is given up.
pub(crate) const QUIET: Duration = Duration::from_secs(20);

/// A pause in the takes: longer than a small guest runs.
const PAUSE: Duration = Duration::from_millis(15);
/// The least that is kept for whoever needs any: one to take, and one that need not be replaced at once.
const PAIR: usize = 2;

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
    taken: Option<Instant>,
}

impl<T> Pool<T> {
    /// Never fewer than `least`, never more than `most`.
    pub(crate) fn new(least: usize, most: usize, now: Instant) -> Self {
        let most = most.max(least);
        Self { ready: VecDeque::new(), making: 0, target: least, least, most, since: now, taken: None }
    }

    /// The one that has waited longest. `None` is a miss: more are wanted from now on.
    pub(crate) fn take(&mut self, now: Instant) -> Option<T> {
        let taken = self.ready.pop_front();
        self.taken = Some(now);
        if taken.is_none() {
            self.target = (self.target * 2).max(PAIR).min(self.most);
            self.since = now;
        }
        taken
    }

    /// Gives back what was not used; it is the next to be taken.
    pub(crate) fn put_back(&mut self, one: T) {
        self.ready.push_front(one);
    }

    /// Whether one should be made now; then it is counted as in the making.
    pub(crate) fn begin_making(&mut self, now: Instant) -> bool {
        let begins = self.due().is_some_and(|due| due <= now);
        self.making += usize::from(begins);
        begins
    }

    /// From when on one should be made; `None`: there are enough.
    pub(crate) fn due(&self) -> Option<Instant> {
        let have = self.ready.len() + self.making;
        if have >= self.target {
            return None;
        }
        let is_urgent = have * 2 < self.target;
        Some(self.taken.filter(|_| !is_urgent).map_or(self.since, |taken| taken + PAUSE))
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

    fn fill(pool: &mut Pool<u32>, now: Instant) -> usize {
        let mut made = 0;
        while pool.begin_making(now) {
            pool.made(made);
            made += 1;
        }
        usize::try_from(made).unwrap()
    }

    #[test]
    fn a_miss_doubles_and_a_quiet_time_halves() {
        let start = Instant::now();
        let mut pool = Pool::new(1, 8, start);
        assert_eq!(fill(&mut pool, start), 1);
        assert_eq!(pool.take(start), Some(0));
        assert_eq!(pool.take(start), None);
        assert_eq!(fill(&mut pool, start + PAUSE), 2);
        for _ in 0..10 {
            pool.take(start);
        }
        assert_eq!(fill(&mut pool, start + PAUSE), 8);
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
        assert_eq!(fill(&mut pool, start + PAUSE), PAIR);
        assert_eq!(pool.surplus(start + QUIET).len(), 1);
        assert_eq!(pool.surplus(start + 2 * QUIET).len(), 1);
        assert!(pool.is_idle());
    }

    #[test]
    fn what_was_taken_is_replaced_in_a_pause_or_when_less_than_half_is_left() {
        let start = Instant::now();
        let mut pool: Pool<u32> = Pool::new(4, 4, start);
        assert_eq!(fill(&mut pool, start), 4);
        for _ in 0..2 {
            assert!(pool.take(start).is_some());
            assert!(!pool.begin_making(start));
            assert_eq!(pool.due(), Some(start + PAUSE));
        }
        assert!(pool.take(start).is_some());
        assert_eq!(fill(&mut pool, start), 1, "up to the half at once");
        assert!(!pool.begin_making(start + PAUSE / 2));
        assert_eq!(fill(&mut pool, start + PAUSE), 2);
        assert_eq!(pool.due(), None);
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
                    1 => making += usize::from(pool.begin_making(now)),
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
