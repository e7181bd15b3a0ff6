//! Rows: what a node costs that does nothing. It samples the machine every second and compares ledger and kernel.

use crate::Effort;
use crate::error::BenchError;
use crate::process::{cpu_time, memory};
use crate::report::{Baseline, Goal, Row};
use crate::statistics::summary;
use hypermesh_harness::Node;
use std::thread;
use std::time::{Duration, Instant};

/// Resident memory that we want at most, MB of 10^6 bytes.
const MOST_MEMORY: f64 = 60.0;
/// Part of one CPU that we want at most, percent.
const MOST_CPU: f64 = 1.0;
/// A node has its caches filled and its first comparison behind it.
const SETTLE: Duration = Duration::from_secs(3);
/// Over so many spans it is watched, each long enough that a hundredth of a second is little of it.
const SPANS: u32 = 5;
/// The shortest of them.
const LEAST_SPAN: Duration = Duration::from_secs(2);

/// Measures both rows on a node of its own.
///
/// # Errors
/// When the kernel does not say what a process uses.
pub(crate) fn measure(_: &Node, effort: &Effort) -> Result<Vec<Row>, BenchError> {
    let node = Node::start();
    thread::sleep(SETTLE);
    let span = effort.span.max(LEAST_SPAN);
    let (mut resident, mut cpu) = (Vec::new(), Vec::new());
    let mut before = (Instant::now(), cpu_time(node.pid())?.own);
    for _ in 0..SPANS {
        thread::sleep(span);
        let now = (Instant::now(), cpu_time(node.pid())?.own);
        cpu.push((now.1 - before.1) * 100.0 / (now.0 - before.0).as_secs_f64());
        resident.push(memory(node.pid())?.rss);
        before = now;
    }
    let row = |name: &str, unit, samples: &[f64], most| Row {
        name: name.into(),
        unit,
        more_is_better: false,
        ours: summary(samples).ok_or_else(|| "there are no samples".to_owned()),
        baseline: Baseline::None(String::new()),
        goals: vec![Goal::AtMost(most)],
    };
    Ok(vec![
        row("resident memory of a node at rest", "MB", &resident, MOST_MEMORY),
        row("CPU time of a node at rest, of one CPU", "%", &cpu, MOST_CPU),
    ])
}
