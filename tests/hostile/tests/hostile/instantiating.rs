//! Jobs that behave at upload and not in an execution: their start function tells one from the other.

use crate::ground::{Ground, Vigil, failed, install, result, run};
use hypermesh_harness::{job, require_cgroups};
use hypermesh_tests_hostile::forge::{FOR_EVER, Job};
use hypermesh_wire::executions::{ExecuteVm, Input};
use serde_json::json;

/// A request that grants an input, which is how the guest sees that it runs.
fn with_input(ground: &Ground, vm: &str) -> ExecuteVm {
    let digest = ground.node.upload(b"here it runs");
    let inputs = vec![Input { name: "a".into(), digest }];
    ExecuteVm { inputs, timeout: 2, ..job(vm, "run", json!({})) }
}

#[test]
fn a_start_function_that_never_ends_is_ended_at_the_limits() {
    let ground = Ground::shared();
    require_cgroups!(ground.node);
    let _vigil = Vigil::over(&ground.node);
    let guest = Job::starting_when_it_runs(&format!("(if (then {FOR_EVER}))"));
    let vm = install(&ground.node, "start-for-ever", &guest.component());
    let request = with_input(&ground, &vm);
    let execution = run(&ground.node, &request);
    let cause = failed(&execution);
    assert_eq!((cause.kind.as_str(), &cause.data["limit_seconds"]), ("wall_time", &json!(2)), "{cause:?}");
    let limited = ExecuteVm { cpu_time_limit: Some(1), timeout: 60, ..request };
    let execution = run(&ground.node, &limited);
    let cause = failed(&execution);
    assert_eq!((cause.kind.as_str(), &cause.data["limit_ms"]), ("cpu_time", &json!(1000)), "{cause:?}");
    // The same component is no harm where it is not told that it runs.
    let execution = run(&ground.node, &job(&vm, "run", json!({})));
    assert_eq!(result(&execution), json!({}));
}

#[test]
fn a_start_function_that_traps_is_a_trap_with_its_backtrace() {
    let ground = Ground::shared();
    require_cgroups!(ground.node);
    let _vigil = Vigil::over(&ground.node);
    let guest = Job::starting_when_it_runs("(if (then unreachable))");
    let vm = install(&ground.node, "start-trap", &guest.component());
    let execution = run(&ground.node, &with_input(&ground, &vm));
    let cause = failed(&execution);
    assert_eq!(cause.kind, "trap", "{cause:?}");
    assert!(cause.data["backtrace"].as_array().is_some_and(|frames| !frames.is_empty()), "{cause:?}");
}
