//! Arrays: every index once, never more at a time than allowed, and on after a crash where it was.

use hypermesh_artifacts::{HOSTILE, MATRIX_MULTIPLY};
use hypermesh_harness::{Node, allocation, job, problem, require_cgroups, skip, until, with_limits};
use hypermesh_wire::arrays::{
    ArrayItem, ArrayItemQuery, ArrayItemStatus, ArrayOrder, ArrayRange, ArrayStatus, CreateArray, VmArray,
};
use hypermesh_wire::executions::{ExecuteVm, ExecutionQuery};
use hypermesh_wire::tokens::Role;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Output;

/// The variable that names a fail point.
const CRASH_AT: &str = "HYPERMESH_CRASH_AT";

fn multiply(node: &Node, percent: f64) -> ExecuteVm {
    let vm = node.install(&MATRIX_MULTIPLY, Some(with_limits(percent, "64MiB")));
    job(&vm, "multiply", json!({ "size": 2 }))
}

fn hostile(node: &Node, operation: &str, parameters: Value) -> ExecuteVm {
    let vm = node.install(&HOSTILE, Some(with_limits(5.0, "64MiB")));
    job(&vm, operation, parameters)
}

fn seeds(execution: ExecuteVm, count: u64, parallelism: u32) -> CreateArray {
    let range = ArrayRange { name: "seed".into(), first: 1, last: count, step: 1 };
    CreateArray { range: Some(range), parallelism: Some(parallelism), ..CreateArray::new(execution) }
}

/// The same parameters, so often.
fn times(execution: ExecuteVm, count: usize, parallelism: u32) -> CreateArray {
    let items = vec![serde_json::Map::new(); count];
    CreateArray { items: Some(items), parallelism: Some(parallelism), ..CreateArray::new(execution) }
}

fn begin(node: &Node, array: &CreateArray) -> VmArray {
    node.client().create_array(array).expect("the node takes the array")
}

fn ended(node: &Node, id: &str) -> VmArray {
    until("the end of an array", || {
        let array = node.client().array(id).expect("the node knows the array");
        array.status.is_final().then_some(array)
    })
}

fn items(node: &Node, id: &str) -> Vec<ArrayItem> {
    node.client().array_items(id, &ArrayItemQuery::default()).expect("the node knows the array").items
}

/// The most executions that were alive at a time, by the events.
fn most_alive(node: &Node) -> usize {
    let mut alive = BTreeSet::new();
    let counts = node.recorded().into_iter().map(|event| {
        match event.kind.as_str() {
            "execution_queued" => drop(alive.insert(event.subject)),
            "execution_ended" => drop(alive.remove(&event.subject)),
            _ => {}
        }
        alive.len()
    });
    counts.max().unwrap_or(0)
}

#[test]
fn fifty_are_run_four_at_a_time_and_each_once() {
    let node = Node::start();
    require_cgroups!(node);
    let begun = begin(&node, &seeds(multiply(&node, 5.0), 50, 4));
    assert_eq!((begun.size, begun.parallelism, begun.status), (50, 4, ArrayStatus::Running));
    let array = ended(&node, &begun.id);
    assert_eq!((array.status, array.counts.completed, array.progress), (ArrayStatus::Completed, 50, 1.0));
    assert!(most_alive(&node) <= 4, "{} at a time", most_alive(&node));
    let items = items(&node, &array.id);
    let executions: BTreeSet<_> = items.iter().filter_map(|item| item.execution_id.clone()).collect();
    assert_eq!((items.len(), executions.len()), (50, 50));
    for (index, item) in items.iter().enumerate() {
        let output: Value = serde_json::from_str(item.output.as_ref().unwrap()).unwrap();
        assert_eq!((&output["seed"], &item.parameters["size"]), (&json!(index + 1), &json!(2)));
    }
    let told = node.told("array_ended", &array.id);
    assert_eq!((&told.data["completed"], &told.data["size"]), (&json!(50), &json!(50)));
    node.told("array_started", &array.id);
    node.told("array_progress", &array.id);
    let order = ArrayItemQuery { order: Some(ArrayOrder::Ended), ..ArrayItemQuery::default() };
    let by_end = node.client().array_items(&array.id, &order).unwrap();
    assert!(by_end.complete && by_end.items.iter().map(|i| i.index).collect::<BTreeSet<_>>().len() == 50);
}

