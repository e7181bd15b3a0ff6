//! What came of a try: what the kernel counted and what the worker left, and the final record.

use super::event_data;
use super::folder::{MAX_INLINE_RESULT, Outcome};
use super::watch::End;
use crate::Mesh;
use crate::allocation::Ending;
use crate::blobs::Receiving;
use crate::error::MeshError;
use crate::failpoint::at;
use hypermesh_engine::JobOutcome;
use hypermesh_model::{
    BlobDigest, Cause, EventKind, Execution, ExecutionStatus, Lease, LeaseId, OutputFile, ResourceUsage,
    Timestamp,
};
use hypermesh_sandbox::GroupUsage;
use hypermesh_store::Batch;
use hypermesh_telemetry::Phase;

/// How a try ended.
pub(super) struct Concluded {
    pub(super) exit_code: Option<i32>,
    /// `None`: with a result.
    cause: Option<Cause>,
    output: Option<String>,
    output_blob: Option<BlobDigest>,
    outputs: Vec<OutputFile>,
    dropped_log_lines: u64,
    pub(super) usage: ResourceUsage,
}

impl Concluded {
    /// Without a worker.
    pub(super) fn of(cause: Cause) -> Self {
        Self {
            exit_code: None,
            cause: Some(cause),
            output: None,
            output_blob: None,
            outputs: Vec::new(),
            dropped_log_lines: 0,
            usage: ResourceUsage::default(),
        }
    }

    /// Why it failed, if another try may go better.
    pub(super) fn failed(&self) -> Option<Cause> {
        match &self.cause {
            None
            | Some(Cause::Cancelled { .. } | Cause::LeaseEnded { .. } | Cause::UnknownOperation { .. }) => {
                None
            }
            Some(
                cause @ (Cause::GuestError { .. }
                | Cause::ExitCode { .. }
                | Cause::Trap { .. }
                | Cause::Stack { .. }
                | Cause::GuestMemory { .. }
                | Cause::OutOfMemory { .. }
                | Cause::WallTime { .. }
                | Cause::CpuTime { .. }
                | Cause::Fuel { .. }
                | Cause::OutputLimit { .. }
                | Cause::WorkerLost { .. }),
            ) => Some(cause.clone()),
        }
    }
}

/// Reads what the kernel counted and what the worker left.
pub(super) async fn conclude(
    mesh: &Mesh,
    execution: &Execution,
    lease: &Lease,
    end: End,
) -> Result<Concluded, MeshError> {
    let (lease_id, leaf, own) = (lease.id.clone(), execution.leaf.clone(), lease.for_execution);
    let folder = mesh.folder(&execution.id);
    let completed = end.exit_code == Some(0);
    let (counted, throttled, left, said) = mesh
        .blocking_mesh(move |mesh| {
            let counted = mesh.cgroups.usage(&lease_id, Some(leaf.as_str())).unwrap_or_default();
            // The quota is the lease's, so the periods are counted there; of a shared lease they are everybody's.
            let throttled =
                if own { mesh.cgroups.throttled_periods(&lease_id).unwrap_or_default() } else { None };
            let said = if completed { String::new() } else { folder.stderr() };
            Ok((counted, throttled, folder.read_outcome(), said))
        })
        .await?;
    let exit_code = end.exit_code;
    let usage = usage(&counted, throttled, execution.cpu_before_ns);
    let mut concluded = judge(lease, left, &counted, end, &said);
    concluded.exit_code = exit_code;
    concluded.usage = usage;
    if concluded.output.as_ref().is_some_and(|text| text.len() > MAX_INLINE_RESULT) {
        let text = concluded.output.take().unwrap_or_default();
        concluded.output_blob = Some(mesh.blocking_mesh(move |mesh| keep(mesh, &text)).await?);
    }
    Ok(concluded)
}

/// A result that is too long for the record becomes a blob.
fn keep(mesh: &Mesh, text: &str) -> Result<BlobDigest, MeshError> {
    let mut writer = mesh.blobs.receive(Receiving::Blob)?;
    writer.write(text.as_bytes())?;
    Ok(writer.finish()?.digest)
}

fn usage(counted: &GroupUsage, throttled: Option<u64>, cpu_before_ns: u64) -> ResourceUsage {
    let usage: ResourceUsage = counted.clone().into();
    ResourceUsage {
        throttled_periods: throttled,
        // What parking the worker took is the node's.
        cpu_time_ns: usage.cpu_time_ns.map(|ns| ns.saturating_sub(cpu_before_ns)),
        ..usage
    }
}

