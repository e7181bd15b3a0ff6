//! Health and status of the service.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Which services and parts work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HealthServices {
    /// `healthy`, `degraded` or `not_built`.
    pub trustchain: String,
    /// `healthy`, `degraded` or `not_built`.
    pub stoq: String,
    /// `healthy`, `degraded` or `not_built`.
    pub hypermesh: String,
    /// How the three work together: `healthy`, `degraded` or `not_built`.
    pub integration: String,
    /// Whether assets are served.
    pub assets: bool,
    /// Whether consensus runs.
    pub consensus: bool,
    /// Whether proxies are served.
    pub proxy: bool,
    /// Whether executions are possible.
    pub vm: bool,
}

/// Health of the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `healthy`, `degraded` or `unhealthy`.
    pub status: String,
    /// The node's id.
    pub server_id: String,
    /// Seconds since start.
    pub uptime_seconds: u64,
    /// Now.
    #[schema(value_type = String, format = DateTime)]
    pub timestamp: Timestamp,
    /// Version of the program.
    pub version: String,
    /// Which services and parts work.
    pub services: HealthServices,
    /// What is wrong, for people.
    pub reasons: Vec<String>,
}

/// Numbers of the whole system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SystemStatus {
    /// `healthy`, `degraded` or `unhealthy`.
    pub status: String,
    /// Assets.
    pub total_assets: u64,
    /// Allocations that hold something.
    pub active_allocations: u64,
    /// Percent; `null` until consensus is configured.
    pub consensus_health: Option<f64>,
    /// Faults detected; `null` until consensus is configured.
    pub byzantine_detections: Option<u64>,
    /// Nodes known, this one included.
    pub network_nodes: u64,
    /// Proxies; `null` until they are built.
    pub proxy_connections: Option<u64>,
    /// When the last block was decided.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_consensus: Option<Timestamp>,
    /// Share of the time since the node's first start in which it ran, percent.
    pub uptime: Option<f64>,
}

/// Whether the process lives or is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Probe {
    /// `ok`.
    pub status: String,
}
