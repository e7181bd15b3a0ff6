//! Schedules: asking for one, and how one and its runs look.

use super::{check, executions, same_names, time};
use crate::problem::Draft;
use hypermesh_mesh::{ExecuteRequest, MAX_HISTORY, NewSchedule, ScheduleChange, ScheduleView, request_of};
use hypermesh_model::{self as model, Run, Timestamp, Timing};
use hypermesh_wire::MAX_NAME;
use hypermesh_wire::executions::ExecuteVm;
use hypermesh_wire::schedules::{
    self as wire, ChangeSchedule, CreateSchedule, Schedule, ScheduleRun, ScheduleState,
};

/// Ended runs that are kept when nobody says how many.
const DEFAULT_HISTORY: u32 = 20;
/// Longest cron expression, as the schema has it.
const MAX_CRON: usize = 256;
/// Longest part of a time zone's name, and how many parts there are.
const ZONE_PART: usize = 32;
const ZONE_PARTS: usize = 3;

same_names!(shown_concurrency: model::Concurrency => wire::Concurrency { Allow, Forbid, Replace });
same_names!(concurrency: wire::Concurrency => model::Concurrency { Allow, Forbid, Replace });
same_names!(shown_catch_up: model::CatchUp => wire::CatchUp { Skip, RunOnce });
same_names!(catch_up: wire::CatchUp => model::CatchUp { Skip, RunOnce });
same_names!(shown_status: model::RunStatus => wire::RunStatus {
    Pending, Running, Completed, Failed, Cancelled, Refused, Skipped, Missed
});

/// What is executed, later.
pub(crate) fn request(body: ExecuteVm) -> Result<ExecuteRequest, Draft> {
    executions::new(body).map_err(|draft| draft.within("execution"))
}

/// A schedule to make.
pub(crate) fn new(body: CreateSchedule) -> Result<NewSchedule, Draft> {
    Ok(NewSchedule {
        name: check::text("name", body.name, 1, MAX_NAME)?,
        request: request(body.execution)?,
        at: body.at.map(moment),
        cron: body.cron.map(cron).transpose()?,
        time_zone: body.time_zone.map(zone).transpose()?,
        enabled: body.enabled.unwrap_or(true),
        concurrency: body.concurrency.map(concurrency).unwrap_or_default(),
        catch_up: body.catch_up.map(catch_up).unwrap_or_default(),
        starts_at: body.starts_at.map(moment),
        ends_at: body.ends_at.map(moment),
        history_limit: history(body.history_limit)?.unwrap_or(DEFAULT_HISTORY),
    })
}

/// A change of a schedule.
pub(crate) fn change(body: ChangeSchedule) -> Result<ScheduleChange, Draft> {
    Ok(ScheduleChange {
        name: check::optional_text("name", body.name, 1, MAX_NAME)?,
        request: body.execution.map(request).transpose()?,
        at: body.at.map(moment),
        cron: body.cron.map(cron).transpose()?,
        time_zone: body.time_zone.map(zone).transpose()?,
        enabled: body.enabled,
        concurrency: body.concurrency.map(concurrency),
        catch_up: body.catch_up.map(catch_up),
        starts_at: body.starts_at.map(moment),
        ends_at: body.ends_at.map(moment),
        history_limit: history(body.history_limit)?,
    })
}

fn moment(at: jiff::Timestamp) -> Timestamp {
    Timestamp::from_millis(at.as_millisecond())
}

fn history(limit: Option<u32>) -> Result<Option<u32>, Draft> {
    limit.map(|limit| check::range("history_limit", limit, 1, MAX_HISTORY)).transpose()
}

/// A text in the schema's notation; whether it is an expression, the domain says.
fn cron(text: String) -> Result<String, Draft> {
    let known = |c: char| c.is_ascii_alphanumeric() || "@*,/#?+ -".contains(c);
    if (1..=MAX_CRON).contains(&text.len()) && text.chars().all(known) {
        return Ok(text);
    }
    let detail = format!("`cron` is 1 to {MAX_CRON} letters, digits, spaces and @ * , / # ? + -");
    Err(Draft::invalid("cron", detail))
}

