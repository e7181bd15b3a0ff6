//! How a lease and its enforcement look to a caller.

use crate::convert::{same_names, time};
use hypermesh_mesh::EnforcementView;
use hypermesh_model::{self as model, Grant, Lease, LeaseId, Timestamp};
use hypermesh_wire::allocations::{
    self as wire, Allocation, Enforcement, IoLimits, LeaseUsage, QueuePlace, Resources,
};

same_names!(shown_state: model::EnforcementState => wire::EnforcementState {
    Enforced, BestEffort, Monitored, Unenforced
});
same_names!(shown_mode: model::CpuMode => wire::CpuMode { Shared, Limited, Pinned });
same_names!(shown_expiry: model::OnExpiry => wire::OnExpiry { Kill, Freeze });
same_names!(
    /// Where a lease is in its life, exactly.
    shown_phase: model::LeaseStatus => wire::Phase {
        Queued, Reserved, Pending, Active, Frozen, Completed, Cancelled, Failed
    }
);

/// The contract's five states: what waits is pending, and what is frozen still holds its part.
pub(crate) fn shown_status(status: model::LeaseStatus) -> wire::AllocationStatus {
    use model::LeaseStatus as Lease;
    match status {
        Lease::Queued | Lease::Reserved | Lease::Pending => wire::AllocationStatus::Pending,
        Lease::Active | Lease::Frozen => wire::AllocationStatus::Active,
        Lease::Completed => wire::AllocationStatus::Completed,
        Lease::Cancelled => wire::AllocationStatus::Cancelled,
        Lease::Failed => wire::AllocationStatus::Failed,
    }
}

/// What a caller sees of a lease that is not in its record.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    /// Where it stands in the queue.
    pub(crate) queue: Option<QueuePlace>,
    /// Its folder.
    pub(crate) storage_path: Option<String>,
}

/// An allocation as a caller sees it.
pub(crate) fn shown(lease: Lease, beside: Beside) -> Allocation {
    let enforced = !lease.receipt.entries.is_empty() && lease.receipt.is_enforced();
    let terms = lease.terms;
    Allocation {
        id: lease.id.into(),
        asset_id: lease.asset_id.into(),
        requester_id: lease.requester.0,
        amount: lease.amount,
        unit: lease.unit,
        duration: lease.duration_seconds,
        start_time: time(lease.start_time),
        end_time: time(lease.end_time),
        status: shown_status(lease.status),
        consensus_proofs: Vec::new(),
        proxy_address: None,
        resources: resources(lease.grant, beside.storage_path),
        enforced,
        end_reason: lease.end_reason,
        phase: shown_phase(lease.status),
        generation: lease.generation,
        priority: terms.priority,
        preemptible: terms.preemptible,
        min_runtime_s: terms.min_runtime_seconds,
        on_expiry: shown_expiry(terms.on_expiry),
        grace_s: terms.grace_seconds,
        warn_s: terms.warn_seconds,
        keep_storage: terms.keep_storage,
        frozen_until: lease.frozen_until.map(time),
        queue: beside.queue,
    }
}

/// What a grant holds, as a caller sees it.
pub(crate) fn resources(grant: Grant, storage_path: Option<String>) -> Resources {
    let io = |io: model::IoLimits| IoLimits {
        read_bps: io.read_bps,
        write_bps: io.write_bps,
        read_iops: io.read_iops,
        write_iops: io.write_iops,
    };
    Resources {
        cpu_millis: grant.cpu.map(|cpu| cpu.0),
        cpu_mode: grant.cpu.map(|_| shown_mode(grant.cpu_mode)),
        cpu_burst_us: grant.cpu_burst_us,
        cpus: grant.cpus,
        mems: grant.mems,
        memory_bytes: grant.memory.map(|memory| memory.0),
        memory_request_bytes: grant.memory_request.map(|memory| memory.0),
        pids: grant.pids,
        io: grant.io.filter(|io| !io.is_empty()).map(io),
        storage_bytes: grant.storage.map(|storage| storage.0),
        storage_path,
        gpus: grant.gpus.into_iter().map(|gpu| gpu.0).collect(),
        gpu_memory_bytes: grant.gpu_memory.map(|memory| memory.0),
    }
}

/// An enforcement receipt as a caller sees it; it was read now. `join` is how a process gets into the lease.
pub(crate) fn enforcement(id: LeaseId, view: EnforcementView, join: Vec<String>) -> Enforcement {
    let entry = |entry: model::EnforcementEntry| wire::EnforcementEntry {
        limit: entry.limit,
        state: shown_state(entry.state),
        requested: entry.requested,
        actual: entry.actual,
        file: entry.file,
        reason: entry.reason,
    };
    Enforcement {
        allocation_id: id.into(),
        cgroup_version: view.receipt.cgroup_version,
        cgroups: view.receipt.cgroups,
        join,
        entries: view.receipt.entries.into_iter().map(entry).collect(),
        usage: view.usage.map(|usage| LeaseUsage {
            cpu_time: usage.cpu_time_ns.map(seconds),
            memory_current: usage.memory_current.map(|bytes| bytes.0),
            memory_peak: usage.memory_peak.map(|bytes| bytes.0),
            processes: usage.processes,
            oom_kills: usage.oom_kills,
            throttled_periods: usage.throttled_periods,
        }),
        read_at: time(Timestamp::now()),
    }
}

/// Nanoseconds as seconds, to the nanosecond for the first 104 days.
#[expect(clippy::cast_precision_loss, reason = "beyond 2^53 ns the last digits do not matter")]
pub(crate) fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}
