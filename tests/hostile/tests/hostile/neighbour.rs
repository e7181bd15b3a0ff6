//! A guest that means well, in a lease of its own, while hostile ones run in theirs: it gives its right result each time.
//!
//! How much longer it takes is printed here and compared with what is promised by the benchmarks (`tests/bench`).

use crate::ground::{Vigil, result, run};
use hypermesh_artifacts::{HOSTILE, MATRIX_MULTIPLY};
use hypermesh_harness::{Node, allocation, job, require_cgroups};
use hypermesh_tests_hostile::crowd;
use hypermesh_wire::executions::ExecuteVm;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Runs alone, and as many beside the crowd.
const RUNS: usize = 15;

/// Runs it some times. Gives the middle of how long it took.
fn times(node: &Node, request: &ExecuteVm, expected: &Value) -> Duration {
    let once = || {
        let begun = Instant::now();
        let execution = run(node, request);
        assert_eq!(result(&execution), *expected);
        begun.elapsed()
    };
    let mut took: Vec<_> = (0..RUNS).map(|_| once()).collect();
    took.sort_unstable();
    took[RUNS / 2]
}

#[test]
fn a_guest_that_means_well_is_right_each_time_beside_those_that_do_not() {
    let node = Node::start();
    require_cgroups!(node);
    let hostile = node.install(&HOSTILE, Some(crowd::limits()));
    let vm = node.install(&MATRIX_MULTIPLY, None);
    let mut lease = allocation("cpu", 25.0);
    lease.requirements.memory = Some("128MiB".into());
    let lease = node.client().allocate(&lease).unwrap();
    let request = job(&vm, "multiply", json!({ "size": 200, "seed": 4 }));
    let request = ExecuteVm { allocation_id: Some(lease.id.clone()), ..request };
    let expected = result(&run(&node, &request));
    let _vigil = Vigil::over(&node);
    let alone = times(&node, &request, &expected);
    let (beside, misdeeds) = crowd::beside(&node, &hostile, || times(&node, &request, &expected));
    eprintln!(
        "a guest beside a hostile crowd: {beside:?} after {alone:?} alone, ratio of medians {:.2}; the crowd: {misdeeds:?}",
        beside.as_secs_f64() / alone.as_secs_f64()
    );
    assert!(misdeeds.values().sum::<u32>() > 0, "{misdeeds:?}");
    assert!(!misdeeds.contains_key("worker_lost"), "{misdeeds:?}");
    assert_eq!(node.groups().into_iter().collect::<Vec<_>>(), [lease.id], "and nothing of the crowd is left");
}
