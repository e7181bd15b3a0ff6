//! Thins out progress reports: a guest may report after every row, and nobody reads that fast.

use super::lines::cut_at;
use std::time::{Duration, Instant};

/// The shortest time between two reports that go out.
const INTERVAL: Duration = Duration::from_millis(100);
/// The longest note, in bytes.
const MAX_NOTE_BYTES: usize = 256;

/// One progress report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) done: u64,
    pub(crate) total: Option<u64>,
    pub(crate) note: String,
}

impl Report {
    pub(super) fn new(done: u64, total: Option<u64>, note: &str) -> Self {
        Self { done, total, note: cut_at(note, MAX_NOTE_BYTES) }
    }
}

/// Lets a report through if the last one is long enough ago, and keeps the newest that it held back.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    last: Option<Instant>,
    held_back: Option<Report>,
}

impl Throttle {
    /// Gives the report back if it may go out now.
    pub(super) fn offer(&mut self, report: Report, now: Instant) -> Option<Report> {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) < INTERVAL) {
            self.held_back = Some(report);
            None
        } else {
            self.last = Some(now);
            self.held_back = None;
            Some(report)
        }
    }

    /// The newest report that was held back, at the end.
    pub(super) fn take(&mut self) -> Option<Report> {
        self.held_back.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn reports_are_apart_and_the_last_one_gets_out(steps in proptest::collection::vec(0_u64..300, 1..40)) {
            let start = Instant::now();
            let mut throttle = Throttle::default();
            let mut out: Vec<(u64, u64)> = Vec::new();
            let mut now = 0;
            for (n, step) in (0_u64..).zip(&steps) {
                now += step;
                let report = Report::new(n, None, "");
                if let Some(report) = throttle.offer(report, start + Duration::from_millis(now)) {
                    out.push((now, report.done));
                }
            }
            prop_assert!(out.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 100));
            let last = throttle.take().map(|report| report.done).or(out.last().map(|&(_, done)| done));
            prop_assert_eq!(last, Some(steps.len() as u64 - 1));
        }
    }
}
