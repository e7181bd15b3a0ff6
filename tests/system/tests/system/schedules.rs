//! Schedules run what they should, when they should: once a time, and no time twice, whatever becomes of the node.

use hypermesh_artifacts::{HOSTILE, MATRIX_MULTIPLY};
use hypermesh_client::ClientError;
use hypermesh_harness::{Node, allocation, job, problem, require_cgroups, skip, until, with_limits};
use hypermesh_wire::executions::{ExecuteVm, ExecutionStatus};
use hypermesh_wire::schedules::{
    CatchUp, ChangeSchedule, Concurrency, CreateSchedule, RunStatus, Schedule, ScheduleRun, ScheduleState,
};
use hypermesh_wire::tokens::Role;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::collections::BTreeSet;

/// The variable that names a fail point.
const CRASH_AT: &str = "HYPERMESH_CRASH_AT";
/// Every second.
const SECONDLY: &str = "* * * * * *";

fn small(node: &Node) -> ExecuteVm {
    let vm = node.install(&MATRIX_MULTIPLY, Some(with_limits(10.0, "64MiB")));
    job(&vm, "multiply", json!({ "size": 2 }))
}

fn sleeping(node: &Node) -> ExecuteVm {
    let vm = node.install(&HOSTILE, Some(with_limits(10.0, "64MiB")));
    job(&vm, "sleep", json!({ "ms": 60_000 }))
}

fn at(execution: ExecuteVm, milliseconds: i64) -> CreateSchedule {
    let at = Timestamp::now() + SignedDuration::from_millis(milliseconds);
    CreateSchedule { at: Some(at), ..CreateSchedule::new("once", execution) }
}

fn secondly(execution: ExecuteVm) -> CreateSchedule {
    CreateSchedule { cron: Some(SECONDLY.into()), ..CreateSchedule::new("secondly", execution) }
}

fn make(node: &Node, schedule: &CreateSchedule) -> Schedule {
    node.client().create_schedule(schedule).expect("the node takes the schedule")
}

fn runs(node: &Node, schedule: &Schedule) -> Vec<ScheduleRun> {
    node.client().schedule_runs(&schedule.id).expect("the node knows the schedule")
}

/// The runs, once at least `count` of them are in this status.
#[track_caller]
fn runs_that_are(node: &Node, schedule: &Schedule, status: RunStatus, count: usize) -> Vec<ScheduleRun> {
    until(&format!("{count} runs that are {status:?}"), || {
        let found: Vec<_> = runs(node, schedule).into_iter().filter(|run| run.status == status).collect();
        (found.len() >= count).then_some(found)
    })
}

fn pause(node: &Node, schedule: &Schedule, enabled: bool) -> Schedule {
    let change = ChangeSchedule { enabled: Some(enabled), ..ChangeSchedule::default() };
    node.client().change_schedule(&schedule.id, &change).expect("it is changed")
}

#[test]
fn a_time_comes_once() {
    let node = Node::start();
    require_cgroups!(node);
    let made = make(&node, &at(small(&node), 1000));
    assert_eq!((made.state, made.next_at), (ScheduleState::Active, made.at));
    let [run] = &runs_that_are(&node, &made, RunStatus::Completed, 1)[..] else { panic!("one run") };
    assert_eq!((Some(run.due), run.manual, run.missed), (made.at, false, 0));
    let execution = node.client().execution(run.execution_id.as_ref().unwrap(), 0).unwrap();
    assert_eq!(execution.status, ExecutionStatus::Completed);
    assert!(execution.execution.queued_at >= run.due, "not before its time");
    let now = node.client().schedule(&made.id).unwrap();
    assert_eq!((now.state, now.next_at, now.enabled), (ScheduleState::Ended, None, true));
    assert_eq!(now.last_run.as_ref(), Some(run));
    let told = node.told("schedule_run_started", &made.id);
    assert_eq!(told.data["execution_id"], json!(execution.id));
    node.told("schedule_run_ended", &made.id);
}

