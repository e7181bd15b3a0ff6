//! What HyperMesh is measured by: a table of medians and ratios, ours and a baseline interleaved in one run.
//!
//! `cargo run --release -p hypermesh-bench [-- --quick] [ROW …]`. Ratios are what counts: both sides of a row run in turns
//! on the same machine at the same time, so that a slow or busy machine slows both. What a row needs and the machine lacks
//! (`runc`, `wrk`, a kernel that enforces) is said in the row instead of a number. Exit code 1 when a row fails, because
//! a table with a hole that nobody sees is worse than none; 2 for a wrong argument.
//!
//! It starts the release binary on a data folder of its own and leaves nothing behind.
#![forbid(unsafe_code)]

mod admission;
mod assets;
mod cfssl;
mod compute;
mod error;
mod execute;
mod issuance;
mod leases;
mod live;
mod machine;
mod names;
mod neighbour;
mod plain;
mod planner;
mod post;
mod process;
mod python;
mod report;
mod rest;
mod runc;
mod statistics;
mod sustained;

use error::BenchError;
use hypermesh_harness::Node;
use report::Row;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "usage: hypermesh-bench [--quick] [ROW ...]
  --quick  fewer rounds: a look, not a measurement
  ROW      only these, of: ";

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// Executions of each side.
    pub(crate) executions: usize,
    /// Rounds of everything that is measured as a rate.
    pub(crate) rounds: usize,
    /// Length of each such measurement.
    pub(crate) span: Duration,
    /// Leases that are held while others come and go.
    pub(crate) held: usize,
}

const FULL: Effort = Effort { executions: 200, rounds: 5, span: Duration::from_secs(4), held: 1000 };
const QUICK: Effort = Effort { executions: 30, rounds: 2, span: Duration::from_secs(1), held: 1000 };

fn main() -> ExitCode {
    let mut effort = FULL;
    let mut only: Vec<String> = Vec::new();
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--quick" => effort = QUICK,
            "--help" | "-h" => return print(&usage()),
            name if ROWS.iter().any(|(known, _)| *known == name) => only.push(argument),
            _ => {
                eprint!("{}", usage());
                return ExitCode::from(2);
            }
        }
    }
    let node = Node::start();
    let mut table = machine::facts(&node);
    let mut failed = false;
    for (name, measure) in ROWS {
        if !only.is_empty() && !only.iter().any(|wanted| wanted == name) {
            continue;
        }
        eprintln!("measuring: {name}");
        match measure(&node, &effort) {
            Ok(rows) => rows.iter().for_each(|row| table += &row.to_string()),
            Err(error) => {
                failed = true;
                table += &format!("\n{name}\n  FAILED: {}\n", hypermesh_model::error_chain(&error));
            }
        }
    }
    let printed = print(&table);
    if failed { ExitCode::FAILURE } else { printed }
}

fn usage() -> String {
    let names: Vec<&str> = ROWS.iter().map(|(name, _)| *name).collect();
    format!("{USAGE}{}\n", names.join(" "))
}

/// Measures one or more rows on a node.
type Measure = fn(&Node, &Effort) -> Result<Vec<Row>, BenchError>;

const ROWS: [(&str, Measure); 13] = [
    ("parked", live::parked),
    ("execution", execute::measure),
    ("sustained", sustained::measure),
    ("idle", live::idle),
    ("compute", compute::measure),
    ("neighbour", neighbour::measure),
    ("admission", admission::measure),
    ("leases", leases::measure),
    ("planner", planner::measure),
    ("assets", assets::measure),
    ("issuance", issuance::measure),
    ("names", names::measure),
    ("rest", rest::measure),
];

fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
