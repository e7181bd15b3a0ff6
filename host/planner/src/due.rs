//! What a schedule has to do now: which of its times came, which were missed, when to look again.
//!
//! | since the last decision | then |
//! |---|---|
//! | no time came | nothing |
//! | one came just now | it is run |
//! | several came, the last just now | that one is run, the others were missed |
//! | some came, none just now | all were missed |
//! | the clock was set back, by less than three hours | nothing until it has caught up: no time is run twice |
//! | it was set back by more | the clock was wrong before; counting begins anew (as cron(8) does it) |
//!
//! "Just now" is not before this run of the node began to look, and not longer ago than a minute. What was
//! missed is recorded, or stands behind one run, as the schedule says. Several times that came at once are never
//! several runs: who has been down for a day does not start a day's work in one second.

use crate::calendar::Calendar;
use hypermesh_model::{CatchUp, Timestamp};

/// A time this long ago is too late to be run as if nothing had happened. The clock is looked at more often than that.
const TOLERANCE_SECONDS: u64 = 60;
/// A clock that was set back by less than this only lets times wait: cron(8).
const CORRECTION_SECONDS: u64 = 3 * 3600;
/// Missed times are counted up to here; the last one counted then stands for the last.
const MAX_COUNTED: u64 = 1000;

/// The times of a schedule.
#[derive(Debug, Clone)]
pub struct Moments {
    /// The rule.
    pub rule: Rule,
    /// None before this.
    pub starts_at: Option<Timestamp>,
    /// None after this.
    pub ends_at: Option<Timestamp>,
}

/// A rule for times.
#[derive(Debug, Clone)]
pub enum Rule {
    /// Once.
    Once(Timestamp),
    /// As a cron expression has them.
    Cron(Box<Calendar>),
}

impl Moments {
    /// The first time after `after`.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        // A time at the start itself is within the bounds.
        let just_before = self.starts_at.map(|start| Timestamp::from_millis(start.as_millis() - 1));
        let after = just_before.map_or(after, |start| start.max(after));
        let next = match &self.rule {
            Rule::Once(at) => (*at > after).then_some(*at),
            Rule::Cron(calendar) => calendar.next_after(after),
        };
        next.filter(|next| self.ends_at.is_none_or(|end| *next <= end))
    }
}

/// A run to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToRun {
    /// When it was due.
    pub due: Timestamp,
    /// Earlier times that it stands for.
    pub missed: u64,
}

/// Times that come to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missed {
    /// The last of them.
    pub last: Timestamp,
    /// How many, at least 1.
    pub count: u64,
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// To be run.
    pub run: Option<ToRun>,
    /// To be recorded as missed.
    pub missed: Option<Missed>,
    /// Everything up to here is decided by this.
    pub decided_until: Timestamp,
    /// When to decide again; `None`: no time is left.
    pub next: Option<Timestamp>,
}

/// Whether the clock is so far behind what was decided that it must have been wrong before.
pub fn was_wrong(decided_until: Timestamp, now: Timestamp) -> bool {
    decided_until > now.plus_seconds(CORRECTION_SECONDS)
}

/// Decides about the times after `decided_until`. `looking_since` is when this run of the node began to look.
pub fn due(
    moments: &Moments,
    catch_up: CatchUp,
    decided_until: Timestamp,
    now: Timestamp,
    looking_since: Timestamp,
) -> Decision {
    if was_wrong(decided_until, now) {
        return Decision { run: None, missed: None, decided_until: now, next: moments.next_after(now) };
    }
    let mut last: Option<(Timestamp, u64)> = None;
    let mut next = moments.next_after(decided_until);
    while let Some(came) = next.filter(|next| *next <= now) {
        let count = last.map_or(0, |(_, count)| count) + 1;
        last = Some((came, count));
        next = if count >= MAX_COUNTED { moments.next_after(now) } else { moments.next_after(came) };
    }
    let decided_until = decided_until.max(now);
    let Some((last, count)) = last else {
        return Decision { run: None, missed: None, decided_until, next };
    };
    let just_now = last >= looking_since && last.plus_seconds(TOLERANCE_SECONDS) >= now;
    let before = count - 1;
    let (run, missed) = match (catch_up, just_now) {
        (CatchUp::RunOnce, _) => (Some(ToRun { due: last, missed: before }), None),
        (CatchUp::Skip, true) => {
            // The exact time of the one before last is nobody's business; what counts is that there were some.
            let missed = (before > 0).then_some(Missed { last, count: before });
            (Some(ToRun { due: last, missed: 0 }), missed)
        }
        (CatchUp::Skip, false) => (None, Some(Missed { last, count })),
    };
    Decision { run, missed, decided_until, next }
}