#[test]
fn it_stops_after_so_many_failures() {
    let node = Node::start();
    require_cgroups!(node);
    let failing = CreateArray { max_failures: Some(2), ..times(hostile(&node, "fail", json!({})), 20, 1) };
    let array = ended(&node, &begin(&node, &failing).id);
    assert_eq!((array.status, array.counts.failed, array.counts.waiting), (ArrayStatus::Failed, 2, 18));
    assert!(array.reason.as_ref().is_some_and(|reason| reason.contains('2')), "{array:?}");
    let items = items(&node, &array.id);
    assert_eq!(items[0].cause.as_ref().unwrap().kind, "guest_error");
    assert_eq!((items[19].status, items[19].execution_id.as_ref()), (ArrayItemStatus::Waiting, None));
    let all = node.client().executions(&ExecutionQuery::default()).unwrap();
    assert_eq!(all.len(), 2, "nothing more was begun");
}

#[test]
fn a_cancelled_one_kills_what_runs_and_drops_what_waits() {
    let node = Node::start();
    require_cgroups!(node);
    let ann = node.client_of("ann", Role::Operator);
    let bob = node.client_of("bob", Role::Operator);
    let sleeping = times(hostile(&node, "sleep", json!({ "ms": 60_000 })), 10, 3);
    let begun = ann.create_array(&sleeping).unwrap();
    until("three of them to run", || (ann.array(&begun.id).unwrap().counts.running == 3).then_some(()));
    assert_eq!(problem(bob.cancel_array(&begun.id)).status, 403);
    assert!(ann.cancel_array(&begun.id).unwrap().cancelled);
    let array = ann.array(&begun.id).unwrap();
    assert_eq!((array.status, array.counts.cancelled, array.counts.waiting), (ArrayStatus::Cancelled, 3, 7));
    assert_eq!(array.cancelled_by.as_deref(), Some("ann"));
    assert!(node.groups().is_empty(), "nothing runs any more");
    assert!(!ann.cancel_array(&begun.id).unwrap().cancelled, "it has ended");
}

#[test]
fn where_there_is_no_room_it_waits_for_it() {
    let node = Node::start();
    require_cgroups!(node);
    let held = node.client().allocate(&allocation("cpu", 60.0)).unwrap();
    // Two of 45 % fit once the lease is gone, of the four that may run.
    let begun = begin(&node, &seeds(multiply(&node, 45.0), 6, 4));
    let first = node.told("array_started", &begun.id);
    assert_eq!(first.data["size"], 6);
    let before = node.client().array(&begun.id).unwrap();
    assert_eq!((before.status, before.counts.waiting), (ArrayStatus::Running, 6), "{before:?}");
    node.client().release(&held.id).unwrap();
    let array = ended(&node, &begun.id);
    assert_eq!((array.status, array.counts.completed), (ArrayStatus::Completed, 6), "{array:?}");
    assert!(most_alive(&node) <= 2, "{} at a time", most_alive(&node));
}

#[test]
fn what_every_index_would_be_refused_for_stops_it_with_that_reason() {
    let node = Node::start();
    require_cgroups!(node);
    let mut lease = allocation("cpu", 20.0);
    lease.requirements.memory = Some("100MiB".into());
    let lease = node.client().allocate(&lease).unwrap();
    let sleeping = hostile(&node, "sleep", json!({ "ms": 60_000 }));
    let within = ExecuteVm { allocation_id: Some(lease.id.clone()), ..sleeping };
    let begun = begin(&node, &times(within, 5, 1));
    until("the first to run", || (node.client().array(&begun.id).unwrap().counts.running == 1).then_some(()));
    node.client().release(&lease.id).unwrap();
    let array = ended(&node, &begun.id);
    assert_eq!((array.status, array.counts.failed, array.counts.waiting), (ArrayStatus::Failed, 1, 4));
    assert!(array.reason.as_ref().is_some_and(|reason| reason.contains(&lease.id)), "{array:?}");
}