#[test]
fn times_come_again_and_again_but_not_while_it_is_paused() {
    let node = Node::start();
    require_cgroups!(node);
    let made = make(&node, &CreateSchedule { history_limit: Some(2), ..secondly(small(&node)) });
    let seen = runs_that_are(&node, &made, RunStatus::Completed, 2);
    assert!(seen.iter().all(|run| run.due.subsec_nanosecond() == 0));
    assert!(seen.windows(2).all(|pair| pair[0].due < pair[1].due));
    let paused = pause(&node, &made, false);
    assert_eq!((paused.state, paused.next_at), (ScheduleState::Paused, None));
    let ended = until("the last one to end", || {
        let runs = runs(&node, &made);
        runs.iter().all(|run| run.status.is_final()).then_some(runs)
    });
    assert!(ended.len() <= 2, "no more are kept: {ended:?}");
    let last = ended.last().unwrap().due;
    let resumed = pause(&node, &made, true);
    assert!(resumed.next_at.unwrap() > last);
    let next = until("a run after the pause", || runs(&node, &made).into_iter().find(|run| run.due > last));
    assert_eq!(next.missed, 0, "what passed while it was paused is not made up for");
    node.client().remove_schedule(&made.id).unwrap();
    assert_eq!(problem(node.client().schedule(&made.id)).status, 404);
}

#[test]
fn a_run_is_skipped_while_the_one_before_lasts() {
    let node = Node::start();
    require_cgroups!(node);
    let forbid = CreateSchedule { concurrency: Some(Concurrency::Forbid), ..secondly(sleeping(&node)) };
    let made = make(&node, &forbid);
    let skipped = runs_that_are(&node, &made, RunStatus::Skipped, 2);
    pause(&node, &made, false);
    let [running] = &runs_that_are(&node, &made, RunStatus::Running, 1)[..] else { panic!("one runs") };
    let execution = running.execution_id.clone().unwrap();
    for run in &skipped {
        assert!(run.reason.as_ref().is_some_and(|reason| reason.contains(&execution)), "{run:?}");
        assert_eq!(run.execution_id, None);
    }
    assert_eq!(node.client().executions(&Default::default()).unwrap().len(), 1);
    node.told("schedule_run_skipped", &made.id);
    let again = node.client().run_schedule(&made.id).unwrap();
    assert_eq!((again.status, again.manual), (RunStatus::Skipped, true));
    node.client().cancel(&execution).unwrap();
    let cancelled = runs_that_are(&node, &made, RunStatus::Cancelled, 1);
    assert_eq!(cancelled[0].cause.as_ref().unwrap().kind, "cancelled");
}

#[test]
fn a_run_replaces_the_one_before() {
    let node = Node::start();
    require_cgroups!(node);
    let replace = CreateSchedule { concurrency: Some(Concurrency::Replace), ..secondly(sleeping(&node)) };
    let made = make(&node, &replace);
    runs_that_are(&node, &made, RunStatus::Cancelled, 2);
    pause(&node, &made, false);
    let live = until("one to be left", || {
        let all = node.client().executions(&Default::default()).unwrap();
        let live: Vec<_> = all.into_iter().filter(|execution| !execution.status.is_final()).collect();
        (live.len() <= 1).then_some(live)
    });
    live.iter().for_each(|execution| drop(node.client().cancel(&execution.id).unwrap()));
}

#[test]
fn what_the_node_refuses_is_on_record_with_its_reason() {
    let node = Node::start();
    require_cgroups!(node);
    let execution = small(&node);
    let vm = execution.vm_asset_id.clone();
    let later = CreateSchedule { cron: Some("@yearly".into()), ..CreateSchedule::new("yearly", execution) };
    let made = make(&node, &later);
    let held = node.client().allocate(&allocation("cpu", 95.0)).unwrap();
    let run = node.client().run_schedule(&made.id).unwrap();
    assert_eq!((run.status, run.execution_id), (RunStatus::Refused, None));
    assert!(run.reason.as_ref().is_some_and(|reason| reason.contains("cpu")), "{:?}", run.reason);
    let told = node.told("schedule_run_refused", &made.id);
    assert_eq!(told.data["reason"], json!(run.reason));
    node.client().release(&held.id).unwrap();
    let run = node.client().run_schedule(&made.id).unwrap();
    assert_eq!(run.status, RunStatus::Running);
    node.finish(run.execution_id.as_ref().unwrap());
    node.client().delete_asset(&vm).unwrap();
    let run = node.client().run_schedule(&made.id).unwrap();
    assert!(run.status == RunStatus::Refused && run.reason.unwrap().contains(&vm));
}

