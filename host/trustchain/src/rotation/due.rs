//! When a policy warns, acts and ends an overlap: functions of the policy, the certificate's dates and the clock.
//!
//! Periods are asked for in days and certificates may live for hours (a node's: 24). So what is asked for gives way to the
//! certificate's life: an overlap is at most a third of it, and a warning comes at the earliest half-way to the rotation.

use hypermesh_model::{RotationPolicy, RotationType, Timestamp};

const DAY_SECONDS: u64 = 86_400;
/// First wait after a failed rotation, seconds; it doubles with each further failure.
const RETRY_SECONDS: u64 = 60;
/// Longest wait after a failed rotation, seconds: a fault that lasts is met again within the hour.
const MAX_RETRY_SECONDS: u64 = 3600;

/// From when and until when a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
}

impl Validity {
    fn seconds(self) -> u64 {
        self.from.until(self.to).as_secs()
    }
}

fn days(count: u32) -> u64 {
    u64::from(count) * DAY_SECONDS
}

/// How long two certificates are to be valid side by side, seconds.
pub(crate) fn overlap_seconds(policy: &RotationPolicy, validity: Validity) -> u64 {
    match policy.rotation_type {
        RotationType::Emergency => 0,
        RotationType::Automatic | RotationType::Manual => {
            days(policy.grace_period_days).min(validity.seconds() / 3)
        }
    }
}

/// When the policy acts; `None` when it doesn't act by itself.
pub(crate) fn next_rotation(policy: &RotationPolicy, validity: Validity) -> Option<Timestamp> {
    if !policy.enabled {
        return None;
    }
    match policy.rotation_type {
        RotationType::Manual => None,
        RotationType::Emergency => Some(policy.created_at),
        RotationType::Automatic => {
            let interval = validity.from.plus_seconds(days(policy.interval_days));
            // Early enough that the overlap ends with the old one's life: a third of it is the least.
            let overlap = overlap_seconds(policy, validity).max(validity.seconds() / 3);
            let latest =
                validity.to.minus_seconds(overlap.min(days(policy.grace_period_days).max(DAY_SECONDS / 3)));
            Some(interval.min(latest))
        }
    }
}

/// When its warning comes; `None` for a policy that gives none.
pub(crate) fn warning(policy: &RotationPolicy, validity: Validity) -> Option<Timestamp> {
    if !policy.enabled || policy.warning_days == 0 {
        return None;
    }
    let about = match policy.rotation_type {
        RotationType::Emergency => return None,
        RotationType::Manual => validity.to,
        RotationType::Automatic => next_rotation(policy, validity)?,
    };
    let half = validity.from.until(about).as_secs() / 2;
    Some(about.minus_seconds(days(policy.warning_days).min(half)))
}

/// When an attempt is made again, after so many failures in a row.
pub(crate) fn retry(failures: u32, now: Timestamp) -> Timestamp {
    let doubled = RETRY_SECONDS.saturating_mul(1 << failures.saturating_sub(1).min(10));
    now.plus_seconds(doubled.min(MAX_RETRY_SECONDS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hypermesh_model::{CertificateId, RotationPolicyId};
    use proptest::prelude::*;

    fn policy(rotation_type: RotationType, interval: u32, warning: u32, grace: u32) -> RotationPolicy {
        RotationPolicy {
            id: RotationPolicyId::parse("p").unwrap(),
            certificate_id: CertificateId::parse("c").unwrap(),
            rotation_type,
            interval_days: interval,
            warning_days: warning,
            grace_period_days: grace,
            enabled: true,
            last_rotation: None,
            next_rotation: None,
            warned_for: None,
            failures: 0,
            created_at: Timestamp::from_millis(0),
        }
    }

    fn validity(seconds: u64) -> Validity {
        let from = Timestamp::from_millis(1_700_000_000_000);
        Validity { from, to: from.plus_seconds(seconds) }
    }

    #[test]
    fn the_contract_s_defaults_rotate_ninety_days_at_sixty() {
        let v = validity(90 * DAY_SECONDS);
        let policy = policy(RotationType::Automatic, 90, 7, 30);
        assert_eq!(next_rotation(&policy, v), Some(v.from.plus_seconds(60 * DAY_SECONDS)));
        assert_eq!(warning(&policy, v), Some(v.from.plus_seconds(53 * DAY_SECONDS)));
        assert_eq!(overlap_seconds(&policy, v), 30 * DAY_SECONDS);
    }

    #[test]
    fn a_certificate_of_a_day_rotates_at_two_thirds() {
        let v = validity(DAY_SECONDS);
        let policy = policy(RotationType::Automatic, 1, 7, 30);
        assert_eq!(next_rotation(&policy, v), Some(v.from.plus_seconds(16 * 3600)));
        assert_eq!(warning(&policy, v), Some(v.from.plus_seconds(8 * 3600)));
    }

    #[test]
    fn only_automatic_and_emergency_policies_act_by_themselves() {
        let v = validity(90 * DAY_SECONDS);
        let manual = policy(RotationType::Manual, 90, 7, 30);
        assert_eq!(next_rotation(&manual, v), None);
        assert_eq!(warning(&manual, v), Some(v.to.minus_seconds(7 * DAY_SECONDS)));
        let emergency = policy(RotationType::Emergency, 90, 7, 30);
        assert_eq!(next_rotation(&emergency, v), Some(emergency.created_at));
        assert_eq!((warning(&emergency, v), overlap_seconds(&emergency, v)), (None, 0));
        let off = RotationPolicy { enabled: false, ..policy(RotationType::Automatic, 1, 1, 1) };
        assert_eq!((next_rotation(&off, v), warning(&off, v)), (None, None));
    }

    #[test]
    fn failures_wait_longer_up_to_an_hour() {
        let now = Timestamp::from_millis(0);
        let after = |failures| now.until(retry(failures, now)).as_secs();
        assert_eq!([1, 2, 3, 7, 99].map(after), [60, 120, 240, 3600, 3600]);
    }

    proptest! {
        #[test]
        fn an_automatic_rotation_comes_before_the_end_and_its_warning_before_it(
            life in 600u64..400 * DAY_SECONDS,
            interval in 1u32..4000, warn in 1u32..400, grace in 0u32..400,
        ) {
            let v = validity(life);
            let policy = policy(RotationType::Automatic, interval, warn, grace);
            let at = next_rotation(&policy, v).unwrap();
            prop_assert!(at > v.from && at < v.to);
            let warned = warning(&policy, v).unwrap();
            prop_assert!(warned >= v.from && warned <= at);
            prop_assert!(overlap_seconds(&policy, v) <= life / 3);
        }
    }
}
