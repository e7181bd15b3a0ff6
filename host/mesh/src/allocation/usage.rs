//! Looking at a lease: what the kernel holds for it, and what it has used, read now.

use crate::Mesh;
use crate::error::MeshError;
use hypermesh_model::{Bytes, EnforcementReceipt, GpuUuid, JailLayer, Lease, LeaseId};
use hypermesh_sandbox::{GroupPressure, GroupUsage};

/// Stands in a path for the name of the leaf that a joiner makes.
const LEAF: &str = "{leaf}";

/// What the kernel holds and has counted for a lease, read now.
#[derive(Debug, Clone, PartialEq)]
pub struct EnforcementView {
    /// Each limit.
    pub receipt: EnforcementReceipt,
    /// The `cgroup.procs` files to which a process writes `0` to join, all of them, in this order; `{leaf}` in one stands
    /// for a group that the joiner makes below the lease's. Empty once the lease has ended.
    pub join: Vec<String>,
    /// What is around a guest that runs in it; empty where none can run.
    pub jail: Vec<JailLayer>,
    /// What was used; `None` once the lease has ended.
    pub usage: Option<LeaseUsage>,
}

/// What a lease has used. `None`: this kernel does not say.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LeaseUsage {
    /// What the groups counted.
    pub group: GroupUsage,
    /// Processes now.
    pub processes: u64,
    /// Time lost by waiting.
    pub pressure: GroupPressure,
    /// Its GPUs.
    pub gpus: Vec<GpuUse>,
    /// Bytes in its folder.
    pub storage_used: Option<Bytes>,
    /// How many fit in it.
    pub storage_size: Option<Bytes>,
}

/// What a lease's GPU is doing.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the names and units say it")]
pub struct GpuUse {
    pub uuid: GpuUuid,
    pub utilization_percent: Option<f64>,
    pub memory_used: Option<Bytes>,
    pub memory_of_lease: Option<Bytes>,
    pub power_watts: Option<f64>,
    pub temperature_celsius: Option<f64>,
}

/// The kernel's part of a usage, from one pass over the files.
pub(crate) struct Readings {
    pub(crate) group: GroupUsage,
    pub(crate) processes: Vec<u32>,
    pub(crate) pressure: GroupPressure,
}

impl Mesh {
    /// What the kernel holds and has counted for a lease. Of an ended one: what it held last.
    ///
    /// # Errors
    /// [`MeshError::NotFound`].
    pub async fn enforcement(&self, id: &LeaseId) -> Result<EnforcementView, MeshError> {
        let lease = self.lease(id)?;
        let last =
            |receipt| EnforcementView { receipt, join: Vec::new(), jail: self.workers.jail(), usage: None };
        if !lease.status.has_group() {
            return Ok(last(lease.receipt));
        }
        let asked = lease.clone();
        let read = self
            .blocking_mesh(move |mesh| {
                let receipt = mesh.read_receipt(&asked)?;
                let join = mesh.cgroups.join_files(&asked.id, LEAF);
                Ok(EnforcementView {
                    receipt,
                    join: join.into_iter().map(|file| file.to_string_lossy().into_owned()).collect(),
                    jail: mesh.workers.jail(),
                    usage: Some(mesh.read_usage(&asked)?),
                })
            })
            .await;
        match read {
            Err(_) if self.is_ending(id)? => Ok(last(lease.receipt)),
            read => read,
        }
    }

    /// What a lease has used so far.
    ///
    /// # Errors
    /// [`MeshError::NotFound`]; [`MeshError::Conflict`] when it holds nothing now.
    pub async fn lease_usage(&self, id: &LeaseId) -> Result<LeaseUsage, MeshError> {
        let lease = self.lease(id)?;
        let over =
            || MeshError::Conflict { detail: format!("allocation `{id}` is not active; it uses nothing") };
        if !lease.status.has_group() {
            return Err(over());
        }
        let read = self.blocking_mesh(move |mesh| mesh.read_usage(&lease)).await;
        match read {
            Err(_) if self.is_ending(id)? => Err(over()),
            read => read,
        }
    }

    /// Whether a lease that was active has ended, or is changing so that its groups may be gone for a moment.
    fn is_ending(&self, id: &LeaseId) -> Result<bool, MeshError> {
        Ok(!self.lease(id)?.status.has_group() || self.changing.contains(id))
    }

    /// Each limit as the kernel holds it now. Blocks.
    pub(crate) fn read_receipt(&self, lease: &Lease) -> Result<EnforcementReceipt, MeshError> {
        let read = self.cgroups.read_back(&lease.id, &self.limits(&lease.grant));
        let mut receipt = read.map_err(|e| MeshError::internal("reading a cgroup")(Box::new(e)))?;
        if lease.grant.storage.is_some() {
            let volume = self.volumes.list()?.into_iter().find(|volume| volume.lease == lease.id);
            receipt.entries.extend(volume.map(|volume| volume.receipt));
        }
        receipt
            .entries
            .extend(lease.receipt.entries.iter().find(|entry| entry.limit == "gpu_memory").cloned());
        Ok(receipt)
    }

    /// What the groups have counted. Blocks.
    pub(crate) fn read_groups(&self, id: &LeaseId) -> Result<Readings, MeshError> {
        let fault = |e| MeshError::internal("reading a cgroup")(Box::new(e));
        Ok(Readings {
            group: self.cgroups.usage(id, None).map_err(fault)?,
            processes: self.cgroups.processes(id, None).map_err(fault)?,
            pressure: self.cgroups.pressure(id).unwrap_or_default(),
        })
    }

    fn read_usage(&self, lease: &Lease) -> Result<LeaseUsage, MeshError> {
        let Readings { group, processes, pressure } = self.read_groups(&lease.id)?;
        let folder = lease.grant.storage.and_then(|_| self.volumes.usage(&lease.id));
        Ok(LeaseUsage {
            group,
            pressure,
            gpus: self.machine.gpu_uses(&lease.grant.gpus, &processes),
            processes: processes.len() as u64,
            storage_used: folder.as_ref().map(|folder| folder.used),
            storage_size: folder.map(|folder| folder.size),
        })
    }
}
