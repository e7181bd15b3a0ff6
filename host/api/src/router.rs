//! The routers: which resources, with which time limits, behind which layers.

use crate::docs;
use crate::edge::{Edge, limit_time};
use crate::guests;
use crate::mesh::{
    allocations, arrays, assets, blobs, catalog, changes, events, executions, logs, nodes, queue, quotas,
    registry, schedules, services, streams, system, tokens, usage, volumes,
};
use crate::problem::{Draft, Kind};
use crate::state::ApiState;
use crate::traffic::Traffic;
use crate::trustchain::state::TrustState;
use crate::trustchain::{
    acme, authentication, authorities, certificates, dns, log, published, rotation, system as trust_system,
    tiles, validation,
};
use crate::unbuilt::{self, Service};
use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::any;
use std::time::Duration;
use utoipa_axum::router::OpenApiRouter;

/// Longest time for a request that carries a file or compiles one: a blob of 1 GiB over 100 Mbit/s is 90 s, a compile of
/// the largest component known is under a minute, and each has its own, tighter limit below this one.
const SLOW_LIMIT: Duration = Duration::from_secs(600);

/// The service's name in metrics.
const HYPERMESH: &str = "hypermesh";

/// The HyperMesh service, port 8446.
pub fn hypermesh_router(state: ApiState, traffic: Traffic) -> Router {
    let edge = Edge::new(&state, HYPERMESH, traffic);
    let (router, api) = documented(state.config.request_timeout).split_for_parts();
    let router = router
        .merge(unbuilt::mesh())
        .merge(guests::router())
        .with_state(state)
        .merge(docs::router(docs::complete(api)));
    edge.around(router)
}

/// The service's name in metrics.
const TRUSTCHAIN: &str = "trustchain";

/// The TrustChain service, port 8444.
pub fn trustchain_router(state: TrustState) -> Router {
    let edge = Edge::new(&state.api, TRUSTCHAIN, state.traffic.clone());
    let (router, api) = trustchain_documented(state.api.config.request_timeout).split_for_parts();
    let limit = from_fn_with_state(state.api.config.request_timeout, limit_time);
    let others = published::ocsp_by_get().merge(tiles::router()).merge(acme::router()).layer(limit);
    let router = router.merge(others).with_state(state).merge(docs::router(docs::common(api)));
    edge.around(router)
}

/// What of it answers plain HTTP where TLS is spoken: what relying parties fetch.
pub fn published_router(state: TrustState) -> Router {
    let edge = Edge::new(&state.api, TRUSTCHAIN, state.traffic.clone());
    let (router, _) = OpenApiRouter::default().merge(published::routes()).split_for_parts();
    edge.around(router.merge(published::ocsp_by_get()).fallback(needs_tls).with_state(state))
}

async fn needs_tls() -> Draft {
    Draft::new(Kind::Other(StatusCode::UPGRADE_REQUIRED), "TLS is spoken at this address: use https://")
}

/// Its routes with their documentation.
pub(crate) fn trustchain_documented(request_timeout: Duration) -> OpenApiRouter<TrustState> {
    let routes = OpenApiRouter::default()
        .merge(trust_system::routes())
        .merge(certificates::routes())
        .merge(validation::routes())
        .merge(authorities::routes())
        .merge(published::routes())
        .merge(log::routes())
        .merge(dns::routes())
        .merge(rotation::routes())
        .merge(authentication::routes());
    OpenApiRouter::with_openapi(docs::frame(&docs::TRUSTCHAIN))
        .merge(routes.layer(from_fn_with_state(request_timeout, limit_time)))
}

/// A service that this build does not have: the contract's routes answer 501.
pub fn unbuilt_router(service: Service, state: &ApiState, traffic: Traffic) -> Router {
    unbuilt::service(service, Edge::new(state, service.name(), traffic))
}

/// What answers plain HTTP where TLS is spoken: that it is.
pub fn plain_router(state: &ApiState) -> Router {
    let router = Router::new().route("/", any(needs_tls)).fallback(needs_tls);
    Edge::new(state, "plain", Traffic::default()).around(router)
}

/// All built routes with their documentation.
pub(crate) fn documented(request_timeout: Duration) -> OpenApiRouter<ApiState> {
    let within = |limit| from_fn_with_state(limit, limit_time);
    let quick = OpenApiRouter::default()
        .merge(system::routes())
        .merge(assets::routes())
        .merge(allocations::routes())
        .merge(changes::routes())
        .merge(usage::routes())
        .merge(queue::routes())
        .merge(volumes::routes())
        .merge(catalog::routes())
        .merge(registry::routes())
        .merge(nodes::routes())
        .merge(tokens::routes())
        .merge(quotas::routes())
        .merge(events::routes());
    let waiting = OpenApiRouter::default()
        .merge(executions::routes())
        .merge(logs::routes())
        .merge(arrays::routes())
        .merge(schedules::routes())
        .merge(services::routes());
    let slow = OpenApiRouter::default()
        .merge(blobs::routes())
        .merge(catalog::slow_routes())
        .merge(registry::slow_routes())
        .merge(services::slow_routes());
    let wait = Duration::from_secs(executions::MAX_WAIT.into());
    OpenApiRouter::with_openapi(docs::frame(&docs::HYPERMESH))
        .merge(quick.layer(within(request_timeout)))
        .merge(waiting.layer(within(request_timeout + wait)))
        .merge(slow.layer(within(SLOW_LIMIT)))
        // As long as the execution; each piece has its own limit.
        .merge(streams::routes())
        .merge(services::stream_routes())
}

#[cfg(test)]
mod tests;
