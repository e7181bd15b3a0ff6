//! From the contract's amounts to kernel units: what a request wants of the machine.
//!
//! Reads the inventory and nothing else; whether it fits is the planner's to say.

use crate::Mesh;
use crate::error::MeshError;
use crate::requests::{AllocationRequest, CpuAmount, GpuSelection, Requirements, Resize};
use hypermesh_model::{Asset, AssetType, Bytes, CpuMode, GpuUuid, Grant, IoLimits, MilliCpu};
use hypermesh_planner::{Wanted, WantedGpus};

/// Processes and threads of a lease that names no number: enough for a worker and a shell, too few for a fork bomb.
pub const DEFAULT_PIDS: u32 = 64;
/// The smallest memory lease: less than this, the kernel can't even start a process in it.
pub const MIN_LEASE_MEMORY: Bytes = Bytes::mib(4);
/// The smallest folder: below this a file system is mostly its own bookkeeping.
pub const MIN_LEASE_STORAGE: Bytes = Bytes::mib(1);

impl Mesh {
    /// What a request wants.
    ///
    /// # Errors
    /// [`MeshError::Unfit`] for an amount that does not fit its asset; [`MeshError::Unprocessable`] for an asset of which
    /// nothing can be leased.
    pub(crate) fn wanted(&self, asset: &Asset, request: &AllocationRequest) -> Result<Wanted, MeshError> {
        let more = &request.requirements;
        let mut wanted = Wanted {
            cpu: more.cpu.map(|amount| self.milli("requirements.cpu", amount)).transpose()?,
            cpu_mode: more.cpu_mode.unwrap_or_default(),
            cpu_burst_us: more.cpu_burst_us,
            memory: more.memory,
            memory_request: more.memory_request,
            pids: Some(more.pids.unwrap_or(DEFAULT_PIDS)),
            io: more.io,
            storage: more.storage,
            gpus: more.gpus.map(|count| self.gpus_wanted(count, None, &more.gpu)).transpose()?,
        };
        self.add_asset_amount(asset, request, &mut wanted)?;
        check_memory(asset, &wanted)?;
        check_storage(asset, &wanted)?;
        check_cpu(more, &wanted)?;
        if more.gpu != GpuSelection::default() && wanted.gpus.is_none() {
            let detail =
                "it selects among GPUs, and none is asked for; give their number in `requirements.gpus`";
            return Err(MeshError::unfit("requirements.gpu", detail));
        }
        Ok(wanted)
    }

    /// The dimension that the asset is, from `amount`.
    fn add_asset_amount(
        &self,
        asset: &Asset,
        request: &AllocationRequest,
        wanted: &mut Wanted,
    ) -> Result<(), MeshError> {
        let twice = |member: &str| {
            Err(MeshError::unfit(member, "the asset is of this dimension already; give it in `amount` alone"))
        };
        let bytes = || Bytes::from_gb(request.amount).map_err(|e| MeshError::unfit("amount", e.to_string()));
        match asset.asset_type {
            AssetType::Cpu if wanted.cpu.is_some() => return twice("requirements.cpu"),
            AssetType::Memory if wanted.memory.is_some() => return twice("requirements.memory"),
            AssetType::Storage if wanted.storage.is_some() => return twice("requirements.storage"),
            AssetType::Gpu if wanted.gpus.is_some() => return twice("requirements.gpus"),
            AssetType::Cpu => wanted.cpu = Some(self.milli("amount", CpuAmount::Percent(request.amount))?),
            AssetType::Memory => wanted.memory = Some(bytes()?),
            AssetType::Storage => wanted.storage = Some(bytes()?),
            AssetType::Gpu => {
                let count = whole(request.amount)?;
                let group = self.gpu_group(&asset.id);
                wanted.gpus = Some(self.gpus_wanted(count, Some(group), &request.requirements.gpu)?);
            }
            AssetType::Network
            | AssetType::Service
            | AssetType::Container
            | AssetType::Vm
            | AssetType::Application => return Err(not_leasable(asset)),
        }
        Ok(())
    }

