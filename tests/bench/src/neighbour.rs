//! Row: a guest that means well, beside hostile ones in leases of their own and uploads that compile for seconds.

use crate::Effort;
use crate::error::BenchError;
use crate::report::{Baseline, Goal, Row};
use crate::statistics::{milliseconds, summary};
use hypermesh_artifacts::{HOSTILE, MATRIX_MULTIPLY};
use hypermesh_harness::{Node, allocation, job};
use hypermesh_tests_hostile::crowd;
use hypermesh_wire::executions::{ExecuteVm, ExecutionStatus};
use serde_json::json;
use std::time::Instant;

/// Percent of the pool that it leases. With the crowd's leases that leaves room on two cores.
const CPU_PERCENT: f64 = 25.0;
/// Size of the matrices: some tens of milliseconds of computing.
const SIZE: u32 = 256;
/// How many times longer it may take at most beside the crowd.
const AT_MOST: f64 = 1.5;
/// Longest wait for one, in seconds.
const WAIT: u32 = 60;

/// Measures the row.
///
/// # Errors
/// When the guest fails that has no reason to.
pub(crate) fn measure(node: &Node, effort: &Effort) -> Result<Vec<Row>, BenchError> {
    let mut row = Row {
        name: "a guest in its lease while hostile guests and uploads run beside it".into(),
        unit: "ms",
        more_is_better: false,
        ours: Err(String::new()),
        baseline: Baseline::None(String::new()),
        goal: Some(Goal::Ratio(1.0 / AT_MOST)),
    };
    if let Some(reason) = node.unenforced() {
        row.ours = Err(reason.to_owned());
        return Ok(vec![row]);
    }
    let hostile = node.install(&HOSTILE, Some(crowd::limits()));
    let vm = node.install(&MATRIX_MULTIPLY, None);
    let mut lease = allocation("cpu", CPU_PERCENT);
    lease.requirements.memory = Some("128MiB".into());
    let lease = node.client().allocate(&lease).map_err(BenchError::node("leasing for a guest"))?;
    let request = ExecuteVm {
        allocation_id: Some(lease.id.clone()),
        ..job(&vm, "multiply", json!({ "size": SIZE, "seed": 4 }))
    };
    let runs = (effort.executions / effort.rounds / 4).max(5);
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    // In turns, so that a machine that is busy for a while is so for both.
    for _ in 0..effort.rounds {
        alone.extend(times(node, &request, runs)?);
        beside.extend(crowd::beside(node, &hostile, || times(node, &request, runs)).0?);
    }
    node.client().release(&lease.id).map_err(BenchError::node("releasing a lease"))?;
    row.ours = summary(&beside).ok_or_else(|| "there are no samples".to_owned());
    row.baseline = match summary(&alone) {
        Some(alone) => Baseline::Ourselves("the same guest alone", alone),
        None => Baseline::None("there are no samples".into()),
    };
    Ok(vec![row])
}

fn times(node: &Node, request: &ExecuteVm, runs: usize) -> Result<Vec<f64>, BenchError> {
    let once = |_| {
        let begun = Instant::now();
        let ended = node.client().execute(request, WAIT).map_err(BenchError::node("running a guest"))?;
        let took = begun.elapsed();
        if ended.status == ExecutionStatus::Completed {
            Ok(milliseconds(took))
        } else {
            Err(BenchError::Unexpected(format!("a guest ended as {:?}: {:?}", ended.status, ended.cause)))
        }
    };
    (0..runs).map(once).collect()
}