/// Whether a run that was recorded and not begun, before the node died, is still to be begun.
pub fn still_wanted(due: Timestamp, manual: bool, catch_up: CatchUp, now: Timestamp) -> bool {
    match catch_up {
        CatchUp::RunOnce => true,
        CatchUp::Skip => manual || due.plus_seconds(TOLERANCE_SECONDS) >= now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    const MINUTE: i64 = 60_000;

    fn t(minutes: i64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + minutes * MINUTE)
    }

    fn minutely() -> Moments {
        let calendar = Calendar::parse("* * * * *", TimeZone::UTC).unwrap();
        Moments { rule: Rule::Cron(Box::new(calendar)), starts_at: None, ends_at: None }
    }

    fn once(minute: i64) -> Moments {
        Moments { rule: Rule::Once(t(minute)), starts_at: None, ends_at: None }
    }

    #[test]
    fn a_time_that_came_just_now_is_run_once() {
        for catch_up in [CatchUp::Skip, CatchUp::RunOnce] {
            let first = due(&minutely(), catch_up, t(0), t(1), t(0));
            assert_eq!((first.run, first.missed), (Some(ToRun { due: t(1), missed: 0 }), None));
            assert_eq!((first.decided_until, first.next), (t(1), Some(t(2))));
            let again = due(&minutely(), catch_up, first.decided_until, t(1), t(0));
            assert_eq!((again.run, again.missed, again.next), (None, None, Some(t(2))));
        }
    }

    #[test]
    fn what_passed_while_the_node_was_down_is_one_run_or_none() {
        let skipped = due(&minutely(), CatchUp::Skip, t(0), t(10), t(20));
        assert_eq!((skipped.run, skipped.missed), (None, Some(Missed { last: t(10), count: 10 })));
        let caught_up = due(&minutely(), CatchUp::RunOnce, t(0), t(10), t(20));
        assert_eq!((caught_up.run, caught_up.missed), (Some(ToRun { due: t(10), missed: 9 }), None));
        let at = due(&once(5), CatchUp::Skip, t(0), t(6), t(6));
        assert_eq!((at.run, at.missed, at.next), (None, Some(Missed { last: t(5), count: 1 }), None));
        let at = due(&once(5), CatchUp::RunOnce, t(0), t(6), t(6));
        assert_eq!((at.run, at.next), (Some(ToRun { due: t(5), missed: 0 }), None));
    }

    #[test]
    fn of_several_at_once_the_last_is_run_and_the_others_were_missed() {
        let late = due(&minutely(), CatchUp::Skip, t(0), t(3), t(0));
        assert_eq!((late.run.unwrap().due, late.missed.unwrap().count), (t(3), 2));
    }

    #[test]
    fn a_clock_that_jumped_ahead_means_missed_times() {
        let jumped = due(&once(1), CatchUp::Skip, t(0), t(500), t(-5));
        assert_eq!((jumped.run, jumped.missed), (None, Some(Missed { last: t(1), count: 1 })));
    }

    #[test]
    fn a_clock_that_was_set_back_repeats_nothing_unless_it_was_quite_wrong() {
        let back = due(&minutely(), CatchUp::RunOnce, t(100), t(40), t(0));
        assert_eq!((back.run, back.decided_until, back.next), (None, t(100), Some(t(101))));
        let corrected = due(&minutely(), CatchUp::RunOnce, t(1000), t(40), t(0));
        assert_eq!((corrected.run, corrected.decided_until, corrected.next), (None, t(40), Some(t(41))));
    }

    #[test]
    fn bounds_include_their_ends() {
        let bounded = Moments { starts_at: Some(t(5)), ends_at: Some(t(6)), ..minutely() };
        assert_eq!(bounded.next_after(t(0)), Some(t(5)));
        assert_eq!(bounded.next_after(t(5)), Some(t(6)));
        assert_eq!(bounded.next_after(t(6)), None);
    }

    #[test]
    fn years_of_seconds_are_counted_to_a_limit() {
        let calendar = Calendar::parse("* * * * * *", TimeZone::UTC).unwrap();
        let moments = Moments { rule: Rule::Cron(Box::new(calendar)), starts_at: None, ends_at: None };
        let decision = due(&moments, CatchUp::Skip, t(0), t(1_000_000), t(1_000_000));
        assert_eq!(decision.missed.unwrap().count, MAX_COUNTED);
        assert!(decision.next.unwrap() > t(1_000_000));
    }

    #[test]
    fn a_run_that_was_recorded_is_begun_unless_it_is_too_late_for_it() {
        assert!(still_wanted(t(0), false, CatchUp::Skip, t(1)));
        assert!(!still_wanted(t(0), false, CatchUp::Skip, t(2)));
        assert!(
            still_wanted(t(0), true, CatchUp::Skip, t(2))
                && still_wanted(t(0), false, CatchUp::RunOnce, t(999))
        );
    }

    proptest! {
        /// Whatever the clock does, no time is run twice and, set back or not, all are run, missed or stood for.
        #[test]
        fn no_time_is_run_twice_and_none_is_forgotten(
            steps in proptest::collection::vec((-40i64..90, any::<bool>()), 1..60), skip in any::<bool>(),
        ) {
            let catch_up = if skip { CatchUp::Skip } else { CatchUp::RunOnce };
            let moments = minutely();
            let (mut now, mut since, mut decided) = (t(0), t(0), t(0));
            let (mut runs, mut accounted, mut furthest) = (Vec::new(), 0, t(0));
            for (step, restarted) in steps {
                // A clock that was wrong by more is another test's.
                now = Timestamp::from_millis(now.as_millis() + step * 7_000).max(furthest.minus_seconds(3 * 3600));
                since = if restarted { now } else { since };
                let decision = due(&moments, catch_up, decided, now, since);
                prop_assert!(decision.decided_until >= decided && decision.next.is_none_or(|next| next > now));
                runs.extend(decision.run.map(|run| run.due));
                accounted += decision.run.map_or(0, |run| 1 + run.missed) + decision.missed.map_or(0, |m| m.count);
                decided = decision.decided_until;
                furthest = furthest.max(now);
            }
            prop_assert!(runs.windows(2).all(|pair| pair[0] < pair[1]));
            let came = (furthest.as_millis() - t(0).as_millis()) / MINUTE;
            prop_assert_eq!(accounted, came.unsigned_abs());
        }
    }
}
