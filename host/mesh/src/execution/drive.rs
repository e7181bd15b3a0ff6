//! The driver of one execution: room → worker in its leaf → end → what the kernel counted → perhaps again → final record.
//!
//! Exactly one driver owns an execution. It alone writes its record, and it writes the final one in the same commit
//! that ends the lease made for it. Whatever happens to the worker, the driver ends with a final record; only a node
//! that dies first leaves that to its next start (`reconcile`).
//!
//! * `begin`: what a worker is given · `watch`: waiting for its end, and ending it · `finish`: what came of it

use super::begin::begin;
use super::finish::{Concluded, conclude, finish};
use super::supervision::Driven;
use super::watch::{End, Watched, watch};
use crate::Mesh;
use crate::error::MeshError;
use crate::workers::Slot;
use hypermesh_model::{
    Attempt, Cause, EventKind, Execution, ExecutionStatus, Lease, LeaseStatus, Timestamp, error_chain,
};
use hypermesh_sandbox::{PidFd, ProcessId};
use std::time::Duration;

/// Where a driver begins.
#[derive(Debug)]
pub(crate) enum Begin {
    /// From the start, in a lease that waits, is pending or active.
    Fresh {
        /// The lease.
        lease: Box<Lease>,
        /// A worker that is parked in its groups already.
        slot: Option<Box<Slot>>,
    },
    /// With a worker that an earlier run of the node started.
    Adopted {
        /// The worker.
        worker: ProcessId,
    },
}

/// Drives an execution to its end.
pub(crate) async fn drive(mesh: Mesh, mut execution: Execution, mut driven: Driven, begin: Begin) {
    let concluded = run(&mesh, &mut execution, &mut driven, begin).await.unwrap_or_else(|error| {
        tracing::error!(execution = %execution.id, error = error_chain(&error), "an execution could not be run");
        Concluded::of(Cause::WorkerLost { detail: said(&error) })
    });
    if let Err(error) = finish(&mesh, &mut execution, concluded).await {
        // The record stays as it is; the next start finds an execution without driver and finishes it.
        tracing::error!(execution = %execution.id, error = error_chain(&error), "an end could not be recorded");
    }
    mesh.supervision.leave(&execution.id);
    mesh.metrics.executions(execution.status).inc();
    tracing::debug!(execution = %execution.id, lease = %execution.lease_id, "driver done");
}

/// What a caller may know of an error.
fn said(error: &MeshError) -> String {
    match error {
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
    }
}

async fn run(
    mesh: &Mesh,
    execution: &mut Execution,
    driven: &mut Driven,
    from: Begin,
) -> Result<Concluded, MeshError> {
    let (mut lease, mut slot, mut adopted) = match from {
        Begin::Fresh { lease, slot } => match room(mesh, driven, *lease).await? {
            Ok(lease) => (lease, slot, None),
            Err(cause) => return Ok(Concluded::of(cause)),
        },
        Begin::Adopted { worker } => (mesh.lease(&execution.lease_id)?, None, Some(worker)),
    };
    loop {
        let end = match adopted.take() {
            Some(worker) => match PidFd::open(&worker) {
                Ok(pidfd) => watch(mesh, execution, driven, Watched::adopted(pidfd)).await,
                Err(_) => End::lost("the worker ended while the node was down"),
            },
            None => {
                if let Some(cause) = driven.stopped() {
                    return Ok(Concluded::of(cause));
                }
                let worker = begin(mesh, execution, driven, &mut lease, slot.take()).await?;
                watch(mesh, execution, driven, worker).await
            }
        };
        let concluded = conclude(mesh, execution, &lease, end).await?;
        let tries = u32::try_from(execution.attempts.len()).unwrap_or(u32::MAX).saturating_add(1);
        let (Some(cause), Some(seconds)) = (concluded.failed(), execution.request.retries.wait_after(tries))
        else {
            return Ok(concluded);
        };
        record_attempt(mesh, execution, &concluded, cause, seconds).await?;
        if let Some(cause) = driven.stopped_within(Duration::from_secs(seconds)).await {
            return Ok(Concluded::of(cause));
        }
        execution.retry_at = None;
    }
}

/// Waits until the lease has room, if it has to wait. A cause when it never gets any.
async fn room(mesh: &Mesh, driven: &mut Driven, lease: Lease) -> Result<Result<Lease, Cause>, MeshError> {
    if lease.status != LeaseStatus::Queued {
        return Ok(Ok(lease));
    }
    let mut events = mesh.events().subscribe();
    loop {
        let now = mesh.lease(&lease.id)?;
        match now.status {
            LeaseStatus::Active => return Ok(Ok(now)),
            LeaseStatus::Queued | LeaseStatus::Reserved | LeaseStatus::Pending | LeaseStatus::Frozen => {}
            LeaseStatus::Completed | LeaseStatus::Cancelled | LeaseStatus::Failed => {
                return Ok(Err(Cause::LeaseEnded { lease: now.id }));
            }
        }
        tokio::select! {
            // One that was missed is made up for by looking again.
            _ = events.recv() => {}
            cause = driven.stopped_some_time() => return Ok(Err(cause)),
        }
    }
}

/// Notes a try that failed, gives its leaf back, and says when the next one is.
async fn record_attempt(
    mesh: &Mesh,
    execution: &mut Execution,
    concluded: &Concluded,
    cause: Cause,
    seconds: u64,
) -> Result<(), MeshError> {
    let leaf = std::mem::take(&mut execution.leaf);
    mesh.remove_leaf(&execution.lease_id, &leaf).await?;
    execution.attempts.push(Attempt {
        started_at: execution.started_at.take(),
        ended_at: Timestamp::now(),
        exit_code: concluded.exit_code,
        cause,
        usage: concluded.usage.clone(),
    });
    execution.running_at = None;
    execution.worker = None;
    execution.status = ExecutionStatus::Queued;
    execution.retry_at = Some(Timestamp::now().plus_seconds(seconds));
    super::record(mesh, execution, EventKind::ExecutionRetried).await
}
