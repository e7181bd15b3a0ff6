//! The driver of one request: it owns the worker from its order to its end.
//!
//! ```text
//! given ──its guest ends──────────────▶ ended, or failed with a cause
//!   ├──time is over───────────────────▶ killed
//!   ├──the caller goes away───────────▶ killed
//!   └──the service or the node stops──▶ killed
//! ```
//! Whatever becomes of the caller, the worker is ended, what it logged is in the log, what the kernel counted is added to
//! the service. Then the turn goes back; the leaf is removed after that, when nobody waits.

use super::give::{Left, MAX_LOG};
use super::lines::Lines;
use super::live::{Live, Stop};
use super::request::ExchangeEnd;
use super::turns::Turn;
use crate::Mesh;
use crate::error::MeshError;
use crate::execution::{Process, read_outcome};
use hypermesh_engine::JobOutcome;
use hypermesh_model::{Bytes, Cause, LeaseId, LogLine, error_chain};
use hypermesh_sandbox::{FromWorker, GroupUsage, Worker, WorkerExit};
use std::fs::File;
use std::io::{self, Read, Seek};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

/// The worker's own words.
const MAX_STDERR: u64 = 4096;
/// Bytes of a log that are read at once.
const PIECE: usize = 16 << 10;
/// How long a killed worker's exit is waited for: the zygote tells it right after the kernel told it.
const KILLED: Duration = Duration::from_secs(5);

/// Where a worker is.
pub(super) struct Place {
    pub(super) lease: LeaseId,
    pub(super) leaf: String,
    /// CPU time that its leaf had used before it got its order, in nanoseconds.
    pub(super) cpu_before_ns: u64,
}

impl Place {
    /// Kills what is left in the leaf and removes it.
    pub(super) async fn remove(&self, mesh: &Mesh) {
        if let Err(error) = mesh.remove_leaf(&self.lease, &self.leaf).await {
            tracing::debug!(lease = %self.lease, error = error_chain(&error), "a request's leaf went with its lease");
        }
    }

    async fn counted(&self, mesh: &Mesh) -> GroupUsage {
        let (lease, leaf) = (self.lease.clone(), self.leaf.clone());
        let read =
            mesh.blocking("reading usage", move |mesh| mesh.cgroups.usage(&lease, Some(leaf.as_str())));
        // With its lease gone there is nothing to count any more.
        read.await.unwrap_or_default()
    }
}

/// What a driver knows of its request.
pub(super) struct Driver {
    pub(super) mesh: Mesh,
    pub(super) live: Arc<Live>,
    pub(super) turn: Turn,
    pub(super) place: Place,
    /// The lease's memory.
    pub(super) memory: Bytes,
    pub(super) limit_seconds: u64,
    /// Where the guest may connect to.
    pub(super) allowed: Vec<SocketAddr>,
    /// Hears that the whole answer has come; its other end's drop says that nobody wants it.
    pub(super) answered: oneshot::Receiver<()>,
    pub(super) tell_end: oneshot::Sender<ExchangeEnd>,
}

/// Why a worker was killed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Killed {
    TimeOver,
    Abandoned,
    Stopped,
}

/// How the worker ended.
struct End {
    exit: Option<WorkerExit>,
    killed: Option<Killed>,
    dropped_log_lines: u64,
}

/// Drives a request to its end.
pub(super) async fn drive(
    mut driver: Driver,
    worker: Worker,
    ended: oneshot::Receiver<WorkerExit>,
    left: Left,
) {
    let Left { log, outcome, stderr } = left;
    let log = LogReader { pipe: pipe::Receiver::from_owned_fd(log.into()).ok(), lines: Lines::new(MAX_LOG) };
    let end = match Process::child(worker) {
        Ok(process) => driver.watch(&process, ended, log).await,
        Err(error) => {
            tracing::error!(error = error_chain(&error), "a request's worker can't be watched; it is killed");
            End { exit: None, killed: None, dropped_log_lines: 0 }
        }
    };
    let counted = driver.place.counted(&driver.mesh).await;
    let (kind, told) = driver.judge(&end, outcome, stderr, &counted);
    let cpu_ns = counted.cpu_time_ns.map(|ns| ns.saturating_sub(driver.place.cpu_before_ns));
    driver.live.change(|service| {
        service.usage.add(kind.as_deref(), cpu_ns);
        service.usage.dropped_log_lines += end.dropped_log_lines;
    });
    let Driver { mesh, turn, place, tell_end, .. } = driver;
    // A caller that has gone needs no news.
    let _ = tell_end.send(told);
    drop(turn);
    place.remove(&mesh).await;
}

