//! Serves a router on a listener: HTTP/1.1, over TLS where it is told to, with limits on connections, headers and idle
//! time, and an orderly end.
//!
//! hyper is driven by hand, because `axum::serve` sets no limits. A connection that fails ends alone. When shutdown
//! begins, nothing new is accepted, running requests get [`DRAIN`], and what is left is cut off.
//!
//! A listener of TLS looks at the first byte of a connection: one that begins no handshake (RFC 8446 §5.1) is plain HTTP
//! and gets the `plain` router. Lists of revoked certificates and their issuers are fetched that way, since who would
//! need them to trust the connection could never fetch them (RFC 5280 §8).

use crate::tls::Tls;
use crate::traffic::Traffic;
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Connections at the same time. Further ones wait in the kernel's backlog: a local node has tens, and each may hold a
/// body of [`crate::ApiConfig::max_json_body`].
pub(crate) const MAX_CONNECTIONS: usize = 1024;

/// Longest time for a request's head to arrive, and so also for a kept-alive connection to stay idle.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// Most headers of a request; browsers send about 20.
const MAX_HEADERS: usize = 64;

/// Longest head and read buffer: URLs here are short, and filters are bounded.
const MAX_BUFFER: usize = 64 << 10;

/// Longest time for a connection to say what it is, and for its TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The first byte of a TLS connection: a record of the type `handshake` (RFC 8446 §5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// Longest time for running requests to end at shutdown.
const DRAIN: Duration = Duration::from_secs(10);

/// How long not to accept when the kernel refuses (out of descriptors): until a connection has ended, trying again at
/// once would only burn the CPU.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is served on a listener, and how.
#[derive(Debug, Clone)]
pub struct Serving {
    /// What answers.
    pub router: Router,
    /// How TLS is spoken; `None` for plain HTTP.
    pub tls: Option<Tls>,
    /// What answers plain HTTP where TLS is spoken.
    pub plain: Router,
    /// Counts connections.
    pub traffic: Traffic,
}

/// Who is at the other end of a connection. Each of its requests carries it.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    /// Where it calls from.
    pub(crate) address: SocketAddr,
    /// Whether TLS is spoken with it.
    pub(crate) secure: bool,
    /// Its certificate, DER, if it showed one; a root of ours stands above it.
    pub(crate) certificate: Option<Arc<[u8]>>,
}

/// Serves until `shutdown` is done and running requests have ended, or [`DRAIN`] later.
pub async fn serve(listener: TcpListener, serving: Serving, shutdown: impl Future<Output = ()> + Send) {
    let serving = Arc::new(serving);
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let stop = CancellationToken::new();
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(ended) = connections.join_next() => log_end(ended),
            accepted = accept(&listener, &slots) => {
                if let Some((stream, address, slot)) = accepted {
                    connections.spawn(connection(stream, address, Arc::clone(&serving), stop.clone(), slot));
                }
            }
        }
    }
    drop(listener);
    stop.cancel();
    let drained = tokio::time::timeout(DRAIN, async {
        while let Some(ended) = connections.join_next().await {
            log_end(ended);
        }
    });
    if drained.await.is_err() {
        tracing::warn!(left = connections.len(), "requests did not end in time and are cut off");
        connections.shutdown().await;
    }
}

/// The next connection, once there is a slot for it. `None` when the kernel refused; the caller asks again.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, address)) => {
            // Answers are written in one piece; Nagle would only delay them. Its refusal costs nothing but that.
            let _ = stream.set_nodelay(true);
            Some((stream, address, slot))
        }
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// A connection from its first byte to its end.
async fn connection(
    stream: TcpStream,
    address: SocketAddr,
    serving: Arc<Serving>,
    stop: CancellationToken,
    slot: OwnedSemaphorePermit,
) {
    let _open = serving.traffic.opened();
    let begun = tokio::select! {
        begun = tokio::time::timeout(HANDSHAKE_TIMEOUT, begin(stream, address, &serving)) => begun,
        () = stop.cancelled() => return,
    };
    match begun {
        Ok(Ok(Begun::Plain(stream, peer, router))) => converse(stream, peer, router, stop).await,
        Ok(Ok(Begun::Tls(stream, peer, router))) => converse(stream, peer, router, stop).await,
        Ok(Err(error)) => tracing::debug!(%error, %address, "a connection did not begin"),
        Err(_) => tracing::debug!(%address, "a connection said nothing, or its handshake took too long"),
    }
    drop(slot);
}

/// A connection of which is known what it speaks.
enum Begun {
    Plain(TcpStream, Peer, Router),
    Tls(Box<tokio_rustls::server::TlsStream<TcpStream>>, Peer, Router),
}

async fn begin(stream: TcpStream, address: SocketAddr, serving: &Serving) -> io::Result<Begun> {
    let plain = Peer { address, secure: false, certificate: None };
    let Some(tls) = &serving.tls else {
        return Ok(Begun::Plain(stream, plain, serving.router.clone()));
    };
    let mut first = [0];
    if stream.peek(&mut first).await? == 1 && first[0] != TLS_HANDSHAKE {
        return Ok(Begun::Plain(stream, plain, serving.plain.clone()));
    }
    let stream = tls.acceptor().accept(stream).await?;
    let leaf = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let certificate = leaf.map(|leaf| Arc::from(leaf.as_ref()));
    let peer = Peer { address, secure: true, certificate };
    Ok(Begun::Tls(Box::new(stream), peer, serving.router.clone()))
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    router: Router,
    stop: CancellationToken,
) {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_BUFFER);
    let router = TowerToHyperService::new(router);
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        hyper::service::Service::call(&router, request.map(Body::new))
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke off");
    }
}

fn log_end(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection's task failed");
    }
}
