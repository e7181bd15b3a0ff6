//! Waiting for a worker's end, and ending it at a limit or when told.

use super::supervision::Driven;
use super::worker::RUNNING;
use super::{network, record};
use crate::Mesh;
use crate::error::MeshError;
use crate::ready::{has_ended, readable};
use hypermesh_model::{Cause, EventKind, Execution, ExecutionStatus, Timestamp, error_chain};
use hypermesh_sandbox::{FromWorker, PidFd, Worker, WorkerExit};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// The shortest time between two looks at the CPU time, which the kernel only tells when asked.
const CPU_POLL: Duration = Duration::from_millis(10);
/// A guest that ends within this is recorded once, at its end, and not as running before.
const SHORT: Duration = Duration::from_millis(10);
/// How long an ended worker's exit code is waited for: the zygote tells it right after the kernel told us.
const EXIT_CODE: Duration = Duration::from_secs(1);

/// A worker that runs.
pub(super) struct Watched {
    process: Process,
    /// How it ended, from the zygote; gone for one that an earlier run of the node started.
    ended: Option<oneshot::Receiver<WorkerExit>>,
    /// Whether it may still say something.
    speaks: bool,
    /// Where it may connect to.
    allowed: Vec<SocketAddr>,
}

/// A worker's process.
pub(crate) enum Process {
    /// With its link in the runtime's epoll.
    Child(AsyncFd<Worker>),
    /// An earlier run of the node started it.
    Adopted(PidFd),
}

/// How a worker ended.
pub(super) struct End {
    pub(super) exit_code: Option<i32>,
    /// What it was killed for, if the driver killed it.
    pub(super) killed_for: Option<Cause>,
    pub(super) detail: String,
}

impl End {
    /// Without anybody knowing more.
    pub(super) fn lost(detail: &str) -> Self {
        Self { exit_code: None, killed_for: None, detail: detail.to_owned() }
    }
}

impl Watched {
    pub(super) fn adopted(pidfd: PidFd) -> Self {
        Self { process: Process::Adopted(pidfd), ended: None, speaks: false, allowed: Vec::new() }
    }

    pub(super) fn new(
        worker: Worker,
        ended: oneshot::Receiver<WorkerExit>,
        allowed: Vec<SocketAddr>,
    ) -> Result<Self, MeshError> {
        Ok(Self { process: Process::child(worker)?, ended: Some(ended), speaks: true, allowed })
    }
}

impl Process {
    /// One that was just given its job.
    ///
    /// # Errors
    /// When the runtime can't watch it.
    pub(crate) fn child(worker: Worker) -> Result<Self, MeshError> {
        readable(worker).map(Self::Child).map_err(|e| MeshError::internal("watching a worker")(Box::new(e)))
    }

    pub(crate) fn pidfd(&self) -> &PidFd {
        match self {
            Self::Child(worker) => worker.get_ref().pidfd(),
            Self::Adopted(pidfd) => pidfd,
        }
    }

    /// Answers its network calls, which come on `listener`, until it has ended.
    pub(crate) fn serve_network(&self, listener: OwnedFd, allowed: Vec<SocketAddr>) {
        if let Self::Child(worker) = self {
            network::serve(worker.get_ref(), listener, allowed);
        }
    }

    /// Becomes ready when it has ended: with its exit, where that is known.
    pub(crate) async fn exited(
        &self,
        told: &mut Option<oneshot::Receiver<WorkerExit>>,
    ) -> Option<WorkerExit> {
        if let Some(receiver) = told {
            let exit = receiver.await.ok();
            *told = None;
            if exit.is_some_and(|exit| exit != WorkerExit::default()) {
                return exit;
            }
        }
        if let Err(error) = has_ended(self.pidfd()).await {
            tracing::warn!(%error, "a worker can't be watched; it is killed");
        }
        None
    }

    /// What it says next; never again after it said that it ends.
    pub(crate) async fn hear(&self) -> FromWorker {
        let Self::Child(worker) = self else { return std::future::pending().await };
        loop {
            let Ok(mut ready) = worker.readable().await else { return FromWorker::Ended };
            match ready.get_inner().receive() {
                Ok(Some(said)) => return said,
                Ok(None) => ready.clear_ready(),
                Err(error) => {
                    tracing::warn!(%error, "a worker said what no worker says");
                    return FromWorker::Ended;
                }
            }
        }
    }
}

