//! One request: its turn, its worker, and what its caller holds of it.
//!
//! The caller gets an [`Exchange`]: a socket, and news of the guest's end. Its drop means that nobody wants the answer any
//! more. The worker itself is owned by a task of its own (`drive`).

use super::drive::{Driver, Place, drive};
use super::give::{Given, give};
use super::live::Live;
use super::turns::{NoTurn, Turn};
use crate::Mesh;
use crate::error::MeshError;
use crate::execution::resolve;
use crate::workers::Slot;
use hypermesh_engine::Profile;
use hypermesh_model::{Cause, ExecutionId, Lease, LeaseStatus, ServiceName, ServiceStatus, error_chain};
use hypermesh_sandbox::{Worker, WorkerExit};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::sync::oneshot;

/// How long a request waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

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
        let turn = live.turns.take(PATIENCE).await.map_err(|none| no_turn(&live, none))?;
        // From here on it is finished even if the caller hangs up: then its exchange is dropped, which ends the guest.
        let mesh = self.clone();
        self.spawned(async move { mesh.give_request(live, turn).await }).await?
    }

    async fn give_request(&self, live: Arc<Live>, turn: Turn) -> Result<Exchange, MeshError> {
        let service = live.record();
        let lease = self.lease(&service.lease_id)?;
        if lease.status != LeaseStatus::Active {
            let detail = format!("allocation `{}` of service `{}` is not active now", lease.id, service.name);
            return Err(MeshError::Busy { detail });
        }
        let package = self.package(&service.package)?;
        let artefact = self.compiled(&package.digest, Profile::Plain).await?;
        let network = resolve(&service.terms.network).await?;
        let (max_body, limit_seconds) = (service.terms.max_body.0, service.terms.timeout_seconds);
        let (grants, granting) = (network.clone(), lease.clone());
        let grants_folders = lease.grant.storage.is_some() || !service.terms.folders.is_empty();
        let zygote = if grants_folders { Some(self.zygote().await?) } else { None };
        let given = self
            .blocking_mesh(move |mesh| give(mesh, &service, &granting, artefact, &grants, zygote.as_ref()))
            .await?;
        let (worker, ended, place) = self.start_request(&lease, &given).await?;
        // The worker has its ends; with ours closed, its own are the last.
        let Given { connection, left, .. } = given;
        let (answered, hears_answered) = oneshot::channel();
        let (tell_end, end) = oneshot::channel();
        let allowed = network.into_iter().flat_map(|(_, _, addresses)| addresses).collect();
        let driver = Driver {
            mesh: self.clone(),
            live,
            turn,
            place,
            memory: lease.grant.memory.unwrap_or_default(),
            limit_seconds,
            allowed,
            answered: hears_answered,
            tell_end,
        };
        tokio::spawn(drive(driver, worker, ended, left));
        Ok(Exchange { connection: Some(connection), answered: Some(answered), end, max_body })
    }

    async fn start_request(
        &self,
        lease: &Lease,
        given: &Given,
    ) -> Result<(Worker, oneshot::Receiver<WorkerExit>, Place), MeshError> {
        let mut slot = self.slot_in(lease).await?;
        for retry in [true, false] {
            let Slot { leaf, parked, ended, cpu_before_ns, .. } = slot;
            let place = Place { lease: lease.id.clone(), leaf, cpu_before_ns };
            match parked.start(&given.order, &given.job, &given.fds.borrowed()) {
                Ok(worker) => return Ok((worker, ended, place)),
                // Whatever ended it while it was parked: one that was just made has not waited for that.
                Err(error) if retry => {
                    tracing::warn!(lease = %lease.id, error = error_chain(&error), "a parked worker was gone");
                    place.remove(self).await;
                    slot = self.make_slot(&lease.id, ExecutionId::generate().to_string()).await?;
                }
                Err(error) => {
                    place.remove(self).await;
                    return Err(MeshError::internal("giving a worker its job")(Box::new(error)));
                }
            }
        }
        unreachable!("the second try returns")
    }
}

fn no_turn(live: &Live, none: NoTurn) -> MeshError {
    let service = live.record();
    match none {
        NoTurn::Closed if service.status == ServiceStatus::Ended => {
            MeshError::not_found("service", service.name)
        }
        NoTurn::Closed => MeshError::Busy { detail: format!("service `{}` is stopping", service.name) },
        NoTurn::Full | NoTurn::TooLong => {
            live.change(|service| service.usage.turned_away += 1);
            let (running, waiting) = (live.turns.running(), live.turns.waiting());
            let detail =
                format!("service `{}` is busy: {running} requests run, {waiting} wait", service.name);
            MeshError::Busy { detail }
        }
    }
}
