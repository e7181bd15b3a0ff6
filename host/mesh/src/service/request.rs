//! One request: a worker from the lease's pool answers it on a socket, and is ended when it may not go on.
//!
//! ```text
//! given ──its guest ends──────────────▶ ended, answered or failed
//!   ├──time is over───────────────────▶ killed
//!   ├──the caller goes away───────────▶ killed
//!   └──the service or the node stops──▶ killed
//! ```
//! A driver task owns the worker from its order to its end, so that it is ended and counted whatever becomes of the
//! caller; the caller holds an [`Exchange`], whose drop means that nobody wants the answer any more. The turn goes back
//! when the process has ended; its leaf is removed after that, when nobody waits.

use super::give::{Given, Kept, MAX_LOG, give};
use super::lines::Lines;
use super::live::{Live, Stop};
use super::turns::{NoTurn, Turn};
use crate::Mesh;
use crate::error::MeshError;
use crate::execution::{Outcome, Watched, WorkerEnd, read_outcome, resolve};
use crate::workers::Slot;
use hypermesh_engine::{JobOutcome, Profile};
use hypermesh_model::{Cause, ExecutionId, LeaseId, LeaseStatus, ServiceName, ServiceStatus, error_chain};
use hypermesh_sandbox::FromWorker;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// How long a request waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);
/// The worker's own words.
const MAX_STDERR: u64 = 4096;
/// Bytes of a log that are read at once.
const PIECE: usize = 16 << 10;

/// How a request ended, as its caller needs to know.
#[derive(Debug, Clone, PartialEq)]
pub enum ExchangeEnd {
    /// The guest ended without a complaint.
    Ended,
    /// The guest failed, or was killed at a limit.
    Failed(Cause),
    /// The service ended, or the node stops.
    Stopped,
}

/// A guest that answers one request, for whoever passes that on. Dropping it ends the guest, unless all was answered.
#[derive(Debug)]
pub struct Exchange {
    connection: Option<std::os::unix::net::UnixStream>,
    answered: Option<oneshot::Sender<()>>,
    end: oneshot::Receiver<ExchangeEnd>,
    max_body: u64,
}

impl Exchange {
    /// The socket, on which the guest takes one HTTP/1.1 request and answers it; once.
    ///
    /// # Errors
    /// When it was taken already, or the runtime can't watch it.
    pub fn connection(&mut self) -> Result<UnixStream, MeshError> {
        let taken = || io::Error::other("the connection was taken already");
        self.connection
            .take()
            .ok_or_else(taken)
            .and_then(UnixStream::from_std)
            .map_err(|e| MeshError::internal("watching a connection")(Box::new(e)))
    }

    /// The longest body of request and answer, in bytes.
    pub fn max_body(&self) -> u64 {
        self.max_body
    }

    /// The whole answer has come. The guest may go on to its end, within its time.
    pub fn answered(&mut self) {
        if let Some(tell) = self.answered.take() {
            // A driver that has ended needs no news.
            let _ = tell.send(());
        }
    }

    /// Waits for the guest's end.
    pub async fn end(&mut self) -> ExchangeEnd {
        let lost = || ExchangeEnd::Failed(Cause::WorkerLost { detail: "nobody saw how it ended".into() });
        (&mut self.end).await.unwrap_or_else(|_| lost())
    }
}

impl Mesh {
    /// Waits for a turn and gives a worker to one request.
    ///
    /// # Errors
    /// [`MeshError::NotFound`] for a service that is not there or has ended; [`MeshError::Busy`] when too many wait, the
    /// turn doesn't come in time, the lease is stopped or ends, or the node stops; faults of the node.
    pub async fn begin_exchange(&self, name: &ServiceName) -> Result<Exchange, MeshError> {
        let live = self.services.get(name)?;
        let turn = live.turns.take(PATIENCE).await.map_err(|none| self.no_turn(&live, name, none))?;
        // From here on it is finished even if the caller hangs up: then its exchange is dropped, which ends the guest.
        let (mesh, name) = (self.clone(), name.clone());
        self.spawned(async move { mesh.give_worker(live, &name, turn).await }).await?
    }

    fn no_turn(&self, live: &Live, name: &ServiceName, none: NoTurn) -> MeshError {
        let detail = match none {
            NoTurn::Closed if live.record().status == ServiceStatus::Ended => {
                return MeshError::not_found("service", name);
            }
            NoTurn::Closed => format!("service `{name}` is stopping"),
            NoTurn::Full | NoTurn::TooLong => {
                live.change(|service| service.usage.turned_away += 1);
                let waiting = live.turns.waiting();
                format!("service `{name}` is busy: {} requests run, {waiting} wait", live.turns.running())
            }
        };
        MeshError::Busy { detail }
    }

    async fn give_worker(&self, live: Arc<Live>, name: &ServiceName, turn: Turn) -> Result<Exchange, MeshError> {
        let service = live.record();
        let lease = self.lease(&service.lease_id)?;
        if lease.status != LeaseStatus::Active {
            let detail = format!("allocation `{}` of service `{name}` is not active now", lease.id);
            return Err(MeshError::Busy { detail });
        }
        let package = self.package(&service.package)?;
        let artefact = self.compiled(&package.digest, Profile::Plain).await?;
        let network = resolve(&service.terms.network).await?;
        let max_body = service.terms.max_body.0;
        let limit = service.terms.timeout_seconds;
        let (grants, granting) = (network.clone(), lease.clone());
        let given =
            self.blocking_mesh(move |mesh| give(mesh, &service, &granting, artefact, &grants)).await?;
        let mut slot = self.slot_in(&lease).await?;
        let mut retry = true;
        let (worker, ended) = loop {
            let Slot { leaf, parked, ended, cpu_before_ns, .. } = slot;
            match parked.start(&given.order, &given.job, &given.fds.borrowed()) {
                Ok(worker) => {
                    slot_of(&lease.id, leaf, cpu_before_ns);
                    break (worker, ended);
                }
                // Whatever ended it while it was parked: one that was just made has not waited for that.
                Err(error) if retry => {
                    tracing::warn!(service = %name, error = error_chain(&error), "a parked worker was gone");
                    self.remove_leaf(&lease.id, &leaf).await;
                    retry = false;
                    slot = self.make_slot(&lease.id, ExecutionId::generate().to_string()).await?;
                }
                Err(error) => {
                    self.remove_leaf(&lease.id, &leaf).await;
                    return Err(MeshError::internal("giving a worker its job")(Box::new(error)));
                }
            }
        };
        todo!()
    }
}
