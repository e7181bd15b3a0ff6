//! The driver of one execution: lease → folder → worker in its cgroup → end → what the kernel counted → final record.
//!
//! Exactly one driver owns an execution. It alone writes its record, and it writes the final one in the same commit
//! that ends the lease made for it. Whatever happens to the worker, the driver ends with a final record; only a node
//! that dies first leaves that to its next start (`reconcile`).

use super::folder::{Folder, MAX_LOG_BYTES, MAX_RESULT_BYTES};
use super::supervision::Driven;
use super::{WORKER_OVERHEAD, event_data};
use crate::Mesh;
use crate::allocation::Ending;
use crate::error::MeshError;
use crate::exit::has_ended;
use hypermesh_engine::{GrantedFolder, JobCall, JobOutcome, JobSpec};
use hypermesh_model::error_chain;
use hypermesh_model::{
    Bytes, Cause, EventKind, Execution, ExecutionStatus, Lease, LeaseStatus, ResourceUsage, Timestamp,
};
use hypermesh_sandbox::{Entry, GroupUsage, PidFd, ProcessId, WorkerCommand, WorkerProcess};
use hypermesh_store::Batch;
use hypermesh_telemetry::Phase;
use std::os::fd::OwnedFd;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::time::Instant;

/// How often the kernel is asked for CPU time when there is a limit on it: it can't tell by itself.
const CPU_POLL: Duration = Duration::from_millis(50);
/// `log.jsonl` and `outcome.json` are a few times their text; the largest single file that a worker may write beside
/// its outputs.
const MIN_FILE_BYTES: u64 = 16 << 20;

/// Where a driver begins.
#[derive(Debug)]
pub enum Begin {
    /// From the start, in a lease that is pending or active.
    Fresh {
        /// The lease.
        lease: Box<Lease>,
    },
    /// With a worker that an earlier run of the node started.
    Adopted {
        /// The worker.
        worker: ProcessId,
    },
}

/// How the worker ended.
struct End {
    exit_code: Option<i32>,
    /// What it was killed for, if the driver killed it.
    killed_for: Option<Cause>,
    detail: String,
}

/// Drives an execution to its end.
pub async fn drive(mesh: Mesh, mut execution: Execution, mut driven: Driven, begin: Begin) {
    let lease_id = execution.lease_id.clone();
    let end = run(&mesh, &mut execution, &mut driven, begin).await;
    let end = end.unwrap_or_else(|error| {
        tracing::error!(execution = %execution.id, error = error_chain(&error), "an execution could not be run");
        let detail = match &error {
            MeshError::Internal { doing, .. } => format!("the node failed while {doing}"),
            MeshError::NotFound { .. }
            | MeshError::Invalid { .. }
            | MeshError::Unfit { .. }
            | MeshError::Conflict { .. }
            | MeshError::Precondition { .. }
            | MeshError::KeyReused { .. }
            | MeshError::Forbidden { .. }
            | MeshError::Refused { .. }
            | MeshError::Unprocessable { .. }
            | MeshError::TooLarge { .. }
            | MeshError::Missing { .. }
            | MeshError::Busy { .. } => error.to_string(),
        };
        End { exit_code: None, killed_for: None, detail }
    });
    if let Err(error) = finish(&mesh, &mut execution, end).await {
        // The record stays as it is; the next reconciliation finds an execution without driver and finishes it.
        tracing::error!(execution = %execution.id, error = error_chain(&error), "an end could not be recorded");
    }
    mesh.supervision.leave(&execution.id);
    mesh.metrics.executions(execution.status).inc();
    tracing::debug!(execution = %execution.id, lease = %lease_id, "driver done");
}

async fn run(
    mesh: &Mesh,
    execution: &mut Execution,
    driven: &mut Driven,
    begin: Begin,
) -> Result<End, MeshError> {
    match begin {
        Begin::Fresh { lease } => {
            let lease = match lease.status {
                LeaseStatus::Pending => mesh.activate(*lease).await?,
                LeaseStatus::Queued
                | LeaseStatus::Reserved
                | LeaseStatus::Active
                | LeaseStatus::Frozen
                | LeaseStatus::Completed
                | LeaseStatus::Cancelled
                | LeaseStatus::Failed => *lease,
            };
            if let Some(cause) = driven.stop.borrow().clone() {
                return Ok(End { exit_code: None, killed_for: Some(cause), detail: String::new() });
            }
            let (worker, ready) = start(mesh, execution, &lease).await?;
            let end = watch(mesh, execution, driven, Watched::Child(worker), Some(ready)).await;
            Ok(end)
        }
        Begin::Adopted { worker } => match PidFd::open(&worker) {
            Ok(pidfd) => Ok(watch(mesh, execution, driven, Watched::Adopted(pidfd), None).await),
            Err(_) => Ok(End {
                exit_code: None,
                killed_for: None,
                detail: "the worker ended while the node was down".into(),
            }),
        },
    }
}

