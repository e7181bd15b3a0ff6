//! What each lease uses, under the names, units and labels of cAdvisor (`metrics/prometheus.go`), so that boards made
//! for containers show leases.
//!
//! Labels: `id` is the lease's cgroup, `name` the lease, `image` empty (a lease has none; to Prometheus an empty label is
//! an absent one, so a board that filters by `image!=""` shows nothing), and `hypermesh_requester`, which cAdvisor
//! doesn't have. Differences that a board can see:
//! - CPU time has `cpu="total"`, as cAdvisor does where it does not count CPUs apart.
//! - I/O is the sum over block devices, without cAdvisor's label `device`.
//! - What is not limited has no `container_spec_…` sample, where cAdvisor says 0.
//! - `container_memory_failcnt` has the type `unknown` (see `families`); its name is the same.
//!
//! Who measures replaces the whole snapshot; a lease that is not in it any more has no series any more.

use crate::families::Metric;
use hypermesh_model::{Bytes, GpuUuid, LeaseId, Subject, Timestamp};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabel, EncodeLabelSet, LabelSetEncoder};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use table::METRICS;

mod table;

/// Most leases that are shown, and most series of one metric: a text of 27 MB when everything is known. The oldest
/// leases are shown.
pub const MAX_LEASES: usize = 4096;

/// What was measured of one lease. `None`: not known, or not limited; it then has no sample.
#[derive(Debug, Clone, PartialEq)]
pub struct LeaseSample {
    /// The lease's cgroup as the kernel names it below the hierarchy's root, e.g. `/hypermesh/<node>/<lease>`.
    pub cgroup: String,
    /// Which lease.
    pub lease: LeaseId,
    /// Who holds it.
    pub requester: Subject,
    /// When it became active.
    pub started: Option<Timestamp>,
    /// CPU.
    pub cpu: CpuSample,
    /// Memory.
    pub memory: MemorySample,
    /// Processes, without their threads.
    pub processes: Option<u64>,
    /// Threads, as the cgroup's `pids.current` counts them.
    pub threads: Option<u64>,
    /// Block devices.
    pub io: IoSample,
    /// Bytes in the lease's folder.
    pub storage_used: Option<Bytes>,
    /// Bytes that the lease's folder can hold.
    pub storage_limit: Option<Bytes>,
    /// Pressure stall information.
    pub pressure: PressureSample,
    /// Memory that the lease's processes use on each GPU or MIG instance.
    pub gpu_memory: BTreeMap<GpuUuid, Bytes>,
}

impl LeaseSample {
    /// A lease of which nothing was measured yet.
    pub fn new(cgroup: String, lease: LeaseId, requester: Subject) -> Self {
        Self {
            cgroup,
            lease,
            requester,
            started: None,
            cpu: CpuSample::default(),
            memory: MemorySample::default(),
            processes: None,
            threads: None,
            io: IoSample::default(),
            storage_used: None,
            storage_limit: None,
            pressure: PressureSample::default(),
            gpu_memory: BTreeMap::new(),
        }
    }
}

/// A lease's CPU time since its cgroup was made, and its limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuSample {
    /// In all.
    pub usage: Option<Duration>,
    /// In user mode.
    pub user: Option<Duration>,
    /// In the kernel.
    pub system: Option<Duration>,
    /// Periods of the quota in which it wanted to run.
    pub periods: Option<u64>,
    /// Periods in which the quota held it back.
    pub throttled_periods: Option<u64>,
    /// How long the quota held it back, added up over CPUs.
    pub throttled: Option<Duration>,
    /// The quota: CPU time a period. Shown in microseconds.
    pub quota: Option<Duration>,
    /// The quota's period. Shown in microseconds.
    pub period: Option<Duration>,
    /// The weight on the scale of cgroup v1's `cpu.shares`, 2 to 262144, 1024 being one CPU's worth.
    pub shares: Option<u64>,
}

