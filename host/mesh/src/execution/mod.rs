//! Executions: one run of one operation of one package, in its own worker process, in its own cgroup.
//!
//! The request is checked, its lease reserved and both recorded in one commit; then a driver task owns the execution
//! until its final record (`drive`). The REST process never runs a guest.

mod begin;
mod describe;
mod drive;
mod finish;
mod folder;
mod follow;
mod network;
mod supervision;
mod watch;
pub mod worker;

pub(crate) use begin::{granted_folders, shown_to_guest, worker_uid};
pub(crate) use drive::{Begin, drive};
pub use folder::{Folder, MAX_LOG_BYTES, MAX_RESULT_BYTES};
pub(crate) use folder::{parse_line, read_outcome};
pub use follow::{FileFollower, LogFollower};
pub(crate) use network::{Resolved, granted_hosts, resolve};
pub use supervision::{MAX_LIVE_EXECUTIONS, Supervision};
pub(crate) use watch::Process;

use crate::Mesh;
use crate::allocation::{DEFAULT_PIDS, ForExecution};
use crate::blobs::Receiving;
use crate::error::MeshError;
use crate::records::WaitingRecord;
use crate::requests::{CancelOutcome, ExecuteRequest};
use crate::workers::Slot;
use hypermesh_model::{
    Asset, BlobDigest, Bytes, Cause, EventKind, Execution, ExecutionId, ExecutionRequest, ExecutionStatus,
    FolderGrant, Lease, LeaseId, LeaseStatus, MilliCpu, Package, ResourceUsage, Stdin, Subject, Timestamp,
    VmSpec, World,
};
use hypermesh_planner::Wanted;
use hypermesh_store::Batch;
use serde_json::json;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Memory of a worker process beside its guest's: the runtime, the compiled code's data, buffers. Measured: 15 MiB
/// resident for a small guest; the rest is room for results and logs, which are bounded.
pub const WORKER_OVERHEAD: Bytes = Bytes::mib(24);
/// The smallest memory in which a guest can run: the overhead and some pages of its own.
pub const MIN_EXECUTION_MEMORY: Bytes = Bytes::mib(32);
/// Most inputs of one execution.
pub const MAX_INPUTS: usize = 256;
impl Mesh {
    /// Starts an execution. The answer comes when it is recorded, before it has run. With `soon` the caller waits for the
    /// end: then the record is safe from a crash of the node, and from one of the machine only after [`Mesh::settle`].
    ///
    /// # Errors
    /// [`MeshError::NotFound`] for the vm; [`MeshError::Unfit`] for a lease, an input or an operation that the
    /// package doesn't have; [`MeshError::Refused`] without capacity; [`MeshError::Busy`] at [`MAX_LIVE_EXECUTIONS`].
    pub async fn execute(
        &self,
        by: &Subject,
        request: ExecuteRequest,
        soon: bool,
    ) -> Result<Execution, MeshError> {
        let asset = self.asset(&request.vm_asset_id)?;
        let vm = asset
            .vm
            .clone()
            .ok_or_else(|| MeshError::unfit("vm_asset_id", format!("asset `{}` is not a vm", asset.id)))?;
        let package = self.package_of(&asset, &vm)?;
        let operation = operation(&request, &vm, &package)?;
        if package.world == World::Command {
            begin::command_parameters(&request.parameters)?;
        }
        self.check_granted(&request)?;
        let stdin = match request.stdin {
            Stdin::Stream => Some(io::pipe().map_err(|e| MeshError::internal("making a pipe")(Box::new(e)))?),
            Stdin::Closed | Stdin::Blob(_) => None,
        };
        let (lease, entered, slot) = self.lease_for(by, &asset, &vm, &request)?;
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
                stdin: request.stdin,
                folders: request.folders,
                network: request.network,
                limits: request.limits,
                retries: request.retries,
            },
            status: ExecutionStatus::Queued,
            queued_at: Timestamp::now(),
            started_at: None,
            running_at: None,
            ended_at: None,
            worker: None,
            leaf: String::new(),
            cpu_before_ns: 0,
            attempts: Vec::new(),
            retry_at: None,
            exit_code: None,
            output: None,
            output_blob: None,
            cause: None,
            outputs: Vec::new(),
            dropped_log_lines: 0,
            usage: ResourceUsage::default(),
        };
        let started = Started { execution, lease, entered, slot, stdin, soon };
        // From here on it is finished even if the caller hangs up: the ledger holds its lease already.
        let mesh = self.clone();
        self.spawned(async move { mesh.record_and_drive(started).await }).await?
    }

    /// Makes all that was recorded so far safe from a crash of the machine.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn settle(&self) -> Result<(), MeshError> {
        self.commit(Batch::new(), "syncing the store").await
    }

    /// What a request names must be there, and be allowed.
    fn check_granted(&self, request: &ExecuteRequest) -> Result<(), MeshError> {
        let missing = |member: String, digest: &BlobDigest| {
            let detail = format!("there is no blob `{digest}`; upload it first: POST /api/v1/blobs");
            Err(MeshError::unfit(member, detail))
        };
        for (index, input) in request.inputs.iter().enumerate() {
            if self.blobs.get(Receiving::Blob, &input.digest).is_err() {
                return missing(format!("inputs[{index}].digest"), &input.digest);
            }
        }
        if let Stdin::Blob(digest) = &request.stdin
            && self.blobs.get(Receiving::Blob, digest).is_err()
        {
            return missing("stdin.digest".into(), digest);
        }
        self.check_folders(&request.folders)
    }

    /// Folders must be there, and granted by the operator.
    pub(crate) fn check_folders(&self, folders: &[FolderGrant]) -> Result<(), MeshError> {
        for (index, folder) in folders.iter().enumerate() {
            let member = format!("folders[{index}].path");
            // As it is now: a link that is changed later leads to what it leads to then, so the grant is by what it is.
            let path = folder.path.canonicalize().map_err(|error| {
                MeshError::unfit(&member, format!("`{}` can't be granted: {error}", folder.path.display()))
            })?;
            let allowed = self.settings.grant_folders.iter().any(|allowed| path.starts_with(allowed));
            if path != folder.path || !path.is_dir() {
                let detail = format!("`{}` is not a folder by its real path", folder.path.display());
                return Err(MeshError::unfit(member, detail));
            }
            if !allowed {
                let detail = format!(
                    "`{}` is not below a folder that this node grants; its operator lists those in `grant_folders`",
                    path.display()
                );
                return Err(MeshError::Forbidden { detail });
            }
        }
        Ok(())
    }

    async fn record_and_drive(&self, started: Started) -> Result<Execution, MeshError> {
        let Started { execution, lease, entered, slot, stdin, soon } = started;
        let entered_driver = self.supervision.enter(&execution.id, &execution.vm_asset_id, &lease.id, stdin);
        let Some(driven) = entered_driver else {
            self.take_back(&execution, &lease, slot).await;
            let detail = format!("{MAX_LIVE_EXECUTIONS} executions are queued or run; try again later");
            return Err(MeshError::Busy { detail });
        };
        let mut batch = Batch::new();
        if lease.for_execution {
            batch.put(&self.tables.leases, lease.clone());
            if let Some(Waits(wanted)) = entered {
                batch.put(&self.tables.waiting, WaitingRecord { lease: lease.id.clone(), wanted });
                batch.event(
                    EventKind::AllocationQueued,
                    lease.id.as_str(),
                    crate::allocation::event_data(&lease),
                );
            }
        }
        batch.put(&self.tables.executions, execution.clone());
        batch.event(EventKind::ExecutionQueued, execution.id.as_str(), event_data(&execution));
        let committed = if soon {
            self.commit_intention(batch, "recording an execution").await
        } else {
            self.commit(batch, "recording an execution").await
        };
        if let Err(error) = committed {
            self.take_back(&execution, &lease, slot).await;
            return Err(error);
        }
        self.wake_life();
        let begin = Begin::Fresh { lease: Box::new(lease), slot };
        tokio::spawn(drive(self.clone(), execution.clone(), driven, begin));
        Ok(execution)
    }

    async fn take_back(&self, execution: &Execution, lease: &Lease, slot: Option<Box<Slot>>) {
        self.supervision.leave(&execution.id);
        if let Some(slot) = slot {
            self.discard_own(*slot).await;
        }
        if lease.for_execution {
            self.ledger.remove(&lease.id);
        }
    }

    pub(crate) fn package_of(&self, asset: &Asset, vm: &VmSpec) -> Result<Package, MeshError> {
        let id = vm.package.as_ref().ok_or_else(|| MeshError::Conflict {
            detail: format!("vm `{}` has no package; make one with catalog_metadata.catalog_id", asset.id),
        })?;
        let package = self.package(id)?;
        match package.world {
            World::Job | World::Command => Ok(package),
            World::Validator => Err(MeshError::Conflict {
                detail: format!("package `{id}` is a validator; it checks claims and can't be executed"),
            }),
            World::Http => Err(MeshError::Conflict {
                detail: format!("package `{id}` answers HTTP requests; serve it: POST /api/v1/services"),
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
    ) -> Result<Reserved, MeshError> {
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
                (Some(_), Some(_)) => Ok((lease, None, None)),
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
        // The lease takes the id of the groups in which a worker is parked.
        let slot = self.workers.take_own();
        let terms = ForExecution {
            id: slot.as_ref().map_or_else(LeaseId::generate, |slot| slot.lease.clone()),
            amount: vm.limits.max_cpu_percent,
            duration_seconds: request.allocation_seconds,
            wait_seconds: None,
            priority: request.priority,
        };
        match self.reserve_for_execution(by, asset, &terms, &wanted) {
            Ok(lease) => {
                self.ledger.leave_internal(&lease.id);
                Ok((lease, None, slot.map(Box::new)))
            }
            Err(error) => {
                if let Some(slot) = slot {
                    self.workers.put_back_own(slot);
                }
                match (&error, request.wait_seconds) {
                    (MeshError::Refused { .. }, Some(_)) => {
                        let terms = ForExecution {
                            id: LeaseId::generate(),
                            wait_seconds: request.wait_seconds,
                            ..terms
                        };
                        let lease = self.reserve_for_execution(by, asset, &terms, &wanted)?;
                        // Room may have come meanwhile.
                        let waits = (lease.status == LeaseStatus::Queued).then_some(Waits(wanted));
                        Ok((lease, waits, None))
                    }
                    _ => Err(error),
                }
            }
        }
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

/// An execution that the ledger has room for.
struct Started {
    execution: Execution,
    lease: Lease,
    entered: Option<Waits>,
    slot: Option<Box<Slot>>,
    stdin: Option<(io::PipeReader, io::PipeWriter)>,
    soon: bool,
}

/// A lease for an execution, what it waits for, and the worker that is parked in its groups.
type Reserved = (Lease, Option<Waits>, Option<Box<Slot>>);

/// What a lease that waits asked for.
struct Waits(Wanted);

/// Records an execution as it is now: an intention, since only its end is a promise.
async fn record(mesh: &Mesh, execution: &Execution, kind: EventKind) -> Result<(), MeshError> {
    let mut batch = Batch::new();
    batch.put(&mesh.tables.executions, execution.clone());
    batch.event(kind, execution.id.as_str(), event_data(execution));
    mesh.commit_intention(batch, "recording an execution").await
}

/// What an event says of an execution.
pub(crate) fn event_data(execution: &Execution) -> serde_json::Value {
    json!({
        "vm_asset_id": execution.vm_asset_id,
        "allocation_id": execution.lease_id,
        "operation": execution.request.operation,
        "status": execution.status,
        "cause": execution.cause,
        "retry_at": execution.retry_at,
    })
}