impl Driver {
    /// Waits for the worker's end, and kills it when it may not go on.
    async fn watch(
        &mut self,
        process: &Process,
        ended: oneshot::Receiver<WorkerExit>,
        mut log: LogReader,
    ) -> End {
        let deadline = Instant::now() + Duration::from_secs(self.limit_seconds);
        let mut stop = self.live.stop.subscribe();
        let (mut ended, mut speaks, mut answered, mut killed) = (Some(ended), true, false, None);
        let mut exit = loop {
            tokio::select! {
                biased;
                how = process.exited(&mut ended) => break how,
                lines = log.next(), if log.pipe.is_some() => self.keep(lines).await,
                told = &mut self.answered, if !answered => match told {
                    Ok(()) => answered = true,
                    Err(_) => killed = Some(Killed::Abandoned),
                },
                said = process.hear(), if speaks => match said {
                    FromWorker::Said(_) => {}
                    FromWorker::Listener(listener) => {
                        process.serve_network(listener, std::mem::take(&mut self.allowed));
                    }
                    FromWorker::Ended => speaks = false,
                },
                () = stopped(&mut stop) => killed = Some(Killed::Stopped),
                () = tokio::time::sleep_until(deadline) => killed = Some(Killed::TimeOver),
            }
            if killed.is_some() {
                break None;
            }
        };
        if killed.is_some() {
            // It is gone, or ends now.
            let _ = process.pidfd().kill();
            exit = tokio::time::timeout(KILLED, process.exited(&mut ended)).await.ok().flatten();
        }
        // What it wrote before it ended is in the pipe, which ends with it.
        let rest = async {
            while log.pipe.is_some() {
                let lines = log.next().await;
                self.keep(lines).await;
            }
        };
        if tokio::time::timeout(KILLED, rest).await.is_err() {
            tracing::warn!(lease = %self.place.lease, "the log of a request does not end");
        }
        let (last, dropped_log_lines) = log.lines.finish();
        self.keep(last.into_iter().collect()).await;
        End { exit, killed, dropped_log_lines }
    }

    async fn keep(&self, lines: Vec<LogLine>) {
        if lines.is_empty() {
            return;
        }
        let live = Arc::clone(&self.live);
        let kept = self.mesh.blocking_mesh(move |_| {
            live.log.append(&lines).map_err(|e| MeshError::internal("writing a service's log")(Box::new(e)))
        });
        if let Err(error) = kept.await {
            tracing::warn!(error = error_chain(&error), "log lines of a service are lost");
        }
    }

    /// What went wrong, if something did, in one word and for the caller.
    fn judge(
        &self,
        end: &End,
        outcome: File,
        stderr: File,
        counted: &GroupUsage,
    ) -> (Option<String>, ExchangeEnd) {
        let failed = |cause: Cause| (Some(kind_of(&cause)), ExchangeEnd::Failed(cause));
        match &end.killed {
            Some(Killed::TimeOver) => {
                return failed(Cause::WallTime { limit_seconds: self.limit_seconds });
            }
            Some(Killed::Abandoned) => return (Some("abandoned".to_owned()), ExchangeEnd::Ended),
            Some(Killed::Stopped) => return (Some("stopped".to_owned()), ExchangeEnd::Stopped),
            None => {}
        }
        match from_start(outcome).and_then(read_outcome).map(|outcome| outcome.ended) {
            Some(JobOutcome::Failed { cause, .. }) => failed(cause),
            // Whether the last of the answer arrives the caller sees.
            Some(JobOutcome::Completed { .. }) => (None, ExchangeEnd::Ended),
            None if counted.oom_kills.unwrap_or(0) > 0 => failed(Cause::OutOfMemory { limit: self.memory }),
            Some(JobOutcome::Described(_)) | None => {
                let how = end.exit.map_or_else(|| "an unknown end".to_owned(), |exit| exit.to_string());
                let detail = format!("the worker ended with {how} {}", words(stderr));
                failed(Cause::WorkerLost { detail: detail.trim().to_owned() })
            }
        }
    }
}

/// Becomes ready when requests are told to stop.
async fn stopped(stop: &mut watch::Receiver<Stop>) {
    // The sender can't be dropped: the driver holds it.
    let _ = stop.wait_for(|stop| *stop != Stop::Not).await;
}

/// The name of a cause on the wire.
fn kind_of(cause: &Cause) -> String {
    let value = serde_json::to_value(cause).unwrap_or_default();
    value["kind"].as_str().unwrap_or("unknown").to_owned()
}

fn from_start(mut file: File) -> Option<File> {
    file.rewind().ok().map(|()| file)
}

fn words(stderr: File) -> String {
    let mut text = Vec::new();
    let read = from_start(stderr).map(|file| file.take(MAX_STDERR).read_to_end(&mut text));
    // What can't be read is not there.
    if !matches!(read, Some(Ok(_))) {
        text.clear();
    }
    String::from_utf8_lossy(&text).trim().to_owned()
}

/// The worker's end of the log, made to lines.
struct LogReader {
    /// `None` at its end.
    pipe: Option<pipe::Receiver>,
    lines: Lines,
}

impl LogReader {
    /// What came next; safe to be given up.
    async fn next(&mut self) -> Vec<LogLine> {
        let Some(pipe) = &mut self.pipe else { return Vec::new() };
        let mut bytes = [0; PIECE];
        match pipe.read(&mut bytes).await {
            Ok(count) if count > 0 => self.lines.push(&bytes[..count]),
            Ok(_) => {
                self.pipe = None;
                Vec::new()
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::Interrupted {
                    self.pipe = None;
                }
                Vec::new()
            }
        }
    }
}
