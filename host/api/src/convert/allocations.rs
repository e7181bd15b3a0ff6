//! Allocations: asking for one, and how one and its enforcement look.

use super::{check, same_names, time};
use crate::problem::Draft;
use hypermesh_mesh::{AllocationRequest, CpuAmount, EnforcementView, Requirements};
use hypermesh_model::{self as model, AssetId, Lease, LeaseId, Timestamp};
use hypermesh_wire::MAX_SECONDS;
use hypermesh_wire::allocations::{
    self as wire, Allocation, CreateAllocation, Enforcement, LeaseUsage, Resources,
};

/// Largest amount of any asset, in its unit: far above any machine, and exact as a float.
const MAX_AMOUNT: f64 = 1e9;
/// Most processes: the kernel's own limit (`PID_MAX_LIMIT`).
const MAX_PIDS: u32 = 4_194_304;
/// Most GPUs of one lease: more than any machine has.
const MAX_GPUS: u32 = 64;

same_names!(shown_state: model::EnforcementState => wire::EnforcementState {
    Enforced, BestEffort, Monitored, Unenforced
});

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

/// A lease to plan.
pub(crate) fn new(body: &CreateAllocation) -> Result<AllocationRequest, Draft> {
    let more = &body.requirements;
    Ok(AllocationRequest {
        asset_id: check::id("asset_id", &body.asset_id, AssetId::parse)?,
        amount: check::positive("amount", body.amount, MAX_AMOUNT)?,
        duration_seconds: check::range("duration", body.duration, 1, MAX_SECONDS)?,
        requirements: Requirements {
            cpu: more
                .cpu
                .map(|cpu| check::positive("requirements.cpu", cpu, 100.0).map(CpuAmount::Percent))
                .transpose()?,
            memory: more
                .memory
                .as_deref()
                .map(|text| check::size("requirements.memory", text))
                .transpose()?,
            pids: more.pids.map(|n| check::range("requirements.pids", n, 1, MAX_PIDS)).transpose()?,
            gpus: more.gpus.map(|n| check::range("requirements.gpus", n, 1, MAX_GPUS)).transpose()?,
            ..Requirements::default()
        },
        terms: model::Terms::default(),
        start: None,
        wait_seconds: None,
        idempotency_key: None,
    })
}

/// An allocation as a caller sees it.
pub(crate) fn shown(lease: Lease) -> Allocation {
    let enforced = !lease.receipt.entries.is_empty() && lease.receipt.is_enforced();
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
        resources: Resources {
            cpu_millis: lease.grant.cpu.map(|cpu| cpu.0),
            memory_bytes: lease.grant.memory.map(|memory| memory.0),
            pids: lease.grant.pids,
            gpus: lease.grant.gpus.into_iter().map(|gpu| gpu.0).collect(),
        },
        enforced,
        end_reason: lease.end_reason,
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
pub(super) fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn refused(change: &str, value: Value) -> Option<String> {
        let mut body = json!({ "asset_id": "cpu", "amount": 25, "duration": 60, "requirements": {} });
        match change.split_once('.') {
            Some((outer, inner)) => body[outer][inner] = value,
            None => body[change] = value,
        }
        new(&serde_json::from_value(body).unwrap()).err().and_then(|draft| draft.member().map(str::to_owned))
    }

    #[test]
    fn what_is_out_of_range_is_refused_by_name() {
        for (member, value) in [
            ("asset_id", json!("../cpu")),
            ("asset_id", json!("")),
            ("amount", json!(0)),
            ("amount", json!(-25)),
            ("amount", json!(1e12)),
            ("duration", json!(0)),
            ("duration", json!(u64::MAX)),
            ("requirements.cpu", json!(101)),
            ("requirements.memory", json!("0MiB")),
            ("requirements.pids", json!(0)),
            ("requirements.gpus", json!(65)),
        ] {
            assert_eq!(refused(member, value).as_deref(), Some(member));
        }
        assert_eq!(refused("requirements.memory", json!("256MiB")), None);
    }

    proptest! {
        #[test]
        fn every_amount_is_taken_or_refused_by_name(amount in any::<f64>()) {
            let body = CreateAllocation {
                asset_id: "cpu".into(), amount, duration: 1, requirements: wire::Requirements::default(),
            };
            match new(&body) {
                Ok(request) => prop_assert!(request.amount > 0.0 && request.amount <= MAX_AMOUNT),
                Err(draft) => prop_assert_eq!(draft.member(), Some("amount")),
            }
        }
    }
}
