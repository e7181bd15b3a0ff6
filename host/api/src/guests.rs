//! `/guests/{name}/…`: requests that go to a guest, and its answers.
//!
//! ```text
//! client ──HTTP──▶ edge (host, origin, token) ─▶ its turn ─▶ worker ──HTTP/1.1 over a socket pair──▶ guest
//!        ◀─────── headers filtered, body as it comes, within bounds ◀──────────────────────────────
//! ```
//! A guest is a stranger: its answers come from the node's own origin, and its requests carry what was meant for the
//! node. So credentials stay here, and what an answer could do to the origin is taken off it (`headers`). Bodies flow
//! both ways and are held nowhere (`body`).
//!
//! A guest's own errors pass as they are; a guest that gives no answer is a 502 with its cause, one that takes too long a
//! 504. A caller that goes away drops the exchange, which ends the guest.

mod body;
mod document;
mod headers;

pub(crate) use document::document;

use crate::convert::executions::sentence;
use crate::edge::has_body;
use crate::extract::{broken_off, content_length};
use crate::problem::{Draft, Kind};
use crate::respond::Answer;
use crate::state::ApiState;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use body::{Fault, Faults};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use hypermesh_mesh::{Exchange, ExchangeEnd, MeshError, NO_RESPONSE};
use hypermesh_model::{Cause, ServiceName};
use std::time::Duration;

/// Below this a request goes to a guest.
const PREFIX: &str = "/guests/";
/// Header fields of a guest's answer.
const MAX_HEADERS: usize = 100;
/// The longest head of a guest's answer, in bytes.
const MAX_HEAD: usize = 64 << 10;
/// How long a guest's end is waited for whose connection has ended: they come together.
const END: Duration = Duration::from_secs(5);
/// Content policies add up: whatever a guest allows its pages, they have no origin (CSP 3, `sandbox` without
/// `allow-same-origin`), so that no script of a guest acts as a page of the node.
const POLICY: &str = "sandbox allow-scripts allow-forms";

/// Marks an answer that is a guest's own, whatever its status: the edge leaves it as it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FromGuest;

/// The routes. A method that is not among these is refused.
pub(crate) fn router() -> Router<ApiState> {
    let methods = MethodFilter::GET
        .or(MethodFilter::HEAD)
        .or(MethodFilter::OPTIONS)
        .or(MethodFilter::POST)
        .or(MethodFilter::PUT)
        .or(MethodFilter::PATCH)
        .or(MethodFilter::DELETE);
    Router::new()
        .route("/guests/{name}", on(methods, into_folder))
        .route("/guests/{name}/", on(methods, ask))
        .route("/guests/{name}/{*path}", on(methods, ask))
}

/// Which service a path names, and what its guest sees of the target. The name needs no escaping, so an escaped one is
/// no name.
fn place(uri: &Uri) -> Option<(ServiceName, String)> {
    let rest = uri.path().strip_prefix(PREFIX)?;
    let (name, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let name = ServiceName::parse(name).ok()?;
    let query = uri.query().map_or_else(String::new, |query| format!("?{query}"));
    Some((name, format!("{path}{query}")))
}

fn unknown(uri: &Uri) -> Draft {
    let rest = uri.path().strip_prefix(PREFIX).unwrap_or_default();
    Draft::not_found("service", rest.split('/').next().unwrap_or_default())
}

/// Links of a guest are relative to its folder.
async fn into_folder(State(state): State<ApiState>, uri: Uri) -> Answer<Response> {
    let (name, rest) = place(&uri).ok_or_else(|| unknown(&uri))?;
    state.mesh.service(&name)?;
    let location = HeaderValue::try_from(format!("{PREFIX}{name}/{rest}")).map_err(|_| unknown(&uri))?;
    Ok((StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, location)]).into_response())
}

/// Passes a request to a guest, and its answer back.
async fn ask(State(state): State<ApiState>, request: Request) -> Answer<Response> {
    let (name, target) = place(request.uri()).ok_or_else(|| unknown(request.uri()))?;
    let limit = state.mesh.service(&name)?.service.terms.max_body.0;
    if content_length(request.headers()).is_some_and(|length| length > limit) {
        return Err(too_long(limit));
    }
    let mut exchange = state.mesh.begin_exchange(&name).await?;
    let connection = TokioIo::new(exchange.connection()?);
    let (mut sender, connection) = http1::Builder::new()
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD)
        .handshake(connection)
        .await
        .map_err(|error| Draft::internal("speaking to a guest", error))?;
    // It ends with the worker, or when both bodies have ended.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a guest's connection broke off");
        }
    });
    let faults = Faults::default();
    let request = forwarded(request, &name, &target, limit, &faults)?;
    match sender.send_request(request).await {
        Ok(answer) => pass(answer, exchange, limit).await,
        Err(error) => Err(failure(&error, &faults, exchange, limit).await),
    }
}

