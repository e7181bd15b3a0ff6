//! What a guest may connect to: names are resolved here, before it starts, and each connection is made here, when its
//! worker asks the kernel for one.
//!
//! A worker lives in an empty network namespace and has no resolver. Its calls of socket(2) and connect(2) come to the node
//! (seccomp user notification), which makes the socket in its own network and connects it, if the address is granted.

use crate::error::MeshError;
use hypermesh_model::HostGrant;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

/// Addresses of one name that are kept.
const MAX_ADDRESSES: usize = 16;

/// A granted host, its port, and where both are.
pub(crate) type Resolved = (String, u16, Vec<SocketAddr>);

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
pub(crate) fn serve(listener: OwnedFd, allowed: Vec<SocketAddr>) {
    drop((listener, allowed));
}
