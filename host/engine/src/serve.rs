//! One HTTP request, answered by one instance of a guest.
//!
//! The connection is served by hyper and the guest runs beside it, both as futures of one thread: what the guest writes
//! goes out while it waits for room. A guest that fails before its response has begun gets the client a 500 that says so
//! ([`NO_RESPONSE`]); one that fails in the middle of the body gets it a broken connection, since a body that ends early
//! would look whole.

mod metered;

use crate::host::{GuestState, OutputLimitReached, OutputMeter};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use metered::{BoxError, Metered, limit_reached};
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use wasmtime::Store;
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

/// The longest head of a request, in bytes.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// Header fields of a request.
const MAX_HEADERS: usize = 100;

/// The header of a response that is not the guest's own, since it gave none; the outcome says why. A guest that sets it
/// itself says the same of its response.
pub const NO_RESPONSE: &str = "x-hypermesh-no-response";

type Answer = Result<Response<HyperOutgoingBody>, ErrorCode>;
type ResponseBody = UnsyncBoxBody<Bytes, BoxError>;
/// A request on its way to the guest, and where its answer is awaited.
type Exchange = (Request<Incoming>, oneshot::Sender<Answer>);

/// How the exchange ended.
pub(crate) enum Served {
    /// The response that went out. `None`: the connection ended before a whole request had come.
    Status(Option<u16>),
    /// The guest returned and gave no response, or gave an error in its place.
    NoResponse(Option<ErrorCode>),
}

/// What both sides know of the exchange.
struct Shared {
    /// Where the one request goes.
    to_guest: Option<oneshot::Sender<Exchange>>,
    /// The response's status, once its head is decided.
    status: Option<StatusCode>,
    /// What the guest did in place of giving a response.
    missing: Option<Option<ErrorCode>>,
    /// Whether the guest has failed: a response that it gave before is none any more.
    failed: bool,
}

/// Serves one request on a connection.
///
/// # Errors
/// What ended the guest's code; [`OutputLimitReached`] where its body passed the limit.
pub(crate) async fn serve(
    guest: &ProxyPre<GuestState>,
    store: &mut Store<GuestState>,
    connection: UnixStream,
) -> wasmtime::Result<Served> {
    let meter = store.data().meter().clone();
    let (to_guest, from_client) = oneshot::channel::<Exchange>();
    let shared = Mutex::new(Shared { to_guest: Some(to_guest), status: None, missing: None, failed: false });
    let service =
        service_fn(|request| async { Ok::<_, Infallible>(respond(request, &shared, &meter).await) });
    let mut connection = pin!(
        http1::Builder::new()
            // One request, one instance; a client that half-closes after its request still gets the answer.
            .keep_alive(false)
            .half_close(true)
            .max_buf_size(MAX_HEAD_BYTES)
            .max_headers(MAX_HEADERS)
            .serve_connection(TokioIo::new(connection), service)
    );
    let mut ended = None;
    let ran = {
        let mut running = pin!(answer(guest, store, from_client));
        poll_fn(|context| {
            if ended.is_none()
                && let Poll::Ready(result) = connection.as_mut().poll(context)
            {
                // A request that has not come by now will not.
                lock(&shared).to_guest = None;
                let reached = result.as_ref().err().and_then(limit_reached);
                ended = Some(result);
                if let Some(limit) = reached {
                    return Poll::Ready(Err(OutputLimitReached { limit }.into()));
                }
            }
            running.as_mut().poll(context)
        })
        .await
    };
    let failed = ran.is_err();
    let begun = {
        let mut shared = lock(&shared);
        shared.failed = failed;
        shared.status.is_some()
    };
    // What the guest left open ends here: a response that it didn't give, a body that it did not finish.
    store.data_mut().close();
    // After a failure a response that has begun is left broken; without one the client gets one of ours.
    let result = match ended {
        None if !(failed && begun) => connection.await,
        Some(result) => result,
        None => Ok(()),
    };
    ran?;
    if let Some(limit) = result.as_ref().err().and_then(limit_reached) {
        return Err(OutputLimitReached { limit }.into());
    }
    let mut shared = lock(&shared);
    Ok(match shared.missing.take() {
        Some(error) => Served::NoResponse(error),
        None => Served::Status(shared.status.map(|status| status.as_u16())),
    })
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    // One thread; a panic elsewhere spoils nothing.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for the request and has the guest handle it.
async fn answer(
    guest: &ProxyPre<GuestState>,
    store: &mut Store<GuestState>,
    from_client: oneshot::Receiver<Exchange>,
) -> wasmtime::Result<()> {
    // The connection ended, or was answered without the guest.
    let Ok((request, answer)) = from_client.await else { return Ok(()) };
    let proxy = guest.instantiate_async(&mut *store).await?;
    let mut view = store.data_mut().http();
    let request = view.new_incoming_request(Scheme::Http, request)?;
    let out = view.new_response_outparam(answer)?;
    proxy.wasi_http_incoming_handler().call_handle(store, request, out).await
}

/// The client's side: hands the request on and awaits the guest's response.
async fn respond(
    request: Request<Incoming>,
    shared: &Mutex<Shared>,
    meter: &OutputMeter,
) -> Response<ResponseBody> {
    let to_guest = lock(shared).to_guest.take();
    // RFC 9112, 3.2: a server answers 400 to a request without a Host field.
    if request.uri().authority().is_none() && !request.headers().contains_key(header::HOST) {
        return plain(shared, StatusCode::BAD_REQUEST, "the request has no Host field\n");
    }
    let (answer, from_guest) = oneshot::channel();
    let handed_on = to_guest.is_some_and(|to_guest| to_guest.send((request, answer)).is_ok());
    let error = match from_guest.await {
        Ok(Ok(response)) if !lock(shared).failed => {
            lock(shared).status = Some(response.status());
            return response.map(|body| Metered::new(body, meter.clone()).boxed_unsync());
        }
        Ok(Err(error)) => Some(error),
        Ok(Ok(_)) | Err(_) => None,
    };
    if handed_on {
        lock(shared).missing = Some(error);
    }
    plain(shared, StatusCode::INTERNAL_SERVER_ERROR, "the guest gave no response\n")
}

/// A response of ours.
fn plain(shared: &Mutex<Shared>, status: StatusCode, text: &'static str) -> Response<ResponseBody> {
    lock(shared).status = Some(status);
    let body = Full::from(text).map_err(|never: Infallible| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(NO_RESPONSE, HeaderValue::from_static("1"));
    response
}
