//! The node itself: its health, its numbers, its network.

use crate::uri::path;
use crate::{Client, ClientError};
use hypermesh_wire::nodes::{NodeHealth, Topology};
use hypermesh_wire::system::{Health, SystemStatus};

impl Client {
    /// Health of the service.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn health(&self) -> Result<Health, ClientError> {
        self.get("/health")
    }

    /// Numbers of the whole system.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn system_status(&self) -> Result<SystemStatus, ClientError> {
        self.get(&path(&["system", "status"]))
    }

    /// Health of every node that this one knows.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn nodes_health(&self) -> Result<Vec<NodeHealth>, ClientError> {
        self.get(&path(&["nodes", "health"]))
    }

    /// Health of one node.
    ///
    /// # Errors
    /// A 404 problem where there is none of that id; see [`ClientError`].
    pub fn node_health(&self, id: &str) -> Result<NodeHealth, ClientError> {
        self.get(&path(&["nodes", id, "health"]))
    }

    /// The network as this node knows it.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn topology(&self) -> Result<Topology, ClientError> {
        self.get(&path(&["network", "topology"]))
    }
}