/// Makes folder, leaf and process, and records the start.
async fn start(
    mesh: &Mesh,
    execution: &mut Execution,
    lease: &Lease,
) -> Result<(WorkerProcess, pipe::Receiver), MeshError> {
    let package = mesh.package(&execution.package)?;
    let cwasm = mesh.compiled(&package.digest).await?;
    let spec = job_spec(mesh, execution, lease, cwasm)?;
    let (ready, theirs) = std::io::pipe().map_err(|e| MeshError::internal("making a pipe")(Box::new(e)))?;
    let (folder, id) = (mesh.folder(&execution.id), execution.id.clone());
    let (lease_id, inputs) = (lease.id.clone(), execution.request.inputs.clone());
    // What it writes there is bounded by the folder; a file as large as that must not end the worker (setrlimit(2)).
    let folder_bytes = lease.grant.storage.map_or(0, |size| size.0);
    let spawning = mesh.clone();
    let worker = tokio::task::spawn_blocking(move || {
        let mut spec = spec;
        spec.inputs = folder.prepare(&inputs, &spawning.blobs)?;
        folder.write_job(&spec)?;
        let leaf = spawning.cgroups.create_leaf(&lease_id, id.as_str(), None);
        leaf.map_err(|e| MeshError::internal("making a cgroup")(Box::new(e)))?;
        let entry = Entry {
            file_bytes: Some(spec.output_bytes_limit.0.max(MIN_FILE_BYTES).max(folder_bytes)),
            ..Entry::joining(spawning.cgroups.join_files(&lease_id, id.as_str()))
        };
        spawn(&spawning, &folder, entry, theirs.into())
    })
    .await
    .map_err(|e| MeshError::internal("starting a worker")(Box::new(e)))??;
    execution.status = ExecutionStatus::Starting;
    execution.started_at = Some(Timestamp::now());
    execution.worker = Some((worker.id().pid, worker.id().start_ticks));
    record(mesh, execution, EventKind::ExecutionStarted).await?;
    let ready = pipe::Receiver::from_owned_fd(ready.into())
        .map_err(|e| MeshError::internal("watching a worker")(Box::new(e)))?;
    Ok((worker, ready))
}

fn spawn(mesh: &Mesh, folder: &Folder, entry: Entry, stdout: OwnedFd) -> Result<WorkerProcess, MeshError> {
    hypermesh_sandbox::spawn(WorkerCommand {
        exe: mesh.settings.worker_exe.clone(),
        args: vec!["__worker".into(), folder.path().into()],
        entry,
        cwd: folder.path().to_owned(),
        stdout: Some(stdout),
        stderr: Some(folder.create_stderr()?),
        env: Vec::new(),
    })
    .map_err(|e| MeshError::internal("starting a worker")(Box::new(e)))
}

fn job_spec(
    mesh: &Mesh,
    execution: &Execution,
    lease: &Lease,
    cwasm: std::path::PathBuf,
) -> Result<JobSpec, MeshError> {
    let vm = mesh.asset(&execution.vm_asset_id)?.vm;
    let limits = vm.map(|vm| vm.limits).ok_or_else(|| MeshError::not_found("vm", &execution.vm_asset_id))?;
    let memory = lease.grant.memory.unwrap_or(limits.max_memory).min(limits.max_memory);
    let parameters = serde_json::to_string(&execution.request.parameters)
        .map_err(|e| MeshError::internal("writing parameters")(Box::new(e)))?;
    Ok(JobSpec {
        cwasm,
        call: JobCall::Run { operation: execution.request.operation.clone(), parameters },
        memory_limit: Bytes(memory.0.saturating_sub(WORKER_OVERHEAD.0)),
        inputs: Vec::new(),
        // The worker's rights end where the folder does, and the folder ends with the lease.
        folder: lease
            .grant
            .storage
            .map(|_| GrantedFolder { path: mesh.volumes.path(&lease.id), writable: true }),
        output_dir: mesh.folder(&execution.id).outputs(),
        output_bytes_limit: limits.max_storage,
        result_bytes_limit: Bytes(MAX_RESULT_BYTES),
        log_bytes_limit: Bytes(MAX_LOG_BYTES),
    })
}