#[test]
fn operators_change_what_is_their_own() {
    let node = Node::start();
    require_cgroups!(node);
    let [ann, bob] = ["ann", "bob"].map(|name| node.client_of(name, Role::Operator));
    let yearly =
        CreateSchedule { cron: Some("@yearly".into()), ..CreateSchedule::new("yearly", small(&node)) };
    let made = ann.create_schedule(&yearly).unwrap();
    assert_eq!(made.requester_id, "ann");
    assert_eq!(problem(bob.remove_schedule(&made.id)).status, 403);
    assert_eq!(problem(bob.run_schedule(&made.id)).status, 403);
    let run = ann.run_schedule(&made.id).unwrap();
    let execution = node.finish(run.execution_id.as_ref().unwrap());
    assert_eq!(execution.requester_id, "ann");
    ann.remove_schedule(&made.id).unwrap();
}

#[test]
fn what_passed_while_the_node_was_down_is_made_up_for_once_or_recorded_as_missed() {
    let mut node = Node::start();
    require_cgroups!(node);
    let execution = small(&node);
    let all = [CatchUp::Skip, CatchUp::RunOnce].map(|catch_up| {
        let once = CreateSchedule { catch_up: Some(catch_up), ..at(execution.clone(), 3000) };
        let often = CreateSchedule {
            catch_up: Some(catch_up),
            cron: Some(SECONDLY.into()),
            ..secondly(execution.clone())
        };
        // The second one is in the way of nobody: it only runs while the node is down.
        let start = Timestamp::now() + SignedDuration::from_millis(3000);
        let end = start + SignedDuration::from_secs(3);
        let often = CreateSchedule { starts_at: Some(start), ends_at: Some(end), ..often };
        [make(&node, &once), make(&node, &often)]
    });
    node.kill9();
    let last = all[1][1].ends_at.unwrap();
    until("all of it to pass", || (Timestamp::now() > last).then_some(()));
    node.restart();
    for schedule in &all[0] {
        let [run] = &runs_that_are(&node, schedule, RunStatus::Missed, 1)[..] else { panic!("one record") };
        assert!(run.missed >= 1 && run.execution_id.is_none(), "{run:?}");
        node.told("schedule_run_missed", &schedule.id);
    }
    for schedule in &all[1] {
        let [run] = &runs_that_are(&node, schedule, RunStatus::Completed, 1)[..] else { panic!("one run") };
        assert_eq!(run.missed > 0, schedule.cron.is_some(), "{run:?}");
    }
    assert_eq!(node.client().executions(&Default::default()).unwrap().len(), 2);
    for schedule in all.iter().flatten() {
        assert_eq!(node.client().schedule(&schedule.id).unwrap().state, ScheduleState::Ended);
    }
}

#[test]
fn a_node_that_dies_at_any_step_of_a_run_runs_it_exactly_once() {
    if !cfg!(debug_assertions) {
        skip!("a release build has no fail points");
    }
    let mut node = Node::start();
    require_cgroups!(node);
    let execution = small(&node);
    let yearly =
        CreateSchedule { cron: Some("@yearly".into()), ..CreateSchedule::new("yearly", execution.clone()) };
    let yearly = make(&node, &yearly);
    node.kill9();
    let mut expected = BTreeSet::new();
    for (point, timed) in [
        ("schedule-recorded", false),
        ("schedule-started", false),
        ("schedule-recorded", true),
        ("schedule-started", true),
    ] {
        node.set_environment(CRASH_AT, Some(point));
        node.restart();
        let schedule = if timed { make(&node, &at(execution.clone(), 1000)) } else { yearly.clone() };
        if !timed {
            match node.client().run_schedule(&schedule.id) {
                Err(ClientError::Unreachable { .. }) => {}
                other => panic!("{point}: {other:?}"),
            }
        }
        node.died();
        node.set_environment(CRASH_AT, None);
        node.restart();
        let before = expected.len();
        let done: Vec<_> = until("the run to end", || {
            let runs = runs(&node, &schedule);
            let new = runs.iter().any(|run| !expected.contains(&run.id));
            (new && runs.iter().all(|run| run.status == RunStatus::Completed)).then_some(runs)
        });
        expected.extend(done.into_iter().map(|run| run.id));
        assert_eq!(expected.len(), before + 1, "{point}: one run more");
        let executions = node.client().executions(&Default::default()).unwrap();
        assert_eq!(executions.len(), expected.len(), "{point}: one execution a run");
        node.kill9();
    }
}
