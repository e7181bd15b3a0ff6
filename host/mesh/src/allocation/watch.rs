//! What ends a lease from outside of it: its memory limit, and GPU memory that no kernel limit can hold.
//!
//! * The kernel says when a lease's memory limit was passed; the lease then ends as a whole, with the numbers.
//! * GPUs that are shared in time are asked every second. A lease over its part of a GPU's memory is warned by an event,
//!   and ended when it is still over after [`PATIENCE`] readings.

use super::end::Ending;
use super::usage::Readings;
use crate::Mesh;
use crate::error::MeshError;
use hypermesh_model::{Bytes, EventKind, GpuUuid, LeaseId, LeaseStatus, error_chain};
use hypermesh_store::Batch;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use tokio::sync::mpsc;

/// Readings in a row, a second apart, after which a lease that takes too much GPU memory is ended.
const PATIENCE: u32 = 5;
/// Leases whose memory limit was passed and that wait to be ended. More are found by the next reconciliation.
pub(crate) const OOM_QUEUE: usize = 1024;

/// How many readings in a row each lease was over its part of GPU memory.
#[derive(Debug, Default)]
pub struct Overuse(Mutex<BTreeMap<LeaseId, u32>>);

impl Mesh {
    /// Ends leases whose memory limit was passed, for ever.
    pub(crate) async fn end_out_of_memory(self, mut told: mpsc::Receiver<LeaseId>) {
        while let Some(id) = told.recv().await {
            let mesh = self.clone();
            tokio::spawn(async move {
                if let Err(error) = mesh.out_of_memory(&id).await {
                    tracing::warn!(lease = %id, error = error_chain(&error), "a lease out of memory could not be ended");
                }
            });
        }
    }

    pub(crate) async fn out_of_memory(&self, id: &LeaseId) -> Result<(), MeshError> {
        let Ok(lease) = self.lease(id) else { return Ok(()) };
        // The driver of an execution tells its cause itself, and ends the lease that was made for it.
        if lease.for_execution || !lease.status.has_group() {
            return Ok(());
        }
        let group = id.clone();
        let read = self.blocking_mesh(move |mesh| mesh.read_groups(&group)).await;
        let peak = read.ok().and_then(|Readings { group, .. }| group.memory_peak);
        let limit = lease.grant.memory.unwrap_or_default();
        let peak = peak.map_or_else(String::new, |peak| format!(" (peak {peak})"));
        let detail = format!("out of memory: what ran in it wanted more than its {limit}{peak}");
        match self.end_lease(id, Ending::OutOfMemory { detail }).await {
            Ok(_) | Err(MeshError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Compares what shared GPUs hold with what was leased of them. Blocks.
    pub(crate) fn watch_gpus(&self) {
        let sharing =
            self.tables.leases.filter(|l| l.status == LeaseStatus::Active && l.grant.gpu_memory.is_some());
        let mut over = BTreeMap::new();
        for lease in &sharing {
            let Some(limit) = lease.grant.gpu_memory else { continue };
            let Ok(processes) = self.cgroups.processes(&lease.id, None) else { continue };
            let uses = self.machine.gpu_uses(&lease.grant.gpus, &processes);
            let worst =
                uses.into_iter().filter_map(|u| Some((u.uuid, u.memory_of_lease?))).max_by_key(|(_, m)| *m);
            if let Some((gpu, used)) = worst.filter(|(_, used)| *used > limit) {
                over.insert(lease.id.clone(), (gpu, used, limit));
            }
        }
        let mut counts = self.overuse.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.retain(|id, _| over.contains_key(id));
        for (id, (gpu, used, limit)) in over {
            let count = counts.entry(id.clone()).or_insert(0);
            *count += 1;
            match *count {
                1 => self.tell_overuse(id, gpu, used, limit),
                PATIENCE => self.end_overuse(id, &gpu, used, limit),
                _ => {}
            }
        }
    }

    fn tell_overuse(&self, id: LeaseId, gpu: GpuUuid, used: Bytes, limit: Bytes) {
        let mesh = self.clone();
        self.runtime.spawn(async move {
            let mut batch = Batch::new();
            let data = json!({ "gpu": gpu, "used_bytes": used, "limit_bytes": limit, "ends_after_seconds": PATIENCE });
            batch.event(EventKind::AllocationOverused, id.as_str(), data);
            if let Err(error) = mesh.commit(batch, "recording a warning").await {
                tracing::error!(lease = %id, error = error_chain(&error), "a warning could not be recorded");
            }
        });
    }

    fn end_overuse(&self, id: LeaseId, gpu: &GpuUuid, used: Bytes, limit: Bytes) {
        let detail = format!("GPU memory: it held {used} on {gpu}, {limit} were leased");
        let mesh = self.clone();
        self.runtime.spawn(async move {
            if let Err(error) = mesh.end_lease(&id, Ending::GpuOverused { detail }).await {
                tracing::warn!(lease = %id, error = error_chain(&error), "a lease over its GPU memory could not be ended");
            }
        });
    }
}
