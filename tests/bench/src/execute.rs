//! Row 1: from a REST call to the result of a small guest in a cgroup with limits of its own.

use crate::Effort;
use crate::error::BenchError;
use crate::report::{Baseline, Row};
use crate::runc::{Limits, Runc};
use crate::statistics::{milliseconds, summary};
use hypermesh_artifacts::MATRIX_MULTIPLY;
use hypermesh_harness::{Node, job, with_limits};
use hypermesh_wire::executions::{ExecuteVm, ExecutionStatus};
use serde_json::json;
use std::time::{Duration, Instant};

/// Half of the pool for each execution: what it needs, and room for the node.
const CPU_PERCENT: f64 = 50.0;
/// Its memory.
const MEMORY: &str = "64MiB";
/// The same in bytes, for the baseline.
const MEMORY_BYTES: u64 = 64 << 20;
/// What the node gives an execution.
const PIDS: u32 = 64;
/// Size of the matrices: 1024 floating-point operations, so that what is measured is the way there and back.
const SIZE: u32 = 8;
/// Executions before the first that counts: caches are filled, pages are mapped.
const WARM_UP: usize = 5;
/// Longest wait for one, in seconds.
const WAIT: u32 = 30;

/// Measures the row.
///
/// # Errors
/// When an execution fails that has no reason to.
pub(crate) fn measure(node: &Node, effort: &Effort) -> Result<Vec<Row>, BenchError> {
    let mut row = Row {
        name: "REST call → guest in its own cgroup with cpu, memory and pids limits → result".into(),
        unit: "ms",
        more_is_better: false,
        ours: Err(String::new()),
        baseline: Baseline::None(String::new()),
        goal: None,
    };
    if let Some(reason) = node.unenforced() {
        row.ours = Err(reason.to_owned());
        return Ok(vec![row]);
    }
    let vm = node.install(&MATRIX_MULTIPLY, Some(with_limits(CPU_PERCENT, MEMORY)));
    let request = job(&vm, "multiply", json!({ "size": SIZE }));
    let prepared =
        Runc::prepare(Limits { cpu_millis: half_of_the_machine(), memory: MEMORY_BYTES, pids: PIDS })?;
    let (mut runc, missing) = match prepared {
        Ok(runc) => (Some(runc), String::new()),
        Err(reason) => (None, reason),
    };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for turn in 0..WARM_UP + effort.executions {
        let took = execute(node, &request)?;
        let baseline = runc.as_mut().map(Runc::run).transpose()?;
        if turn >= WARM_UP {
            ours.push(milliseconds(took));
            theirs.extend(baseline.map(milliseconds));
        }
    }
    row.ours = summary(&ours).ok_or_else(|| "there are no samples".to_owned());
    row.baseline = match summary(&theirs) {
        Some(theirs) => Baseline::Other("runc run, static true, same limits".into(), theirs),
        None => Baseline::None(missing),
    };
    Ok(vec![row])
}

fn execute(node: &Node, request: &ExecuteVm) -> Result<Duration, BenchError> {
    let begun = Instant::now();
    let ended = node.client().execute(request, WAIT).map_err(BenchError::node("running a guest"))?;
    let took = begun.elapsed();
    if ended.status != ExecutionStatus::Completed {
        return Err(BenchError::Unexpected(format!(
            "an execution ended as {:?}: {:?}",
            ended.status, ended.cause
        )));
    }
    Ok(took)
}

/// The percentage of the pool as thousandths of one CPU, for who counts in CPUs.
fn half_of_the_machine() -> u64 {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64 * 1000 / 2
}
