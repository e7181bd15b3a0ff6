//! `schedule`: executions at a time, or again and again.

use crate::commands::run::Workload;
use crate::context::Context;
use crate::failure::Failure;
use crate::human;
use crate::output::Style;
use crate::parse;
use crate::table::{Table, fields};
use clap::{ArgGroup, Args, Subcommand};
use hypermesh_client::Client;
use hypermesh_wire::schedules::{
    CatchUp, ChangeSchedule, Concurrency, CreateSchedule, RunStatus, Schedule, ScheduleQuery, ScheduleRun,
};
use jiff::Timestamp;
use serde::Serialize;

/// `schedule …`
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Have a component run at a time, or again and again
    Create(Box<Create>),
    /// List schedules
    List,
    /// Show a schedule and its runs
    Show(Named),
    /// Let a schedule's times pass
    Pause(Named),
    /// Let a paused schedule run again; what passed is not made up for
    Resume(Named),
    /// Remove a schedule; what runs goes on
    Delete(Named),
    /// Have a schedule run now, whatever its times are
    RunNow(Named),
}

/// Which schedule.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// Its id, or its name where no other has it
    #[arg(value_name = "ID|NAME")]
    schedule: String,
}

/// `schedule create …`
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("times").args(["at", "cron"]).required(true))]
pub(crate) struct Create {
    /// A name for people
    name: String,
    #[command(flatten)]
    workload: Workload,
    /// Once: 2030-01-02T03:04:05Z, or so long from now, e.g. +2h
    #[arg(long, value_parser = parse::time, value_name = "TIME")]
    at: Option<Timestamp>,
    /// Again and again: minute hour day month weekday, with seconds in front if there are six, or @hourly, @daily, …
    #[arg(long, value_name = "EXPRESSION")]
    cron: Option<String>,
    /// Whose wall clock --cron speaks of, e.g. Europe/Berlin [default: UTC]
    #[arg(long, requires = "cron", conflicts_with = "at", value_name = "ZONE")]
    tz: Option<String>,
    /// What happens when the run before has not ended: allow, forbid or replace [default: allow]
    #[arg(long, value_parser = parse::name::<Concurrency>, value_name = "POLICY")]
    concurrency: Option<Concurrency>,
    /// What happens with times that were missed: skip or run_once [default: run_once]
    #[arg(long, value_parser = parse::name::<CatchUp>, value_name = "POLICY")]
    catch_up: Option<CatchUp>,
    /// No run before this
    #[arg(long, value_parser = parse::time, value_name = "TIME")]
    starts: Option<Timestamp>,
    /// No run after this
    #[arg(long, value_parser = parse::time, value_name = "TIME")]
    ends: Option<Timestamp>,
    /// Keep so many ended runs [default: 20]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    history: Option<u32>,
    /// Make it paused
    #[arg(long)]
    paused: bool,
}

/// A schedule with its runs, as it is shown.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    schedule: Schedule,
    runs: Vec<ScheduleRun>,
}

/// Runs `schedule …`.
pub(crate) fn run(context: &Context, command: Command) -> anyhow::Result<()> {
    let client = context.client()?;
    let output = context.output;
    match command {
        Command::Create(create) => {
            output.show(&make(&client, *create)?, |made, style| show(made, &[], style))
        }
        Command::List => output.show(&all(&client)?, |schedules, style| list(schedules, style)),
        Command::Show(named) => {
            let schedule = find(&client, &named)?;
            let runs = client.schedule_runs(&schedule.id)?;
            output.show(&Shown { schedule, runs }, |shown, style| show(&shown.schedule, &shown.runs, style))
        }
        Command::Pause(named) => enable(context, &client, &named, false),
        Command::Resume(named) => enable(context, &client, &named, true),
        Command::Delete(named) => {
            let gone = client.remove_schedule(&find(&client, &named)?.id)?;
            output.show(&gone, |answer, _| human::printable(&answer.message) + "\n")
        }
        Command::RunNow(named) => {
            let run = client.run_schedule(&find(&client, &named)?.id)?;
            output.show(&run, |run, style| runs(std::slice::from_ref(run), style))?;
            match run.status {
                RunStatus::Refused | RunStatus::Skipped => Err(Failure::REFUSED.into()),
                RunStatus::Pending
                | RunStatus::Running
                | RunStatus::Completed
                | RunStatus::Failed
                | RunStatus::Cancelled
                | RunStatus::Missed => Ok(()),
            }
        }
    }
}

fn make(client: &Client, mut create: Create) -> anyhow::Result<Schedule> {
    let (_, execution) = create.workload.prepare(client)?;
    let request = CreateSchedule {
        at: create.at,
        cron: create.cron,
        time_zone: create.tz,
        enabled: create.paused.then_some(false),
        concurrency: create.concurrency,
        catch_up: create.catch_up,
        starts_at: create.starts,
        ends_at: create.ends,
        history_limit: create.history,
        ..CreateSchedule::new(create.name, execution)
    };
    Ok(client.create_schedule(&request)?)
}

fn all(client: &Client) -> anyhow::Result<Vec<Schedule>> {
    Ok(client.schedules(&ScheduleQuery::default())?)
}

