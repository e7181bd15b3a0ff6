//! Rows: what a node costs that does nothing. It samples the machine every second and compares ledger and kernel.

use crate::Effort;
use crate::error::BenchError;
use crate::report::{Baseline, Goal, Row};
use crate::statistics::summary;
use hypermesh_harness::Node;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// Resident memory that we want at most, MB of 10^6 bytes.
const MOST_MEMORY: f64 = 60.0;
/// Part of one CPU that we want at most, percent.
const MOST_CPU: f64 = 1.0;
/// The kernel counts CPU time of processes in hundredths of a second for user space (`USER_HZ`, proc_pid_stat(5)).
const TICKS_PER_SECOND: f64 = 100.0;
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
    let (mut memory, mut cpu) = (Vec::new(), Vec::new());
    let mut before = (Instant::now(), cpu_seconds(node.pid())?);
    for _ in 0..SPANS {
        thread::sleep(span);
        let now = (Instant::now(), cpu_seconds(node.pid())?);
        cpu.push((now.1 - before.1) * 100.0 / (now.0 - before.0).as_secs_f64());
        memory.push(resident_mb(node.pid())?);
        before = now;
    }
    let row = |name: &str, unit, samples: &[f64], most| Row {
        name: name.into(),
        unit,
        more_is_better: false,
        ours: summary(samples).ok_or_else(|| "there are no samples".to_owned()),
        baseline: Baseline::None(String::new()),
        goal: Some(Goal::AtMost(most)),
    };
    Ok(vec![
        row("resident memory of a node at rest", "MB", &memory, MOST_MEMORY),
        row("CPU time of a node at rest, of one CPU", "%", &cpu, MOST_CPU),
    ])
}

fn read(pid: u32, name: &str) -> Result<String, BenchError> {
    let path = format!("/proc/{pid}/{name}");
    fs::read_to_string(&path).map_err(BenchError::io(format!("reading {path}")))
}

/// User and system time so far, fields 14 and 15 of `stat`.
fn cpu_seconds(pid: u32) -> Result<f64, BenchError> {
    let text = read(pid, "stat")?;
    let fields = text.rsplit_once(") ").map(|(_, rest)| rest.split(' ').skip(11).take(2));
    let ticks: Option<f64> = fields.and_then(|fields| fields.map(|field| field.parse::<f64>().ok()).sum());
    let ticks = ticks.ok_or_else(|| BenchError::Unexpected(format!("/proc/{pid}/stat said: {text}")))?;
    Ok(ticks / TICKS_PER_SECOND)
}

fn resident_mb(pid: u32) -> Result<f64, BenchError> {
    let text = read(pid, "status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).and_then(|text| text.parse::<f64>().ok());
    kib.map(|kib| kib * 1024.0 / 1e6)
        .ok_or_else(|| BenchError::Unexpected(format!("/proc/{pid}/status: no VmRSS")))
}
