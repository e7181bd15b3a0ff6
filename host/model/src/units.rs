//! Units that validate where they are made: bytes and thousandths of a CPU.

use serde::{Deserialize, Serialize};
use std::fmt;
use thiserror::Error;

/// A text or number that is not a quantity of the wanted unit.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{value}` is not {expected}")]
pub struct InvalidUnit {
    /// What was given.
    pub value: String,
    /// What would have been right, e.g. "a size such as 256MiB".
    pub expected: &'static str,
}

/// A number of bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bytes(pub u64);

impl Bytes {
    /// 2^20 bytes.
    pub const MIB: u64 = 1 << 20;
    /// 10^9 bytes: the contract's unit `GB`.
    pub const GB: u64 = 1_000_000_000;

    /// `n` mebibytes.
    pub const fn mib(n: u64) -> Self {
        Self(n * Self::MIB)
    }

    /// From gigabytes (10^9 bytes), rounded to the nearest byte.
    ///
    /// # Errors
    /// [`InvalidUnit`] unless the number is finite, positive and below 2^53 bytes.
    pub fn from_gb(gb: f64) -> Result<Self, InvalidUnit> {
        let bytes = (gb * 1e9).round();
        if bytes.is_finite() && (1.0..9.0e15).contains(&bytes) {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "range checked above"
            )]
            Ok(Self(bytes as u64))
        } else {
            Err(InvalidUnit {
                value: gb.to_string(),
                expected: "a number of gigabytes from one byte up to 9000000",
            })
        }
    }

    /// In gigabytes (10^9 bytes).
    #[expect(clippy::cast_precision_loss, reason = "2^53 bytes is 9 PB")]
    pub fn as_gb(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// Parses `"4096"`, `"256MiB"`, `"1.5 GB"`: a number with an optional decimal (kB, MB, GB, TB) or binary (KiB,
    /// MiB, GiB, TiB; also Ki, Mi, Gi, Ti) unit. Case matters only for nothing: units are read case-insensitively.
    ///
    /// # Errors
    /// [`InvalidUnit`] for anything else, for zero and for more than 2^53 bytes.
    pub fn parse(text: &str) -> Result<Self, InvalidUnit> {
        let invalid = || InvalidUnit {
            value: text.chars().take(40).collect(),
            expected: "a size such as 256MiB or 1.5GB",
        };
        let trimmed = text.trim();
        let split = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(split);
        let factor: f64 = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1.0,
            "k" | "kb" => 1e3,
            "m" | "mb" => 1e6,
            "g" | "gb" => 1e9,
            "t" | "tb" => 1e12,
            "ki" | "kib" => 1024.0,
            "mi" | "mib" => 1024.0 * 1024.0,
            "gi" | "gib" => 1024.0 * 1024.0 * 1024.0,
            "ti" | "tib" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
            _ => return Err(invalid()),
        };
        let number: f64 = number.parse().map_err(|_| invalid())?;
        let bytes = (number * factor).round();
        if (1.0..9.0e15).contains(&bytes) {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "range checked above"
            )]
            Ok(Self(bytes as u64))
        } else {
            Err(invalid())
        }
    }
}

impl fmt::Display for Bytes {
    #[expect(clippy::cast_precision_loss, reason = "for people, two digits")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut value = self.0 as f64;
        for unit in ["B", "KiB", "MiB", "GiB"] {
            if value < 1024.0 {
                return if value.fract() == 0.0 {
                    write!(f, "{value} {unit}")
                } else {
                    write!(f, "{value:.1} {unit}")
                };
            }
            value /= 1024.0;
        }
        write!(f, "{value:.1} TiB")
    }
}

/// Thousandths of one CPU: 1000 is one logical CPU the whole time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MilliCpu(pub u32);

impl MilliCpu {
    /// From a share of a pool in percent (0, 100], as the contract's cpu asset counts, rounded up to a thousandth.
    ///
    /// # Errors
    /// [`InvalidUnit`] unless `0 < percent <= 100`.
    pub fn from_percent_of(percent: f64, pool: Self) -> Result<Self, InvalidUnit> {
        if percent > 0.0 && percent <= 100.0 {
            let milli = (percent / 100.0 * f64::from(pool.0) - 1e-9).ceil().max(1.0);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "between 1 and the pool"
            )]
            Ok(Self((milli as u32).min(pool.0)))
        } else {
            Err(InvalidUnit { value: percent.to_string(), expected: "a percentage above 0 and at most 100" })
        }
    }

    /// As percent of a pool; 0 for an empty pool.
    pub fn as_percent_of(self, pool: Self) -> f64 {
        if pool.0 == 0 { 0.0 } else { f64::from(self.0) * 100.0 / f64::from(pool.0) }
    }
}

impl fmt::Display for MilliCpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}m", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_parse_as_people_write_them() {
        assert_eq!(Bytes::parse("256MiB").unwrap(), Bytes::mib(256));
        assert_eq!(Bytes::parse("1.5 GB").unwrap(), Bytes(1_500_000_000));
        assert_eq!(Bytes::parse("64Mi").unwrap(), Bytes::mib(64));
        for bad in ["", "-1", "NaN", "inf", "1e9", "12 parsecs", "0", "99999999TB", "MiB", "1.2.3"] {
            assert!(Bytes::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn gigabytes_refuse_what_is_not_a_size() {
        for bad in [f64::NAN, f64::INFINITY, -1.0, 0.0, 1e300] {
            assert!(Bytes::from_gb(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_quarter_of_two_cores_is_half_a_core() {
        assert_eq!(MilliCpu::from_percent_of(25.0, MilliCpu(2000)).unwrap(), MilliCpu(500));
        for bad in [0.0, -3.0, 100.1, f64::NAN] {
            assert!(MilliCpu::from_percent_of(bad, MilliCpu(2000)).is_err());
        }
    }

    proptest! {
        #[test]
        fn percent_survives_the_round_trip(milli in 1u32..64_000, pool in 1u32..64_000) {
            prop_assume!(milli <= pool);
            let pool = MilliCpu(pool);
            let back = MilliCpu::from_percent_of(MilliCpu(milli).as_percent_of(pool), pool).unwrap();
            prop_assert_eq!(back, MilliCpu(milli));
        }

        #[test]
        fn parsing_never_panics(s in "\\PC{0,20}") { let _ = Bytes::parse(&s); }
    }
}
