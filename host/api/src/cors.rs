//! Cross-origin reads and writes for the configured origins (the Fetch standard's CORS protocol).
//!
//! Our own few lines instead of a ready-made layer, because those answer every `OPTIONS` with 200, also where the method
//! does not exist. Here only a real preflight of a listed origin is answered; anything else takes its usual course.
//! Credentials are not allowed: the token is a header that the page sets.

use crate::auth::origin_listed;
use crate::edge::Edge;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// How long a browser may keep a preflight's answer, seconds.
const MAX_AGE: &str = "600";

/// What a page may set.
const ALLOWED_HEADERS: &str = "authorization, content-type, idempotency-key, if-match, last-event-id";

/// Layer: answers preflights and marks answers that listed origins may read.
pub(crate) async fn share(State(edge): State<Edge>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let origin = origin.filter(|origin| origin_listed(origin.as_bytes(), edge.config()));
    let preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = match (&origin, preflight) {
        (Some(_), true) => answer_preflight(),
        _ => next.run(request).await,
    };
    allow(response.headers_mut(), origin);
    response
}

fn answer_preflight() -> Response {
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, POST, PUT, PATCH, DELETE"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS),
        (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

fn allow(headers: &mut HeaderMap, origin: Option<HeaderValue>) {
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let exposed = HeaderValue::from_static("etag, link, location, retry-after, x-request-id");
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
}
