//! The dimensions that a new lease and a change of one have in common, as options.

use crate::parse;
use clap::Args;
use hypermesh_model::Bytes;
use hypermesh_wire::allocations::{IoLimits, MAX_BURST_US, MAX_PIDS};

/// How much of what.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Resources")]
pub(crate) struct Size {
    /// CPU share, percent of the whole pool
    #[arg(long, value_parser = parse::percent, value_name = "PERCENT")]
    pub(crate) cpu: Option<f64>,
    /// The same in thousandths of one CPU, e.g. 1500
    #[arg(long, value_parser = parse::millis, value_name = "MILLIS", conflicts_with = "cpu")]
    pub(crate) cpu_millis: Option<u32>,
    /// CPU time that may be saved up while idle, microseconds
    #[arg(long, value_parser = clap::value_parser!(u64).range(0..=MAX_BURST_US), value_name = "MICROSECONDS")]
    pub(crate) burst: Option<u64>,
    /// Memory, a hard limit, e.g. 256MiB
    #[arg(long, value_parser = parse::size, value_name = "SIZE")]
    pub(crate) memory: Option<Bytes>,
    /// Memory that is kept for the lease and counts against capacity [default: all of --memory]
    #[arg(long, value_parser = parse::size, value_name = "SIZE")]
    pub(crate) memory_request: Option<Bytes>,
    /// Processes and threads
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_PIDS)))]
    pub(crate) pids: Option<u32>,
    /// Most bytes read from the disk a second, e.g. 50MB
    #[arg(long, value_parser = parse::size, value_name = "SIZE")]
    pub(crate) io_read_bps: Option<Bytes>,
    /// Most bytes written to the disk a second
    #[arg(long, value_parser = parse::size, value_name = "SIZE")]
    pub(crate) io_write_bps: Option<Bytes>,
    /// Most reads from the disk a second
    #[arg(long, value_name = "NUMBER")]
    pub(crate) io_read_iops: Option<u64>,
    /// Most writes to the disk a second
    #[arg(long, value_name = "NUMBER")]
    pub(crate) io_write_iops: Option<u64>,
    /// A folder that holds at most so much, e.g. 1GiB
    #[arg(long, value_parser = parse::size, value_name = "SIZE")]
    pub(crate) storage: Option<Bytes>,
}

impl Size {
    /// The limits of I/O, where there are any.
    pub(crate) fn io(&self) -> Option<IoLimits> {
        let limits = IoLimits {
            read_bps: self.io_read_bps.map(|bytes| bytes.0),
            write_bps: self.io_write_bps.map(|bytes| bytes.0),
            read_iops: self.io_read_iops,
            write_iops: self.io_write_iops,
        };
        (limits != IoLimits::default()).then_some(limits)
    }
}

/// A size as the contract writes it.
pub(crate) fn text(size: Bytes) -> String {
    format!("{} B", size.0)
}
