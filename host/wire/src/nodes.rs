//! Nodes: health and topology.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the contract's")]
pub enum NodeStatus {
    Healthy,
    Warning,
    Critical,
    Offline,
}

/// What was measured. `null`: not measurable (yet).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NodeMetrics {
    /// CPU in use, percent.
    pub cpu_usage: Option<f64>,
    /// Memory in use, percent.
    pub memory_usage: Option<f64>,
    /// The data folder's file system in use, percent.
    pub disk_usage: Option<f64>,
    /// Round-trip time to peers in ms; `null` without peers.
    pub network_latency: Option<f64>,
    /// Share of the time since the node's first start in which it ran, percent.
    pub uptime: Option<f64>,
}

/// What consensus counted. `null` until it is configured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ConsensusMetrics {
    /// Proofs that this node checked.
    pub proofs_validated: Option<u64>,
    /// Share of blocks that it signed.
    pub consensus_participation: Option<f64>,
    /// Faults that it detected.
    pub byzantine_detections: Option<u64>,
}

/// Health of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NodeHealth {
    /// The node.
    pub node_id: String,
    /// How it is.
    pub status: NodeStatus,
    /// What was measured.
    pub metrics: NodeMetrics,
    /// What consensus counted.
    pub consensus_metrics: ConsensusMetrics,
    /// When it was measured.
    #[schema(value_type = String, format = DateTime)]
    pub last_heartbeat: Timestamp,
    /// Why it is not healthy.
    pub reasons: Vec<String>,
}

/// A node in the topology.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TopologyNode {
    /// Its id.
    pub id: String,
    /// Its API's address.
    pub address: String,
    /// How it is.
    pub status: NodeStatus,
    /// Ids of nodes that it is connected to.
    pub connections: Vec<String>,
    /// Its region; empty when none was given.
    pub region: String,
}

/// A connection between nodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TopologyConnection {
    /// From this node.
    pub from: String,
    /// To this node.
    pub to: String,
    /// Round-trip time, ms.
    pub latency: Option<f64>,
    /// Mbit/s.
    pub bandwidth: Option<f64>,
    /// How it is.
    pub status: String,
}

/// Nodes of one region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TopologyCluster {
    /// Its id.
    pub id: String,
    /// Its nodes.
    pub nodes: Vec<String>,
    /// Its region.
    pub region: String,
}

/// The network as this node knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Topology {
    /// Its nodes.
    pub nodes: Vec<TopologyNode>,
    /// Connections between them.
    pub connections: Vec<TopologyConnection>,
    /// Nodes by region.
    pub clusters: Vec<TopologyCluster>,
}