#[test]
fn it_goes_on_after_kill_9_and_no_index_is_run_twice() {
    let mut node = Node::start();
    require_cgroups!(node);
    let begun = begin(&node, &seeds(multiply(&node, 5.0), 30, 3));
    until("some of it to end", || {
        (node.client().array(&begun.id).unwrap().counts.completed >= 5).then_some(())
    });
    node.kill9();
    node.restart();
    finished_once(&node, &begun);
    assert!(most_alive(&node) <= 3);
    node.kill9();
    node.restart();
    assert_eq!(node.client().array(&begun.id).unwrap().counts.completed, 30, "what ended stays ended");
}

/// Checks that an array ends with a result of every index, each from one execution.
#[track_caller]
fn finished_once(node: &Node, begun: &VmArray) {
    let array = ended(node, &begun.id);
    assert_eq!((array.status, array.counts.completed), (ArrayStatus::Completed, begun.size), "{array:?}");
    let all = node.client().executions(&ExecutionQuery::default()).unwrap();
    let mut runs: BTreeMap<String, usize> = BTreeMap::new();
    let ours = all.iter().filter(|execution| execution.vm_asset_id == begun.vm_asset_id);
    ours.for_each(|execution| {
        *runs.entry(execution.request.parameters["seed"].to_string()).or_default() += 1
    });
    assert_eq!(runs.len(), usize::try_from(begun.size).unwrap(), "every index");
    assert!(runs.values().all(|count| *count == 1), "once: {runs:?}");
}

