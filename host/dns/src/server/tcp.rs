//! Questions by TCP (RFC 7766): as many on a connection as it brings, one after the other.
//!
//! A connection is ended when it is silent for [`IDLE`], doesn't take its answers, or breaks the framing. There are at most
//! [`MAX_CONNECTIONS`], and of one address at most [`MAX_PER_CLIENT`]: what comes above is closed at once.

use super::settings::count;
use super::slow::{Work, work};
use super::{Shared, now};
use crate::answer::{Outcome, respond};
use crate::transfer::Transfer;
use crate::tsig::Session;
use crate::wire::length16;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Most connections at once.
const MAX_CONNECTIONS: usize = 1024;
/// Most connections of one address at once.
const MAX_PER_CLIENT: usize = 128;
/// How long a connection may be silent, or a message be on its way.
const IDLE: Duration = Duration::from_secs(10);
/// How long an answer may take to be taken.
const TAKE: Duration = Duration::from_secs(10);
/// How long nothing is accepted after that failed.
const BACK_OFF: Duration = Duration::from_millis(100);
/// Messages of a transfer that are made ahead.
const AHEAD: usize = 4;

/// How many connections each address has.
#[derive(Default)]
struct Clients(Mutex<HashMap<IpAddr, usize>>);

/// The place of one connection; gives it back when dropped.
struct Place {
    clients: Arc<Clients>,
    client: IpAddr,
}

impl Clients {
    fn place(self: &Arc<Self>, client: IpAddr) -> Option<Place> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.entry(client).or_default();
        if *count >= MAX_PER_CLIENT {
            return None;
        }
        *count += 1;
        Some(Place { clients: Arc::clone(self), client })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.clients.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = all.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.client);
            }
        }
    }
}

pub(super) async fn serve(shared: Arc<Shared>, listener: TcpListener, mut stopped: watch::Receiver<bool>) {
    let clients = Arc::new(Clients::default());
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            _ = stopped.wait_for(|stopped| *stopped) => break,
        };
        let (stream, client) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, or the client is gone already. Connections that end make room.
                tracing::warn!(error = &error as &dyn std::error::Error, "a connection was not accepted");
                tokio::time::sleep(BACK_OFF).await;
                continue;
            }
        };
        let place = clients.place(client.ip().to_canonical()).filter(|_| connections.len() < MAX_CONNECTIONS);
        let Some(place) = place else {
            count(&shared.counters.tcp_refused);
            continue;
        };
        count(&shared.counters.tcp_connections);
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            if let Err(error) = connection(&shared, stream, client).await {
                tracing::debug!(error = &error as &dyn std::error::Error, %client, "a connection was ended");
            }
            drop(place);
        });
    }
    connections.shutdown().await;
}

async fn connection(shared: &Arc<Shared>, mut stream: TcpStream, client: SocketAddr) -> io::Result<()> {
    stream.set_nodelay(true)?;
    while let Some(message) = timeout(IDLE, receive(&mut stream)).await?? {
        count(&shared.counters.tcp_requests);
        let mut out = Vec::with_capacity(1024);
        let outcome = {
            let zone = shared.zones.current();
            respond(&message, shared.context(&zone, client.ip(), true, now()), &mut out)
        };
        match outcome {
            Outcome::Ignored => {
                count(&shared.counters.ignored);
                return Ok(());
            }
            Outcome::Answered(answered) => {
                shared.count(answered);
                send(&mut stream, &out).await?;
            }
            Outcome::Slow => match work(shared, &message, client, true).await {
                Work::Nothing => return Ok(()),
                Work::Reply(answer) => send(&mut stream, &answer).await?,
                Work::Transfer(transfer, session) => give(shared, &mut stream, *transfer, session).await?,
            },
        }
    }
    Ok(())
}

/// The next message; `None` at the end of the connection.
async fn receive(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 2];
    if stream.read(&mut length[..1]).await? == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut length[1..]).await?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message).await?;
    Ok(Some(message))
}

async fn send(stream: &mut TcpStream, answer: &[u8]) -> io::Result<()> {
    let framed = [&length16(answer.len()).to_be_bytes()[..], answer].concat();
    timeout(TAKE, stream.write_all(&framed)).await?
}

/// Sends a transfer while it is made: signing a large zone takes seconds, which no task of the runtime may.
async fn give(
    shared: &Shared,
    stream: &mut TcpStream,
    mut transfer: Transfer,
    mut session: Session,
) -> io::Result<()> {
    let Ok(_place) = Arc::clone(&shared.transferring).acquire_owned().await else { return Ok(()) };
    let (made, mut making) = mpsc::channel(AHEAD);
    let maker = tokio::task::spawn_blocking(move || {
        loop {
            let message = transfer.message(session.length()).map_err(io::Error::other).transpose();
            let Some(message) = message else { return };
            let message = message.map(|mut message| {
                session.sign(&mut message, now());
                message
            });
            let failed = message.is_err();
            if made.blocking_send(message).is_err() || failed {
                return;
            }
        }
    });
    while let Some(message) = making.recv().await {
        send(stream, &message?).await?;
    }
    drop(making);
    maker.await.map_err(io::Error::other)?;
    count(&shared.counters.transfers);
    Ok(())
}
