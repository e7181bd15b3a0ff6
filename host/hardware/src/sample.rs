//! What the machine is doing at one moment: counters and gauges, cheap enough to take every second.
//!
//! About ten small kernel files are read (well below a millisecond) and, once [`crate::Hardware::inventory`] has found
//! GPUs, the driver is asked. Counters say nothing alone; [`crate::usage`] compares two samples.

use crate::disk::{self, DiskCounters};
use crate::gpu::GpuSample;
use crate::memory::MemorySample;
use crate::network::{self, InterfaceCounters};
use crate::root::SystemRoot;
use crate::stat::{self, CoreTimes, CpuTimes};
use serde::Serialize;
use std::time::Instant;

/// One moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// When.
    pub at: Instant,
    /// CPU time of all processors together, since boot.
    pub cpu: Option<CpuTimes>,
    /// CPU time of each online processor, since boot.
    pub cores: Vec<CoreTimes>,
    /// Memory, now.
    pub memory: MemorySample,
    /// What each disk moved since boot.
    pub disks: Vec<DiskCounters>,
    /// What each interface moved since it came up.
    pub interfaces: Vec<InterfaceCounters>,
    /// Time lost by waiting, over the last ten seconds.
    pub pressure: Pressure,
    /// Load averages over 1, 5 and 15 minutes.
    pub load: Option<[f64; 3]>,
    /// Each GPU. `None` before an inventory found any, and when the driver doesn't answer in time.
    pub gpus: Option<Vec<GpuSample>>,
}

/// Pressure stall information (kernel `Documentation/accounting/psi.rst`): the percentage of the last ten seconds in
/// which at least one task waited, 0 to 100. `None` on kernels without it or where it is switched off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Pressure {
    /// For a processor.
    pub cpu: Option<f64>,
    /// For memory.
    pub memory: Option<f64>,
    /// For a disk.
    pub io: Option<f64>,
}

impl Sample {
    pub(crate) fn read(root: &SystemRoot, gpus: Option<Vec<GpuSample>>) -> Self {
        let stat = root.text("/proc/stat").map(|text| stat::parse(&text)).unwrap_or_default();
        let load = |load: procfs::LoadAverage| [load.one, load.five, load.fifteen].map(f64::from);
        Self {
            at: Instant::now(),
            cpu: stat.all,
            cores: stat.cores,
            memory: MemorySample::read(root),
            disks: disk::counters(root),
            interfaces: network::counters(root),
            pressure: Pressure {
                cpu: pressure(root, "cpu"),
                memory: pressure(root, "memory"),
                io: pressure(root, "io"),
            },
            load: root.parse("/proc/loadavg").map(load),
            gpus,
        }
    }
}

fn pressure(root: &SystemRoot, resource: &str) -> Option<f64> {
    some_avg10(&root.text(format!("/proc/pressure/{resource}"))?)
}

/// `some avg10=0.02 avg60=0.20 …`. Not with the `procfs` crate, which wants a `full` line too: cpu has none before
/// Linux 5.13.
fn some_avg10(text: &str) -> Option<f64> {
    let mut words = text.lines().find_map(|line| line.strip_prefix("some "))?.split_ascii_whitespace();
    let value: f64 = words.find_map(|word| word.strip_prefix("avg10="))?.parse().ok()?;
    (0.0..=100.0).contains(&value).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::fixture::Fixture;
    use hypermesh_model::Bytes;

    #[test]
    fn an_empty_root_gives_an_empty_sample() {
        let sample = Sample::read(&Fixture::new(&[]).root(), None);
        assert_eq!((sample.cpu, sample.load, sample.pressure), (None, None, Pressure::default()));
        assert!(sample.cores.is_empty() && sample.disks.is_empty() && sample.interfaces.is_empty());
    }

    #[test]
    fn files_are_read_below_the_root() {
        let fixture = Fixture::new(&[
            ("/proc/stat", "cpu 1 0 1 8\ncpu0 1 0 1 8\n"),
            ("/proc/meminfo", "MemTotal: 4 kB\nMemAvailable: 1 kB\n"),
            ("/proc/loadavg", "0.50 0.25 1.00 3/107 10833\n"),
            ("/proc/pressure/cpu", "some avg10=12.50 avg60=0.20 avg300=1.23 total=42108998\n"),
        ]);
        let sample = Sample::read(&fixture.root(), None);
        assert_eq!(sample.cpu, Some(CpuTimes { busy: 2, total: 10 }));
        assert_eq!(sample.memory.available, Some(Bytes(1024)));
        assert_eq!(sample.load, Some([0.5, 0.25, 1.0]));
        assert_eq!(sample.pressure, Pressure { cpu: Some(12.5), memory: None, io: None });
    }

    #[test]
    fn broken_pressure_is_none() {
        for bad in ["", "some", "some ", "some avg10=", "some avg10=NaN", "some avg10=-1", "full avg10=1.0"] {
            assert_eq!(some_avg10(bad), None, "{bad}");
        }
    }
}
