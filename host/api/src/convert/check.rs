//! The checks that members of requests share. Each refusal names the member and says what would be right.

use crate::problem::{Draft, Kind};
use hypermesh_model::{Bytes, InvalidId};
use std::fmt::Display;

/// A line of `min` to `max` characters. None is a control character: those would write elsewhere on the terminal, or end
/// the string in a program that counts on NUL.
pub(crate) fn text(member: &str, text: String, min: usize, max: usize) -> Result<String, Draft> {
    checked(member, text, min, max, "")
}

/// The same, of several lines.
pub(crate) fn prose(member: &str, text: String, max: usize) -> Result<String, Draft> {
    checked(member, text, 0, max, "\t\n\r")
}

/// An optional line of `min` to `max` characters.
pub(crate) fn optional_text(
    member: &str,
    given: Option<String>,
    min: usize,
    max: usize,
) -> Result<Option<String>, Draft> {
    given.map(|given| text(member, given, min, max)).transpose()
}

fn checked(member: &str, text: String, min: usize, max: usize, control: &str) -> Result<String, Draft> {
    let length = text.chars().count();
    if text.chars().any(|c| c.is_control() && !control.contains(c)) {
        Err(Draft::invalid(member, format!("`{member}` has a control character")))
    } else if (min..=max).contains(&length) {
        Ok(text)
    } else {
        Err(Draft::invalid(
            member,
            format!("`{member}` must have {min} to {max} characters; it has {length}"),
        ))
    }
}

/// A number from `min` to `max`.
pub(crate) fn range<T: PartialOrd + Display>(member: &str, number: T, min: T, max: T) -> Result<T, Draft> {
    if number >= min && number <= max {
        Ok(number)
    } else {
        Err(Draft::invalid(member, format!("`{member}` must be from {min} to {max}")))
    }
}

/// A number above 0, at most `max`.
pub(crate) fn positive(member: &str, number: f64, max: f64) -> Result<f64, Draft> {
    if number > 0.0 && number <= max {
        Ok(number)
    } else {
        Err(Draft::invalid(member, format!("`{member}` must be above 0 and at most {max}")))
    }
}

/// An id of any kind.
pub(crate) fn id<T>(member: &str, text: &str, parse: fn(String) -> Result<T, InvalidId>) -> Result<T, Draft> {
    parse(text.to_owned()).map_err(|error| Draft::invalid(member, format!("`{member}`: {error}")))
}

/// A size such as `256MiB`, in the notation of the schema.
pub(crate) fn size(member: &str, text: &str) -> Result<Bytes, Draft> {
    let parsed = if is_size(text) { Bytes::parse(text).ok() } else { None };
    parsed.ok_or_else(|| {
        let detail = format!("`{member}` must be a size such as 256MiB or 1.5GB: above 0 and below 1000TiB");
        Draft::invalid(member, detail)
    })
}

/// Whether a text is a size by the schema's pattern: a number without superfluous zeros, perhaps a space, a unit. The
/// number of digits bounds it, so that every such text is a number of bytes from 1 to below 2^53.
fn is_size(text: &str) -> bool {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (whole, fraction) =
        number.split_once('.').map_or((number, None), |(whole, part)| (whole, Some(part)));
    let most = match unit.strip_prefix(' ').unwrap_or(unit) {
        "B" => return fraction.is_none() && is_whole(whole, 15),
        "kB" | "MB" | "GB" | "KiB" | "MiB" | "GiB" => 6,
        "TB" | "TiB" => 3,
        _ => return false,
    };
    let decimals = fraction.is_none_or(|part| (1..=3).contains(&part.len()) && !part.contains('.'));
    let small = whole == "0" && fraction.is_some_and(|part| !part.ends_with('0'));
    decimals && (small || is_whole(whole, most))
}

fn is_whole(digits: &str, most: usize) -> bool {
    (1..=most).contains(&digits.len()) && !digits.starts_with('0')
}

/// A size in the schema's notation that parses to the same number: in the largest unit that divides it.
pub(crate) fn size_text(size: Bytes) -> String {
    let units = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let exact = units.iter().find(|(_, unit)| size.0 >= *unit && size.0.is_multiple_of(*unit));
    let text = exact.map(|(name, unit)| format!("{}{name}", size.0 / unit));
    text.filter(|text| is_size(text)).unwrap_or_else(|| format!("{}B", size.0))
}

/// A refusal of what this build does not grant.
pub(crate) fn not_granted(member: &str, why: &str) -> Draft {
    Draft::new(Kind::Unprocessable, format!("`{member}`: {why}")).about(member)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The pattern in the wire crate's schemas.
    const PATTERN: &str = r"([1-9][0-9]{0,14} ?B|(0\.[0-9]{0,2}[1-9]|[1-9][0-9]{0,5}(\.[0-9]{1,3})?) ?(k|M|G|Ki|Mi|Gi)B|(0\.[0-9]{0,2}[1-9]|[1-9][0-9]{0,2}(\.[0-9]{1,3})?) ?(T|Ti)B)";

    #[test]
    fn sizes_that_the_schema_refuses_are_refused() {
        for bad in [
            "",
            "0MiB",
            "-1MiB",
            "01MiB",
            "1.MiB",
            "1.2345MiB",
            "1  MiB",
            "1mib",
            "1MiB ",
            "1.5B",
            "NaN",
            "9999999TB",
            "1",
            "0.0GB",
            ".5GB",
            "1.2.3GB",
        ] {
            assert!(size("m", bad).is_err(), "{bad}");
        }
        assert_eq!(size("m", "1.5 GB").ok(), Some(Bytes(1_500_000_000)));
        assert_eq!(size_text(Bytes::mib(256)), "256MiB");
        assert_eq!(size_text(Bytes(1_500_000_001)), "1500000001B");
    }

    #[test]
    fn numbers_that_are_none_are_refused() {
        for bad in [f64::NAN, f64::INFINITY, -1.0, 0.0, 1e300] {
            assert_eq!(positive("amount", bad, 1e9).err().unwrap().member(), Some("amount"));
        }
    }

    proptest! {
        #[test]
        fn sizes_that_the_schema_takes_are_taken(text in PATTERN) {
            prop_assert!(size("m", &text).is_ok(), "{}", text);
        }

        #[test]
        fn no_text_panics_and_none_is_zero(text in "[0-9.]{0,8} ?[kKMGTi]{0,2}B?") {
            if let Ok(size) = size("m", &text) {
                prop_assert!(size.0 > 0);
            }
        }

        #[test]
        fn a_size_survives_the_round_trip(bytes in 1u64..1_000_000_000_000_000) {
            prop_assert_eq!(size("m", &size_text(Bytes(bytes))).ok(), Some(Bytes(bytes)));
        }

        #[test]
        fn no_control_character_gets_through(text in "[ -~]{0,3}[\\x00-\\x1f\\x7f-\\u{9f}][ -~]{0,3}") {
            prop_assert!(super::text("m", text.clone(), 0, 9).is_err());
            let allowed = text.chars().all(|c| !c.is_control() || "\t\n\r".contains(c));
            prop_assert_eq!(prose("m", text, 9).is_ok(), allowed);
        }

        #[test]
        fn lengths_count_characters(text in "\\PC{0,8}") {
            let length = text.chars().count();
            prop_assert_eq!(super::text("m", text, 1, 4).is_ok(), (1..=4).contains(&length));
        }
    }
}
