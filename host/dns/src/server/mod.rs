//! The server: sockets, the threads and tasks behind them, and the end of all that.
//!
//! ```text
//! UDP socket ─▶ worker thread (one a core) ─▶ answer::respond ─▶ rate limit ─▶ out
//!                      └ what takes longer ─▶ bounded queue ─▶ task ─▶ slow ─▶ out
//! TCP listener ─▶ task a connection (bounded) ─▶ answer::respond, or slow ─▶ out
//! ```
//!
//! Each worker has a socket of its own on the same port (SO_REUSEPORT), so none waits for another. The TCP listener, which
//! takes its port alone, is bound first: a second server on the same port fails there instead of getting half of the
//! questions. When stopped, workers end after the message in hand, connections at once.

mod rate;
mod settings;
mod slow;
mod tcp;
mod udp;

pub(crate) use settings::{Counters, count};
pub use settings::{RateLimit, Settings, Stats};

use crate::answer::{Answered, Context};
use crate::dnssec::Dnssec;
use crate::tsig::{Keys, Replays};
use crate::types::Rcode;
use crate::update::Updates;
use crate::zone::{Zone, Zones};
use rate::Limiter;
use rustix::net::{AddressFamily, SocketType, sockopt};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};
use thiserror::Error;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// Most updates that are made at once; more wait in their connections, or are dropped by UDP.
const MAX_UPDATES: usize = 64;
/// Most transfers at once: each keeps a snapshot alive.
const MAX_TRANSFERS: usize = 8;
/// How often a free port is looked for that UDP has free, too.
const PORT_TRIES: usize = 16;

/// A server that could not be started.
#[derive(Debug, Error)]
pub enum ServerError {
    /// No address was given.
    #[error("a name server needs an address to listen at")]
    NoAddress,
    /// Its own questions would come back to it without end.
    #[error("{forwarder} is where this server listens; questions can't be forwarded there")]
    ForwardsToItself {
        /// The forwarder.
        forwarder: SocketAddr,
    },
    /// An address can't be had.
    #[error("{address} can't be listened at")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A thread can't be had.
    #[error("a worker can't be started")]
    Worker(#[source] io::Error),
}

/// What everything that answers shares.
struct Shared {
    zones: Zones,
    keys: Keys,
    updates: Option<Arc<dyn Updates>>,
    limiter: Option<Limiter>,
    forwarder: Option<SocketAddr>,
    dnssec: Option<Arc<Dnssec>>,
    counters: Counters,
    replays: Replays,
    updating: Semaphore,
    transferring: Arc<Semaphore>,
    stopping: AtomicBool,
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl Shared {
    fn new(settings: &Settings) -> Self {
        let origin = settings.zones.current().origin().clone();
        Self {
            zones: settings.zones.clone(),
            keys: settings.keys.clone(),
            updates: settings.updates.clone(),
            limiter: settings.rate_limit.map(Limiter::new),
            forwarder: settings.forwarder,
            dnssec: settings.signer.clone().map(|signer| Arc::new(Dnssec::new(&origin, signer))),
            counters: Counters::default(),
            replays: Replays::default(),
            updating: Semaphore::new(MAX_UPDATES),
            transferring: Arc::new(Semaphore::new(MAX_TRANSFERS)),
            stopping: AtomicBool::new(false),
        }
    }

    fn context<'c>(&'c self, zone: &'c Zone, client: IpAddr, tcp: bool, now: u64) -> Context<'c> {
        let recursion = self.forwarder.is_some() && client.to_canonical().is_loopback();
        Context { zone, dnssec: self.dnssec.as_deref(), now, recursion, tcp }
    }

    fn count(&self, answered: Answered) {
        count(match answered.rcode {
            Rcode::NOERROR => &self.counters.answered,
            Rcode::NXDOMAIN => &self.counters.missing,
            _ => &self.counters.failed,
        });
        if answered.cut {
            count(&self.counters.truncated);
        }
    }
}

/// A name server that runs.
pub struct Server {
    shared: Arc<Shared>,
    addresses: Vec<SocketAddr>,
    sockets: Vec<Arc<UdpSocket>>,
    workers: Vec<JoinHandle<()>>,
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

impl Server {
    /// Binds the addresses and begins to answer. Must be called in a tokio runtime, which carries TCP and what is slow.
    ///
    /// # Errors
    /// [`ServerError`]; nothing is left running then.
    pub fn start(settings: &Settings) -> Result<Self, ServerError> {
        if settings.addresses.is_empty() {
            return Err(ServerError::NoAddress);
        }
        if let Some(forwarder) = settings.forwarder.filter(|other| is_own(*other, &settings.addresses)) {
            return Err(ServerError::ForwardsToItself { forwarder });
        }
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let workers = if settings.workers == 0 { cores() } else { settings.workers };
        let mut bound = Vec::new();
        for address in &settings.addresses {
            let sockets = bind(*address, workers);
            bound.push(sockets.map_err(|source| ServerError::Bind { address: *address, source })?);
        }
        let (stop, stopped) = watch::channel(false);
        let mut server = Self {
            shared: Arc::new(Shared::new(settings)),
            addresses: Vec::new(),
            sockets: Vec::new(),
            workers: Vec::new(),
            tasks: JoinSet::new(),
            stop,
        };
        let queue = slow::queue(&server.shared, &mut server.tasks, stopped.clone());
        for (listener, sockets) in bound {
            let listener = tokio::net::TcpListener::from_std(listener).map_err(ServerError::Worker)?;
            server.addresses.push(listener.local_addr().map_err(ServerError::Worker)?);
            server.tasks.spawn(tcp::serve(Arc::clone(&server.shared), listener, stopped.clone()));
            for socket in sockets {
                let socket = Arc::new(socket);
                server.sockets.push(Arc::clone(&socket));
                let (shared, queue) = (Arc::clone(&server.shared), queue.clone());
                let thread = std::thread::Builder::new().name("dns".into());
                let worker = thread.spawn(move || udp::serve(&shared, &socket, &queue));
                server.workers.push(worker.map_err(ServerError::Worker)?);
            }
        }
        Ok(server)
    }

