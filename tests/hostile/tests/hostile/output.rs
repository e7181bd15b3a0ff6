//! Guests that say or write too much: cut or ended at the limit, counted, and the node's memory and disk don't grow with it.

use crate::ground::{Ground, Vigil, failed, install, result, run};
use hypermesh_harness::{Node, job, require_cgroups};
use hypermesh_tests_hostile::forge::{Job, PAGE, RESULT};
use serde_json::json;
use std::fs;
use std::path::Path;

/// The longest result that a node takes.
const RESULT_LIMIT: u64 = 16 << 20;

/// What a node may grow by while others use it too: far below what the floods are.
const GROWTH_KIB: u64 = 64 << 10;
/// Text of a log that is kept.
const LOG: u64 = 1 << 20;
/// A control character takes six times its length as JSON.
const ESCAPED: u64 = 6;
/// Outputs that an execution may write when nothing else was said.
const OUTPUTS: u64 = 64 << 20;

fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// What is on the disk below a folder, in bytes.
fn on_disk(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(about) if about.is_dir() => on_disk(&entry.path()),
        Ok(about) => about.blocks() * 512,
        Err(_) => 0,
    };
    entries.map(size).sum()
}

fn files_of(node: &Node, execution: &str) -> u64 {
    on_disk(&node.data_dir().join("executions").join(execution))
}

#[test]
fn a_gigabyte_of_output_ends_at_the_limit() {
    let ground = Ground::shared();
    require_cgroups!(ground.node);
    let _vigil = Vigil::over(&ground.node);
    let execution = ground.run("big-output", json!({ "count": 1 << 30 }));
    let cause = failed(&execution);
    assert_eq!((cause.kind.as_str(), &cause.data["limit"]), ("output_limit", &json!(OUTPUTS)), "{cause:?}");
    let files = files_of(&ground.node, &execution.id);
    assert!(files <= OUTPUTS + (1 << 20), "{files} bytes are left of it");
    assert!(execution.outputs.is_empty(), "what is cut off is no output");
}

#[test]
fn more_files_than_there_may_be_are_refused_to_the_guest() {
    let ground = Ground::shared();
    require_cgroups!(ground.node);
    let _vigil = Vigil::over(&ground.node);
    let execution = ground.run("many-outputs", json!({ "count": 100_000 }));
    let cause = failed(&execution);
    assert_eq!(cause.kind, "guest_error", "{cause:?}");
    assert!(cause.message.contains("no more than 64 files"), "{cause:?}");
    let out = ground.node.data_dir().join("executions").join(&execution.id).join("out");
    assert!(fs::read_dir(out).map_or(0, Iterator::count) <= 64);
}

#[test]
fn a_flood_of_lines_is_cut_and_counted_and_costs_the_node_nothing() {
    let ground = Ground::shared();
    require_cgroups!(ground.node);
    let _vigil = Vigil::over(&ground.node);
    let before = resident_kib(ground.node.pid());
    // An unbuffered stream makes a call of every few bytes, so that a hundred times as many lines take as long.
    for (operation, lines) in [("flood-log", 400_000), ("flood-controls", 200_000), ("flood-stdout", 10_000)]
    {
        let (_, execution) = ground.complete(operation, json!({ "count": lines }));
        let dropped = execution.dropped_log_lines;
        let kept = ground.node.client().logs(&execution.id, &Default::default()).unwrap();
        // 100 bytes and what they cost beside; what is printed last has no newline, and is a line too.
        let most = LOG / 100;
        assert!(
            dropped > 0 && lines - dropped <= most && dropped <= lines + 1,
            "{operation}: {dropped} of {lines}"
        );
        assert!(!kept.lines.is_empty() && kept.dropped_log_lines == dropped, "{operation}");
        let files = files_of(&ground.node, &execution.id);
        assert!(files <= ESCAPED * LOG + (1 << 20), "{operation}: {files} bytes on disk");
    }
    let after = resident_kib(ground.node.pid());
    assert!(after < before + GROWTH_KIB, "{before} KiB before, {after} KiB after");
}

#[test]
fn a_line_that_never_ends_is_one_line_of_bounded_length() {
    let ground = Ground::shared();
    require_cgroups!(ground.node);
    let _vigil = Vigil::over(&ground.node);
    let (_, execution) = ground.complete("endless-line", json!({ "count": 256 << 20 }));
    let kept = ground.node.client().logs(&execution.id, &Default::default()).unwrap();
    let [line] = &kept.lines[..] else { panic!("{} lines", kept.lines.len()) };
    assert!(line.message.len() <= 4096 + "…".len(), "{} bytes", line.message.len());
    let peak = execution.execution.resource_usage.memory_peak.unwrap();
    assert!(peak <= crate::ground::MEMORY, "{peak}");
}

#[test]
fn a_result_that_is_too_long_ends_it_and_one_that_is_no_json_is_the_guests_error() {
    let ground = Ground::shared();
    require_cgroups!(ground.node);
    let _vigil = Vigil::over(&ground.node);
    // Zeros, which are text.
    for count in [17 << 20, 30 << 20] {
        let store = |at, value| format!("(i32.store (i32.const {at}) (i32.const {value}))");
        let text = store(RESULT + 4, PAGE) + &store(RESULT + 8, count);
        let guest = Job { pages: 500, run: format!("{text} i32.const {RESULT}"), ..Job::default() };
        let vm = install(&ground.node, &format!("result-{count}"), &guest.component());
        let execution = run(&ground.node, &job(&vm, "run", json!({})));
        let cause = failed(&execution);
        assert_eq!(
            (cause.kind.as_str(), &cause.data["limit"]),
            ("output_limit", &json!(RESULT_LIMIT)),
            "{count}: {cause:?}"
        );
    }
    // Two quotes and a mebibyte less two: the longest that is inline.
    let (whole, _) = ground.complete("big-result", json!({ "count": LOG - 2 }));
    assert_eq!(whole.as_str().map(str::len), usize::try_from(LOG - 2).ok());
    let deep = "[".repeat(1000);
    for (name, text) in
        [("word", "hello"), ("nothing", ""), ("half", "{"), ("two", "1 2"), ("deep", deep.as_str())]
    {
        let vm = install(&ground.node, &format!("not-json-{name}"), &Job::answering(text).component());
        let execution = run(&ground.node, &job(&vm, "run", json!({})));
        let cause = failed(&execution);
        assert_eq!(cause.kind, "guest_error", "{name}: {cause:?}");
        assert!(cause.message.contains("not JSON"), "{name}: {cause:?}");
    }
    let vm = install(&ground.node, "json", &Job::answering("[1]").component());
    assert_eq!(result(&run(&ground.node, &job(&vm, "run", json!({})))), json!([1]));
}

#[test]
fn an_error_of_the_guest_is_shown_cut() {
    let ground = Ground::shared();
    require_cgroups!(ground.node);
    let _vigil = Vigil::over(&ground.node);
    for _ in 0..3 {
        let execution = ground.run("big-error", json!({ "count": LOG }));
        let cause = failed(&execution);
        assert_eq!(cause.kind, "guest_error", "{:.100}", cause.message);
        assert!(cause.message.len() < 8 << 10, "{} bytes", cause.message.len());
        // It is kept as a record and as an event, by the thousand.
        let files = files_of(&ground.node, &execution.id);
        assert!(files <= 256 << 10, "{files} bytes on disk");
    }
}
