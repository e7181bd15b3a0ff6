//! One worker: a thread with a socket, which answers what it receives before it receives the next.

use super::rate::Verdict;
use super::settings::count;
use super::slow::{Queue, Waiting};
use super::{Shared, now};
use crate::answer::{Outcome, cut, respond};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recvfrom};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often a worker without questions looks whether it should end, should nobody have woken it.
pub(super) const LOOK_UP: Duration = Duration::from_secs(1);
/// Longest message by UDP, in octets.
const LONGEST: usize = 65_535;

pub(super) fn serve(shared: &Shared, socket: &Arc<UdpSocket>, queue: &Queue) {
    let mut message = vec![0; LONGEST];
    let mut out = Vec::with_capacity(2048);
    while !shared.stopping.load(Ordering::Relaxed) {
        match recvfrom(socket, &mut message[..], RecvFlags::empty()) {
            Ok((length, _, Some(client))) => {
                // No other family comes out of these sockets.
                let Ok(client) = SocketAddr::try_from(client) else { continue };
                one(shared, socket, queue, &message[..length], client, &mut out);
            }
            // From nobody: the socket was shut down.
            Ok((_, _, None)) => {}
            Err(error) if is_passing(error) => {}
            Err(error) => {
                tracing::error!(%error, "a name server's socket is broken");
                return;
            }
        }
    }
}

/// No message in time, a signal, want of memory, or news of an earlier answer that was not delivered.
fn is_passing(error: Errno) -> bool {
    [Errno::AGAIN, Errno::INTR, Errno::NOMEM, Errno::NOBUFS, Errno::CONNREFUSED].contains(&error)
}

fn one(
    shared: &Shared,
    socket: &Arc<UdpSocket>,
    queue: &Queue,
    message: &[u8],
    client: SocketAddr,
    out: &mut Vec<u8>,
) {
    count(&shared.counters.udp_requests);
    let now = now();
    let zone = shared.zones.load();
    match respond(message, shared.context(&zone, client.ip(), false, now), out) {
        Outcome::Ignored => count(&shared.counters.ignored),
        Outcome::Answered(answered) => {
            shared.count(answered);
            let limiter = shared.limiter.as_ref();
            match limiter.map_or(Verdict::Send, |limiter| limiter.judge(client.ip(), message, answered, now))
            {
                Verdict::Send => send(socket, client, out),
                Verdict::Slip => {
                    count(&shared.counters.rate_limited);
                    cut(out);
                    send(socket, client, out);
                }
                Verdict::Drop => count(&shared.counters.rate_limited),
            }
        }
        Outcome::Slow => {
            let waiting = Waiting { message: message.to_vec(), client, socket: Arc::clone(socket) };
            if queue.try_send(waiting).is_err() {
                count(&shared.counters.overloaded);
            }
        }
    }
}

/// Sends an answer. One that can't be sent is lost, as any by UDP may be.
pub(super) fn send(socket: &UdpSocket, client: SocketAddr, answer: &[u8]) {
    if let Err(error) = socket.send_to(answer, client) {
        tracing::debug!(error = &error as &dyn std::error::Error, %client, "an answer was not sent");
    }
}
