//! Row 2: leases made, enforced, read back and released over REST, by one client and by several, on an empty node, on one
//! that holds a few and on one that holds many.

use crate::Effort;
use crate::error::BenchError;
use crate::report::{Baseline, Goal, Row};
use crate::statistics::{Summary, summary};
use hypermesh_client::Client;
use hypermesh_harness::Node;
use hypermesh_wire::allocations::CreateAllocation;
use std::thread;
use std::time::{Duration, Instant};

/// Clients at the same time: the cores of a small machine, several times over.
const CLIENTS: [usize; 2] = [1, 8];
/// Leases that are held on a node that is neither empty nor full: what "flat" is measured from.
const FEW: usize = 10;
/// Leases a second on one connection that we want at least.
const ENOUGH: f64 = 500.0;
/// How many times slower a node that holds many leases may be than one that holds a few.
const FLAT: f64 = 1.5;
/// Percent of the pool that each lease holds: a thousand of them are half of it.
const PERCENT: f64 = 0.05;
/// Length of a lease in seconds: longer than the run.
const DURATION: u64 = 3600;

/// Rates of one number of clients, one sample a round.
#[derive(Debug, Default)]
struct Rates {
    empty: Vec<f64>,
    few: Vec<f64>,
    full: Vec<f64>,
}

/// Measures a row for each number of clients, and one that says whether the rate of one client stays.
///
/// # Errors
/// When the node refuses a lease that fits.
pub(crate) fn measure(node: &Node, effort: &Effort) -> Result<Vec<Row>, BenchError> {
    let name = |clients: usize| {
        format!("lease made, enforced, read back and released over REST, {clients} client(s)")
    };
    if let Some(reason) = node.unenforced() {
        let row = |clients| row(name(clients), Err(reason.to_owned()), Baseline::None(String::new()));
        return Ok(CLIENTS.map(row).into());
    }
    let mut rates = CLIENTS.map(|_| Rates::default());
    for _ in 0..effort.rounds {
        round(node.client(), effort, &mut rates)?;
    }
    let rows = CLIENTS.iter().zip(&rates).map(|(clients, rates)| {
        let name = format!("{}, {} leases held", name(*clients), effort.held);
        Row {
            goals: (*clients == 1).then_some(Goal::AtLeast(ENOUGH)).into_iter().collect(),
            ..row(name, summed(&rates.full), beside("the same, no lease held", &rates.empty))
        }
    });
    let flat = rates.first().map(|rates| {
        let name = format!("{}, {} leases held against {FEW}", name(1), effort.held);
        Row {
            goals: vec![Goal::Within(FLAT)],
            ..row(name, summed(&rates.full), beside("the same, 10 leases held", &rates.few))
        }
    });
    Ok(rows.chain(flat).collect())
}

fn summed(samples: &[f64]) -> Result<Summary, String> {
    summary(samples).ok_or_else(|| "there are no samples".to_owned())
}

fn beside(name: &'static str, samples: &[f64]) -> Baseline {
    match summary(samples) {
        Some(samples) => Baseline::Ourselves(name, samples),
        None => Baseline::None("there are no samples".into()),
    }
}

/// Each condition once: nothing held, a few, many.
fn round(client: &Client, effort: &Effort, rates: &mut [Rates]) -> Result<(), BenchError> {
    let measure = |clients: &usize| rate(client, *clients, effort.span);
    for (clients, rates) in CLIENTS.iter().zip(rates.iter_mut()) {
        rates.empty.push(measure(clients)?);
    }
    let mut held = hold(client, FEW)?;
    if let Some(rates) = rates.first_mut() {
        rates.few.push(measure(&1)?);
    }
    held.extend(hold(client, effort.held.saturating_sub(FEW))?);
    for (clients, rates) in CLIENTS.iter().zip(rates.iter_mut()) {
        rates.full.push(measure(clients)?);
    }
    for lease in held {
        client.release(&lease).map_err(BenchError::node("releasing a held lease"))?;
    }
    Ok(())
}

fn row(name: String, ours: Result<Summary, String>, baseline: Baseline) -> Row {
    Row { name, unit: "/s", more_is_better: true, ours, baseline, goals: Vec::new() }
}

fn request() -> CreateAllocation {
    CreateAllocation::new("cpu", PERCENT, DURATION)
}

fn hold(client: &Client, count: usize) -> Result<Vec<String>, BenchError> {
    let make = |_| {
        client.allocate(&request()).map(|lease| lease.id).map_err(BenchError::node("making a held lease"))
    };
    (0..count).map(make).collect()
}

/// Leases a second that `clients` make and release at the same time, each on a connection of its own.
fn rate(client: &Client, clients: usize, span: Duration) -> Result<f64, BenchError> {
    let begun = Instant::now();
    let until = begun + span;
    let work = || -> Result<u32, BenchError> {
        let mut done = 0;
        while Instant::now() < until {
            let lease = client.allocate(&request()).map_err(BenchError::node("making a lease"))?;
            client.release(&lease.id).map_err(BenchError::node("releasing a lease"))?;
            done += 1;
        }
        Ok(done)
    };
    let counts: Result<Vec<u32>, BenchError> = thread::scope(|scope| {
        let threads: Vec<_> = (0..clients).map(|_| scope.spawn(work)).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|_| Err(BenchError::Unexpected("a client panicked".into())))
        };
        threads.into_iter().map(join).collect()
    });
    let total: u32 = counts?.iter().sum();
    Ok(f64::from(total) / begun.elapsed().as_secs_f64())
}
