//! Who has had how much lately: dominant share × seconds, decayed.
//!
//! Dominant resource fairness (Ghodsi et al., NSDI 2011) orders by what requesters hold at the moment. Alone it forgets:
//! who has had the whole machine all day would be served like one who has had nothing. So what was held is remembered
//! with a half-life, as Slurm and HTCondor do, and both count: [`Shares::recent`] is in the unit of a dominant share, the
//! share which, held for ever, would be remembered like this.
//!
//! A charge is the integral of the decay over the time, so that charging an hour at once or second by second is the same.

use hypermesh_model::{Subject, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The half-life unless another is set: a day, so that yesterday counts half and last week a hundredth.
pub const DEFAULT_HALF_LIFE_S: u64 = 24 * 60 * 60;

/// What is remembered of those with less than this is forgotten: a millionth of the machine.
const NEGLIGIBLE: f64 = 1e-6;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Decayed {
    share_seconds: f64,
    at: Timestamp,
}

/// See the module head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shares {
    half_life_s: u64,
    requesters: BTreeMap<Subject, Decayed>,
}

impl Default for Shares {
    fn default() -> Self {
        Self::new(DEFAULT_HALF_LIFE_S)
    }
}

impl Shares {
    /// Nobody has had anything. The half-life is in seconds; 0 is taken as 1.
    pub fn new(half_life_s: u64) -> Self {
        Self { half_life_s: half_life_s.max(1), requesters: BTreeMap::new() }
    }

    /// The half-life in seconds.
    pub fn half_life_s(&self) -> u64 {
        self.half_life_s
    }

    fn half_life(&self) -> f64 {
        std::time::Duration::from_secs(self.half_life_s).as_secs_f64()
    }

    /// What is left after so long.
    fn decay(&self, from: Timestamp, until: Timestamp) -> f64 {
        (-from.until(until).as_secs_f64() / self.half_life()).exp2()
    }

    /// The seconds for which a share that is held for ever is remembered.
    fn memory(&self) -> f64 {
        self.half_life() / std::f64::consts::LN_2
    }

    /// Charges a requester with a dominant share that was held from one time until another. Charge every span once, and
    /// in the order of time; what ends before the last charge counts as if it ended then.
    pub fn charge(&mut self, requester: &Subject, dominant_share: f64, from: Timestamp, until: Timestamp) {
        if !dominant_share.is_finite() || dominant_share <= 0.0 || until <= from {
            return;
        }
        let charge = dominant_share * self.memory() * (1.0 - self.decay(from, until));
        let before = self.requesters.get(requester).copied();
        let at = before.map_or(until, |before| before.at.max(until));
        let left = before.map_or(0.0, |before| before.share_seconds * self.decay(before.at, at));
        self.requesters.insert(requester.clone(), Decayed { share_seconds: left + charge, at });
    }

    /// What is remembered of a requester, in dominant share × seconds.
    pub fn share_seconds(&self, requester: &Subject, now: Timestamp) -> f64 {
        self.requesters.get(requester).map_or(0.0, |usage| usage.share_seconds * self.decay(usage.at, now))
    }

    /// The dominant share which, held for ever, would be remembered like what the requester had.
    pub fn recent(&self, requester: &Subject, now: Timestamp) -> f64 {
        self.share_seconds(requester, now) / self.memory()
    }

    /// Forgets those of whom nothing to speak of is remembered.
    pub fn forget_negligible(&mut self, now: Timestamp) {
        let negligible: Vec<Subject> =
            self.requesters.keys().filter(|who| self.recent(who, now) < NEGLIGIBLE).cloned().collect();
        for who in negligible {
            self.requesters.remove(&who);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000 + seconds * 1000)
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
    }

    #[test]
    fn what_was_held_is_halved_with_every_half_life() {
        let (mut shares, who) = (Shares::new(100), Subject("a".into()));
        shares.charge(&who, 0.5, at(0), at(100));
        let then = shares.share_seconds(&who, at(100));
        assert!(close(shares.share_seconds(&who, at(200)), then / 2.0));
        assert!(close(shares.share_seconds(&who, at(400)), then / 8.0));
        // Half of the machine for one half-life is remembered as a quarter of it.
        assert!(close(shares.recent(&who, at(100)), 0.25));
        shares.forget_negligible(at(100_000));
        assert_eq!(shares, Shares::new(100));
    }

    #[test]
    fn charging_at_once_or_second_by_second_is_the_same() {
        let who = Subject("a".into());
        let (mut once, mut often) = (Shares::new(60), Shares::new(60));
        once.charge(&who, 0.3, at(0), at(90));
        for second in 0..90 {
            often.charge(&who, 0.3, at(second), at(second + 1));
        }
        assert!(close(once.share_seconds(&who, at(90)), often.share_seconds(&who, at(90))));
    }

    #[test]
    fn nonsense_is_not_charged() {
        let (mut shares, who) = (Shares::default(), Subject("a".into()));
        for share in [f64::NAN, f64::INFINITY, -1.0, 0.0] {
            shares.charge(&who, share, at(0), at(9));
        }
        shares.charge(&who, 1.0, at(9), at(9));
        assert_eq!(shares, Shares::default());
    }
}
