//! When a library in trouble is initialised anew. Pure: the time is given.
//!
//! ```text
//! fine ──trouble──▶ waiting ──due, attempt──▶ waiting, twice as long
//!   ▲                  │
//!   └────────over──────┘
//! ```

use std::time::{Duration, Instant};

/// Wait before the first attempt.
const FIRST: Duration = Duration::from_secs(1);

/// Longest wait between attempts: an initialisation takes seconds in which no device can be sampled, and a device that
/// is away for a minute is away for good, more often than not.
const LONGEST: Duration = Duration::from_secs(60);

/// The state.
#[derive(Debug)]
pub(super) struct Backoff {
    first: Duration,
    next: Option<(Instant, Duration)>,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::starting_with(FIRST)
    }
}

impl Backoff {
    /// With another first wait, for tests.
    pub(super) fn starting_with(first: Duration) -> Self {
        Self { first, next: None }
    }

    /// Something is lost. Changes nothing while an attempt is already waited for.
    pub(super) fn trouble(&mut self, now: Instant) {
        self.next.get_or_insert((now + self.first, self.first));
    }

    /// Whether it is time for an attempt.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.next.is_some_and(|(at, _)| now >= at)
    }

    /// Whether an attempt is waited for.
    pub(super) fn is_waiting(&self) -> bool {
        self.next.is_some()
    }

    /// An attempt is made; unless it ends the trouble, the next comes after twice the wait.
    pub(super) fn attempt(&mut self, now: Instant) {
        let wait = self.next.map_or(self.first, |(_, wait)| (wait * 2).min(LONGEST.max(self.first)));
        self.next = Some((now + wait, wait));
    }

    /// Everything answers again.
    pub(super) fn over(&mut self) {
        self.next = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn waits_double_up_to_the_longest_and_start_anew_after_a_recovery() {
        let (mut backoff, mut now) = (Backoff::default(), Instant::now());
        backoff.trouble(now);
        let mut waits = Vec::new();
        for _ in 0..9 {
            let started = now;
            while !backoff.is_due(now) {
                now += Duration::from_millis(500);
            }
            waits.push((now - started).as_secs());
            backoff.attempt(now);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        backoff.over();
        assert!(!backoff.is_due(now + LONGEST) && !backoff.is_waiting());
        backoff.trouble(now);
        assert!(!backoff.is_due(now) && backoff.is_due(now + FIRST));
    }

    proptest! {
        #[test]
        fn trouble_is_never_forgotten_and_attempts_are_never_closer_than_the_first_wait(
            steps in proptest::collection::vec((0u64..5000, any::<bool>()), 1..60),
        ) {
            let (mut backoff, mut now) = (Backoff::default(), Instant::now());
            let mut last: Option<Instant> = None;
            for (millis, troubled) in steps {
                now += Duration::from_millis(millis);
                if troubled {
                    backoff.trouble(now);
                    prop_assert!(backoff.is_waiting());
                }
                if backoff.is_due(now) {
                    if let Some(last) = last {
                        prop_assert!(now - last >= FIRST);
                    }
                    last = Some(now);
                    backoff.attempt(now);
                    prop_assert!(!backoff.is_due(now));
                }
            }
            prop_assert!(backoff.next.is_none() || backoff.is_due(now + LONGEST));
        }
    }
}
