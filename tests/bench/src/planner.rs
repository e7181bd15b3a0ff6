//! Row: decisions of the planner on a machine that holds a thousand leases. No node, no kernel, one core.

use crate::Effort;
use crate::error::BenchError;
use crate::report::{Baseline, Goal, Row};
use crate::statistics::summary;
use hypermesh_model::{Bytes, CpuMode, LeaseId, MilliCpu, Subject, Terms, Timestamp};
use hypermesh_planner::{Book, Core, Entry, Machine, NumaNode, Span, Wanted};
use std::hint::black_box;
use std::time::Instant;

/// Leases that are held.
const HELD: u32 = 1000;
/// Decisions a second that we want at least.
const ENOUGH: f64 = 100_000.0;
/// Cores of the machine, two logical CPUs each, on two memory nodes.
const CORES: u32 = 64;
/// Memory of the machine.
const MEMORY: Bytes = Bytes(512 << 30);
/// Length of a lease in seconds.
const DURATION: u64 = 600;
/// Decisions between two looks at the clock.
const BATCH: u32 = 1000;

/// Measures the row.
///
/// # Errors
/// When the planner refuses what must fit, or grants what can't.
pub(crate) fn measure(_: &hypermesh_harness::Node, effort: &Effort) -> Result<Vec<Row>, BenchError> {
    let now = Timestamp::now();
    let book = book(now)?;
    let requests = requests();
    let mut samples = Vec::new();
    for _ in 0..effort.rounds {
        samples.push(rate(&book, &requests, now, effort)?);
    }
    Ok(vec![Row {
        name: format!("decisions of the planner, a third of them refusals, {HELD} leases held"),
        unit: "/s",
        more_is_better: true,
        ours: summary(&samples).ok_or_else(|| "there are no samples".to_owned()),
        baseline: Baseline::None(String::new()),
        goals: vec![Goal::AtLeast(ENOUGH)],
    }])
}

fn machine() -> Machine {
    let core = |at: u32| Core { cpus: vec![at, at + CORES], node: at * 2 / CORES };
    let node = |id| NumaNode { id, memory: Some(Bytes(MEMORY.0 / 2)) };
    Machine {
        cpu: MilliCpu(CORES * 2000),
        cores: (0..CORES).map(core).collect(),
        nodes: vec![node(0), node(1)],
        memory: MEMORY,
        ..Machine::default()
    }
}

fn limited(cpu: u32, memory: Bytes) -> Wanted {
    Wanted { cpu: Some(MilliCpu(cpu)), memory: Some(memory), ..Wanted::default() }
}

/// A machine that is nearly full of small leases of different length.
fn book(now: Timestamp) -> Result<Book, BenchError> {
    let mut book = Book::new(machine());
    for lease in 0..HELD {
        let span = Span { from: now, until: now.plus_seconds(DURATION + u64::from(lease)) };
        let grant = book.fit(&limited(100, Bytes::mib(256)), span, now);
        let grant = grant.map_err(|short| BenchError::Unexpected(format!("a lease that fits: {short:?}")))?;
        let Span { from, until } = span;
        let requester = Subject(format!("requester-{}", lease % 10));
        book.insert(Entry {
            id: LeaseId::generate(),
            requester,
            grant,
            from,
            until,
            terms: Terms::default(),
        });
    }
    Ok(book)
}

/// What is asked for, and whether it fits: two small ones and one that has to wait for the others.
fn requests() -> [(Wanted, bool); 3] {
    let pinned = Wanted { cpu_mode: CpuMode::Pinned, ..limited(4000, Bytes::mib(512)) };
    [(limited(250, Bytes::mib(128)), true), (pinned, true), (limited(100_000, Bytes::mib(64)), false)]
}

fn rate(
    book: &Book,
    requests: &[(Wanted, bool)],
    now: Timestamp,
    effort: &Effort,
) -> Result<f64, BenchError> {
    let span = Span { from: now, until: now.plus_seconds(DURATION) };
    let (begun, mut decisions) = (Instant::now(), 0u32);
    while begun.elapsed() < effort.span {
        for (wanted, fits) in requests.iter().cycle().take(BATCH as usize) {
            if black_box(book.fit(black_box(wanted), span, now)).is_ok() != *fits {
                return Err(BenchError::Unexpected(format!("{wanted:?}: a wrong decision")));
            }
        }
        decisions = decisions.saturating_add(BATCH);
    }
    Ok(f64::from(decisions) / begun.elapsed().as_secs_f64())
}
