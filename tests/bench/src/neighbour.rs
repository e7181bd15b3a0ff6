//! Rows: a well-behaved guest alone, and beside one that does its worst in an allocation of its own.

use crate::Effort;
use crate::error::BenchError;
use crate::execute::timed;
use crate::report::{Baseline, Goal, Row};
use crate::statistics::{milliseconds, summary};
use hypermesh_artifacts::{HOSTILE, MATRIX_MULTIPLY};
use hypermesh_client::Client;
use hypermesh_harness::{Node, job, with_limits};
use hypermesh_wire::executions::{ExecuteVm, ExecutionStatus};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Of the pool, for each of the two.
const CPU_PERCENT: f64 = 40.0;
/// Memory of the one that behaves.
const MEMORY: &str = "64MiB";
/// Memory that the other one fills again and again.
const BOMB_MEMORY: &str = "512MiB";
/// Size of the matrices: some tens of milliseconds of computing.
const SIZE: u32 = 256;
/// How many times slower it may be beside the other.
const WITHIN: f64 = 1.5;
/// Executions of each condition in a round.
const TURNS: usize = 10;
/// A hostile guest is at its worst after this.
const SETTLE: Duration = Duration::from_millis(200);

/// Measures the rows.
///
/// # Errors
/// When the one that behaves fails.
pub(crate) fn measure(node: &Node, effort: &Effort) -> Result<Vec<Row>, BenchError> {
    let conditions = [
        ("an endless loop", "spin", MEMORY),
        ("guests that fill their memory until they are ended", "eat-memory", BOMB_MEMORY),
    ];
    let row = |beside: &str, ours, baseline| Row {
        name: format!("a guest of matrix-multiply, beside {beside} in an allocation of its own"),
        unit: "ms",
        more_is_better: false,
        ours,
        baseline,
        goals: vec![Goal::Within(WITHIN)],
    };
    if let Some(reason) = node.unenforced() {
        let skipped = conditions
            .iter()
            .map(|(beside, _, _)| row(beside, Err(reason.to_owned()), Baseline::None(String::new())));
        return Ok(skipped.collect());
    }
    let vm = node.install(&MATRIX_MULTIPLY, Some(with_limits(CPU_PERCENT, MEMORY)));
    let good = job(&vm, "multiply", json!({ "size": SIZE }));
    let mut rows = Vec::new();
    timed(node.client(), &good)?;
    for (beside, operation, memory) in conditions {
        let vm = node.install(&HOSTILE, Some(with_limits(CPU_PERCENT, memory)));
        let bad = job(&vm, operation, json!({}));
        let (mut alone, mut with) = (Vec::new(), Vec::new());
        for _ in 0..effort.rounds {
            several(node.client(), &good, &mut alone)?;
            let neighbour = Neighbour::start(node, bad.clone())?;
            several(node.client(), &good, &mut with)?;
            neighbour.stop()?;
        }
        let baseline = match summary(&alone) {
            Some(alone) => Baseline::Ourselves("alone", alone),
            None => Baseline::None("there are no samples".into()),
        };
        rows.push(row(beside, summary(&with).ok_or_else(|| "there are no samples".to_owned()), baseline));
    }
    Ok(rows)
}

fn several(client: &Client, request: &ExecuteVm, samples: &mut Vec<f64>) -> Result<(), BenchError> {
    for _ in 0..TURNS {
        samples.push(milliseconds(timed(client, request)?));
    }
    Ok(())
}

/// Runs a hostile guest, again whenever it has ended.
struct Neighbour {
    stopped: Arc<AtomicBool>,
    thread: thread::JoinHandle<Result<(), BenchError>>,
}

impl Neighbour {
    fn start(node: &Node, request: ExecuteVm) -> Result<Self, BenchError> {
        let client = Client::new(node.url(), Some(node.token().to_owned()));
        let client = client.map_err(BenchError::node("connecting"))?;
        let stopped = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stopped);
        let thread = thread::spawn(move || {
            while !told.load(Ordering::Acquire) {
                run_until(&client, &request, &told)?;
            }
            Ok(())
        });
        thread::sleep(SETTLE);
        Ok(Self { stopped, thread })
    }

    fn stop(self) -> Result<(), BenchError> {
        self.stopped.store(true, Ordering::Release);
        let panicked = || Err(BenchError::Unexpected("a client panicked".into()));
        self.thread.join().unwrap_or_else(|_| panicked())
    }
}

/// Once, to its end, or to ours.
fn run_until(client: &Client, request: &ExecuteVm, stopped: &AtomicBool) -> Result<(), BenchError> {
    let started = client.execute(request, 0).map_err(BenchError::node("starting a hostile guest"))?;
    let mut status = started.status;
    while !status.is_final() && !stopped.load(Ordering::Acquire) {
        thread::sleep(Duration::from_millis(10));
        let now = client.execution(&started.id, 0).map_err(BenchError::node("looking at a hostile guest"))?;
        status = now.status;
    }
    if !status.is_final() {
        client.cancel(&started.id).map_err(BenchError::node("ending a hostile guest"))?;
    }
    if status == ExecutionStatus::Completed {
        return Err(BenchError::Unexpected("a hostile guest was allowed to end well".into()));
    }
    Ok(())
}
