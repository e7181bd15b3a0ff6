//! Row 2: leases made, enforced, read back and released over REST, by one client and by several, on an empty node and on
//! one that holds many.

use crate::Effort;
use crate::error::BenchError;
use crate::report::{Baseline, Row};
use crate::statistics::summary;
use hypermesh_client::Client;
use hypermesh_harness::Node;
use hypermesh_wire::allocations::CreateAllocation;
use std::thread;
use std::time::{Duration, Instant};

/// Clients at the same time: the cores of a small machine, several times over.
const CLIENTS: [usize; 2] = [1, 8];
/// Percent of the pool that each lease holds: a thousand of them are half of it.
const PERCENT: f64 = 0.05;
/// Length of a lease in seconds: longer than the run.
const DURATION: u64 = 3600;

/// Rates of one number of clients, one sample a round.
#[derive(Debug, Default)]
struct Rates {
    empty: Vec<f64>,
    full: Vec<f64>,
}

/// Measures a row for each number of clients.
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
        for (clients, rates) in CLIENTS.iter().zip(&mut rates) {
            rates.empty.push(rate(node.client(), *clients, effort.span)?);
        }
        let held = hold(node.client(), effort.held)?;
        for (clients, rates) in CLIENTS.iter().zip(&mut rates) {
            rates.full.push(rate(node.client(), *clients, effort.span)?);
        }
        for lease in held {
            node.client().release(&lease).map_err(BenchError::node("releasing a held lease"))?;
        }
    }
    let rows = CLIENTS.iter().zip(&rates).map(|(clients, rates)| {
        let name = format!("{}, {} leases held", name(*clients), effort.held);
        let ours = summary(&rates.full).ok_or_else(|| "there are no samples".to_owned());
        let empty = summary(&rates.empty).map(|empty| Baseline::Ourselves("the same, no lease held", empty));
        row(name, ours, empty.unwrap_or_else(|| Baseline::None("there are no samples".into())))
    });
    Ok(rows.collect())
}

fn row(name: String, ours: Result<crate::statistics::Summary, String>, baseline: Baseline) -> Row {
    Row { name, unit: "/s", more_is_better: true, ours, baseline }
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
