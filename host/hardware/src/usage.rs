//! How busy the machine was between two samples. Pure arithmetic.
//!
//! A rate that the two samples can't give is `None`: the time between them is too short to count ticks in, a counter
//! ran backwards (it wrapped, or a device was plugged in again), or there was nothing to count.

use crate::sample::Sample;
use crate::stat::CpuTimes;
use hypermesh_model::Bytes;
use serde::Serialize;
use std::time::Duration;

/// Shortest time between two samples. CPU time is counted in ticks of 10 ms: below this, one tick would be more than
/// a tenth of a processor.
pub const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// Use of the machine over an interval.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Usage {
    /// Length of the interval in seconds; zero when the samples were given in the wrong order.
    pub seconds: f64,
    /// All online processors together, 0 to 100.
    pub cpu_percent: Option<f64>,
    /// Each processor that was online at both ends.
    pub cores: Vec<CoreUsage>,
    /// Memory that new work could not have, 0 to 100, at the end of the interval.
    pub memory_percent: Option<f64>,
    /// Swap in use, 0 to 100, at the end of the interval. `None` when there is no swap.
    pub swap_percent: Option<f64>,
    /// All disks, bytes a second.
    pub disk_read: Option<f64>,
    /// All disks, bytes a second.
    pub disk_written: Option<f64>,
    /// All interfaces, bytes a second.
    pub network_received: Option<f64>,
    /// All interfaces, bytes a second.
    pub network_sent: Option<f64>,
}

/// Use of one logical processor.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CoreUsage {
    /// Its number.
    pub cpu: u32,
    /// 0 to 100.
    pub percent: Option<f64>,
}

impl Sample {
    /// How busy the machine was from `earlier` to this sample.
    pub fn usage_since(&self, earlier: &Self) -> Usage {
        let interval = self.at.saturating_duration_since(earlier.at);
        let long_enough = interval >= MIN_INTERVAL;
        let percent = |now: CpuTimes, then: CpuTimes| long_enough.then(|| busy_percent(now, then)).flatten();
        let rate =
            |moved: Option<u64>| long_enough.then(|| Some(float(moved?) / interval.as_secs_f64())).flatten();
        let disks = || both(&self.disks, &earlier.disks, |disk| disk.name.as_str());
        let interfaces = || both(&self.interfaces, &earlier.interfaces, |interface| interface.name.as_str());
        Usage {
            seconds: interval.as_secs_f64(),
            cpu_percent: self.cpu.zip(earlier.cpu).and_then(|(now, then)| percent(now, then)),
            cores: both(&self.cores, &earlier.cores, |core| core.cpu)
                .map(|(now, then)| CoreUsage { cpu: now.cpu, percent: percent(now.times, then.times) })
                .collect(),
            memory_percent: used_percent(self.memory.total, self.memory.available),
            swap_percent: used_percent(self.memory.swap_total, self.memory.swap_free),
            disk_read: rate(moved(disks().map(|(now, then)| (now.read_bytes, then.read_bytes)))),
            disk_written: rate(moved(disks().map(|(now, then)| (now.written_bytes, then.written_bytes)))),
            network_received: rate(moved(
                interfaces().map(|(now, then)| (now.received_bytes, then.received_bytes)),
            )),
            network_sent: rate(moved(interfaces().map(|(now, then)| (now.sent_bytes, then.sent_bytes)))),
        }
    }
}

/// What is in both samples, by its key; devices that came or went in between are left out.
fn both<'a, T, K: PartialEq>(
    now: &'a [T],
    then: &'a [T],
    key: impl Fn(&'a T) -> K,
) -> impl Iterator<Item = (&'a T, &'a T)> {
    now.iter().filter_map(move |n| Some((n, then.iter().find(|t| key(t) == key(n))?)))
}

/// `None` when nothing was counted or a counter ran backwards.
fn moved(counters: impl Iterator<Item = (u64, u64)>) -> Option<u64> {
    let deltas: Vec<u64> = counters.map(|(now, then)| now.checked_sub(then)).collect::<Option<_>>()?;
    if deltas.is_empty() { None } else { deltas.iter().try_fold(0u64, |sum, delta| sum.checked_add(*delta)) }
}

fn busy_percent(now: CpuTimes, then: CpuTimes) -> Option<f64> {
    let total = now.total.checked_sub(then.total).filter(|total| *total > 0)?;
    let busy = now.busy.checked_sub(then.busy)?;
    // The kernel may take time back from iowait (proc_stat(5)), which leaves more busy than all.
    Some((float(busy) * 100.0 / float(total)).min(100.0))
}

fn used_percent(total: Option<Bytes>, free: Option<Bytes>) -> Option<f64> {
    let (total, free) = (total?.0, free?.0);
    (total > 0).then(|| float(total.saturating_sub(free)) * 100.0 / float(total))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a percentage or a rate; 2^53 bytes in an interval is out of reach"
)]
fn float(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests;
