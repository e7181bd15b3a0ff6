//! Quotas: what a request means, and how one looks.

use super::check;
use crate::problem::Draft;
use hypermesh_mesh::{self as mesh, QuotaView};
use hypermesh_model::{Bytes, MilliCpu};
use hypermesh_wire::allocations::{MAX_CPU_MILLIS, MAX_GPUS};
use hypermesh_wire::quotas::{MAX_QUOTA_BYTES, MAX_QUOTA_LEASES, Quota, QuotaLimits, QuotaUse};

/// The limits of a requester.
pub(crate) fn limits(body: &QuotaLimits) -> Result<mesh::Quota, Draft> {
    let bytes = |member: &str, given: Option<u64>| {
        given.map(|n| check::range(member, n, 0, MAX_QUOTA_BYTES).map(Bytes)).transpose()
    };
    let count =
        |member: &str, given: Option<u32>, max| given.map(|n| check::range(member, n, 0, max)).transpose();
    Ok(mesh::Quota {
        cpu: count("cpu_millis", body.cpu_millis, MAX_CPU_MILLIS)?.map(MilliCpu),
        memory: bytes("memory_bytes", body.memory_bytes)?,
        storage: bytes("storage_bytes", body.storage_bytes)?,
        gpus: count("gpus", body.gpus, MAX_GPUS)?,
        leases: count("leases", body.leases, MAX_QUOTA_LEASES)?,
    })
}

/// A quota as a caller sees it.
pub(crate) fn shown(view: QuotaView) -> Quota {
    let (limits, used) = (view.quota, view.used);
    Quota {
        requester_id: view.requester.0,
        limits: QuotaLimits {
            cpu_millis: limits.cpu.map(|cpu| cpu.0),
            memory_bytes: limits.memory.map(|memory| memory.0),
            storage_bytes: limits.storage.map(|storage| storage.0),
            gpus: limits.gpus,
            leases: limits.leases,
        },
        used: QuotaUse {
            cpu_millis: used.cpu.0.into(),
            memory_bytes: used.memory.0,
            storage_bytes: used.storage.0,
            gpus: used.gpus.into(),
            leases: used.leases.into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_bounded_by_name_and_none_may_be_had_of_something() {
        let much = QuotaLimits { memory_bytes: Some(u64::MAX), ..QuotaLimits::default() };
        assert_eq!(limits(&much).err().unwrap().member(), Some("memory_bytes"));
        let none = QuotaLimits { leases: Some(0), ..QuotaLimits::default() };
        assert_eq!(limits(&none).ok().unwrap().leases, Some(0));
    }
}
