//! What a guest may connect to: names are resolved here, before it starts, and each connection is made here, when its
//! worker asks the kernel for one.
//!
//! A worker lives in an empty network namespace and has no resolver. Its calls of socket(2) and connect(2) come to the node
//! (seccomp user notification), which makes the socket in its own network and connects it, if the address is granted.

use crate::error::MeshError;
use crate::ready::readable;
use hypermesh_engine::GrantedHost;
use hypermesh_model::HostGrant;
use hypermesh_sandbox::{NetSupervisor, Worker};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use tokio::io::unix::AsyncFd;

/// Addresses of one name that are kept.
const MAX_ADDRESSES: usize = 16;

/// A granted host, its port, and where both are.
pub(crate) type Resolved = (String, u16, Vec<SocketAddr>);

/// What a guest is told of them.
pub(crate) fn granted_hosts(network: &[Resolved]) -> Vec<GrantedHost> {
    let host = |(host, port, addresses): &Resolved| GrantedHost {
        host: host.clone(),
        port: *port,
        addresses: addresses.iter().map(SocketAddr::ip).collect(),
    };
    network.iter().map(host).collect()
}

/// The addresses of what was granted.
///
/// # Errors
/// [`MeshError::Unfit`] for a name that doesn't resolve.
pub(crate) async fn resolve(grants: &[HostGrant]) -> Result<Vec<Resolved>, MeshError> {
    let mut resolved = Vec::with_capacity(grants.len());
    for (index, HostGrant { host, port }) in grants.iter().enumerate() {
        let found = tokio::net::lookup_host((host.as_str(), *port)).await.map_err(|error| {
            MeshError::unfit(format!("network[{index}].host"), format!("`{host}` can't be resolved: {error}"))
        })?;
        resolved.push((host.clone(), *port, found.take(MAX_ADDRESSES).collect()));
    }
    Ok(resolved)
}

/// Answers a worker's calls until it has ended.
pub(super) fn serve(worker: &Worker, listener: OwnedFd, allowed: Vec<SocketAddr>) {
    let supervisor = NetSupervisor::new(worker, listener, allowed).and_then(readable);
    match supervisor {
        Ok(supervisor) => {
            tokio::spawn(async move {
                if let Err(error) = serve_to_the_end(&supervisor).await {
                    tracing::debug!(%error, "a worker's network is no longer served");
                }
            });
        }
        // Its calls fail then, and the guest is told so.
        Err(error) => tracing::warn!(%error, "a worker's network can't be served"),
    }
}

async fn serve_to_the_end(supervisor: &AsyncFd<NetSupervisor>) -> io::Result<()> {
    loop {
        let mut ready = supervisor.readable().await?;
        if !ready.get_inner().handle_one()? {
            return Ok(());
        }
        // The listener is readable as long as a call waits: the next wait asks the kernel again.
        ready.clear_ready();
    }
}
