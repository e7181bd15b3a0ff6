//! Whether the node lives, is ready and is well, and its numbers.

use crate::convert::nodes::{service_health, service_status};
use crate::problem::{Draft, Kind};
use crate::respond::Answer;
use crate::state::ApiState;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, header};
use hypermesh_mesh::{AssetFilter, NodeState};
use hypermesh_telemetry::METRICS_CONTENT_TYPE;
use hypermesh_wire::system::{Health, Probe, SystemStatus};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::default()
        .routes(routes!(get_health))
        .routes(routes!(get_livez))
        .routes(routes!(get_readyz))
        .routes(routes!(get_metrics))
        .routes(routes!(get_system_status))
}

/// Health of the service and what it consists of
#[utoipa::path(get, path = "/health", tag = "system",
    responses((status = 200, description = "Also when it is not well: read `status`", body = Health)))]
async fn get_health(State(state): State<ApiState>) -> Json<Health> {
    let id = state.mesh.node_id().to_string();
    Json(service_health(id, state.mesh.health(), state.started.elapsed(), state.clients.0.service()))
}

/// Whether the process answers
#[utoipa::path(get, path = "/livez", tag = "system",
    responses((status = 200, description = "It does", body = Probe)))]
async fn get_livez() -> Json<Probe> {
    Json(Probe { status: "ok".to_owned() })
}

/// Whether the node takes work; 503 when it is stopping or can't enforce anything
#[utoipa::path(get, path = "/readyz", tag = "system",
    responses((status = 200, description = "It does", body = Probe)))]
async fn get_readyz(State(state): State<ApiState>) -> Answer<Json<Probe>> {
    let report = state.mesh.health();
    if state.closing.is_cancelled() {
        return Err(Draft::new(Kind::Unavailable, "the node is stopping"));
    }
    match report.status {
        NodeState::Healthy | NodeState::Warning => Ok(get_livez().await),
        NodeState::Critical | NodeState::Offline => {
            Err(Draft::new(Kind::Unavailable, format!("the node is not well: {}", report.reasons.join("; "))))
        }
    }
}

/// Metrics for Prometheus
#[utoipa::path(get, path = "/metrics", tag = "system",
    responses((status = 200, description = "OpenMetrics text", body = String,
        content_type = "application/openmetrics-text")))]
async fn get_metrics(State(state): State<ApiState>) -> Answer<([(HeaderName, &'static str); 1], String)> {
    Ok(([(header::CONTENT_TYPE, METRICS_CONTENT_TYPE)], state.mesh.metrics_text().await?))
}

/// Numbers of the whole system
#[utoipa::path(get, path = "/api/v1/system/status", tag = "system",
    responses((status = 200, description = "The numbers", body = SystemStatus)))]
async fn get_system_status(State(state): State<ApiState>) -> Json<SystemStatus> {
    let report = state.mesh.health();
    let held = state.mesh.leases().into_iter().filter(|lease| lease.status.holds_capacity()).count();
    Json(SystemStatus {
        status: service_status(report.status).to_owned(),
        total_assets: state.mesh.assets(&AssetFilter::default()).len() as u64,
        active_allocations: held as u64,
        consensus_health: None,
        byzantine_detections: None,
        network_nodes: 1,
        proxy_connections: None,
        last_consensus: None,
        uptime: report.uptime,
    })
}
