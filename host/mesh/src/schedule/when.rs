//! From a stored rule to its times: reads the machine's time zones.

use crate::error::MeshError;
use hypermesh_model::{Schedule, Timing};
use hypermesh_planner::{Calendar, Moments, Rule};
use jiff::tz::TimeZone;

/// The zone where none is named.
pub(super) const UTC: &str = "UTC";

/// A time zone by its name in the IANA database, as the machine has it.
fn zone(name: &str) -> Result<TimeZone, MeshError> {
    if name == UTC {
        return Ok(TimeZone::UTC);
    }
    TimeZone::get(name).map_err(|_| {
        let detail = format!(
            "this machine knows no time zone `{name}`: use a name such as Europe/Berlin, or UTC; the package `tzdata` has them"
        );
        MeshError::unfit("time_zone", detail)
    })
}

/// The times of a rule.
pub(super) fn moments(
    timing: &Timing,
    starts_at: Option<hypermesh_model::Timestamp>,
    ends_at: Option<hypermesh_model::Timestamp>,
) -> Result<Moments, MeshError> {
    let rule = match timing {
        Timing::At { at } => Rule::Once(*at),
        Timing::Cron { expression, time_zone } => {
            let calendar = Calendar::parse(expression, zone(time_zone)?)
                .map_err(|error| MeshError::unfit("cron", error.to_string()))?;
            Rule::Cron(Box::new(calendar))
        }
    };
    Ok(Moments { rule, starts_at, ends_at })
}

/// The times of a schedule.
pub(super) fn moments_of(schedule: &Schedule) -> Result<Moments, MeshError> {
    moments(&schedule.timing, schedule.starts_at, schedule.ends_at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hypermesh_model::Timestamp;
    use std::path::Path;

    fn cron(zone: &str) -> Result<Moments, MeshError> {
        let timing = Timing::Cron { expression: "0 9 * * *".into(), time_zone: zone.into() };
        moments(&timing, None, None)
    }

    #[test]
    fn a_zone_is_the_machine_s_and_one_that_it_does_not_know_is_named() {
        let Err(MeshError::Unfit { member, detail }) = cron("Moon/Tycho") else { panic!("it is taken") };
        assert!(member == "time_zone" && detail.contains("Moon/Tycho"));
        let new_year = Timestamp::from_millis(1_767_225_600_000);
        assert_eq!(cron("UTC").unwrap().next_after(new_year), Some(new_year.plus_seconds(9 * 3600)));
        if !Path::new("/usr/share/zoneinfo/Europe/Berlin").exists() {
            eprintln!("SKIPPED a_zone_is_the_machine_s: this machine has no time zone database");
            return;
        }
        let moments = cron("Europe/Berlin").unwrap();
        assert_eq!(
            moments.next_after(new_year),
            Some(new_year.plus_seconds(8 * 3600)),
            "an hour ahead in winter"
        );
    }
}
