//! Cron expressions: when the next time is, by somebody's wall clock.
//!
//! Five fields (minute, hour, day of month, month, day of week), six with seconds in front, or `@yearly`, `@monthly`,
//! `@weekly`, `@daily`, `@hourly` and `@minutely`. Lists, ranges, steps and names as in crontab(5), and `L`, `W` and `#` as
//! croner's documentation has them. Where both days are restricted, either will do (crontab(5)).
//!
//! Changes of the wall clock are as cron(8) treats them, which is what people expect: an expression of one time a day
//! whose time does not exist runs at the first moment after the gap, and one whose time comes twice runs the first time
//! only. An expression of an interval (`*/10 * * * *`, `0 * * * *`) goes on through both as the clock on the wall shows.
//!
//! The time zone is passed in: reading the machine's database is somebody else's.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use hypermesh_model::Timestamp;
use jiff::tz::TimeZone;
use thiserror::Error;

/// Longest expression, in characters: a list of all minutes has 169.
pub(crate) const MAX_EXPRESSION: usize = 256;

/// How far ahead a time is looked for, in years: the 29th of February is a certain day of the week again after 40 at
/// most. Without a bound, a date that never comes is looked for through three thousand years.
const YEARS: i16 = 44;

/// A cron expression in a time zone.
#[derive(Debug, Clone)]
pub struct Calendar {
    /// Six fields: seconds to day of week.
    fields: String,
    zone: TimeZone,
}

/// A text that is no cron expression.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{expression}` is not a cron expression: {reason}")]
pub struct InvalidExpression {
    /// What was given, cut to 80 characters.
    pub expression: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Calendar {
    /// Parses an expression that speaks of the wall clock of `zone`.
    ///
    /// # Errors
    /// [`InvalidExpression`].
    pub fn parse(expression: &str, zone: TimeZone) -> Result<Self, InvalidExpression> {
        let invalid = |reason: String| InvalidExpression {
            expression: expression.chars().take(80).collect(),
            reason: reason.trim_end_matches('.').to_owned(),
        };
        // Checked here, so that nothing but what a field can hold reaches the parser.
        let known = |c: char| c.is_ascii_alphanumeric() || "@*,-/#?+ ".contains(c);
        if expression.len() > MAX_EXPRESSION || !expression.chars().all(known) {
            return Err(invalid(format!(
                "at most {MAX_EXPRESSION} letters, digits, spaces and `@ * , - / # ? +`"
            )));
        }
        let fields = named(expression).unwrap_or(expression);
        let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
        parser.parse(fields).map_err(|error| invalid(error.to_string()))?;
        let seconds = if fields.split_whitespace().count() == 5 { "0 " } else { "" };
        Ok(Self { fields: format!("{seconds}{}", fields.trim()), zone })
    }

    /// The same expression for the years around `from`.
    fn around(&self, from: i16) -> Option<Cron> {
        let parser = CronParser::builder().seconds(Seconds::Required).year(Year::Required).build();
        parser.parse(&format!("{} {from}-{}", self.fields, from.checked_add(YEARS)?)).ok()
    }

    /// The first time after `after`; `None` when there is none, as for the 30th of February.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let after = jiff::Timestamp::from_millisecond(after.as_millis()).ok()?;
        let shown = after.to_zoned(self.zone.clone());
        let next = self.around(shown.year())?.find_next_occurrence(&shown, false).ok()?;
        let next = next.timestamp();
        // Never the same again, whatever the wall clock does: who asks in a loop must come to an end.
        (next > after).then(|| Timestamp::from_millis(next.as_millisecond()))
    }
}