    /// CPU time in thousandths of a logical CPU.
    fn milli(&self, member: &str, amount: CpuAmount) -> Result<MilliCpu, MeshError> {
        let pool = self.ledger.read(|book| book.machine().cpu);
        match amount {
            CpuAmount::Milli(milli) => Ok(milli),
            CpuAmount::Percent(percent) => {
                MilliCpu::from_percent_of(percent, pool).map_err(|e| MeshError::unfit(member, e.to_string()))
            }
        }
    }

    /// So many of the GPUs that the selection leaves, of a group where one is named.
    fn gpus_wanted(
        &self,
        count: u32,
        group: Option<Vec<GpuUuid>>,
        selection: &GpuSelection,
    ) -> Result<WantedGpus, MeshError> {
        let matches = |gpu: &hypermesh_planner::Gpu| {
            let model = |wanted: &String| {
                gpu.model.as_ref().is_some_and(|m| m.to_lowercase().contains(&wanted.to_lowercase()))
            };
            gpu.parent.is_some()
                == (selection.mig
                    || group.as_ref().is_some_and(|g| g.contains(&gpu.uuid) && gpu.parent.is_some()))
                && group.as_ref().is_none_or(|group| group.contains(&gpu.uuid))
                && selection.model.as_ref().is_none_or(model)
                && selection.min_memory.is_none_or(|least| gpu.memory.is_some_and(|memory| memory >= least))
                && (selection.uuids.is_empty() || selection.uuids.contains(&gpu.uuid))
        };
        let lost = self.machine.lost_gpus();
        if let Some(lost) = selection.uuids.iter().find(|uuid| lost.contains(uuid)) {
            let detail = format!("GPU `{lost}` does not answer: it fell off the bus or waits for a reset");
            return Err(MeshError::Conflict { detail });
        }
        let (of, known): (Vec<GpuUuid>, Vec<GpuUuid>) = self.ledger.read(|book| {
            let all = &book.machine().gpus;
            let answering = all.iter().filter(|gpu| matches(gpu) && !lost.contains(&gpu.uuid));
            let of = answering.map(|gpu| gpu.uuid.clone()).collect();
            (of, all.iter().map(|gpu| gpu.uuid.clone()).collect())
        });
        if let Some(unknown) = selection.uuids.iter().find(|uuid| !known.contains(uuid)) {
            let detail = format!("this node has no GPU `{unknown}`");
            return Err(MeshError::unfit("requirements.gpu.uuids", detail));
        }
        Ok(WantedGpus { count, of, shared_memory: selection.shared_memory })
    }

    /// What a lease wants once it is changed: what it holds, with the changes.
    ///
    /// # Errors
    /// [`MeshError::Unfit`] for a change of a dimension that the lease does not hold, or below the least.
    pub(crate) fn wanted_after(&self, grant: &Grant, change: &Resize) -> Result<Wanted, MeshError> {
        let held = |member: &str, has: bool, asked: bool| {
            if asked && !has {
                let detail = "the allocation does not hold this dimension; make another one that does";
                return Err(MeshError::unfit(member, detail));
            }
            Ok(())
        };
        held("cpu", grant.cpu.is_some(), change.cpu.is_some())?;
        held("memory", grant.memory.is_some(), change.memory.is_some() || change.memory_request.is_some())?;
        held("storage", grant.storage.is_some(), change.storage.is_some())?;
        let io = grant.io.unwrap_or_default();
        let wanted = Wanted {
            cpu: change.cpu.map(|amount| self.milli("cpu", amount)).transpose()?.or(grant.cpu),
            cpu_mode: grant.cpu_mode,
            cpu_burst_us: change.cpu_burst_us.or(grant.cpu_burst_us).filter(|us| *us > 0),
            memory: change.memory.or(grant.memory),
            memory_request: change.memory_request.or(grant.memory_request),
            pids: change.pids.or(grant.pids),
            io: IoLimits {
                read_bps: change.io.read_bps.or(io.read_bps),
                write_bps: change.io.write_bps.or(io.write_bps),
                read_iops: change.io.read_iops.or(io.read_iops),
                write_iops: change.io.write_iops.or(io.write_iops),
            },
            storage: change.storage.or(grant.storage),
            gpus: wanted_again(grant),
        };
        if wanted.memory.is_some_and(|memory| memory < MIN_LEASE_MEMORY) {
            return Err(MeshError::unfit(
                "memory",
                format!("memory of a lease starts at {MIN_LEASE_MEMORY}"),
            ));
        }
        if wanted.memory_request > wanted.memory {
            return Err(MeshError::unfit("memory_request", "it is more than the limit `memory`"));
        }
        Ok(wanted)
    }
}

