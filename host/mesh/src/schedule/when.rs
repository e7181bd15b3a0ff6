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