enum Watched {
    Child(WorkerProcess),
    Adopted(PidFd),
}

impl Watched {
    fn pidfd(&self) -> &PidFd {
        match self {
            Self::Child(worker) => worker.pidfd(),
            Self::Adopted(pidfd) => pidfd,
        }
    }

    fn exit(&mut self) -> (Option<i32>, String) {
        match self {
            Self::Child(worker) => match worker.try_wait() {
                Ok(Some(status)) => (status.code(), status.to_string()),
                Ok(None) => (None, "still running".into()),
                Err(error) => (None, error.to_string()),
            },
            Self::Adopted(_) => (None, "ended after the node was restarted".into()),
        }
    }
}

/// Waits for the worker's end, and kills it at a limit or when told.
async fn watch(
    mesh: &Mesh,
    execution: &mut Execution,
    driven: &mut Driven,
    mut worker: Watched,
    mut ready: Option<pipe::Receiver>,
) -> End {
    let limit = Duration::from_secs(execution.request.timeout_seconds);
    let begun = execution.started_at.unwrap_or_else(Timestamp::now);
    let deadline = Instant::now() + limit.saturating_sub(begun.until(Timestamp::now()));
    let mut running = None;
    let mut killed_for = None;
    let mut poll = tokio::time::interval(CPU_POLL);
    loop {
        tokio::select! {
            biased;
            ended = has_ended(worker.pidfd()) => {
                if let Err(error) = ended {
                    tracing::warn!(execution = %execution.id, %error, "a worker can't be watched; it is killed");
                }
                break;
            }
            says = hear(&mut ready), if ready.is_some() => {
                ready = None;
                if says {
                    execution.status = ExecutionStatus::Running;
                    execution.running_at = Some(Timestamp::now());
                    // Not waited for here: a short guest would be done before its start is on disk.
                    let (mesh, now) = (mesh.clone(), execution.clone());
                    running = Some(tokio::spawn(async move { record(&mesh, &now, EventKind::ExecutionRunning).await }));
                }
            }
            Ok(()) = driven.stop.changed() => {
                killed_for = driven.stop.borrow().clone();
                break;
            }
            () = tokio::time::sleep_until(deadline) => {
                killed_for = Some(Cause::WallTime { limit_seconds: execution.request.timeout_seconds });
                break;
            }
            _ = poll.tick(), if execution.request.cpu_limit_seconds.is_some() => {
                if let Some(cause) = over_cpu_limit(mesh, execution) {
                    killed_for = Some(cause);
                    break;
                }
            }
        }
    }
    kill(mesh, execution, worker.pidfd()).await;
    if let Some(running) = running {
        // Its own error is in the log; the final record tells the same again.
        let _ = running.await;
    }
    let (exit_code, detail) = worker.exit();
    End { exit_code, killed_for, detail }
}

/// Whether the worker said that its guest begins. The end of the pipe without a word says that it never did.
async fn hear(ready: &mut Option<pipe::Receiver>) -> bool {
    let Some(pipe) = ready else { return false };
    let mut byte = [0u8];
    matches!(pipe.read(&mut byte).await, Ok(1))
}

fn over_cpu_limit(mesh: &Mesh, execution: &Execution) -> Option<Cause> {
    let limit_ms = execution.request.cpu_limit_seconds?.saturating_mul(1000);
    let usage = mesh.cgroups.usage(&execution.lease_id, Some(execution.id.as_str())).ok()?;
    let used_ms = usage.cpu_time_ns? / 1_000_000;
    (used_ms >= limit_ms).then_some(Cause::CpuTime { limit_ms, used_ms })
}

/// Kills the worker and whatever else is in its leaf, and waits until it is gone.
async fn kill(mesh: &Mesh, execution: &Execution, worker: &PidFd) {
    // Without cgroups the descriptor is all there is.
    let _ = worker.kill();
    let (lease, leaf) = (execution.lease_id.clone(), execution.id.clone());
    let killed =
        mesh.blocking("killing a worker", move |mesh| mesh.cgroups.kill(&lease, Some(leaf.as_str()))).await;
    if let Err(error) = killed {
        tracing::error!(execution = %execution.id, error = error_chain(&error), "a worker could not be killed");
    }
    // Until it is reaped it has an exit status for us.
    let _ = tokio::time::timeout(Duration::from_secs(5), has_ended(worker)).await;
}

