//! ACME (RFC 8555): passes everything below `/acme` to its server, and makes an answer of what it says.
//!
//! Its requests carry no token: each is signed by an account's key, which the server verifies. Its refusals are problem
//! documents of its own, with types that clients know, so the edge leaves them as they are.

use super::state::TrustState;
use crate::edge::Spoken;
use crate::extract::read_body;
use crate::roles::ACME;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method as HttpMethod, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hypermesh_acme::{Limits, Method, Post, Reply};

/// The name of a nonce's header (RFC 8555 §6.5.1).
const REPLAY_NONCE: HeaderName = HeaderName::from_static("replay-nonce");

pub(crate) fn router() -> Router<TrustState> {
    // GET takes HEAD too.
    Router::new().route("/acme/{*path}", get(answer).post(answer))
}

async fn answer(State(state): State<TrustState>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let method = match parts.method {
        HttpMethod::HEAD => Method::Head,
        HttpMethod::POST => Method::Post,
        _ => Method::Get,
    };
    // A body that is too long is passed on as far as it is, since the server has its own words for that.
    let body = match method {
        Method::Post => match read_body(body, Limits::default().body + 1).await {
            Ok(body) => body,
            Err(refusal) => return refusal.into_response(),
        },
        Method::Get | Method::Head => Vec::new(),
    };
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    let path = path.strip_prefix(ACME.trim_end_matches('/')).unwrap_or_default();
    let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let reply = state.trust.acme().respond(method, path, &Post { content_type, body: &body }).await;
    respond(reply)
}

fn respond(reply: Reply) -> Response {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, Body::from(reply.body)).into_response();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_TYPE);
    let single = [
        (header::CONTENT_TYPE, reply.content_type.map(str::to_owned)),
        (header::LOCATION, reply.location),
        (header::RETRY_AFTER, reply.retry_after.map(|seconds| seconds.to_string())),
        (REPLAY_NONCE, reply.nonce),
        (header::CACHE_CONTROL, reply.no_store.then(|| "no-store".to_owned())),
    ];
    for (name, value) in single {
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            headers.insert(name, value);
        }
    }
    for link in reply.links {
        if let Ok(value) = HeaderValue::try_from(format!("<{}>;rel=\"{}\"", link.url, link.rel)) {
            headers.append(header::LINK, value);
        }
    }
    response.extensions_mut().insert(Spoken);
    response
}
