//! Executions: one run of one operation of one package, in its own worker process, in its own cgroup.
//!
//! The request is checked, its lease reserved and both recorded in one commit; then a driver task owns the execution
//! until its final record (`drive`). The REST process never runs a guest.

mod drive;
mod folder;
mod supervision;
pub mod worker;

pub use drive::{Begin, drive};
pub use folder::{Folder, MAX_LOG_BYTES, MAX_RESULT_BYTES};
pub use supervision::{MAX_LIVE_EXECUTIONS, Supervision};

use crate::Mesh;
use crate::allocation::DEFAULT_PIDS;
use crate::blobs::Receiving;
use crate::error::MeshError;
use crate::requests::{CancelOutcome, ExecuteRequest, LogPage};
use hypermesh_model::{
    Asset, Bytes, Cause, EventKind, Execution, ExecutionId, ExecutionRequest, ExecutionStatus, Lease,
    LeaseStatus, MilliCpu, Package, ResourceUsage, Subject, Timestamp, VmSpec, World,
};
use hypermesh_planner::Wanted;
use hypermesh_store::Batch;
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::Instant;

/// Memory of a worker process beside its guest's: the runtime, the compiled code's data, buffers. Measured: 15 MiB
/// resident for a small guest; the rest is room for results and logs, which are bounded.
pub const WORKER_OVERHEAD: Bytes = Bytes::mib(24);
/// The smallest memory in which a guest can run: the overhead and some pages of its own.
pub const MIN_EXECUTION_MEMORY: Bytes = Bytes::mib(32);
/// Most inputs of one execution.
pub const MAX_INPUTS: usize = 256;
/// How often a log that is waited for is looked at. The worker writes a file and knows no reader.
const LOG_POLL: Duration = Duration::from_millis(50);

impl Mesh {
    /// Starts an execution. The answer comes when it is recorded, before it has run.
    ///
    /// # Errors
    /// [`MeshError::NotFound`] for the vm; [`MeshError::Unfit`] for a lease, an input or an operation that the
    /// package doesn't have; [`MeshError::Refused`] without capacity; [`MeshError::Busy`] at [`MAX_LIVE_EXECUTIONS`].
    pub async fn execute(&self, by: &Subject, request: ExecuteRequest) -> Result<Execution, MeshError> {
        let asset = self.asset(&request.vm_asset_id)?;
        let vm = asset
            .vm
            .clone()
            .ok_or_else(|| MeshError::unfit("vm_asset_id", format!("asset `{}` is not a vm", asset.id)))?;
        let package = self.package_of(&asset, &vm)?;
        let operation = operation(&request, &vm, &package)?;
        for (index, input) in request.inputs.iter().enumerate() {
            self.blobs.get(Receiving::Blob, &input.digest).map_err(|_| {
                let detail =
                    format!("there is no blob `{}`; upload it first: POST /api/v1/blobs", input.digest);
                MeshError::unfit(format!("inputs[{index}].digest"), detail)
            })?;
        }
        let lease = self.lease_for(by, &asset, &vm, &request)?;
        let execution = Execution {
            id: request.id.unwrap_or_else(ExecutionId::generate),
            vm_asset_id: asset.id.clone(),
            package: package.id.clone(),
            lease_id: lease.id.clone(),
            requester: by.clone(),
            request: ExecutionRequest {
                operation,
                parameters: request.parameters,
                timeout_seconds: request.timeout_seconds.min(vm.limits.max_execution_seconds),
                cpu_limit_seconds: request.cpu_limit_seconds,
                requires_consensus: request.requires_consensus,
                inputs: request.inputs,
            },
            status: ExecutionStatus::Queued,
            queued_at: Timestamp::now(),
            started_at: None,
            running_at: None,
            ended_at: None,
            worker: None,
            exit_code: None,
            output: None,
            cause: None,
            outputs: Vec::new(),
            dropped_log_lines: 0,
            usage: ResourceUsage::default(),
        };
        // From here on it is finished even if the caller hangs up: the ledger holds its lease already.
        let mesh = self.clone();
        self.spawned(async move { mesh.record_and_drive(execution, lease).await }).await?
    }