/// Reads what the kernel counted and what the worker left, and writes the final record.
async fn finish(mesh: &Mesh, execution: &mut Execution, end: End) -> Result<(), MeshError> {
    let (lease_id, leaf) = (execution.lease_id.clone(), execution.id.clone());
    let (counted, lease_counted) = mesh
        .blocking("removing a cgroup", move |mesh| {
            let counted = mesh.cgroups.usage(&lease_id, Some(leaf.as_str())).unwrap_or_default();
            let lease = mesh.cgroups.usage(&lease_id, None).unwrap_or_default();
            mesh.cgroups.kill(&lease_id, Some(leaf.as_str()))?;
            mesh.cgroups.remove_leaf(&lease_id, leaf.as_str())?;
            Ok((counted, lease))
        })
        .await?;
    let folder = mesh.folder(&execution.id);
    let outcome = folder.read_outcome();
    let detail = format!("{} {}", end.detail, folder.stderr()).trim().to_owned();
    let lease = mesh.lease(&execution.lease_id)?;
    conclude(execution, &lease, outcome, &counted, end, detail);
    execution.usage = ResourceUsage {
        // The quota is the lease's, so the periods are counted there; of a shared lease they are everybody's.
        throttled_periods: lease.for_execution.then_some(lease_counted.throttled_periods).flatten(),
        ..counted.into()
    };
    execution.ended_at = Some(Timestamp::now());
    execution.worker = None;
    phases(mesh, execution);
    let mut batch = Batch::new();
    batch.put(&mesh.tables.executions, execution.clone());
    batch.event(EventKind::ExecutionEnded, execution.id.as_str(), event_data(execution));
    let mut ended = None;
    if lease.for_execution && lease.status.holds_capacity() {
        mesh.remove_group(&lease.id).await?;
        ended = Some(mesh.put_ended(&mut batch, &lease, &Ending::ExecutionEnded));
    }
    mesh.commit(batch, "recording the end of an execution").await?;
    if let Some(ended) = ended {
        mesh.leave_ledger(&ended).await;
    }
    Ok(())
}

/// From what is known of the end to status, cause, result.
fn conclude(
    execution: &mut Execution,
    lease: &Lease,
    outcome: Option<JobOutcome>,
    counted: &GroupUsage,
    end: End,
    detail: String,
) {
    execution.exit_code = end.exit_code;
    let out_of_memory = counted.oom_kills.unwrap_or(0) > 0;
    let cause = match (end.killed_for, outcome) {
        // Its lease ends because of it; it is the one that knows why.
        (Some(Cause::LeaseEnded { .. }), _) if out_of_memory => {
            Some(Cause::OutOfMemory { limit: lease.grant.memory.unwrap_or_default() })
        }
        (Some(cause), _) => Some(cause),
        (None, Some(JobOutcome::Completed { result, outputs, dropped_log_lines })) => {
            execution.output = Some(result);
            execution.outputs = outputs;
            execution.dropped_log_lines = dropped_log_lines;
            None
        }
        (None, Some(JobOutcome::Failed { cause, dropped_log_lines })) => {
            execution.dropped_log_lines = dropped_log_lines;
            Some(cause)
        }
        (None, None) if out_of_memory => {
            Some(Cause::OutOfMemory { limit: lease.grant.memory.unwrap_or_default() })
        }
        (None, Some(JobOutcome::Described(_)) | None) => Some(Cause::WorkerLost { detail }),
    };
    execution.status = match &cause {
        None => ExecutionStatus::Completed,
        Some(Cause::Cancelled { .. }) => ExecutionStatus::Cancelled,
        Some(_) => ExecutionStatus::Failed,
    };
    execution.cause = cause;
}

fn phases(mesh: &Mesh, execution: &Execution) {
    let between = |from: Option<Timestamp>, to: Option<Timestamp>| Some(from?.until(to?));
    let queue = between(Some(execution.queued_at), execution.started_at);
    let start = between(execution.started_at, execution.running_at);
    let run = between(execution.running_at, execution.ended_at);
    for (phase, time) in [(Phase::Queue, queue), (Phase::Start, start), (Phase::Run, run)] {
        if let Some(time) = time {
            mesh.metrics.execution_phase(phase, time);
        }
    }
}

async fn record(mesh: &Mesh, execution: &Execution, kind: EventKind) -> Result<(), MeshError> {
    let mut batch = Batch::new();
    batch.put(&mesh.tables.executions, execution.clone());
    batch.event(kind, execution.id.as_str(), event_data(execution));
    mesh.commit(batch, "recording an execution").await
}