    /// Where it listens, by UDP and TCP, in the order of the settings.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What it has done so far.
    pub fn stats(&self) -> Stats {
        Stats {
            signatures: self.shared.dnssec.as_ref().map_or(0, |dnssec| dnssec.made()),
            ..self.shared.counters.read()
        }
    }

    /// Ends it. Afterwards the addresses are free.
    pub async fn stop(mut self) {
        self.end();
        while self.tasks.join_next().await.is_some() {}
        let workers = std::mem::take(&mut self.workers);
        let joined = tokio::task::spawn_blocking(move || workers.into_iter().try_for_each(JoinHandle::join));
        if !matches!(joined.await, Ok(Ok(()))) {
            tracing::error!("a worker of the name server ended by a panic");
        }
    }

    fn end(&self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        self.stop.send_replace(true);
        for socket in &self.sockets {
            // Of a socket without a peer this says "not connected", and wakes who reads it all the same.
            let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Read);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// Whether messages to this address arrive here, as far as the addresses alone say.
fn is_own(address: SocketAddr, own: &[SocketAddr]) -> bool {
    let same = |ip: IpAddr| {
        let wildcard = ip.is_unspecified() && address.ip().to_canonical().is_loopback();
        wildcard || address.ip().is_unspecified() || ip.to_canonical() == address.ip().to_canonical()
    };
    own.iter().any(|own| own.port() == address.port() && same(own.ip()))
}

/// A listener and as many sockets on its port.
fn bind(address: SocketAddr, workers: usize) -> io::Result<(TcpListener, Vec<UdpSocket>)> {
    let mut tries = if address.port() == 0 { PORT_TRIES } else { 1 };
    loop {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let bound = listener.local_addr()?;
        let sockets: io::Result<Vec<_>> = (0..workers).map(|_| udp_socket(bound)).collect();
        tries -= 1;
        match sockets {
            Ok(sockets) => return Ok((listener, sockets)),
            Err(error) if tries == 0 => return Err(error),
            Err(_) => {}
        }
    }
}

fn udp_socket(address: SocketAddr) -> io::Result<UdpSocket> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket =
        rustix::net::socket_with(family, SocketType::DGRAM, rustix::net::SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    rustix::net::bind(&socket, &address)?;
    let socket = UdpSocket::from(socket);
    socket.set_read_timeout(Some(udp::LOOK_UP))?;
    Ok(socket)
}
