//! How members of requests are read where the contract is wider than what serde derives.
//!
//! Optional members may be `null`, which means the same as leaving them out. Whole numbers may be written as `300.0`: JSON
//! and its schema make no difference, and some languages write them so.

use jiff::Timestamp;
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::marker::PhantomData;

/// Reads `null` as the default.
pub(crate) fn null_is_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    d: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(d)?.unwrap_or_default())
}

/// Reads a whole number in any notation.
pub(crate) fn whole<'de, D: Deserializer<'de>, T: TryFrom<u64>>(d: D) -> Result<T, D::Error> {
    d.deserialize_u64(WholeVisitor(PhantomData))
}

/// Reads a whole number in any notation, or `null`.
pub(crate) fn optional_whole<'de, D: Deserializer<'de>, T: TryFrom<u64>>(
    d: D,
) -> Result<Option<T>, D::Error> {
    Ok(Option::<Whole<T>>::deserialize(d)?.map(|Whole(number)| number))
}

/// Reads a point in time (RFC 3339), or `null`.
///
/// A fraction of a second may have any number of digits (RFC 3339, 5.6); those below a nanosecond are cut off.
pub(crate) fn optional_time<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Timestamp>, D::Error> {
    let Some(text) = Option::<String>::deserialize(d)? else { return Ok(None) };
    let wrong = || D::Error::invalid_value(Unexpected::Str(&text), &"a time such as 2030-01-02T03:04:05Z");
    let date = text.get(..10).filter(|date| date.bytes().all(|b| b.is_ascii_digit() || b == b'-'));
    let separated = text.as_bytes().get(10).is_some_and(|b| b.eq_ignore_ascii_case(&b't'));
    if date.is_none() || !separated || text.contains('[') {
        return Err(wrong());
    }
    shortened(&text).parse().map(Some).map_err(|_| wrong())
}

/// A time without the digits below a nanosecond.
fn shortened(time: &str) -> String {
    /// Digits that the fraction of a second may have here.
    const DIGITS: usize = 9;
    let Some((whole, rest)) = time.split_once('.') else { return time.to_owned() };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    format!("{whole}.{}{}", &rest[..digits.min(DIGITS)], &rest[digits..])
}

struct Whole<T>(T);

impl<'de, T: TryFrom<u64>> Deserialize<'de> for Whole<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        whole(d).map(Self)
    }
}

struct WholeVisitor<T>(PhantomData<T>);

impl<T: TryFrom<u64>> Visitor<'_> for WholeVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number of at least 0")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        T::try_from(number).map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &"a smaller number"))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<T, E> {
        /// Up to here every whole number has a float of its own.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        if number.fract() == 0.0 && (0.0..=EXACT).contains(&number) {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "range checked above"
            )]
            self.visit_u64(number as u64)
        } else {
            Err(E::invalid_value(Unexpected::Float(number), &self))
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::allocations::{CreateAllocation, Requirements};

    #[test]
    fn whole_numbers_are_read_in_any_notation_and_others_in_none() {
        let read = |text: &str| {
            let json = format!(r#"{{"asset_id":"cpu","amount":1,"duration":{text}}}"#);
            serde_json::from_str::<CreateAllocation>(&json).map(|body| body.duration).ok()
        };
        assert_eq!((read("300"), read("300.0"), read("3e2")), (Some(300), Some(300), Some(300)));
        for bad in ["-1", "1.5", "1e300", "-0.5", "\"1\"", "null", "true", "99999999999999999999"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_time_is_read_as_rfc_3339_writes_it_and_in_no_other_way() {
        let read = |text: &str| {
            let json = format!(r#"{{"asset_id":"cpu","amount":1,"duration":1,"start_time":{text}}}"#);
            serde_json::from_str::<CreateAllocation>(&json).map(|body| body.start_time).ok()
        };
        let expected: jiff::Timestamp = "2030-01-02T03:04:05.5Z".parse().unwrap();
        for right in
            ["2030-01-02T03:04:05.5Z", "2030-01-02t03:04:05.500000000009z", "2030-01-02T04:04:05.5+01:00"]
        {
            assert_eq!(read(&format!("\"{right}\"")), Some(Some(expected)), "{right}");
        }
        assert_eq!(read("null"), Some(None));
        for bad in [
            "",
            "x",
            "2030-01-02",
            "2030-01-02 03:04:05Z",
            "20300102T030405Z",
            "2030-01-02T03:04:05",
            "2030-02-30T00:00:00Z",
            "2030-01-02T03:04:05+01:00[Europe/Rome]",
            "1893553445",
        ] {
            assert_eq!(read(&format!("\"{bad}\"")), None, "{bad}");
        }
        assert_eq!(read("1893553445"), None);
    }

    #[test]
    fn a_number_that_does_not_fit_is_refused_and_null_is_none() {
        let read = |text: &str| serde_json::from_str::<Requirements>(&format!(r#"{{"pids":{text}}}"#)).ok();
        assert_eq!(read("null").map(|r| r.pids), Some(None));
        assert_eq!(read("64.0").map(|r| r.pids), Some(Some(64)));
        assert_eq!(read("4294967296"), None);
    }
}
