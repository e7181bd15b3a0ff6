//! Rows: executions a second that a node sustains, of a trivial guest, over some connections, and what they cost.

use crate::Effort;
use crate::error::BenchError;
use crate::execute;
use crate::process::{CpuTime, cpu_time, zygote};
use crate::report::{Baseline, Goal, Row};
use crate::statistics::summary;
use hypermesh_artifacts::MATRIX_MULTIPLY;
use hypermesh_client::Client;
use hypermesh_harness::{Node, allocation, job, with_limits};
use hypermesh_wire::allocations::Requirements;
use hypermesh_wire::executions::ExecuteVm;
use serde_json::json;
use std::thread;
use std::time::{Duration, Instant};

/// Connections at the same time, each with one execution after the other.
const CONNECTIONS: [usize; 3] = [1, 8, 32];
/// Of the pool, for each execution in an allocation of its own: so many as there are connections fit.
const CPU_PERCENT: f64 = 2.5;
/// The least memory that an execution can have.
const MEMORY: &str = "32MiB";
/// The allocation in which the others run: as much CPU time as all of those together, and processes for all.
const HELD_CPU_PERCENT: f64 = 80.0;
const HELD_MEMORY: &str = "1GiB";
const HELD_PIDS: u32 = 4096;
/// Executions a second that we want of two cores where enough are asked for at a time.
const ENOUGH: f64 = 1000.0;

/// What was measured of one form with one number of connections.
#[derive(Debug, Default)]
struct Samples {
    rates: Vec<f64>,
    executions: f64,
    node: f64,
    zygote: CpuTime,
}

/// Measures a row for each number of connections in each form.
///
/// # Errors
/// When an execution fails or is refused that has no reason to.
pub(crate) fn measure(node: &Node, effort: &Effort) -> Result<Vec<Row>, BenchError> {
    let mut samples: [(Samples, Samples); CONNECTIONS.len()] = Default::default();
    if let Some(reason) = node.unenforced() {
        return Ok(rows(&samples, Some(reason)));
    }
    let vm = node.install(&MATRIX_MULTIPLY, Some(with_limits(CPU_PERCENT, MEMORY)));
    let own = job(&vm, "multiply", json!({ "size": 1 }));
    for _ in 0..effort.rounds {
        for (connections, (own_samples, held_samples)) in CONNECTIONS.iter().zip(&mut samples) {
            round(node, &own, *connections, effort.span, own_samples)?;
            let mut wanted = allocation("cpu", HELD_CPU_PERCENT);
            wanted.requirements = Requirements {
                memory: Some(HELD_MEMORY.into()),
                pids: Some(HELD_PIDS),
                ..Requirements::default()
            };
            let lease = node.client().allocate(&wanted).map_err(BenchError::node("making an allocation"))?;
            let held = ExecuteVm { allocation_id: Some(lease.id.clone()), ..own.clone() };
            round(node, &held, *connections, effort.span, held_samples)?;
            node.client().release(&lease.id).map_err(BenchError::node("releasing an allocation"))?;
        }
    }
    Ok(rows(&samples, None))
}

fn rows(samples: &[(Samples, Samples)], unmeasured: Option<&str>) -> Vec<Row> {
    let row = |connections: usize, place: &str, samples: &Samples| Row {
        name: format!(
            "executions of a trivial guest in {place}, {connections} connection(s){}",
            samples.cost()
        ),
        unit: "/s",
        more_is_better: true,
        ours: match unmeasured {
            Some(reason) => Err(reason.to_owned()),
            None => summary(&samples.rates).ok_or_else(|| "there are no samples".to_owned()),
        },
        baseline: Baseline::None(String::new()),
        goals: (connections > 1).then_some(Goal::AtLeast(ENOUGH)).into_iter().collect(),
    };
    let both = |(connections, (own, held)): (&usize, &(Samples, Samples))| {
        [row(*connections, "allocations of their own", own), row(*connections, "one allocation", held)]
    };
    CONNECTIONS.iter().zip(samples).flat_map(both).collect()
}

impl Samples {
    /// CPU time an execution.
    fn cost(&self) -> String {
        if self.executions < 1.0 {
            return String::new();
        }
        let each = |seconds: f64| seconds * 1e3 / self.executions;
        format!(
            "\n  CPU time of each: node {:.2} ms, zygote {:.2} ms, worker {:.2} ms",
            each(self.node),
            each(self.zygote.own),
            each(self.zygote.children)
        )
    }
}

fn round(
    node: &Node,
    request: &ExecuteVm,
    connections: usize,
    span: Duration,
    samples: &mut Samples,
) -> Result<(), BenchError> {
    // As many workers wait now as were missing.
    load(node, request, connections, span / 2)?;
    let zygote = zygote(node)?;
    let before = (cpu_time(node.pid())?, cpu_time(zygote)?);
    let (executions, took) = load(node, request, connections, span)?;
    let after = (cpu_time(node.pid())?, cpu_time(zygote)?);
    samples.rates.push(executions / took.as_secs_f64());
    samples.executions += executions;
    samples.node += after.0.own - before.0.own;
    samples.zygote.own += after.1.own - before.1.own;
    samples.zygote.children += after.1.children - before.1.children;
    Ok(())
}

/// How many executions ended in how long.
fn load(
    node: &Node,
    request: &ExecuteVm,
    connections: usize,
    span: Duration,
) -> Result<(f64, Duration), BenchError> {
    let begun = Instant::now();
    let until = begun + span;
    let work = || -> Result<u32, BenchError> {
        let client = Client::new(node.url(), Some(node.token().to_owned()));
        let client = client.map_err(BenchError::node("connecting"))?;
        let mut done = 0;
        while Instant::now() < until {
            execute::run(&client, request)?;
            done += 1;
        }
        Ok(done)
    };
    let counts: Result<Vec<u32>, BenchError> = thread::scope(|scope| {
        let threads: Vec<_> = (0..connections).map(|_| scope.spawn(work)).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|_| Err(BenchError::Unexpected("a client panicked".into())))
        };
        threads.into_iter().map(join).collect()
    });
    let total: u32 = counts?.iter().sum();
    Ok((f64::from(total), begun.elapsed()))
}
