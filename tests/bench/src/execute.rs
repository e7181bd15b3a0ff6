//! Rows: from a REST call to the result of a small guest, jailed and with limits, in an allocation of its own and in one
//! that is held. Beside it a container and the same guest without any of that.

use crate::Effort;
use crate::error::BenchError;
use crate::plain::Plain;
use crate::report::{Baseline, Goal, Row};
use crate::runc::{Limits, Runc};
use crate::statistics::{milliseconds, summary};
use hypermesh_artifacts::MATRIX_MULTIPLY;
use hypermesh_client::Client;
use hypermesh_harness::{Node, allocation, job, with_limits};
use hypermesh_wire::allocations::Requirements;
use hypermesh_wire::executions::{ExecuteVm, ExecutionStatus, VmExecution};
use serde_json::json;
use std::time::{Duration, Instant};

/// Of the pool, for each execution and for the allocation that is held: what they need, and room for the node.
const CPU_PERCENT: f64 = 40.0;
/// Memory of an execution in an allocation of its own.
const MEMORY: &str = "64MiB";
/// The same in bytes, for the baseline.
const MEMORY_BYTES: u64 = 64 << 20;
/// Memory of the allocation that is held: the workers that wait in it are counted there.
const HELD_MEMORY: &str = "256MiB";
/// What the node gives an execution.
const PIDS: u32 = 64;
/// Size of the matrices: 1024 floating-point operations, so that what is measured is the way there and back.
const SIZE: u32 = 8;
/// Executions before the first that counts: caches are filled, pages are mapped.
const WARM_UP: usize = 5;
/// Longest wait for one, in seconds.
pub(crate) const WAIT: u32 = 60;

/// What we want: milliseconds of the median and of 99 of 100, and factors of the medians.
const MEDIAN_MS: f64 = 3.0;
const P99_MS: f64 = 15.0;
const BETTER_THAN_RUNC: f64 = 10.0;
const WITHIN_OF_PLAIN: f64 = 3.0;

/// Milliseconds of each side.
#[derive(Debug, Default)]
struct Sides {
    own: Vec<f64>,
    held: Vec<f64>,
    runc: Vec<f64>,
    plain: Vec<f64>,
}

/// Measures the rows.
///
/// # Errors
/// When an execution fails that has no reason to.
pub(crate) fn measure(node: &Node, effort: &Effort) -> Result<Vec<Row>, BenchError> {
    if let Some(reason) = node.unenforced() {
        return Ok(rows(&Err(reason.to_owned()), ""));
    }
    let vm = node.install(&MATRIX_MULTIPLY, Some(with_limits(CPU_PERCENT, MEMORY)));
    let parameters = json!({ "size": SIZE });
    let own = job(&vm, "multiply", parameters.clone());
    let mut wanted = allocation("cpu", CPU_PERCENT);
    wanted.requirements = Requirements { memory: Some(HELD_MEMORY.into()), ..Requirements::default() };
    let lease = node.client().allocate(&wanted).map_err(BenchError::node("making an allocation"))?;
    let held = ExecuteVm { allocation_id: Some(lease.id.clone()), ..own.clone() };
    let prepared =
        Runc::prepare(Limits { cpu_millis: share_of_the_machine(), memory: MEMORY_BYTES, pids: PIDS })?;
    let (mut runc, missing) = match prepared {
        Ok(runc) => (Some(runc), String::new()),
        Err(reason) => (None, reason),
    };
    let plain = Plain::compile(MATRIX_MULTIPLY.component)?;
    let mut sides = Sides::default();
    for turn in 0..WARM_UP + effort.executions {
        let in_own = timed(node.client(), &own)?;
        let in_held = timed(node.client(), &held)?;
        let in_runc = runc.as_mut().map(Runc::run).transpose()?;
        let in_plain = plain.run("multiply", &parameters)?;
        if turn >= WARM_UP {
            sides.own.push(milliseconds(in_own));
            sides.held.push(milliseconds(in_held));
            sides.runc.extend(in_runc.map(milliseconds));
            sides.plain.push(milliseconds(in_plain));
        }
    }
    node.client().release(&lease.id).map_err(BenchError::node("releasing an allocation"))?;
    Ok(rows(&Ok(sides), &missing))
}

/// Two rows for each form: one a baseline.
fn rows(sides: &Result<Sides, String>, no_runc: &str) -> Vec<Row> {
    let form = |name: &str, ours: fn(&Sides) -> &[f64]| {
        let row = |what: &str, baseline, goals| Row {
            name: format!("REST call → small guest, jailed and limited, in {name} → result{what}"),
            unit: "ms",
            more_is_better: false,
            ours: sides
                .as_ref()
                .map_err(String::clone)
                .and_then(|sides| summary(ours(sides)).ok_or_else(|| "there are no samples".to_owned())),
            baseline,
            goals,
        };
        let of = |theirs: fn(&Sides) -> &[f64]| summary(theirs(sides.as_ref().ok()?));
        let runc = match of(|sides| &sides.runc) {
            Some(theirs) => Baseline::Other("runc run, static true, same limits".into(), theirs),
            None => Baseline::None(no_runc.to_owned()),
        };
        let plain = match of(|sides| &sides.plain) {
            Some(theirs) => Baseline::Ourselves("the same component, plain wasmtime", theirs),
            None => Baseline::None(String::new()),
        };
        let absolute = [Goal::AtMost(MEDIAN_MS), Goal::P99AtMost(P99_MS), Goal::BetterBy(BETTER_THAN_RUNC)];
        [
            row("", runc, absolute.to_vec()),
            row(", beside the guest alone", plain, vec![Goal::Within(WITHIN_OF_PLAIN)]),
        ]
    };
    let own = form("an allocation of its own", |sides| &sides.own);
    let held = form("a held allocation", |sides| &sides.held);
    own.into_iter().chain(held).collect()
}

/// Runs a guest to its result.
///
/// # Errors
/// When it has none.
pub(crate) fn run(client: &Client, request: &ExecuteVm) -> Result<VmExecution, BenchError> {
    let ended = client.execute(request, WAIT).map_err(BenchError::node("running a guest"))?;
    if ended.status == ExecutionStatus::Completed {
        return Ok(ended);
    }
    let said = format!("an execution ended as {:?}: {:?}", ended.status, ended.cause);
    Err(BenchError::Unexpected(said))
}

/// The same, and how long it took.
///
/// # Errors
/// As [`run`].
pub(crate) fn timed(client: &Client, request: &ExecuteVm) -> Result<Duration, BenchError> {
    let begun = Instant::now();
    run(client, request).map(|_| begun.elapsed())
}

/// The percentage of the pool as thousandths of one CPU, for who counts in CPUs.
fn share_of_the_machine() -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small percentage")]
    let percent = CPU_PERCENT as u64;
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64 * 1000 * percent / 100
}
