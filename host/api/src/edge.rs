//! The outermost layer: gives each request an id, turns what went wrong into a problem document, counts, and survives
//! panics.
//!
//! It wraps everything else, so that no answer leaves without its id and no failure without a document. A panic of a
//! handler ends that request with an opaque 500; the node goes on.

use crate::config::ApiConfig;
use crate::guests::FromGuest;
use crate::problem::{Draft, Kind};
use crate::server::Peer;
use crate::state::{ApiState, Clients};
use crate::traffic::Traffic;
use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use hypermesh_mesh::{Mesh, Role};
use hypermesh_model::Subject;
use hypermesh_telemetry::Metrics;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::Instrument;

/// Marks an answer whose failures are already documents of its protocol (ACME: RFC 8555 §6.7, OCSP: RFC 6960 §4.2.1).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spoken;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the layers need to know: configuration, who holds which token, metrics, and which of the three services they
/// stand before.
#[derive(Debug, Clone)]
pub(crate) struct Edge {
    config: Arc<ApiConfig>,
    mesh: Mesh,
    metrics: Metrics,
    clients: Clients,
    service: &'static str,
    traffic: Traffic,
}

impl Edge {
    pub(crate) fn new(state: &ApiState, service: &'static str, traffic: Traffic) -> Self {
        let (config, mesh, metrics) = (Arc::clone(&state.config), state.mesh.clone(), state.metrics.clone());
        Self { config, mesh, metrics, clients: state.clients.clone(), service, traffic }
    }

    /// Whose certificate a caller showed, and what its holder may do: what the token of that name may, and without one
    /// read.
    pub(crate) fn certified(&self, peer: &Peer) -> Option<(Subject, Role)> {
        let subject = self.clients.0.identify(peer.certificate.as_deref()?)?;
        if subject.0 == crate::auth::ADMIN {
            return Some((subject, Role::Admin));
        }
        let tokens = self.mesh.tokens();
        let role = tokens.iter().find(|token| token.name == subject).map_or(Role::Viewer, |token| token.role);
        Some((subject, role))
    }

    pub(crate) fn mesh(&self) -> &Mesh {
        &self.mesh
    }

    pub(crate) fn config(&self) -> &ApiConfig {
        &self.config
    }

    /// Puts the layers around a router, innermost first. The write check is a layer of the routes only, so that a path
    /// that does not exist is a 404 and no question of rights.
    pub(crate) fn around(self, router: Router) -> Router {
        let layer = |edge: &Self| edge.clone();
        router
            .route_layer(middleware::from_fn_with_state(layer(&self), crate::auth::guard_access))
            .layer(middleware::from_fn_with_state(layer(&self), crate::cors::share))
            .layer(middleware::from_fn_with_state(layer(&self), crate::auth::guard_host))
            .layer(middleware::from_fn_with_state(self, observe))
    }
}

async fn observe(State(edge): State<Edge>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = format!("req-{}", uuid::Uuid::now_v7().simple());
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let has_body = has_body(request.headers());
    let span = tracing::info_span!("request", id, %method, path);
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind().instrument(span).await;
    let response = answer.unwrap_or_else(|_| {
        tracing::error!(request_id = id, path, "a handler panicked");
        Draft::of_status(axum::http::StatusCode::INTERNAL_SERVER_ERROR, method.as_str()).into_response()
    });
    let mut response = finish(response, method.as_str(), &path, &id);
    if has_body && !response.status().is_success() {
        // Refused before its body was read, maybe: the server then closes the connection, and a client that isn't told
        // would send its next request into it (RFC 9112, section 9.6).
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let route = route.as_ref().map(MatchedPath::as_str);
    edge.traffic.answered(&path, response.status().as_u16(), started.elapsed());
    edge.metrics.http_request(
        edge.service,
        method.as_str(),
        route,
        response.status().as_u16(),
        started.elapsed(),
    );
    tracing::debug!(request_id = id, %method, path, status = response.status().as_u16(), "answered");
    response
}

/// Whether a body follows the head (RFC 9112, section 6).
pub(crate) fn has_body(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0");
    length || headers.contains_key(header::TRANSFER_ENCODING)
}

/// Renders a problem and sets the headers that every answer has.
fn finish(mut response: Response, method: &str, path: &str, id: &str) -> Response {
    let status = response.status();
    let draft = response.extensions_mut().remove::<Draft>();
    // What a guest says of itself is no failure of the node's, and some protocols say in their own way what went wrong.
    let extensions = response.extensions();
    let own = extensions.get::<FromGuest>().is_none() && extensions.get::<Spoken>().is_none();
    let failed = own && (status.is_client_error() || status.is_server_error());
    if let Some(draft) = draft.or_else(|| failed.then(|| Draft::of_status(status, method))) {
        let before = std::mem::take(response.headers_mut());
        response = draft.render(path, id);
        let kept = before.into_iter().filter_map(|(name, value)| Some((name?, value)));
        for (name, value) in
            kept.filter(|(name, _)| *name != header::CONTENT_TYPE && *name != header::CONTENT_LENGTH)
        {
            response.headers_mut().append(name, value);
        }
    }
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Layer: an answer begins within `limit`, or the caller gets a 503.
pub(crate) async fn limit_time(
    State(limit): State<Duration>,
    request: Request,
    next: Next,
) -> Result<Response, Draft> {
    tokio::time::timeout(limit, next.run(request)).await.map_err(|_| {
        Draft::new(Kind::Unavailable, format!("the node did not answer within {} s", limit.as_secs()))
    })
}