    async fn record_and_drive(&self, execution: Execution, lease: Lease) -> Result<Execution, MeshError> {
        let entered = self.supervision.enter(&execution.id, &execution.vm_asset_id, &lease.id);
        let give_up = |error: MeshError| {
            self.supervision.leave(&execution.id);
            if lease.for_execution {
                self.ledger.remove(&lease.id);
            }
            Err(error)
        };
        let Some(driven) = entered else {
            let detail = format!("{MAX_LIVE_EXECUTIONS} executions are queued or run; try again later");
            return give_up(MeshError::Busy { detail });
        };
        let mut batch = Batch::new();
        if lease.for_execution {
            batch.put(&self.tables.leases, lease.clone());
        }
        batch.put(&self.tables.executions, execution.clone());
        batch.event(EventKind::ExecutionQueued, execution.id.as_str(), event_data(&execution));
        if let Err(error) = self.commit(batch, "recording an execution").await {
            return give_up(error);
        }
        let begin = Begin::Fresh { lease: Box::new(lease) };
        tokio::spawn(drive(self.clone(), execution.clone(), driven, begin));
        Ok(execution)
    }

    pub(crate) fn package_of(&self, asset: &Asset, vm: &VmSpec) -> Result<Package, MeshError> {
        let id = vm.package.as_ref().ok_or_else(|| MeshError::Conflict {
            detail: format!("vm `{}` has no package; make one with catalog_metadata.catalog_id", asset.id),
        })?;
        let package = self.package(id)?;
        match package.world {
            World::Job => Ok(package),
            World::Validator => Err(MeshError::Conflict {
                detail: format!("package `{id}` is a validator; it checks claims and can't be executed"),
            }),
        }
    }

    /// The lease to run in: the one that was named, or one of its own.
    fn lease_for(
        &self,
        by: &Subject,
        asset: &Asset,
        vm: &VmSpec,
        request: &ExecuteRequest,
    ) -> Result<Lease, MeshError> {
        let too_small = |memory: Bytes| MeshError::Conflict {
            detail: format!(
                "an execution needs at least {MIN_EXECUTION_MEMORY} of memory, this has {memory}"
            ),
        };
        if let Some(id) = &request.lease {
            let lease = self
                .lease(id)
                .map_err(|_| MeshError::unfit("allocation_id", format!("there is no allocation `{id}`")))?;
            let conflict = |detail: String| Err(MeshError::Conflict { detail });
            if lease.status != LeaseStatus::Active || lease.for_execution {
                return conflict(format!("allocation `{id}` is not active, or belongs to another execution"));
            }
            return match (lease.grant.cpu, lease.grant.memory) {
                (Some(_), Some(memory)) if memory < MIN_EXECUTION_MEMORY => Err(too_small(memory)),
                (Some(_), Some(_)) => Ok(lease),
                _ => conflict(format!(
                    "allocation `{id}` must hold cpu and memory: ask for the other one in `requirements`"
                )),
            };
        }
        if vm.limits.max_memory < MIN_EXECUTION_MEMORY {
            return Err(too_small(vm.limits.max_memory));
        }
        let pool = self.ledger.read(|book| book.machine().cpu);
        let cpu = MilliCpu::from_percent_of(vm.limits.max_cpu_percent, pool)
            .map_err(|e| MeshError::invalid("vm_config.resource_limits.max_cpu", e.to_string()))?;
        let wanted = Wanted {
            cpu: Some(cpu),
            memory: Some(vm.limits.max_memory),
            pids: Some(DEFAULT_PIDS),
            ..Wanted::default()
        };
        self.reserve_for_execution(by, asset, vm.limits.max_cpu_percent, request.allocation_seconds, &wanted)
    }

    /// All executions, by id, that is by age; ended ones as long as they are kept.
    pub fn executions(&self) -> Vec<Execution> {
        self.tables.executions.all()
    }

    /// One execution.
    ///
    /// # Errors
    /// [`MeshError::NotFound`].
    pub fn execution(&self, id: &ExecutionId) -> Result<Execution, MeshError> {
        self.tables.executions.get(id).ok_or_else(|| MeshError::not_found("execution", id))
    }

    /// Waits for the end of an execution, at most `limit`, and gives it as it is then.
    ///
    /// # Errors
    /// [`MeshError::NotFound`].
    pub async fn wait(&self, id: &ExecutionId, limit: Duration) -> Result<Execution, MeshError> {
        if let Some(mut done) = self.supervision.done(id) {
            // An error is the driver's end; running into the limit is no error either.
            let _ = tokio::time::timeout(limit, async { while done.changed().await.is_ok() {} }).await;
        }
        self.execution(id)
    }