/// What a lease that waits, or was granted before, wants.
pub(crate) fn wanted_of(grant: &Grant) -> Wanted {
    Wanted {
        cpu: grant.cpu,
        cpu_mode: grant.cpu_mode,
        cpu_burst_us: grant.cpu_burst_us,
        memory: grant.memory,
        memory_request: grant.memory_request,
        pids: grant.pids,
        io: grant.io.unwrap_or_default(),
        storage: grant.storage,
        gpus: wanted_again(grant),
    }
}

fn wanted_again(grant: &Grant) -> Option<WantedGpus> {
    let count = u32::try_from(grant.gpus.len()).ok().filter(|count| *count > 0)?;
    Some(WantedGpus { count, of: grant.gpus.clone(), shared_memory: grant.gpu_memory })
}

fn check_memory(asset: &Asset, wanted: &Wanted) -> Result<(), MeshError> {
    let member = if asset.asset_type == AssetType::Memory { "amount" } else { "requirements.memory" };
    match (wanted.memory, wanted.memory_request) {
        (Some(memory), _) if memory < MIN_LEASE_MEMORY => {
            Err(MeshError::unfit(member, format!("memory of a lease starts at {MIN_LEASE_MEMORY}")))
        }
        (Some(memory), Some(request)) if request > memory => {
            Err(MeshError::unfit("requirements.memory_request", "it is more than the limit on memory"))
        }
        (None, Some(_)) => {
            Err(MeshError::unfit("requirements.memory_request", "it needs a limit: give `memory` as well"))
        }
        (_, _) => Ok(()),
    }
}

fn check_storage(asset: &Asset, wanted: &Wanted) -> Result<(), MeshError> {
    let member = if asset.asset_type == AssetType::Storage { "amount" } else { "requirements.storage" };
    match wanted.storage {
        Some(size) if size < MIN_LEASE_STORAGE => {
            Err(MeshError::unfit(member, format!("a folder of a lease starts at {MIN_LEASE_STORAGE}")))
        }
        Some(_) | None => Ok(()),
    }
}

fn check_cpu(more: &Requirements, wanted: &Wanted) -> Result<(), MeshError> {
    let needs_cpu = more.cpu_mode.is_some() || more.cpu_burst_us.is_some();
    if needs_cpu && wanted.cpu.is_none() {
        return Err(MeshError::unfit("requirements.cpu_mode", "no CPU is asked for; give `cpu` as well"));
    }
    if more.cpu_burst_us.is_some() && wanted.cpu_mode != CpuMode::Limited {
        return Err(MeshError::unfit(
            "requirements.cpu_burst_us",
            "only a limited lease has a quota to burst over",
        ));
    }
    Ok(())
}

fn whole(amount: f64) -> Result<u32, MeshError> {
    if (1.0..=1024.0).contains(&amount) && amount.fract() == 0.0 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
        Ok(amount as u32)
    } else {
        Err(MeshError::unfit("amount", "GPUs are leased whole: a number from 1 to 1024"))
    }
}

fn not_leasable(asset: &Asset) -> MeshError {
    let why = match asset.asset_type {
        AssetType::Network => {
            "no kernel limit for an interface's bandwidth is built (it takes tc or an eBPF program on a namespace of the \
             lease's own); interfaces are measured only"
        }
        AssetType::Vm => "a vm is executed, not leased: POST /api/v1/vm/execute",
        AssetType::Service
        | AssetType::Container
        | AssetType::Application
        | AssetType::Storage
        | AssetType::Cpu
        | AssetType::Memory
        | AssetType::Gpu => "it was registered by hand and has no capacity that the kernel could enforce",
    };
    MeshError::Unprocessable {
        detail: format!("asset `{}` can't be leased: {why}", asset.id),
        reasons: vec![why.to_owned()],
    }
}
