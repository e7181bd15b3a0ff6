//! Times as X.509 writes them (RFC 5280 §4.1.2.5): UTCTime until 2049, GeneralizedTime after, whole seconds, `Z`.
//!
//! The calendar is the proleptic Gregorian one, computed from days since 1970. What another form says is refused: a
//! certificate with a time of local zone or fractions has no one meaning. `99991231235959Z`, "no end", is clamped to the
//! latest time that [`Timestamp`] has.

use super::{DerError, Reader, Writer, tag};
use hypermesh_model::Timestamp;

const DAY_S: i64 = 86_400;

/// Writes the time, less its fraction of a second.
pub(crate) fn write(w: &mut Writer, at: Timestamp) {
    let text = digits(at);
    // Years that UTCTime can say are 1950 to 2049.
    if (*b"1950"..*b"2050").contains(&[text[0], text[1], text[2], text[3]]) {
        w.element(tag::UTC_TIME, &text[2..]);
    } else {
        w.element(tag::GENERALIZED_TIME, &text);
    }
}

/// Writes the time as GeneralizedTime, as OCSP has it everywhere.
pub(crate) fn write_generalized(w: &mut Writer, at: Timestamp) {
    w.element(tag::GENERALIZED_TIME, &digits(at));
}

/// `YYYYMMDDHHMMSSZ`.
fn digits(at: Timestamp) -> [u8; 15] {
    let seconds = at.as_millis().div_euclid(1000);
    let (year, month, day) = civil(seconds.div_euclid(DAY_S));
    let of_day = seconds.rem_euclid(DAY_S);
    let parts = [
        (year.clamp(0, 9999), 4),
        (month, 2),
        (day, 2),
        (of_day / 3600, 2),
        (of_day / 60 % 60, 2),
        (of_day % 60, 2),
    ];
    let mut text = [b'Z'; 15];
    let mut at = 0;
    for (value, width) in parts {
        let mut rest = value;
        for place in (at..at + width).rev() {
            text[place] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
        }
        at += width;
    }
    text
}

/// Reads a time of either form.
pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Timestamp, DerError> {
    let element = reader.element()?;
    let (century, text) = match element.tag {
        tag::UTC_TIME if element.content.len() == 13 => {
            (Some(if element.content[0] < b'5' { 20 } else { 19 }), element.content)
        }
        tag::GENERALIZED_TIME if element.content.len() == 15 => (None, element.content),
        _ => return Err(DerError::NotDer("a time")),
    };
    let Some((b'Z', text)) = text.split_last() else { return Err(DerError::NotDer("a time")) };
    if !text.iter().all(u8::is_ascii_digit) {
        return Err(DerError::NotDer("a time"));
    }
    let mut pairs = text.chunks(2).map(|pair| i64::from(pair[0] - b'0') * 10 + i64::from(pair[1] - b'0'));
    let mut next = || pairs.next().unwrap_or(0);
    let century = century.unwrap_or_else(&mut next);
    let (year, month, day) = (century * 100 + next(), next(), next());
    let (hour, minute, second) = (next(), next(), next());
    let days = days(year, month, day);
    if civil(days) != (year, month, day) || hour > 23 || minute > 59 || second > 59 {
        return Err(DerError::Value("a time is on no calendar"));
    }
    let seconds = days * DAY_S + hour * 3600 + minute * 60 + second;
    Ok(Timestamp::from_millis(seconds * 1000))
}

/// Days since 1970-01-01 of a date (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The date, so many days after 1970-01-01; the inverse of [`days`].
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::super::to_vec;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_form_changes_with_2050() {
        let second_before = Timestamp::from_millis(2_524_607_999_000);
        assert_eq!(to_vec(|w| write(w, second_before)), *b"\x17\x0d491231235959Z");
        assert_eq!(to_vec(|w| write(w, second_before.plus_seconds(1))), *b"\x18\x0f20500101000000Z");
    }

    #[test]
    fn other_forms_and_no_days_are_refused() {
        for text in [
            &b"\x17\x0d230229000000Z"[..],
            b"\x17\x0d231301000000Z",
            b"\x17\x0d230101240000Z",
            b"\x17\x0b2301010000Z",
            b"\x17\x11230101000000+0100",
            b"\x18\x1120230101000000.5Z",
            b"\x17\x0d2301010000 0Z",
        ] {
            assert!(read(&mut Reader::new(text)).is_err(), "{}", String::from_utf8_lossy(text));
        }
        let leap = read(&mut Reader::new(b"\x17\x0d240229000000Z")).unwrap();
        assert_eq!(leap.to_string(), "2024-02-29T00:00:00.000Z");
        assert!(read(&mut Reader::new(b"\x18\x0f99991231235959Z")).unwrap() > leap);
    }

    proptest! {
        #[test]
        fn a_time_comes_back(seconds in -62_000_000_000_i64..253_000_000_000) {
            let at = Timestamp::from_millis(seconds * 1000);
            let written = to_vec(|w| write(w, at));
            prop_assert_eq!(read(&mut Reader::new(&written)), Ok(at));
            let written = to_vec(|w| write_generalized(w, at));
            prop_assert_eq!(read(&mut Reader::new(&written)), Ok(at));
        }
    }
}