/// The schedule that is meant.
fn find(client: &Client, named: &Named) -> anyhow::Result<Schedule> {
    choose(all(client)?, &named.schedule).map_err(Into::into)
}

fn choose(schedules: Vec<Schedule>, text: &str) -> Result<Schedule, Failure> {
    let meant = |schedule: &Schedule| schedule.id == text || schedule.name == text;
    let mut found: Vec<Schedule> = schedules.into_iter().filter(meant).collect();
    match (found.iter().position(|schedule| schedule.id == text), found.len()) {
        (Some(at), _) => Ok(found.swap_remove(at)),
        (None, 1) => Ok(found.swap_remove(0)),
        (None, 0) => Err(Failure::Usage(format!("there is no schedule `{text}`"))),
        (None, count) => Err(Failure::Usage(format!("{count} schedules are called `{text}`; use an id"))),
    }
}

fn enable(context: &Context, client: &Client, named: &Named, enabled: bool) -> anyhow::Result<()> {
    let change = ChangeSchedule { enabled: Some(enabled), ..ChangeSchedule::default() };
    let changed = client.change_schedule(&find(client, named)?.id, &change)?;
    context.output.show(&changed, |changed, style| list(std::slice::from_ref(changed), style))
}

fn times(schedule: &Schedule) -> String {
    match (&schedule.cron, &schedule.time_zone, schedule.at) {
        (Some(cron), zone, _) => format!("{cron} {}", zone.as_deref().unwrap_or_default()),
        (None, _, Some(at)) => format!("at {at:.0}"),
        (None, _, None) => human::UNKNOWN.to_owned(),
    }
}

fn moment(at: Option<Timestamp>) -> String {
    at.map_or_else(|| human::UNKNOWN.to_owned(), |at| format!("{at:.0}"))
}

fn list(schedules: &[Schedule], style: Style) -> String {
    let mut table = Table::new(&["ID", "NAME", "STATE", "WHEN", "NEXT", "LAST"]);
    for schedule in schedules {
        let last = schedule.last_run.as_ref();
        table.row([
            schedule.id.clone(),
            schedule.name.clone(),
            human::named(&schedule.state),
            times(schedule),
            moment(schedule.next_at),
            last.map_or_else(|| human::UNKNOWN.to_owned(), |run| human::named(&run.status)),
        ]);
    }
    table.render(style)
}

fn runs(all: &[ScheduleRun], style: Style) -> String {
    let mut table = Table::new(&["DUE", "STATUS", "EXECUTION", "WHY"]);
    for run in all {
        let cause = run.cause.as_ref().map(|cause| cause.message.clone());
        table.row([
            moment(Some(run.due)),
            human::named(&run.status),
            run.execution_id.clone().unwrap_or_else(|| human::UNKNOWN.to_owned()),
            run.reason.clone().or(cause).unwrap_or_default(),
        ]);
    }
    table.render(style)
}

fn show(schedule: &Schedule, all: &[ScheduleRun], style: Style) -> String {
    let mut members = vec![
        ("id", schedule.id.clone()),
        ("name", schedule.name.clone()),
        ("state", human::named(&schedule.state)),
        ("when", times(schedule)),
        ("next", moment(schedule.next_at)),
        ("vm", schedule.execution.vm_asset_id.clone()),
        ("operation", schedule.execution.operation.clone()),
        ("concurrency", human::named(&schedule.concurrency)),
        ("catch up", human::named(&schedule.catch_up)),
    ];
    members.extend(schedule.starts_at.map(|at| ("starts", moment(Some(at)))));
    members.extend(schedule.ends_at.map(|at| ("ends", moment(Some(at)))));
    let mut text = fields(&members, style);
    if !all.is_empty() {
        text.push('\n');
        text.push_str(&runs(all, style));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schedule(id: &str, name: &str) -> Schedule {
        serde_json::from_value(json!({
            "id": id, "name": name, "requester_id": "admin",
            "execution": { "vm_asset_id": "vm", "operation": "run", "parameters": {} },
            "at": null, "cron": "@daily", "time_zone": "UTC", "enabled": true, "state": "active", "concurrency": "allow",
            "catch_up": "skip", "starts_at": null, "ends_at": null, "history_limit": 20,
            "created_at": "2026-01-02T03:04:05Z", "next_at": "2026-01-03T00:00:00Z", "last_run": null,
        }))
        .unwrap()
    }

    #[test]
    fn a_schedule_is_meant_by_its_id_or_by_a_name_that_is_its_alone() {
        let all = || vec![schedule("s1", "a"), schedule("s2", "a"), schedule("s3", "b"), schedule("b", "c")];
        assert_eq!(choose(all(), "s1").unwrap().id, "s1");
        assert_eq!(choose(all(), "c").unwrap().id, "b");
        assert_eq!(choose(all(), "b").unwrap().id, "b", "an id goes first");
        assert!(choose(all(), "a").unwrap_err().to_string().contains("2 schedules"));
        assert!(choose(all(), "x").is_err());
    }

    #[test]
    fn a_list_says_when() {
        let text = list(&[schedule("s1", "nightly")], Style::PLAIN);
        assert!(text.contains("nightly  active  @daily UTC  2026-01-03T00:00:00Z  -"), "{text}");
    }
}
