//! HTTP requests that a guest sends: plain HTTP/1.1 to granted hosts, one connection a request.
//!
//! What isn't granted is an error to the guest that says so (`HTTP-request-denied`). So is HTTPS (`TLS-protocol-error`):
//! a worker has no root certificates, and every library of TLS would come into it.

use super::network::Grants;
use bytes::Bytes;
use http::uri::{PathAndQuery, Scheme};
use http::{Request, Response, Uri};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Interval, MissedTickBehavior, timeout};
use wasmtime_wasi::runtime::{AbortOnDropJoinHandle, spawn};
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

/// How long each step may take where the guest sets nothing: as wasmtime has it. The execution's own limits come first.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);
/// The longest head of a response, in bytes.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// Header fields of a response.
const MAX_HEADERS: usize = 100;

/// Sends a guest's requests.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    grants: Grants,
}

impl Outgoing {
    pub(super) fn new(grants: &Grants) -> Self {
        Self { grants: grants.clone() }
    }

    /// Where a request goes, if it may.
    fn endpoints(&self, uri: &Uri) -> Result<Vec<SocketAddr>, Error> {
        let https = uri.scheme() == Some(&Scheme::HTTPS);
        let host = uri.host().ok_or(Error::HttpRequestUriInvalid)?;
        let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let endpoints = self.grants.endpoints(host, port);
        if endpoints.is_empty() {
            Err(Error::HttpRequestDenied)
        } else if https {
            Err(Error::TlsProtocolError)
        } else {
            Ok(endpoints)
        }
    }
}

/// A response, and what finishes its connection.
type Sent = (Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>);

impl WasiHttpHooks for Outgoing {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Sent, Error>> + Send> {
        let endpoints = self.endpoints(request.uri());
        Box::new(async move { send(request, options.unwrap_or_default(), &endpoints?).await })
    }
}

async fn send(
    mut request: Request<WasiBody>,
    options: RequestOptions,
    endpoints: &[SocketAddr],
) -> Result<Sent, Error> {
    let connecting = options.connect_timeout.unwrap_or(DEFAULT_TIMEOUT);
    let stream = timeout(connecting, connect(endpoints)).await.map_err(|_| Error::ConnectionTimeout)??;
    let builder = {
        let mut builder = http1::Builder::new();
        builder.max_buf_size(MAX_HEAD_BYTES).max_headers(MAX_HEADERS);
        builder
    };
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    let driver: AbortOnDropJoinHandle<Result<(), Error>> =
        spawn(async move { connection.await.map_err(Error::from) });
    // The request line has the path only; where it goes is the Host field's matter (RFC 9112, 3.2.1).
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = Uri::from(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    let answering = options.first_byte_timeout.unwrap_or(DEFAULT_TIMEOUT);
    let response = timeout(answering, sender.send_request(request));
    let response = response.await.map_err(|_| Error::ConnectionReadTimeout)??;
    let pause = options.between_bytes_timeout.unwrap_or(DEFAULT_TIMEOUT);
    let response = response.map(|incoming| Paced::new(incoming, pause).boxed_unsync());
    // The sender lives as long as the connection is waited for; dropping it would end the connection early.
    let finish = async move {
        let ended = driver.await;
        drop(sender);
        ended
    };
    Ok((response, Box::new(finish)))
}

async fn connect(endpoints: &[SocketAddr]) -> Result<TcpStream, Error> {
    let mut last = Error::DestinationNotFound;
    for endpoint in endpoints {
        match TcpStream::connect(endpoint).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Error::Connect(error),
        }
    }
    Err(last)
}

/// A body whose pauses are limited.
struct Paced {
    incoming: Incoming,
    pause: Interval,
}

impl Paced {
    fn new(incoming: Incoming, pause: Duration) -> Self {
        // A period of zero is not allowed (`tokio::time::interval`).
        let mut pause = tokio::time::interval(pause.max(Duration::from_nanos(1)));
        pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pause.reset();
        Self { incoming, pause }
    }
}

impl Body for Paced {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match Pin::new(&mut self.incoming).poll_frame(context) {
            Poll::Ready(frame) => {
                self.pause.reset();
                Poll::Ready(frame.map(|frame| frame.map_err(Error::from)))
            }
            Poll::Pending => match self.pause.poll_tick(context) {
                Poll::Ready(_) => Poll::Ready(Some(Err(Error::ConnectionReadTimeout))),
                Poll::Pending => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.incoming.size_hint()
    }
}