/// A lease's memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemorySample {
    /// Now, page cache included.
    pub usage: Option<Bytes>,
    /// Now, less page cache that was not used lately.
    pub working_set: Option<Bytes>,
    /// Anonymous memory.
    pub rss: Option<Bytes>,
    /// Page cache.
    pub cache: Option<Bytes>,
    /// Swap.
    pub swap: Option<Bytes>,
    /// The highest usage so far.
    pub max_usage: Option<Bytes>,
    /// How often the limit stood in the way (v1 `memory.failcnt`, v2 `max` of `memory.events`).
    pub limit_hits: Option<u64>,
    /// How often it ran out of memory.
    pub oom_events: Option<u64>,
    /// The hard limit.
    pub limit: Option<Bytes>,
}

/// A lease's reads from and writes to block devices since its cgroup was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IoSample {
    /// Bytes read.
    pub read_bytes: Option<Bytes>,
    /// Bytes written.
    pub written_bytes: Option<Bytes>,
    /// Read operations.
    pub reads: Option<u64>,
    /// Write operations.
    pub writes: Option<u64>,
}

/// A lease's pressure stall information (`Documentation/accounting/psi.rst`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PressureSample {
    /// For want of a CPU.
    pub cpu: StallSample,
    /// For want of memory.
    pub memory: StallSample,
    /// For want of block devices.
    pub io: StallSample,
}

/// Time that tasks lost since the cgroup was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StallSample {
    /// While at least one task waited (`some`).
    pub waiting: Option<Duration>,
    /// While all tasks that could have run waited (`full`).
    pub stalled: Option<Duration>,
}

impl EncodeLabelSet for LeaseSample {
    fn encode(&self, encoder: &mut LabelSetEncoder) -> fmt::Result {
        ("id", self.cgroup.as_str()).encode(encoder.encode_label())?;
        ("name", self.lease.as_str()).encode(encoder.encode_label())?;
        ("image", "").encode(encoder.encode_label())?;
        ("hypermesh_requester", self.requester.0.as_str()).encode(encoder.encode_label())
    }
}

/// Memory of a GPU that one lease uses.
struct GpuMemory<'s> {
    lease: &'s LeaseId,
    uuid: &'s GpuUuid,
    used: Bytes,
}

impl EncodeLabelSet for GpuMemory<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder) -> fmt::Result {
        ("lease", self.lease.as_str()).encode(encoder.encode_label())?;
        ("uuid", self.uuid.0.as_str()).encode(encoder.encode_label())
    }
}

/// The last snapshot of all leases.
#[derive(Debug, Default)]
pub(crate) struct LeaseCollector {
    shown: RwLock<Arc<[LeaseSample]>>,
}

impl LeaseCollector {
    /// Replaces the snapshot, and says how many leases don't fit into it. Ids sort by time of creation.
    pub(crate) fn set(&self, mut leases: Vec<LeaseSample>) -> usize {
        leases.sort_by(|a, b| a.lease.cmp(&b.lease));
        leases.dedup_by(|a, b| a.lease == b.lease);
        let omitted = leases.len().saturating_sub(MAX_LEASES);
        leases.truncate(MAX_LEASES);
        *self.shown.write().unwrap_or_else(PoisonError::into_inner) = leases.into();
        omitted
    }
}

impl Collector for LeaseCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        // Writing a thousand leases takes milliseconds, in which the next snapshot must not wait.
        let shown = Arc::clone(&self.shown.read().unwrap_or_else(PoisonError::into_inner));
        METRICS.iter().try_for_each(|metric| metric.encode(&mut encoder, shown.iter()))?;
        let memory: Vec<GpuMemory<'_>> = shown
            .iter()
            .flat_map(|s| {
                s.gpu_memory.iter().map(|(uuid, used)| GpuMemory { lease: &s.lease, uuid, used: *used })
            })
            .take(MAX_LEASES)
            .collect();
        Metric::gauge(
            "hypermesh_lease_gpu_memory_bytes",
            "GPU memory that the processes of the lease use.",
            |gpu: &GpuMemory<'_>| Some(gpu.used.into()),
        )
        .encode(&mut encoder, &memory)
    }
}

#[cfg(test)]
mod tests;
