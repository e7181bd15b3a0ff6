//! Which metric of cAdvisor shows which number of a lease. Names and types are cAdvisor's (`metrics/prometheus.go`).

use super::LeaseSample;
use crate::families::{Metric, Value, some};
use std::time::Duration;

/// cAdvisor's metrics of containers that a lease has numbers for.
pub(super) const METRICS: &[Metric<LeaseSample>] = &[
    Metric::gauge("container_start_time_seconds", "Start of the lease since the Unix epoch.", |l| {
        l.started.map(|at| Value::Real(at.as_millis() as f64 / 1000.0))
    }),
    Metric::counter("container_cpu_usage_seconds_total", "CPU time consumed.", |l: &LeaseSample| {
        some(l.cpu.usage)
    })
    .with(&[("cpu", "total")]),
    Metric::counter("container_cpu_user_seconds_total", "CPU time consumed in user mode.", |l| {
        some(l.cpu.user)
    }),
    Metric::counter("container_cpu_system_seconds_total", "CPU time consumed in the kernel.", |l| {
        some(l.cpu.system)
    }),
    Metric::counter("container_cpu_cfs_periods_total", "Elapsed periods of the CPU quota.", |l| {
        some(l.cpu.periods)
    }),
    Metric::counter("container_cpu_cfs_throttled_periods_total", "Throttled periods.", |l| {
        some(l.cpu.throttled_periods)
    }),
    Metric::counter("container_cpu_cfs_throttled_seconds_total", "Time throttled.", |l| {
        some(l.cpu.throttled)
    }),
    Metric::gauge("container_spec_cpu_quota", "CPU quota in microseconds a period.", |l| {
        l.cpu.quota.map(microseconds)
    }),
    Metric::gauge("container_spec_cpu_period", "Period of the CPU quota in microseconds.", |l| {
        l.cpu.period.map(microseconds)
    }),
    Metric::gauge("container_spec_cpu_shares", "CPU weight, 1024 being one CPU's worth.", |l| {
        some(l.cpu.shares)
    }),
    Metric::gauge("container_memory_usage_bytes", "Memory used, page cache included.", |l| {
        some(l.memory.usage)
    }),
    Metric::gauge("container_memory_working_set_bytes", "Memory used, less inactive page cache.", |l| {
        some(l.memory.working_set)
    }),
    Metric::gauge("container_memory_rss", "Anonymous memory in bytes.", |l| some(l.memory.rss)),
    Metric::gauge("container_memory_cache", "Page cache in bytes.", |l| some(l.memory.cache)),
    Metric::gauge("container_memory_swap", "Swap used in bytes.", |l| some(l.memory.swap)),
    Metric::gauge("container_memory_max_usage_bytes", "Highest memory used.", |l| some(l.memory.max_usage)),
    Metric::counter("container_memory_failcnt", "Times that the memory limit was hit.", |l| {
        some(l.memory.limit_hits)
    }),
    Metric::counter("container_oom_events_total", "Times out of memory.", |l| some(l.memory.oom_events)),
    Metric::gauge("container_spec_memory_limit_bytes", "Memory limit.", |l| some(l.memory.limit)),
    Metric::gauge("container_processes", "Processes.", |l| some(l.processes)),
    Metric::gauge("container_threads", "Threads.", |l| some(l.threads)),
    Metric::counter("container_fs_reads_bytes_total", "Bytes read from block devices.", |l| {
        some(l.io.read_bytes)
    }),
    Metric::counter("container_fs_writes_bytes_total", "Bytes written to block devices.", |l| {
        some(l.io.written_bytes)
    }),
    Metric::counter("container_fs_reads_total", "Reads from block devices.", |l| some(l.io.reads)),
    Metric::counter("container_fs_writes_total", "Writes to block devices.", |l| some(l.io.writes)),
    Metric::gauge("container_fs_usage_bytes", "Bytes in the lease's folder.", |l| some(l.storage_used)),
    Metric::gauge("container_fs_limit_bytes", "Bytes that the lease's folder can hold.", |l| {
        some(l.storage_limit)
    }),
    Metric::counter(
        "container_pressure_cpu_waiting_seconds_total",
        "Time some task waited for a CPU.",
        |l| some(l.pressure.cpu.waiting),
    ),
    Metric::counter(
        "container_pressure_cpu_stalled_seconds_total",
        "Time all tasks waited for a CPU.",
        |l| some(l.pressure.cpu.stalled),
    ),
    Metric::counter(
        "container_pressure_memory_waiting_seconds_total",
        "Time some task waited for memory.",
        |l| some(l.pressure.memory.waiting),
    ),
    Metric::counter(
        "container_pressure_memory_stalled_seconds_total",
        "Time all tasks waited for memory.",
        |l| some(l.pressure.memory.stalled),
    ),
    Metric::counter("container_pressure_io_waiting_seconds_total", "Time some task waited for I/O.", |l| {
        some(l.pressure.io.waiting)
    }),
    Metric::counter("container_pressure_io_stalled_seconds_total", "Time all tasks waited for I/O.", |l| {
        some(l.pressure.io.stalled)
    }),
];

fn microseconds(duration: Duration) -> Value {
    Value::Whole(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}
