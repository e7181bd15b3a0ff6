//! What the handlers of port 8444 share: what all services share, and the domain.

use crate::problem::Draft;
use crate::state::ApiState;
use crate::traffic::Traffic;
use axum::extract::FromRef;
use hypermesh_trustchain::{TrustChain, TrustError};
use std::net::SocketAddr;

/// Where and how the service listens.
#[derive(Debug, Clone)]
pub struct Listening {
    /// The address that is bound.
    pub address: SocketAddr,
    /// Whether TLS is spoken there.
    pub tls: bool,
    /// Where others reach it, without a slash at the end.
    pub base_url: String,
    /// The zone that the node answers for.
    pub zone: String,
}

/// Shared by all handlers of port 8444. Cheap to clone.
#[derive(Clone)]
pub struct TrustState {
    pub(crate) api: ApiState,
    pub(crate) trust: TrustChain,
    pub(crate) listening: Listening,
    pub(crate) traffic: Traffic,
}

impl TrustState {
    /// The domain behind the edge; `traffic` is that of its listener.
    pub fn new(api: ApiState, trust: TrustChain, listening: Listening, traffic: Traffic) -> Self {
        Self { api, trust, listening, traffic }
    }

    /// Asks the domain for what reads many files or verifies many signatures, on a thread that may wait.
    pub(crate) async fn reading<T: Send + 'static>(
        &self,
        what: impl FnOnce(&TrustChain) -> Result<T, TrustError> + Send + 'static,
    ) -> Result<T, Draft> {
        let trust = self.trust.clone();
        let read = tokio::task::spawn_blocking(move || what(&trust)).await;
        Ok(read.map_err(|error| Draft::internal("reading certificates", error))??)
    }

    /// What its listener counts with.
    pub fn traffic(&self) -> Traffic {
        self.traffic.clone()
    }
}

impl FromRef<TrustState> for ApiState {
    fn from_ref(state: &TrustState) -> Self {
        state.api.clone()
    }
}