/// From what is known of the end to cause or result.
fn judge(lease: &Lease, left: Option<Outcome>, counted: &GroupUsage, end: End, said: &str) -> Concluded {
    let out_of_memory = || Cause::OutOfMemory { limit: lease.grant.memory.unwrap_or_default() };
    let killed_for_memory = counted.oom_kills.unwrap_or(0) > 0;
    let mut concluded =
        Concluded::of(Cause::WorkerLost { detail: format!("{} {said}", end.detail).trim().to_owned() });
    match (end.killed_for, left) {
        // Its lease ends because of it; it is the one that knows why.
        (Some(Cause::LeaseEnded { .. }), _) if killed_for_memory => concluded.cause = Some(out_of_memory()),
        (Some(cause), _) => concluded.cause = Some(cause),
        (None, Some(Outcome { ended: JobOutcome::Completed { outputs, dropped_log_lines, .. }, result })) => {
            concluded.cause = None;
            concluded.output = Some(result);
            concluded.outputs = outputs;
            concluded.dropped_log_lines = dropped_log_lines;
        }
        (None, Some(Outcome { ended: JobOutcome::Failed { cause, dropped_log_lines }, .. })) => {
            concluded.cause = Some(cause);
            concluded.dropped_log_lines = dropped_log_lines;
        }
        (None, None) if killed_for_memory => concluded.cause = Some(out_of_memory()),
        (None, Some(Outcome { ended: JobOutcome::Described(_), .. }) | None) => {}
    }
    concluded
}

/// Writes the final record, and removes what the execution had in the kernel.
pub(super) async fn finish(
    mesh: &Mesh,
    execution: &mut Execution,
    concluded: Concluded,
) -> Result<(), MeshError> {
    let lease = mesh.lease(&execution.lease_id)?;
    let Concluded { exit_code, cause, output, output_blob, outputs, dropped_log_lines, usage } = concluded;
    execution.status = match &cause {
        None => ExecutionStatus::Completed,
        Some(Cause::Cancelled { .. }) => ExecutionStatus::Cancelled,
        Some(_) => ExecutionStatus::Failed,
    };
    execution.exit_code = exit_code;
    execution.cause = cause;
    execution.output = output;
    execution.output_blob = output_blob;
    execution.outputs = outputs;
    execution.dropped_log_lines = dropped_log_lines;
    execution.usage = usage;
    execution.ended_at = Some(Timestamp::now());
    execution.retry_at = None;
    execution.worker = None;
    phases(mesh, execution);
    let mut batch = Batch::new();
    batch.put(&mesh.tables.executions, execution.clone());
    batch.event(EventKind::ExecutionEnded, execution.id.as_str(), event_data(execution));
    let ends_lease = lease.for_execution && !lease.status.is_final();
    let ended = ends_lease.then(|| mesh.put_ended(&mut batch, &lease, &Ending::ExecutionEnded));
    at("execute-ended");
    // The groups hold nothing any more; a node that dies before they are removed finds them as orphans.
    let removed = remove_groups(mesh, &lease.id, &execution.leaf, ends_lease);
    if execution.status == ExecutionStatus::Completed && ended.is_none() {
        // Its worker has ended by itself, and the leaf is nobody's limit: who waits for the result need not wait for it.
        tokio::spawn(async move {
            if let Err(error) = removed.await {
                tracing::warn!(error = hypermesh_model::error_chain(&error), "a leaf stays behind");
            }
        });
        return mesh.commit(batch, "recording the end of an execution").await;
    }
    let (removed, committed) = tokio::join!(removed, mesh.commit(batch, "recording the end of an execution"));
    committed?;
    let failed = execution.cause.is_some();
    if failed || !execution.request.inputs.is_empty() {
        let folder = mesh.folder(&execution.id);
        mesh.blocking_mesh(move |_| folder.drop_leftovers(failed)).await?;
    }
    if let Some(ended) = ended {
        // What can't be removed still holds what it has.
        removed?;
        mesh.leave_ledger(&ended).await;
    } else if let Err(error) = removed {
        tracing::warn!(execution = %execution.id, error = hypermesh_model::error_chain(&error), "a leaf stays behind");
    }
    Ok(())
}

/// Removes the lease's groups or the leaf. Mostly nothing lives there any more; what does is killed.
fn remove_groups(
    mesh: &Mesh,
    lease: &LeaseId,
    leaf: &str,
    whole: bool,
) -> impl Future<Output = Result<(), MeshError>> + Send + 'static {
    let (mesh, lease, leaf) = (mesh.clone(), lease.clone(), leaf.to_owned());
    let remove = move |mesh: &Mesh| {
        if !leaf.is_empty() && mesh.cgroups.remove_empty(&lease, &leaf, whole)? {
            Ok(())
        } else if whole {
            mesh.cgroups.kill(&lease, None)?;
            mesh.cgroups.remove(&lease)
        } else if leaf.is_empty() {
            Ok(())
        } else {
            mesh.cgroups.kill(&lease, Some(leaf.as_str()))?;
            mesh.cgroups.remove_leaf(&lease, leaf.as_str())
        }
    };
    async move { mesh.blocking("removing a cgroup", remove).await }
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
