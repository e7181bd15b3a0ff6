//! Rows: what executions cost that do nothing: a worker that waits for its first, and many guests that sleep.

use crate::Effort;
use crate::error::BenchError;
use crate::process::{Memory, children, memory, zygote};
use crate::report::{Baseline, Goal, Row};
use crate::statistics::summary;
use hypermesh_artifacts::HOSTILE;
use hypermesh_client::{Client, ClientError};
use hypermesh_harness::{Node, allocation, job, until, with_limits};
use hypermesh_wire::allocations::Requirements;
use hypermesh_wire::executions::{ExecuteVm, ExecutionQuery, ExecutionStatus};
use serde_json::json;
use std::thread;
use std::time::{Duration, Instant};

/// Workers that wait on a node that has run nothing yet.
const PARKED: usize = 2;
/// Resident memory of one that we want at most, MB of 10^6 bytes.
const MOST_PARKED: f64 = 16.0;
/// Executions that live at the same time.
const LIVE: usize = 500;
/// Memory in which we want them, node and zygote included, MB.
const MOST_LIVE: f64 = 4.0 * (1 << 30) as f64 / 1e6;
/// The same as the kernel holds it for the workers: the allocation's memory.
const HELD_MEMORY: &str = "4GiB";
/// The allocation's share of the pool, and its processes: a worker is one.
const CPU_PERCENT: f64 = 80.0;
const PIDS: u32 = 1024;
/// How long each sleeps: until all were measured and ended.
const SLEEP_MS: u64 = 600_000;
/// Connections that start them.
const CONNECTIONS: usize = 8;
/// Pause between two looks at how many run.
const LOOK: Duration = Duration::from_millis(50);
/// Longest time until all run.
const PATIENCE: Duration = Duration::from_secs(120);

/// Memory of a worker that waits, on a node of its own that has not run anything.
///
/// # Errors
/// When the kernel does not say what a process uses.
pub(crate) fn parked(_: &Node, effort: &Effort) -> Result<Vec<Row>, BenchError> {
    let row = |what: &str, ours, goals| Row {
        name: format!("memory of a worker that waits, {what}"),
        unit: "MB",
        more_is_better: false,
        ours,
        baseline: Baseline::None(String::new()),
        goals,
    };
    let node = Node::start();
    let mut found: Vec<Memory> = Vec::new();
    if let Some(reason) = node.unenforced() {
        return Ok(vec![row("resident", Err(reason.to_owned()), Vec::new())]);
    }
    for _ in 0..effort.rounds {
        let zygote = until("the zygote", || zygote(&node).ok());
        let waiting = until("workers that wait", || {
            let waiting = children(zygote);
            (waiting.len() >= PARKED).then_some(waiting)
        });
        for pid in waiting {
            found.push(memory(pid)?);
        }
    }
    let summed = |part: fn(&Memory) -> f64| {
        let samples: Vec<f64> = found.iter().map(part).collect();
        summary(&samples).ok_or_else(|| "there are no samples".to_owned())
    };
    Ok(vec![
        row("resident", summed(|memory| memory.rss), vec![Goal::AtMost(MOST_PARKED)]),
        row("its share of what it shares", summed(|memory| memory.pss), Vec::new()),
    ])
}

/// Many executions that sleep, on a node of its own.
///
/// # Errors
/// When one fails, or not all run in time.
pub(crate) fn idle(_: &Node, _: &Effort) -> Result<Vec<Row>, BenchError> {
    let node = Node::start();
    let row = |what: &str, unit, ours: Result<f64, String>, goals| Row {
        name: format!("{LIVE} executions that sleep in one allocation of {HELD_MEMORY}: {what}"),
        unit,
        more_is_better: false,
        ours: ours.and_then(|sample| summary(&[sample]).ok_or_else(|| "there are no samples".to_owned())),
        baseline: Baseline::None(String::new()),
        goals,
    };
    let skipped = |reason: String| Ok(vec![row("skipped", "MB", Err(reason), Vec::new())]);
    if let Some(reason) = node.unenforced() {
        return skipped(reason.to_owned());
    }
    let mut wanted = allocation("cpu", CPU_PERCENT);
    wanted.requirements =
        Requirements { memory: Some(HELD_MEMORY.into()), pids: Some(PIDS), ..Requirements::default() };
    let lease = match node.client().allocate(&wanted) {
        Ok(lease) => lease,
        Err(error) if error.status() == Some(409) => return skipped(error.to_string()),
        Err(error) => return Err(BenchError::node("making an allocation")(error)),
    };
    let vm = node.install(&HOSTILE, Some(with_limits(CPU_PERCENT, "64MiB")));
    let request =
        ExecuteVm { allocation_id: Some(lease.id.clone()), ..job(&vm, "sleep", json!({ "ms": SLEEP_MS })) };
    let begun = Instant::now();
    start(&node, &request)?;
    until_all_run(node.client(), &vm, begun)?;
    let took = begun.elapsed();
    let zygote = zygote(&node)?;
    let workers = children(zygote);
    let mut of_workers = 0.0;
    for pid in &workers {
        of_workers += memory(*pid)?.pss;
    }
    let (of_node, of_zygote) = (memory(node.pid())?.pss, memory(zygote)?.pss);
    node.client().release(&lease.id).map_err(BenchError::node("releasing an allocation"))?;
    let all = of_node + of_zygote + of_workers;
    let what = format!(
        "memory\n  node {of_node:.0} MB, zygote {of_zygote:.0} MB, {} workers {of_workers:.0} MB",
        workers.len()
    );
    Ok(vec![
        row(&what, "MB", Ok(all), vec![Goal::AtMost(MOST_LIVE.round())]),
        row("until all run", "s", Ok(took.as_secs_f64()), Vec::new()),
    ])
}

/// Starts all of them.
fn start(node: &Node, request: &ExecuteVm) -> Result<(), BenchError> {
    let work = |count: usize| -> Result<(), BenchError> {
        let client = Client::new(node.url(), Some(node.token().to_owned()));
        let client = client.map_err(BenchError::node("connecting"))?;
        (0..count).try_for_each(|_| match client.execute(request, 0) {
            Ok(_) => Ok(()),
            Err(ClientError::Problem(problem)) => {
                Err(BenchError::Unexpected(format!("an execution is refused: {problem:?}")))
            }
            Err(error) => Err(BenchError::node("starting a guest")(error)),
        })
    };
    thread::scope(|scope| {
        let share = |connection| LIVE / CONNECTIONS + usize::from(connection < LIVE % CONNECTIONS);
        let threads: Vec<_> = (0..CONNECTIONS).map(|n| scope.spawn(move || work(share(n)))).collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|_| Err(BenchError::Unexpected("a client panicked".into())))
        })
    })
}

fn until_all_run(client: &Client, vm: &str, begun: Instant) -> Result<(), BenchError> {
    let query =
        ExecutionQuery { vm_asset_id: Some(vm.to_owned()), limit: Some(1000), ..ExecutionQuery::default() };
    loop {
        let executions = client.executions(&query).map_err(BenchError::node("listing executions"))?;
        if let Some(ended) = executions.iter().find(|execution| execution.status.is_final()) {
            return Err(BenchError::Unexpected(format!(
                "a sleeping guest ended as {:?}: {:?}",
                ended.status, ended.cause
            )));
        }
        let running = executions.iter().filter(|execution| execution.status == ExecutionStatus::Running);
        let running = running.count();
        if running >= LIVE {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            let waited = PATIENCE.as_secs();
            return Err(BenchError::Unexpected(format!("after {waited} s {running} of {LIVE} guests run")));
        }
        thread::sleep(LOOK);
    }
}