    /// Cancels an execution and waits until its processes are gone.
    ///
    /// # Errors
    /// [`MeshError::NotFound`].
    pub async fn cancel(&self, id: &ExecutionId, by: &Subject) -> Result<CancelOutcome, MeshError> {
        if self.execution(id)?.status == ExecutionStatus::Cancelled {
            return Ok(CancelOutcome::AlreadyEnded { status: "cancelled" });
        }
        if let Some(mut done) = self.supervision.stop(id, Cause::Cancelled { by: by.clone() }) {
            while done.changed().await.is_ok() {}
        }
        Ok(match self.execution(id)?.status {
            ExecutionStatus::Cancelled => CancelOutcome::Cancelled,
            ExecutionStatus::Completed => CancelOutcome::AlreadyEnded { status: "completed" },
            ExecutionStatus::Failed => CancelOutcome::AlreadyEnded { status: "failed" },
            ExecutionStatus::Queued | ExecutionStatus::Starting | ExecutionStatus::Running => {
                return Err(MeshError::Conflict {
                    detail: format!("execution `{id}` has no driver yet; try again"),
                });
            }
        })
    }

    /// Log lines from the `after`th on; waits up to `wait` for the first when there is none yet.
    ///
    /// # Errors
    /// [`MeshError::NotFound`].
    pub async fn logs(
        &self,
        id: &ExecutionId,
        after: u64,
        limit: usize,
        wait: Duration,
    ) -> Result<LogPage, MeshError> {
        let deadline = Instant::now() + wait;
        loop {
            // The state first: lines that were written before the end are then in the file.
            let execution = self.execution(id)?;
            let folder = self.folder(id);
            let read = tokio::task::spawn_blocking(move || folder.read_log(after, limit)).await;
            let lines = read
                .map_err(std::io::Error::other)
                .and_then(|lines| lines)
                .map_err(|e| MeshError::internal("reading a log")(Box::new(e)))?;
            let is_final = execution.status.is_final();
            if !lines.is_empty() || is_final || Instant::now() >= deadline {
                return Ok(LogPage {
                    next: after + lines.len() as u64,
                    complete: is_final && lines.len() < limit,
                    lines,
                    dropped: execution.dropped_log_lines,
                });
            }
            let until = deadline.min(Instant::now() + LOG_POLL);
            match self.supervision.done(id) {
                Some(mut done) => {
                    let ended = async { while done.changed().await.is_ok() {} };
                    let _ = tokio::time::timeout_at(until, ended).await;
                }
                None => tokio::time::sleep_until(until).await,
            }
        }
    }

    /// Where a file is that the guest wrote.
    ///
    /// # Errors
    /// [`MeshError::NotFound`].
    pub fn output_file(&self, id: &ExecutionId, name: &str) -> Result<PathBuf, MeshError> {
        let execution = self.execution(id)?;
        let listed = execution.outputs.iter().any(|o| o.name == name);
        let path = if listed { self.folder(id).output(name) } else { None };
        path.ok_or_else(|| MeshError::not_found("output", name))
    }

    pub(crate) fn folder(&self, id: &ExecutionId) -> Folder {
        Folder::of(&self.settings.data_dir.join("executions"), id)
    }
}

/// The operation that a request means.
pub(crate) fn operation(
    request: &ExecuteRequest,
    vm: &VmSpec,
    package: &Package,
) -> Result<String, MeshError> {
    let name = if request.operation.is_empty() { &vm.entrypoint } else { &request.operation };
    let known: Vec<&str> = package.operations.iter().map(|o| o.name.as_str()).collect();
    if known.contains(&name.as_str()) {
        return Ok(name.clone());
    }
    let detail = format!("`{}` has no operation `{name}`; it has: {}", package.name, known.join(", "));
    Err(MeshError::unfit("operation", detail))
}

/// What an event says of an execution.
pub(crate) fn event_data(execution: &Execution) -> serde_json::Value {
    json!({
        "vm_asset_id": execution.vm_asset_id,
        "allocation_id": execution.lease_id,
        "operation": execution.request.operation,
        "status": execution.status,
        "cause": execution.cause,
    })
}
