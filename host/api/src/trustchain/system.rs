//! Whether the service lives, is ready and is well, and its numbers.

use super::state::TrustState;
use crate::convert::nodes::NOT_BUILT;
use crate::problem::{Draft, Kind};
use crate::respond::Answer;
use crate::server::MAX_CONNECTIONS;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, header};
use hypermesh_model::TrustLevel;
use hypermesh_telemetry::METRICS_CONTENT_TYPE;
use hypermesh_trustchain::{AuthorityState, AuthorityView};
use hypermesh_wire::system::Probe;
use hypermesh_wire::trustchain::{
    Architecture, Configuration, Performance, TrustChainHealth, TrustChainServices, TrustChainStats,
    TrustChainStatus,
};
use std::collections::BTreeMap;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

const HEALTHY: &str = "healthy";
const DEGRADED: &str = "degraded";

pub(crate) fn routes() -> OpenApiRouter<TrustState> {
    OpenApiRouter::default()
        .routes(routes!(get_health))
        .routes(routes!(get_livez))
        .routes(routes!(get_readyz))
        .routes(routes!(get_metrics))
        .routes(routes!(get_stats))
        .routes(routes!(get_status))
}

/// What does not work, for people.
fn complaints(state: &TrustState) -> Vec<String> {
    let mut reasons = Vec::new();
    if state.trust.dns_addresses().is_empty() {
        reasons.push("no DNS server listens".to_owned());
    }
    if !signs(state) {
        reasons.push("no authority signs".to_owned());
    }
    reasons
}

/// Whether there is an intermediate that signs.
fn signs(state: &TrustState) -> bool {
    let signing = |authority: &AuthorityView| {
        let level = authority.certificate.record.trust_level;
        level == TrustLevel::Intermediate
            && authority.state == AuthorityState::Active
            && authority.key_present
    };
    state.trust.authorities().is_ok_and(|all| all.iter().any(signing))
}

fn verdict(reasons: &[String]) -> &'static str {
    if reasons.is_empty() { HEALTHY } else { DEGRADED }
}

/// Health of the service and what it consists of
#[utoipa::path(get, path = "/health", tag = "system",
    responses((status = 200, description = "Also when it is not well: read `status`", body = TrustChainHealth)))]
async fn get_health(State(state): State<TrustState>) -> Json<TrustChainHealth> {
    let reasons = complaints(&state);
    let status = verdict(&reasons);
    let dns = !state.trust.dns_addresses().is_empty();
    Json(TrustChainHealth {
        status: status.to_owned(),
        server_id: state.api.mesh.node_id().to_string(),
        uptime_seconds: state.api.started.elapsed().as_secs(),
        timestamp: jiff::Timestamp::now(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        services: TrustChainServices {
            trustchain: status.to_owned(),
            stoq: NOT_BUILT.to_owned(),
            hypermesh: crate::convert::nodes::service_word(state.api.mesh.health().status).to_owned(),
            integration: NOT_BUILT.to_owned(),
            ca: signs(&state),
            ct: true,
            dns,
            consensus: false,
        },
        reasons,
    })
}

/// Whether the process answers
#[utoipa::path(get, path = "/livez", tag = "system",
    responses((status = 200, description = "It does", body = Probe)))]
async fn get_livez() -> Json<Probe> {
    Json(Probe { status: "ok".to_owned() })
}

/// Whether certificates are issued; 503 when the node is stopping
#[utoipa::path(get, path = "/readyz", tag = "system",
    responses((status = 200, description = "They are", body = Probe)))]
async fn get_readyz(State(state): State<TrustState>) -> Answer<Json<Probe>> {
    if state.api.closing.is_cancelled() {
        return Err(Draft::new(Kind::Unavailable, "the node is stopping"));
    }
    Ok(get_livez().await)
}

/// Metrics for Prometheus, of the whole node
#[utoipa::path(get, path = "/metrics", tag = "system",
    responses((status = 200, description = "OpenMetrics text", body = String,
        content_type = "application/openmetrics-text")))]
async fn get_metrics(State(state): State<TrustState>) -> Answer<([(HeaderName, &'static str); 1], String)> {
    Ok(([(header::CONTENT_TYPE, METRICS_CONTENT_TYPE)], state.api.mesh.metrics_text().await?))
}

fn stats(state: &TrustState) -> TrustChainStats {
    let (http, domain) = (state.traffic.read(), state.trust.stats());
    TrustChainStats {
        requests_total: http.successful + http.failed,
        requests_successful: http.successful,
        requests_failed: http.failed,
        ca_requests: http.authority,
        ct_requests: http.log,
        dns_requests: http.names + domain.dns_queries,
        average_response_time_ms: http.mean,
        active_connections: http.open,
        rate_limited_requests: http.limited,
        last_update: jiff::Timestamp::now(),
    }
}

/// What the service was asked since it started
#[utoipa::path(get, path = "/stats", tag = "system",
    responses((status = 200, description = "Counters", body = TrustChainStats)))]
async fn get_stats(State(state): State<TrustState>) -> Json<TrustChainStats> {
    Json(stats(&state))
}

/// State of the service: its configuration, what it is made of, and where what is found
#[utoipa::path(get, path = "/api/v1/status", tag = "system",
    responses((status = 200, description = "The state", body = TrustChainStatus)))]
async fn get_status(State(state): State<TrustState>) -> Json<TrustChainStatus> {
    let (listening, domain) = (&state.listening, state.trust.stats());
    Json(TrustChainStatus {
        status: verdict(&complaints(&state)).to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        server_id: state.api.mesh.node_id().to_string(),
        uptime_seconds: state.api.started.elapsed().as_secs(),
        stats: stats(&state),
        configuration: Configuration {
            bind_address: listening.address.ip().to_string(),
            port: listening.address.port(),
            tls_enabled: listening.tls,
            rate_limit_per_minute: None,
            max_connections: u32::try_from(MAX_CONNECTIONS).unwrap_or(u32::MAX),
        },
        architecture: architecture(listening.tls),
        endpoints: endpoints(&state),
        performance: Performance {
            certificates: domain.certificates,
            log_entries: domain.log_entries,
            dns_records: domain.dns_records,
            dns_queries: domain.dns_queries,
        },
    })
}

fn architecture(tls: bool) -> Architecture {
    let transport = if tls { "HTTP/1.1 over TLS 1.3" } else { "HTTP/1.1 on loopback" };
    Architecture {
        consensus: NOT_BUILT.to_owned(),
        transport: transport.to_owned(),
        networking: "authoritative DNS over UDP and TCP, signed".to_owned(),
        ca: "root, intermediate, leaves by profile; logged before they exist".to_owned(),
        ct: "append-only tiles (static-ct-api), RFC 6962 for reading".to_owned(),
        trust: "this node's own root".to_owned(),
    }
}

fn endpoints(state: &TrustState) -> BTreeMap<String, String> {
    let base = &state.listening.base_url;
    let of = |name: &str, path: &str| (name.to_owned(), format!("{base}{path}"));
    let mut all = BTreeMap::from([
        of("acme", "/acme/directory"),
        of("ca_bundle", "/ca/bundle.pem"),
        of("certificates", "/api/v1/certificates"),
        of("checkpoint", "/checkpoint"),
        of("ct", "/ct/v1/get-sth"),
        of("dns_records", "/api/v1/dns/records"),
        of("documentation", "/docs"),
        of("ocsp", "/ocsp"),
    ]);
    let servers: Vec<_> = state.trust.dns_addresses().iter().map(ToString::to_string).collect();
    all.insert("dns".to_owned(), servers.join(" "));
    all
}
