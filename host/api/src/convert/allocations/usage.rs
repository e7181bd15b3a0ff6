//! How the use of a lease, its folder and a process that was attached look to a caller.

use super::seconds;
use crate::convert::time;
use hypermesh_mesh::{Attached, LeaseUsage, VolumeView};
use hypermesh_model::{Lease, LeaseId, Timestamp};
use hypermesh_wire::allocations::{
    self as wire, AllocationUsage, CpuUsage, GpuUsage, IoUsage, MemoryUsage, PidsUsage, Pressure,
    PressureUsage, Stays, StorageUsage,
};
use hypermesh_wire::volumes::Volume;

/// The stalls of one resource. Their type is the sandbox's, which this layer does not name.
macro_rules! pressure {
    ($stalls:expr) => {
        Pressure {
            some_avg10: $stalls.some.map(|stall| stall.avg10),
            some_avg60: $stalls.some.map(|stall| stall.avg60),
            full_avg10: $stalls.full.map(|stall| stall.avg10),
            full_avg60: $stalls.full.map(|stall| stall.avg60),
        }
    };
}
/// What a lease uses; it was read now. `cores` comes from two readings.
pub(crate) fn usage(lease: &Lease, used: LeaseUsage, cores: Option<f64>) -> AllocationUsage {
    let group = used.group;
    AllocationUsage {
        allocation_id: lease.id.to_string(),
        at: time(Timestamp::now()),
        cpu: CpuUsage {
            time_s: group.cpu_time_ns.map(seconds),
            cores,
            throttled_s: group.throttled_ns.map(seconds),
            throttled_periods: group.throttled_periods,
            periods: group.periods,
        },
        memory: MemoryUsage {
            current: group.memory_current.map(|bytes| bytes.0),
            working_set: group.memory_working_set.map(|bytes| bytes.0),
            anon: group.memory_anon.map(|bytes| bytes.0),
            file: group.memory_file.map(|bytes| bytes.0),
            swap: group.swap.map(|bytes| bytes.0),
            peak: group.memory_peak.map(|bytes| bytes.0),
            limit: lease.grant.memory.map(|bytes| bytes.0),
        },
        pids: PidsUsage {
            current: group.pids_current,
            limit: lease.grant.pids.map(u64::from),
            limit_hits: group.pids_limit_hits,
        },
        io: IoUsage {
            read_bytes: group.io_read_bytes,
            write_bytes: group.io_write_bytes,
            reads: group.io_read_ops,
            writes: group.io_write_ops,
        },
        pressure: PressureUsage {
            cpu: used.pressure.cpu.map(|stalls| pressure!(stalls)),
            memory: used.pressure.memory.map(|stalls| pressure!(stalls)),
            io: used.pressure.io.map(|stalls| pressure!(stalls)),
        },
        gpus: used.gpus.into_iter().map(gpu).collect(),
        storage: lease.grant.storage.map(|_| StorageUsage {
            used: used.storage_used.map(|bytes| bytes.0),
            size: used.storage_size.map(|bytes| bytes.0),
        }),
        oom_kills: group.oom_kills,
        processes: Some(used.processes),
    }
}

fn gpu(used: hypermesh_mesh::GpuUse) -> GpuUsage {
    GpuUsage {
        uuid: used.uuid.0,
        utilization_percent: used.utilization_percent,
        memory_used: used.memory_used.map(|bytes| bytes.0),
        memory_of_lease: used.memory_of_lease.map(|bytes| bytes.0),
        power_watts: used.power_watts,
        temperature_celsius: used.temperature_celsius,
    }
}

/// A process that was moved into a lease.
pub(crate) fn attached(id: LeaseId, attached: Attached) -> wire::Attached {
    let stays = attached.stays.into_iter().map(|stays| Stays {
        what: stays.what.into(),
        detail: stays.detail,
        bytes: stays.bytes.map(|bytes| bytes.0),
    });
    wire::Attached {
        allocation_id: id.into(),
        pid: attached.pid,
        command: attached.command,
        threads: attached.threads,
        moved: attached.moved,
        stays: stays.collect(),
    }
}

/// A folder.
pub(crate) fn volume(view: VolumeView) -> Volume {
    Volume {
        allocation_id: view.lease.into(),
        path: view.path.to_string_lossy().into_owned(),
        size: view.size.0,
        used: view.used.map(|bytes| bytes.0),
        method: view.method.into(),
        kept: view.kept,
    }
}
