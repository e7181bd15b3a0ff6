//! Health, counters and state of the service.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Which services and parts work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrustChainServices {
    /// `healthy`, `degraded` or `not_built`.
    pub trustchain: String,
    /// `healthy`, `degraded` or `not_built`.
    pub stoq: String,
    /// `healthy`, `degraded` or `not_built`.
    pub hypermesh: String,
    /// How the three work together: `healthy`, `degraded` or `not_built`.
    pub integration: String,
    /// Whether certificates can be issued.
    pub ca: bool,
    /// Whether the transparency log takes entries.
    pub ct: bool,
    /// Whether DNS is answered.
    pub dns: bool,
    /// Whether consensus runs.
    pub consensus: bool,
}

/// Health of the service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrustChainHealth {
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
    pub services: TrustChainServices,
    /// What is wrong, for people.
    pub reasons: Vec<String>,
}

/// What the service was asked since it started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TrustChainStats {
    /// Requests that were answered.
    pub requests_total: u64,
    /// With a status below 400.
    pub requests_successful: u64,
    /// With another one.
    pub requests_failed: u64,
    /// About certificates, their lists and their status.
    pub ca_requests: u64,
    /// To the transparency log.
    pub ct_requests: u64,
    /// About DNS: over HTTP, and questions to the DNS server.
    pub dns_requests: u64,
    /// Mean time to answer an HTTP request, milliseconds; 0 before the first.
    pub average_response_time_ms: f64,
    /// HTTP connections that are open.
    pub active_connections: u64,
    /// Answers that were withheld or cut because somebody asked too often.
    pub rate_limited_requests: u64,
    /// When these numbers were read.
    #[schema(value_type = String, format = DateTime)]
    pub last_update: Timestamp,
}

/// How the service is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Configuration {
    /// The address that it listens on.
    pub bind_address: String,
    /// The port.
    pub port: u16,
    /// Whether it speaks TLS.
    pub tls_enabled: bool,
    /// HTTP requests a minute and caller; `null` for no limit.
    pub rate_limit_per_minute: Option<u32>,
    /// HTTP connections at the same time.
    pub max_connections: u32,
}

/// What it is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Architecture {
    /// `not_built` until consensus is configured.
    pub consensus: String,
    /// How requests come.
    pub transport: String,
    /// How names are found.
    pub networking: String,
    /// How certificates are issued.
    pub ca: String,
    /// How they are logged.
    pub ct: String,
    /// Who is trusted.
    pub trust: String,
}

/// How much it has done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Performance {
    /// Certificates that were issued since the node's first start.
    pub certificates: u64,
    /// Entries in the transparency log.
    pub log_entries: u64,
    /// Records in the zone.
    pub dns_records: u64,
    /// Questions that the DNS server answered since it started.
    pub dns_queries: u64,
}

/// State of the service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TrustChainStatus {
    /// `healthy`, `degraded` or `unhealthy`.
    pub status: String,
    /// Version of the program.
    pub version: String,
    /// The node's id.
    pub server_id: String,
    /// Seconds since start.
    pub uptime_seconds: u64,
    /// What it was asked.
    pub stats: TrustChainStats,
    /// How it is run.
    pub configuration: Configuration,
    /// What it is made of.
    pub architecture: Architecture,
    /// Where what is found: names and URLs.
    pub endpoints: BTreeMap<String, String>,
    /// How much it has done.
    pub performance: Performance,
}