/// The same for a name of a time zone.
fn zone(text: String) -> Result<String, Draft> {
    let part = |part: &str| {
        let known = |c: char| c.is_ascii_alphanumeric() || "_+-".contains(c);
        (1..=ZONE_PART).contains(&part.len()) && part.chars().all(known)
    };
    if text.split('/').all(part) && text.split('/').count() <= ZONE_PARTS {
        return Ok(text);
    }
    Err(Draft::invalid("time_zone", "`time_zone` is a name such as Europe/Berlin or UTC"))
}

/// A schedule as a caller sees it.
pub(crate) fn shown(view: ScheduleView) -> Schedule {
    let ScheduleView { schedule, last_run } = view;
    let state = match (schedule.enabled, schedule.next_at) {
        (false, _) => ScheduleState::Paused,
        (true, Some(_)) => ScheduleState::Active,
        (true, None) => ScheduleState::Ended,
    };
    let (at, cron, time_zone) = match schedule.timing {
        Timing::At { at } => (Some(time(at)), None, None),
        Timing::Cron { expression, time_zone } => (None, Some(expression), Some(time_zone)),
    };
    Schedule {
        id: schedule.id.into(),
        name: schedule.name,
        requester_id: schedule.requester.0,
        execution: executions::asked(request_of(schedule.template, None)),
        at,
        cron,
        time_zone,
        enabled: schedule.enabled,
        state,
        concurrency: shown_concurrency(schedule.concurrency),
        catch_up: shown_catch_up(schedule.catch_up),
        starts_at: schedule.starts_at.map(time),
        ends_at: schedule.ends_at.map(time),
        history_limit: schedule.history_limit,
        created_at: time(schedule.created_at),
        next_at: schedule.next_at.map(time),
        last_run: last_run.map(run),
    }
}

/// A run as a caller sees it.
pub(crate) fn run(run: Run) -> ScheduleRun {
    ScheduleRun {
        id: run.id.into(),
        schedule_id: run.schedule.into(),
        due: time(run.due),
        manual: run.manual,
        missed: run.missed,
        status: shown_status(run.status),
        execution_id: run.execution.map(Into::into),
        reason: run.reason,
        cause: run.cause.as_ref().map(executions::shown_cause),
        started_at: run.started_at.map(time),
        ended_at: run.ended_at.map(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hypermesh_wire::schedules::{CRON_PATTERN, ZONE_PATTERN};
    use proptest::prelude::*;

    fn inner(pattern: &str) -> impl Strategy<Value = String> + use<> {
        // Anchors say nothing to a generator.
        proptest::string::string_regex(pattern.trim_start_matches('^').trim_end_matches('$')).unwrap()
    }

    #[test]
    fn what_the_schema_does_not_take_is_refused() {
        for bad in ["", "é", "* * * * *\n", "a_b", &"*".repeat(257)] {
            assert_eq!(
                cron(bad.to_owned()).err().and_then(|d| d.member().map(str::to_owned)),
                Some("cron".into())
            );
        }
        for bad in ["", "/", "a/", "a//b", "a/b/c/d", "../etc", "Europe/Berlin\0", &"x".repeat(33)] {
            assert!(zone(bad.to_owned()).is_err(), "{bad}");
        }
        assert!(zone("America/Argentina/Buenos_Aires".into()).is_ok() && zone("Etc/GMT+1".into()).is_ok());
    }

    proptest! {
        #[test]
        fn what_the_schema_takes_is_taken(text in inner(CRON_PATTERN), name in inner(ZONE_PATTERN)) {
            prop_assert!(cron(text).is_ok() && zone(name).is_ok());
        }
    }
}
