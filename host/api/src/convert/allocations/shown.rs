//! How a lease and its enforcement look to a caller.

use crate::convert::{same_names, time};
use hypermesh_mesh::{EnforcementView, Place, Preview};
use hypermesh_model::{self as model, Grant, Lease, LeaseId, Timestamp};
use hypermesh_wire::allocations::{
    self as wire, Allocation, AllocationPlan, Enforcement, IoLimits, LeaseUsage, QueuePlace, Resources,
    Shortage,
};
use hypermesh_wire::queue::QueueEntry;

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

/// Where a lease waits, and until when.
pub(crate) fn place(place: Place, wait_until: Option<Timestamp>) -> QueuePlace {
    QueuePlace {
        position: place.position.try_into().unwrap_or(u64::MAX),
        eta: place.eta.map(time),
        wait_until: wait_until.map(time),
    }
}

/// A line of the queue.
pub(crate) fn waiting(lease: Lease, at: Place) -> QueueEntry {
    let QueuePlace { position, eta, wait_until } = place(at, lease.wait_until);
    QueueEntry {
        allocation_id: lease.id.into(),
        requester_id: lease.requester.0,
        priority: lease.terms.priority,
        position,
        eta,
        wait_until,
        share: at.share,
    }
}

/// What a dry run found.
pub(crate) fn plan(preview: Preview) -> AllocationPlan {
    // Each says when the whole request would fit, so they agree; one that never ends rules it out.
    let times: Option<Vec<_>> = preview.shortages.iter().map(|short| short.fits_at).collect();
    let fits_at = times.and_then(|times| times.into_iter().max());
    // What never fits is refused, however long it would wait.
    let never = fits_at.is_none() && !preview.shortages.is_empty();
    let reason = |short: hypermesh_mesh::Shortage| Shortage {
        dimension: short.dimension.into(),
        requested: short.requested,
        available: short.available,
        unit: short.unit.into(),
        fits_at: short.fits_at.map(time),
        detail: short.detail,
    };
    AllocationPlan {
        fits: preview.grant.is_some(),
        resources: preview.grant.map(|grant| resources(grant, None)),
        reasons: preview.shortages.into_iter().map(reason).collect(),
        fits_at: fits_at.map(time),
        would_wait: preview.queue.filter(|at| !never && at.position > 0).map(|at| place(at, None)),
        would_preempt: preview.victims.into_iter().map(String::from).collect(),
    }
}

/// An enforcement receipt as a caller sees it; it was read now.
pub(crate) fn enforcement(id: LeaseId, view: EnforcementView) -> Enforcement {
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
        join: view.join,
        entries: view.receipt.entries.into_iter().map(entry).collect(),
        jail: view
            .jail
            .into_iter()
            .map(|model::JailLayer { layer, active, detail }| wire::JailLayer { layer, active, detail })
            .collect(),
        usage: view.usage.map(|usage| LeaseUsage {
            cpu_time: usage.group.cpu_time_ns.map(seconds),
            memory_current: usage.group.memory_current.map(|bytes| bytes.0),
            memory_peak: usage.group.memory_peak.map(|bytes| bytes.0),
            processes: usage.processes,
            oom_kills: usage.group.oom_kills,
            throttled_periods: usage.group.throttled_periods,
        }),
        read_at: time(Timestamp::now()),
    }
}

/// Nanoseconds as seconds, to the nanosecond for the first 104 days.
#[expect(clippy::cast_precision_loss, reason = "beyond 2^53 ns the last digits do not matter")]
pub(crate) fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;
    use hypermesh_mesh::Shortage;

    fn short(fits_at: Option<Timestamp>) -> Shortage {
        Shortage { dimension: "cpu", requested: 2.0, available: 1.0, unit: "cores", fits_at, detail: None }
    }

    #[test]
    fn what_never_fits_has_no_time_and_no_place() {
        let at = Some(Timestamp::from_millis(1_000));
        let queue = Some(Place { position: 1, eta: at, share: 0.0 });
        let of = |shortages| plan(Preview { shortages, queue, ..Preview::default() });
        let later = of(vec![short(at), short(at)]);
        assert_eq!((later.fits, later.fits_at), (false, at.map(time)));
        assert_eq!(later.would_wait.map(|place| place.position), Some(1));
        let never = of(vec![short(at), short(None)]);
        assert_eq!((never.fits_at, never.would_wait), (None, None));
        let now = plan(Preview { grant: Some(Grant::default()), ..Preview::default() });
        assert_eq!((now.fits, now.fits_at, now.would_wait), (true, None, None));
    }
}