#[test]
fn a_node_that_dies_at_any_step_of_an_array_runs_every_index_once() {
    if !cfg!(debug_assertions) {
        skip!("a release build has no fail points");
    }
    let mut node = Node::start();
    require_cgroups!(node);
    let execution = multiply(&node, 5.0);
    let package = node.client().asset(&execution.vm_asset_id).unwrap().catalog_metadata.unwrap().catalog_id;
    node.kill9();
    for point in ["array-recorded:2", "array-started:2", "array-ended:2"] {
        node.set_environment(CRASH_AT, Some(point));
        node.restart();
        // A vm of its own, to tell its executions from the others'.
        let install = hypermesh_wire::catalog::Install {
            catalog_id: package.clone(),
            privacy_level: None,
            resource_limits: Some(with_limits(5.0, "64MiB")),
        };
        let vm = node.client().install(&install).unwrap().vm_asset.id;
        let begun = begin(&node, &seeds(ExecuteVm { vm_asset_id: vm, ..execution.clone() }, 8, 2));
        node.died();
        node.set_environment(CRASH_AT, None);
        node.restart();
        finished_once(&node, &begun);
        node.kill9();
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn lines(output: &Output) -> Vec<Value> {
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

#[test]
fn the_command_line_prints_results_by_index_and_tells_progress() {
    let node = Node::start();
    require_cgroups!(node);
    node.add(&MATRIX_MULTIPLY);
    node.add(&HOSTILE);
    let limits = ["--cpu", "5", "--memory", "64MiB"];
    let run = |arguments: &[&str]| node.cli(&[&["run"], arguments, &limits].concat());
    let all = run(&["matrix-multiply", "--param", "size=2", "--array", "seed=1..20", "--parallel", "3"]);
    assert_eq!(all.status.code(), Some(0), "{all:?}");
    let results = lines(&all);
    let indexes: Vec<_> = results.iter().map(|line| line["index"].as_u64().unwrap()).collect();
    assert_eq!(indexes, (0..20).collect::<Vec<_>>());
    assert!(results.iter().all(|line| line["output"]["seed"] == line["parameters"]["seed"]), "{results:?}");
    assert!(
        text(&all.stderr).contains("20 of 20 ended, 0 failed"),
        "plain lines without a terminal: {all:?}"
    );
    assert!(text(&all.stderr).contains("20 of 20 completed"), "{all:?}");

    let product = run(&["matrix-multiply", "--array", "size=1,2", "--array", "seed=3,4,5", "--unordered"]);
    assert_eq!((product.status.code(), lines(&product).len()), (Some(0), 6), "{product:?}");

    let file = node.data_dir().join("items.jsonl");
    std::fs::write(&file, "{\"ms\":1}\n{\"ms\":\"soon\"}\n{\"ms\":2}\n").unwrap();
    let mixed =
        run(&["hostile", "--operation", "sleep", "--array", file.to_str().unwrap(), "--parallel", "1"]);
    assert_eq!(mixed.status.code(), Some(1), "one failed: {mixed:?}");
    let results = lines(&mixed);
    let statuses: Vec<_> = results.iter().map(|line| line["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["completed", "failed", "completed"]);
    assert_eq!((&results[0]["output"], &results[1]["cause"]["kind"]), (&json!(1), &json!("guest_error")));

    let listed: Vec<VmArray> =
        serde_json::from_slice(&node.cli(&["array", "list", "-o", "json"]).stdout).unwrap();
    assert_eq!(listed.len(), 3);
    let again = node.cli(&["array", "follow", &listed[0].id]);
    assert_eq!(
        (again.status.code(), lines(&again).len()),
        (Some(0), 20),
        "results can be had again: {again:?}"
    );
    let shown = node.cli(&["array", "show", &listed[2].id]);
    assert!(text(&shown.stdout).contains("2 of 3 completed, 1 failed"), "{shown:?}");
    let none = run(&["matrix-multiply", "--array", "seed=2..1"]);
    assert_eq!(none.status.code(), Some(2), "{none:?}");
}

#[test]
fn the_command_line_keeps_schedules() {
    let node = Node::start();
    require_cgroups!(node);
    node.add(&MATRIX_MULTIPLY);
    let create = [
        "schedule",
        "create",
        "nightly",
        "matrix-multiply",
        "--param",
        "size=2",
        "--cpu",
        "5",
        "--memory",
        "64MiB",
        "--cron",
        "30 2 * * *",
        "--concurrency",
        "forbid",
        "--paused",
    ];
    let made = node.cli(&create);
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    let list = node.cli(&["schedule", "list"]);
    assert!(text(&list.stdout).contains("nightly") && text(&list.stdout).contains("paused"), "{list:?}");
    let resumed = node.cli(&["schedule", "resume", "nightly"]);
    assert!(
        text(&resumed.stdout).contains("active") && text(&resumed.stdout).contains("T02:30:00Z"),
        "{resumed:?}"
    );
    let run = node.cli(&["schedule", "run-now", "nightly", "-o", "json"]);
    assert_eq!(run.status.code(), Some(0), "{run:?}");
    let run: Value = serde_json::from_slice(&run.stdout).unwrap();
    node.finish(run["execution_id"].as_str().unwrap());
    until("the run to be on record", || {
        let shown = node.cli(&["schedule", "show", "nightly"]);
        text(&shown.stdout).contains("completed").then_some(())
    });
    assert_eq!(node.cli(&["schedule", "pause", "nightly"]).status.code(), Some(0));
    assert_eq!(node.cli(&["schedule", "delete", "nightly"]).status.code(), Some(0));
    assert_eq!(node.cli(&["schedule", "show", "nightly"]).status.code(), Some(2));
    let past = ["schedule", "create", "x", "matrix-multiply", "--at", "2001-02-03T04:05:06Z"];
    assert_eq!(node.cli(&past).status.code(), Some(3));
}
