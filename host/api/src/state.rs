//! What handlers share: the domain, the edge's configuration, and the few things that only this layer bounds.

use crate::config::ApiConfig;
use crate::problem::{Draft, Kind};
use hypermesh_mesh::Mesh;
use hypermesh_model::Subject;
use hypermesh_telemetry::Metrics;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// Uploads at the same time: each writes to the same disk, and more would only slow each other down.
const MAX_UPLOADS: usize = 8;

/// Event streams at the same time: a few dashboards and CLIs; each holds a connection for as long as it likes.
const MAX_EVENT_STREAMS: usize = 64;

/// TrustChain, as the other services see it. Asked for each request that needs to know, so that a revocation counts at
/// once.
pub trait Identify: Send + Sync {
    /// `healthy`, `degraded` or `not_built`.
    fn service(&self) -> &'static str;

    /// The subject that the certificate stands for; `None` for one that isn't ours, isn't valid now, or was revoked.
    fn identify(&self, certificate: &[u8]) -> Option<Subject>;
}

/// Nobody.
struct Unknown;

impl Identify for Unknown {
    fn service(&self) -> &'static str {
        crate::convert::nodes::NOT_BUILT
    }

    fn identify(&self, _: &[u8]) -> Option<Subject> {
        None
    }
}

/// Who knows client certificates.
#[derive(Clone)]
pub(crate) struct Clients(pub(crate) Arc<dyn Identify>);

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clients(…)")
    }
}

/// Shared by all handlers. Cheap to clone.
#[derive(Clone)]
pub struct ApiState {
    pub(crate) mesh: Mesh,
    pub(crate) metrics: Metrics,
    pub(crate) config: Arc<ApiConfig>,
    /// Where this node's API is reached, e.g. `http://127.0.0.1:8446`.
    pub(crate) address: Arc<str>,
    pub(crate) started: Instant,
    /// Ends event streams and waits, so that a node that stops does not wait for its listeners.
    pub(crate) closing: CancellationToken,
    pub(crate) clients: Clients,
    uploads: Arc<Semaphore>,
    streams: Arc<Semaphore>,
}

impl ApiState {
    /// `address` is where this node's API is reached, e.g. `http://127.0.0.1:8446`. `closing` is cancelled when the node
    /// begins to stop: it ends event streams and waits.
    pub fn new(
        mesh: Mesh,
        metrics: Metrics,
        config: ApiConfig,
        address: impl Into<String>,
        closing: CancellationToken,
    ) -> Self {
        Self {
            mesh,
            metrics,
            config: Arc::new(config),
            address: address.into().into(),
            started: Instant::now(),
            closing,
            clients: Clients(Arc::new(Unknown)),
            uploads: Arc::new(Semaphore::new(MAX_UPLOADS)),
            streams: Arc::new(Semaphore::new(MAX_EVENT_STREAMS)),
        }
    }

    /// The same, with somebody who knows client certificates.
    #[must_use]
    pub fn with_clients(self, clients: Arc<dyn Identify>) -> Self {
        Self { clients: Clients(clients), ..self }
    }

    /// The right to receive a file, as long as it is held.
    pub(crate) fn begin_upload(&self) -> Result<OwnedSemaphorePermit, Draft> {
        take(&self.uploads, "too many uploads at the same time")
    }

    /// The right to follow events, as long as it is held.
    pub(crate) fn begin_stream(&self) -> Result<OwnedSemaphorePermit, Draft> {
        take(&self.streams, "too many listeners at the same time")
    }
}

fn take(semaphore: &Arc<Semaphore>, why: &str) -> Result<OwnedSemaphorePermit, Draft> {
    Arc::clone(semaphore).try_acquire_owned().map_err(|_| Draft::new(Kind::Unavailable, why))
}
