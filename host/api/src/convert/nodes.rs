//! This node: its health, the service's health, and its place in the network of one.

use super::{same_names, time};
use hypermesh_mesh::{NodeReport, NodeState};
use hypermesh_wire::nodes::{
    self as wire, ConsensusMetrics, NodeHealth, NodeMetrics, Topology, TopologyCluster, TopologyNode,
};
use hypermesh_wire::system::{Health, HealthServices};
use std::time::Duration;

/// What the contract's service members say of a service that this build does not have.
pub(crate) const NOT_BUILT: &str = "not_built";

same_names!(shown_state: NodeState => wire::NodeStatus { Healthy, Warning, Critical, Offline });

/// A node's health as a caller sees it. Latency and consensus are unknown as long as there are no peers.
pub(crate) fn health(node_id: String, report: NodeReport) -> NodeHealth {
    NodeHealth {
        node_id,
        status: shown_state(report.status),
        metrics: NodeMetrics {
            cpu_usage: report.cpu_usage,
            memory_usage: report.memory_usage,
            disk_usage: report.disk_usage,
            network_latency: None,
            uptime: report.uptime,
        },
        consensus_metrics: ConsensusMetrics {
            proofs_validated: None,
            consensus_participation: None,
            byzantine_detections: None,
        },
        last_heartbeat: time(report.measured_at),
        reasons: report.reasons,
    }
}

/// The service's word for a node's state.
pub(crate) fn service_status(state: NodeState) -> &'static str {
    match state {
        NodeState::Healthy => "healthy",
        NodeState::Warning => "degraded",
        NodeState::Critical | NodeState::Offline => "unhealthy",
    }
}

/// The same in the words that services say of each other.
pub(crate) fn service_word(state: NodeState) -> &'static str {
    if state == NodeState::Healthy { "healthy" } else { "degraded" }
}

/// The service's health as a caller sees it; `trustchain` is the word for that service.
pub(crate) fn service_health(
    node_id: String,
    report: NodeReport,
    up: Duration,
    trustchain: &'static str,
) -> Health {
    let status = service_status(report.status).to_owned();
    let hypermesh = service_word(report.status);
    Health {
        status,
        server_id: node_id,
        uptime_seconds: up.as_secs(),
        timestamp: jiff::Timestamp::now(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        services: HealthServices {
            trustchain: trustchain.to_owned(),
            stoq: NOT_BUILT.to_owned(),
            hypermesh: hypermesh.to_owned(),
            integration: NOT_BUILT.to_owned(),
            assets: true,
            consensus: false,
            proxy: false,
            vm: report.executions_possible,
        },
        reasons: report.reasons,
    }
}

/// The network of one node.
pub(crate) fn topology(id: String, address: String, state: NodeState) -> Topology {
    let node = TopologyNode {
        id: id.clone(),
        address,
        status: shown_state(state),
        connections: Vec::new(),
        region: String::new(),
    };
    let cluster = TopologyCluster { id: "local".to_owned(), nodes: vec![id], region: String::new() };
    Topology { nodes: vec![node], connections: Vec::new(), clusters: vec![cluster] }
}