/// Waits for the worker's end, and kills it at a limit or when told.
pub(super) async fn watch(
    mesh: &Mesh,
    execution: &mut Execution,
    driven: &mut Driven,
    worker: Watched,
) -> End {
    let Watched { process, mut ended, mut speaks, mut allowed } = worker;
    let limit = Duration::from_secs(execution.request.timeout_seconds);
    let begun = execution.started_at.unwrap_or_else(Timestamp::now);
    let deadline = Instant::now() + limit.saturating_sub(begun.until(Timestamp::now()));
    let mut cpu_look = Instant::now();
    let mut recorded = Recording::default();
    let (mut exit, mut killed_for) = (None, None);
    loop {
        tokio::select! {
            biased;
            how = process.exited(&mut ended) => {
                exit = Some(how);
                break;
            }
            said = process.hear(), if speaks => match said {
                FromWorker::Said(RUNNING) => {
                    execution.status = ExecutionStatus::Running;
                    execution.running_at = Some(Timestamp::now());
                    recorded.due = Some(Instant::now() + SHORT);
                }
                FromWorker::Said(_) => {}
                FromWorker::Listener(listener) => {
                    process.serve_network(listener, std::mem::take(&mut allowed));
                }
                FromWorker::Ended => speaks = false,
            },
            cause = driven.stopped_some_time() => {
                killed_for = Some(cause);
                break;
            }
            () = tokio::time::sleep_until(deadline) => {
                killed_for = Some(Cause::WallTime { limit_seconds: execution.request.timeout_seconds });
                break;
            }
            () = recorded.due() => recorded.begin(mesh, execution),
            () = tokio::time::sleep_until(cpu_look), if execution.request.cpu_limit_seconds.is_some() => {
                match cpu_left(mesh, execution) {
                    Ok(left) => cpu_look = Instant::now() + left.max(CPU_POLL),
                    Err(cause) => {
                        killed_for = Some(cause);
                        break;
                    }
                }
            }
        }
    }
    if exit.is_none() {
        kill(mesh, execution, process.pidfd()).await;
        exit = tokio::time::timeout(EXIT_CODE, process.exited(&mut ended)).await.ok();
    }
    recorded.ended().await;
    let (exit_code, detail) = match exit.flatten() {
        Some(exit) => (exit.code, format!("the worker ended with {exit}")),
        None => (None, "nobody saw how the worker ended".to_owned()),
    };
    End { exit_code, killed_for, detail }
}

/// The record of a running guest, which nobody waits for: a short guest would be done before its start is on disk.
#[derive(Default)]
struct Recording {
    due: Option<Instant>,
    begun: Option<tokio::task::JoinHandle<Result<(), MeshError>>>,
}

impl Recording {
    async fn due(&self) {
        match self.due {
            Some(due) => tokio::time::sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    fn begin(&mut self, mesh: &Mesh, execution: &Execution) {
        self.due = None;
        let (mesh, now) = (mesh.clone(), execution.clone());
        self.begun =
            Some(tokio::spawn(async move { record(&mesh, &now, EventKind::ExecutionRunning).await }));
    }

    async fn ended(self) {
        if let Some(begun) = self.begun {
            // Its own error is in the log; the final record tells the same again.
            let _ = begun.await;
        }
    }
}

/// How much CPU time is left, at least; the cause when none is.
fn cpu_left(mesh: &Mesh, execution: &Execution) -> Result<Duration, Cause> {
    let limit_ms = execution.request.cpu_limit_seconds.unwrap_or(u64::MAX).saturating_mul(1000);
    let usage = mesh.cgroups.usage(&execution.lease_id, Some(execution.leaf.as_str())).ok();
    let used_ns =
        usage.and_then(|usage| usage.cpu_time_ns).unwrap_or(0).saturating_sub(execution.cpu_before_ns);
    let used_ms = used_ns / 1_000_000;
    if used_ms >= limit_ms {
        Err(Cause::CpuTime { limit_ms, used_ms })
    } else {
        Ok(Duration::from_millis(limit_ms - used_ms))
    }
}

/// Kills the worker and whatever else is in its leaf, and waits until it is gone.
async fn kill(mesh: &Mesh, execution: &Execution, worker: &PidFd) {
    // Without cgroups the descriptor is all there is.
    let _ = worker.kill();
    let (lease, leaf) = (execution.lease_id.clone(), execution.leaf.clone());
    let killed =
        mesh.blocking("killing a worker", move |mesh| mesh.cgroups.kill(&lease, Some(leaf.as_str()))).await;
    if let Err(error) = killed {
        tracing::error!(execution = %execution.id, error = error_chain(&error), "a worker could not be killed");
    }
    let _ = tokio::time::timeout(Duration::from_secs(5), has_ended(worker)).await;
}
