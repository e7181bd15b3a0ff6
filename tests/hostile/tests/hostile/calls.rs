//! Guests that never come back from the host's functions, or never stop calling them.

use crate::ground::{Ground, Vigil, failed, install, run};
use hypermesh_harness::{job, require_cgroups};
use hypermesh_tests_hostile::forge::Job;
use hypermesh_wire::executions::{ExecuteVm, Input};
use serde_json::json;

#[test]
fn a_loop_through_the_host_is_ended_like_any_other() {
    let ground = Ground::shared();
    require_cgroups!(ground.node);
    let _vigil = Vigil::over(&ground.node);
    let random = install(&ground.node, "random", &Job::drawing_for_ever(1 << 20).component());
    let clock = job(&ground.hostile, "spin-clock", json!({}));
    let log = job(&ground.hostile, "log-for-ever", json!({}));
    for request in [job(&random, "run", json!({})), clock, log] {
        let by_wall = ExecuteVm { timeout: 1, ..request.clone() };
        let execution = run(&ground.node, &by_wall);
        let cause = failed(&execution);
        assert_eq!(
            (cause.kind.as_str(), &cause.data["limit_seconds"]),
            ("wall_time", &json!(1)),
            "{cause:?}"
        );
        let by_cpu = ExecuteVm { cpu_time_limit: Some(1), ..request };
        let execution = run(&ground.node, &by_cpu);
        let cause = failed(&execution);
        assert_eq!((cause.kind.as_str(), &cause.data["limit_ms"]), ("cpu_time", &json!(1000)), "{cause:?}");
        assert!(cause.data["used_ms"].as_u64().is_some_and(|used| used >= 1000), "{cause:?}");
    }
}

#[test]
fn more_random_bytes_than_a_call_gives_are_a_trap() {
    let ground = Ground::shared();
    require_cgroups!(ground.node);
    let _vigil = Vigil::over(&ground.node);
    for (name, bytes) in [("over", (1 << 20) + 1), ("all", u64::MAX)] {
        let vm = install(&ground.node, &format!("random-{name}"), &Job::drawing_for_ever(bytes).component());
        let execution = run(&ground.node, &job(&vm, "run", json!({})));
        let cause = failed(&execution);
        assert_eq!(cause.kind, "trap", "{name}: {cause:?}");
    }
}

#[test]
fn a_guest_that_sleeps_for_ever_is_ended_at_its_wall_time() {
    let ground = Ground::shared();
    require_cgroups!(ground.node);
    let _vigil = Vigil::over(&ground.node);
    let forever =
        ExecuteVm { timeout: 1, ..job(&ground.hostile, "sleep", json!({ "ms": u64::MAX / 2_000_000 })) };
    let execution = run(&ground.node, &forever);
    let cause = failed(&execution);
    assert_eq!((cause.kind.as_str(), &cause.data["limit_seconds"]), ("wall_time", &json!(1)), "{cause:?}");
}

#[test]
fn a_guest_that_opens_its_inputs_over_and_over_is_refused_more() {
    let ground = Ground::shared();
    require_cgroups!(ground.node);
    let _vigil = Vigil::over(&ground.node);
    let digest = ground.node.upload(b"abc");
    let inputs = vec![Input { name: "a".into(), digest }];
    let request = |count: u32| ExecuteVm {
        inputs: inputs.clone(),
        ..job(&ground.hostile, "many-handles", json!({ "count": count }))
    };
    let execution = run(&ground.node, &request(100_000));
    let cause = failed(&execution);
    assert_eq!(cause.kind, "guest_error", "{cause:?}");
    assert!(cause.message.contains("no more than") || cause.message.contains("could not read"), "{cause:?}");
}