/// The request as the guest gets it.
fn forwarded(
    request: Request,
    name: &ServiceName,
    target: &str,
    limit: u64,
    faults: &Faults,
) -> Answer<hyper::Request<Body>> {
    let (mut parts, body) = request.into_parts();
    let comes = has_body(&parts.headers);
    if let (None, Some(authority)) = (parts.headers.get(header::HOST), parts.uri.authority())
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        // A target in absolute form names the host itself (RFC 9112, 3.2.2).
        parts.headers.insert(header::HOST, host);
    }
    headers::of_request(&mut parts.headers, &format!("{PREFIX}{name}"));
    let body = if comes { body::bounded(body, limit, faults) } else { Body::empty() };
    let mut request = hyper::Request::new(body);
    *request.method_mut() = parts.method;
    *request.uri_mut() = target.parse().map_err(|_| unknown(&parts.uri))?;
    *request.headers_mut() = parts.headers;
    Ok(request)
}

/// The guest's answer as the client gets it.
async fn pass(answer: hyper::Response<Incoming>, mut exchange: Exchange, limit: u64) -> Answer<Response> {
    let (mut parts, incoming) = answer.into_parts();
    if parts.headers.contains_key(NO_RESPONSE) {
        return Err(end_of(exchange).await);
    }
    if parts.status.is_informational() {
        let detail = format!("the guest answered {}, which is no answer", parts.status);
        return Err(Draft::new(Kind::GuestFailed, detail));
    }
    let length = content_length(&parts.headers);
    if length.is_some_and(|length| length > limit) {
        let detail = format!("the guest's answer is longer than the service's limit of {limit} bytes");
        return Err(Draft::new(Kind::GuestFailed, detail));
    }
    headers::of_answer(&mut parts.headers);
    parts.headers.append(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    let body = if incoming.is_end_stream() {
        exchange.answered();
        Body::empty()
    } else {
        body::answer(incoming, exchange, length, limit)
    };
    let mut response = Response::new(body);
    *response.status_mut() = parts.status;
    *response.headers_mut() = parts.headers;
    response.extensions_mut().insert(FromGuest);
    Ok(response)
}

/// Why there is no answer.
async fn failure(error: &hyper::Error, faults: &Faults, exchange: Exchange, limit: u64) -> Draft {
    match faults.first() {
        Some(Fault::TooLong) => return too_long(limit),
        Some(Fault::BrokenOff) => return broken_off(),
        None => {}
    }
    if error.is_parse() {
        return Draft::new(
            Kind::GuestFailed,
            "what the guest answered is not HTTP, or its head is too large",
        );
    }
    end_of(exchange).await
}

/// Says how a guest ended that gave no answer.
async fn end_of(mut exchange: Exchange) -> Draft {
    match tokio::time::timeout(END, exchange.end()).await {
        Ok(ExchangeEnd::Failed(Cause::WallTime { limit_seconds })) => {
            let detail = format!("the guest did not answer within the service's limit of {limit_seconds} s");
            Draft::new(Kind::GuestTimeout, detail)
        }
        Ok(ExchangeEnd::Failed(cause)) => Draft::new(Kind::GuestFailed, sentence(&cause)),
        Ok(ExchangeEnd::Stopped) => MeshError::Busy { detail: "the service is stopping".into() }.into(),
        Ok(ExchangeEnd::Ended) | Err(_) => Draft::new(Kind::GuestFailed, "the guest gave no answer"),
    }
}

fn too_long(limit: u64) -> Draft {
    Draft::new(Kind::TooLarge, format!("the service takes bodies of up to {limit} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn placed(uri: &str) -> Option<(String, String)> {
        place(&uri.parse().unwrap()).map(|(name, target)| (name.into(), target))
    }

    #[test]
    fn a_guest_sees_what_is_behind_its_name_as_it_was_sent() {
        for (uri, name, target) in [
            ("/guests/hello/", "hello", "/"),
            ("/guests/hello/a/b?c=d&e", "hello", "/a/b?c=d&e"),
            ("/guests/hello//a%2Fb/../%61?", "hello", "//a%2Fb/../%61?"),
            ("http://localhost:1/guests/h-1/x", "h-1", "/x"),
            ("/guests/hello", "hello", ""),
            ("/guests/hello?x", "hello", "?x"),
        ] {
            assert_eq!(placed(uri), Some((name.to_owned(), target.to_owned())), "{uri}");
        }
    }

    #[test]
    fn an_escaped_name_or_another_path_names_no_guest() {
        for uri in
            ["/guests/", "/guests//x", "/guests/%68ello/", "/guests/Hello/", "/guests/../x", "/guest/a/"]
        {
            assert_eq!(placed(uri), None, "{uri}");
        }
    }

    proptest! {
        #[test]
        fn name_and_target_make_the_path_again(name in "[a-z0-9-]{1,20}", path in "(/[a-z0-9.%]{0,6}){1,4}", query in "(\\?[a-z=&]{0,9})?") {
            let uri = format!("/guests/{name}{path}{query}");
            if let (Ok(parsed), Some((found, target))) = (uri.parse::<Uri>(), placed(&uri)) {
                prop_assert_eq!(&found, &name);
                prop_assert_eq!(format!("/guests/{found}{target}"), parsed.to_string());
            }
        }
    }
}
