//! Points in time, UTC, to the millisecond.

use jiff::Unit;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// A point in time. Serialises as RFC 3339 in UTC with `Z` and milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(jiff::Timestamp);

impl Timestamp {
    /// Now, by the system's realtime clock.
    pub fn now() -> Self {
        Self::from_jiff(jiff::Timestamp::now())
    }

    fn from_jiff(t: jiff::Timestamp) -> Self {
        Self(t.round(Unit::Millisecond).unwrap_or(t))
    }

    /// From milliseconds since 1970-01-01T00:00:00Z; out-of-range values are clamped.
    pub fn from_millis(ms: i64) -> Self {
        Self(jiff::Timestamp::from_millisecond(ms).unwrap_or(if ms < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        }))
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub fn as_millis(self) -> i64 {
        self.0.as_millisecond()
    }

    /// This time plus whole seconds, clamped at the end of time (year 9999).
    #[must_use]
    pub fn plus_seconds(self, seconds: u64) -> Self {
        let ms = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1000);
        Self::from_millis(self.as_millis().saturating_add(ms))
    }

    /// This time less whole seconds, clamped at the beginning of time.
    #[must_use]
    pub fn minus_seconds(self, seconds: u64) -> Self {
        let ms = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1000);
        Self::from_millis(self.as_millis().saturating_sub(ms))
    }

    /// How long until `later`; zero when it has passed.
    pub fn until(self, later: Self) -> std::time::Duration {
        std::time::Duration::from_millis(u64::try_from(later.as_millis() - self.as_millis()).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.0)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        jiff::Timestamp::deserialize(d).map(Self::from_jiff)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_rfc_3339_in_utc_with_z() {
        let t = Timestamp::from_millis(1_700_000_000_123);
        assert_eq!(serde_json::to_string(&t).unwrap(), "\"2023-11-14T22:13:20.123Z\"");
        assert_eq!(serde_json::from_str::<Timestamp>("\"2023-11-14T22:13:20.123Z\"").unwrap(), t);
    }

    #[test]
    fn a_lease_of_ages_does_not_overflow() {
        assert!(Timestamp::now().plus_seconds(u64::MAX) > Timestamp::now());
    }
}