/// What a name stands for.
fn named(expression: &str) -> Option<&'static str> {
    Some(match expression.trim().to_ascii_lowercase().as_str() {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        "@minutely" => "* * * * *",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    /// Central European time by its rule (POSIX, 8.3), so that no database is needed.
    fn berlin() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::from_millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    #[track_caller]
    fn times(expression: &str, zone: TimeZone, after: &str, count: usize) -> Vec<String> {
        let calendar = Calendar::parse(expression, zone).unwrap();
        let mut now = at(after);
        let next = || {
            now = calendar.next_after(now)?;
            Some(now.to_string().replace(".000Z", "Z"))
        };
        std::iter::from_fn(next).take(count).collect()
    }

    #[test]
    fn fields_names_and_seconds_are_read() {
        let from = "2026-01-02T03:04:05Z";
        assert_eq!(
            times("*/20 * * * *", TimeZone::UTC, from, 2),
            ["2026-01-02T03:20:00Z", "2026-01-02T03:40:00Z"]
        );
        assert_eq!(times("@hourly", TimeZone::UTC, from, 1), ["2026-01-02T04:00:00Z"]);
        assert_eq!(
            times("*/2 * * * * *", TimeZone::UTC, from, 2),
            ["2026-01-02T03:04:06Z", "2026-01-02T03:04:08Z"]
        );
        assert_eq!(
            times("0 9 * * mon-fri", TimeZone::UTC, from, 2),
            ["2026-01-02T09:00:00Z", "2026-01-05T09:00:00Z"]
        );
        assert_eq!(times("0 0 29 2 *", TimeZone::UTC, from, 1), ["2028-02-29T00:00:00Z"]);
        assert_eq!(times("0 9 * * *", berlin(), from, 1), ["2026-01-02T08:00:00Z"], "in winter");
    }

    #[test]
    fn a_time_that_does_not_exist_is_the_first_one_after_the_gap() {
        // On 2026-03-29 clocks go from 02:00 to 03:00 there, at 01:00 UTC.
        assert_eq!(
            times("30 2 * * *", berlin(), "2026-03-28T12:00:00Z", 2),
            ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]
        );
        assert_eq!(
            times("*/30 * * * *", berlin(), "2026-03-29T00:15:00Z", 3),
            ["2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"]
        );
    }

    #[test]
    fn a_time_that_comes_twice_is_the_first_of_them_and_an_interval_has_both() {
        // On 2026-10-25 clocks go from 03:00 back to 02:00 there, at 01:00 UTC.
        assert_eq!(
            times("30 2 * * *", berlin(), "2026-10-24T12:00:00Z", 2),
            ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
        );
        assert_eq!(
            times("30 * * * *", berlin(), "2026-10-24T23:45:00Z", 3),
            ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"]
        );
    }

    #[test]
    fn what_is_no_expression_is_refused_with_its_reason() {
        for bad in [
            "",
            " ",
            "*",
            "* * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 8",
            "*/0 * * * *",
            "@reboot",
            "@",
            "a b c d e",
            "* * * * * * *",
            "1-0 * * * *",
            "é * * * *",
            "* * * * *\n",
            "-1 * * * *",
        ] {
            let error =
                Calendar::parse(bad, TimeZone::UTC).err().unwrap_or_else(|| panic!("{bad:?} is taken"));
            assert!(!error.reason.is_empty() && !error.to_string().contains(".:"), "{error}");
        }
        assert!(Calendar::parse(&"1".repeat(300), TimeZone::UTC).is_err());
    }

    #[test]
    fn a_date_that_never_comes_is_no_time() {
        assert!(times("0 0 30 2 *", TimeZone::UTC, "2026-01-01T00:00:00Z", 1).is_empty());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[@*,/#?+ 0-9LWa-z-]{0,24}", field in "[*0-9,/-]{1,5}") {
            for text in [text, format!("{field} * * * *"), format!("* {field} {field} * *")] {
                if let Ok(calendar) = Calendar::parse(&text, berlin()) {
                    let from = at("2026-03-28T23:00:00Z");
                    prop_assert!(calendar.next_after(from).is_none_or(|next| next > from));
                }
            }
        }

        #[test]
        fn times_only_go_forward_and_show_their_minute(
            minute in 0u8..60, hour in 0u8..24, from in 1_700_000_000_000i64..1_900_000_000_000, interval in any::<bool>(),
        ) {
            let hours = if interval { "*".to_owned() } else { hour.to_string() };
            let calendar = Calendar::parse(&format!("{minute} {hours} * * *"), berlin()).unwrap();
            let mut now = Timestamp::from_millis(from);
            for _ in 0..40 {
                let next = calendar.next_after(now).unwrap();
                prop_assert!(next > now);
                let shown = jiff::Timestamp::from_millisecond(next.as_millis()).unwrap().to_zoned(berlin());
                let after_gap = shown.hour() == 3 && shown.minute() == 0;
                prop_assert!(after_gap || shown.minute() == minute.cast_signed());
                prop_assert!(interval || after_gap || shown.hour() == hour.cast_signed());
                now = next;
            }
        }
    }
}
