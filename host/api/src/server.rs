//! Serves a router on a listener: HTTP/1.1 with limits on connections, headers and idle time, and an orderly end.
//!
//! hyper is driven by hand, because `axum::serve` sets no limits. A connection that fails ends alone. When shutdown
//! begins, nothing new is accepted, running requests get [`DRAIN`], and what is left is cut off.

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Connections at the same time. Further ones wait in the kernel's backlog: a local node has tens, and each may hold a
/// body of [`crate::ApiConfig::max_json_body`].
const MAX_CONNECTIONS: usize = 1024;

/// Longest time for a request's head to arrive, and so also for a kept-alive connection to stay idle.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// Most headers of a request; browsers send about 20.
const MAX_HEADERS: usize = 64;

/// Longest head and read buffer: URLs here are short, and filters are bounded.
const MAX_BUFFER: usize = 64 << 10;

/// Longest time for running requests to end at shutdown.
const DRAIN: Duration = Duration::from_secs(10);

/// How long not to accept when the kernel refuses (out of descriptors): until a connection has ended, trying again at
/// once would only burn the CPU.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown` is done and running requests have ended, or [`DRAIN`] later.
pub async fn serve(listener: TcpListener, router: Router, shutdown: impl Future<Output = ()> + Send) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let stop = CancellationToken::new();
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(ended) = connections.join_next() => log_end(ended),
            accepted = accept(&listener, &slots) => {
                if let Some((stream, slot)) = accepted {
                    connections.spawn(converse(stream, router.clone(), stop.clone(), slot));
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
async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => {
            // Answers are written in one piece; Nagle would only delay them. Its refusal costs nothing but that.
            let _ = stream.set_nodelay(true);
            Some((stream, slot))
        }
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn converse(stream: TcpStream, router: Router, stop: CancellationToken, slot: OwnedSemaphorePermit) {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_BUFFER);
    let mut connection =
        pin!(builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
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
    drop(slot);
}

fn log_end(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection's task failed");
    }
}
