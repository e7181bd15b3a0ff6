//! Commands, that is components that export `wasi:cli/run`, which mean harm. Skipped by a build that has no such world.

use crate::ground::{Vigil, assert_stack, failed, install, offer, result, run};
use hypermesh_harness::{Node, job, report_skipped};
use hypermesh_tests_hostile::command::{command, writing};
use hypermesh_tests_hostile::forge::FOR_EVER;
use hypermesh_wire::executions::{CauseView, ExecuteVm};
use serde_json::{Value, json};
use std::fs;

/// Pieces of 4 KiB in a gibibyte.
const GIBIBYTE: u32 = (1 << 30) >> 12;

/// A node that runs commands; `None`, and says so, where this build doesn't.
fn node() -> Option<Node> {
    let node = Node::start();
    if let Some(reason) = node.unenforced() {
        report_skipped(&format!("leases are not enforced here: {reason}"));
        return None;
    }
    match offer(&node, "probe", &command("i32.const 0")) {
        Some(refused) if refused.detail.contains("exports neither") => {
            report_skipped("this build runs no commands");
            None
        }
        Some(refused) => panic!("a command that does nothing is refused: {refused:?}"),
        None => Some(node),
    }
}

fn request(vm: &str, arguments: &[String]) -> ExecuteVm {
    job(vm, "run", json!({ "arguments": arguments, "environment": {} }))
}

fn cause(node: &Node, name: &str, run_body: &str) -> CauseView {
    let vm = install(node, name, &command(run_body));
    failed(&run(node, &ExecuteVm { timeout: 2, ..request(&vm, &[]) })).clone()
}

#[test]
fn a_gigabyte_on_standard_output_ends_at_the_limit() {
    let Some(node) = node() else { return };
    let _vigil = Vigil::over(&node);
    let few = install(&node, "few", &writing(3));
    assert_eq!(result(&run(&node, &request(&few, &[])))["exit_code"], 0);
    let vm = install(&node, "gibibyte", &writing(GIBIBYTE));
    let execution = run(&node, &request(&vm, &[]));
    let cause = failed(&execution);
    assert_eq!(cause.kind, "output_limit", "{cause:?}");
    let limit = cause.data["limit"].as_u64().unwrap();
    let folder = node.data_dir().join("executions").join(&execution.id);
    let mut files = 0;
    for entry in fs::read_dir(folder).unwrap().chain(fs::read_dir(node.data_dir()).unwrap()) {
        files += entry.unwrap().metadata().map_or(0, |about| if about.is_file() { about.len() } else { 0 });
    }
    assert!(files < 2 * limit + (64 << 20), "{files} bytes on disk, limit {limit}");
}

#[test]
fn a_command_ends_in_its_cause() {
    let Some(node) = node() else { return };
    let _vigil = Vigil::over(&node);
    let failure = cause(&node, "failure", "i32.const 1");
    assert_eq!((failure.kind.as_str(), &failure.data["code"]), ("exit_code", &json!(1)), "{failure:?}");
    let endless = cause(&node, "endless", FOR_EVER);
    assert_eq!(
        (endless.kind.as_str(), &endless.data["limit_seconds"]),
        ("wall_time", &json!(2)),
        "{endless:?}"
    );
    assert_eq!(cause(&node, "trap", "unreachable").kind, "trap");
    assert_stack(&cause(&node, "deep", "call $deep"));
    // Any other answer than 0 and 1 is none that the type has.
    assert_eq!(cause(&node, "neither", "i32.const 7").kind, "trap");
}

#[test]
fn arguments_and_environment_are_bounded_and_of_their_type() {
    let Some(node) = node() else { return };
    let _vigil = Vigil::over(&node);
    let vm = install(&node, "plain", &command("i32.const 0"));
    let many: Vec<String> = (0..100).map(|n| format!("argument {n}")).collect();
    assert_eq!(result(&run(&node, &request(&vm, &many)))["exit_code"], 0);
    for parameters in [
        json!({ "arguments": "text" }),
        json!({ "arguments": [1] }),
        json!({ "arguments": [], "environment": { "a": 1 } }),
        json!({ "arguments": ["a\u{0}b"] }),
        json!({ "environment": { "a=b": "c" } }),
        json!({ "unknown": true }),
    ] {
        // Refused at once, or the execution ends with an error: never a result, and never the worker's end.
        let wanted = job(&vm, "run", parameters.clone());
        match node.client().execute(&wanted, 0) {
            Err(error) => assert!(matches!(error.status(), Some(400 | 422)), "{parameters}: {error}"),
            Ok(begun) => {
                let ended: Value = serde_json::to_value(node.finish(&begun.id)).unwrap();
                assert!(ended["cause"]["kind"] == "guest_error", "{parameters}: {ended}");
            }
        }
    }
}
