//! What takes longer than a look: signed messages, updates, transfers, and questions for others.
//!
//! By UDP they wait in a queue of [`MAX_WAITING`], and [`MAX_AT_ONCE`] are worked on; what comes above is dropped, as if it
//! had been lost on the way. By TCP the connection waits.

use super::settings::count;
use super::udp::send;
use super::{Shared, now};
use crate::answer::{Outcome, bare, reply};
use crate::ask::{by_tcp, by_udp};
use crate::message::{IN, Request, TC, UPDATE};
use crate::transfer::Transfer;
use crate::tsig::{Rejected, Seen, Session, one_more, verify};
use crate::types::{Rcode, RecordType};
use crate::update::perform;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

/// Most requests by UDP that wait.
const MAX_WAITING: usize = 1024;
/// Most requests by UDP that are worked on.
const MAX_AT_ONCE: usize = 128;

/// A request by UDP that takes longer.
pub(super) struct Waiting {
    pub(super) message: Vec<u8>,
    pub(super) client: SocketAddr,
    pub(super) socket: Arc<UdpSocket>,
}

pub(super) type Queue = mpsc::Sender<Waiting>;

/// What became of a request.
pub(super) enum Work {
    /// No answer.
    Nothing,
    Reply(Vec<u8>),
    /// Many answers; by TCP only.
    Transfer(Box<Transfer>, Session),
}

/// Starts what works on the requests by UDP.
pub(super) fn queue(
    shared: &Arc<Shared>,
    tasks: &mut JoinSet<()>,
    mut stopped: watch::Receiver<bool>,
) -> Queue {
    let (queue, mut waiting) = mpsc::channel::<Waiting>(MAX_WAITING);
    let shared = Arc::clone(shared);
    tasks.spawn(async move {
        let at_once = Arc::new(Semaphore::new(MAX_AT_ONCE));
        let mut running = JoinSet::new();
        loop {
            let next = tokio::select! {
                next = waiting.recv() => next,
                Some(_) = running.join_next() => continue,
                _ = stopped.wait_for(|stopped| *stopped) => None,
            };
            let Some(Waiting { message, client, socket }) = next else { break };
            let Ok(place) = Arc::clone(&at_once).acquire_owned().await else { break };
            let shared = Arc::clone(&shared);
            running.spawn(async move {
                if let Work::Reply(answer) = work(&shared, &message, client, false).await {
                    send(&socket, client, &answer);
                }
                drop(place);
            });
        }
        // An update that is being made durable is waited for: what was committed is answered.
        while running.join_next().await.is_some() {}
    });
    queue
}

/// Works on a request that `respond` called slow.
pub(super) async fn work(shared: &Arc<Shared>, message: &[u8], client: SocketAddr, tcp: bool) -> Work {
    let Ok(request) = Request::read(message) else { return Work::Nothing };
    let session = if request.tsig.is_some() {
        match verify(&request, &shared.keys, now()) {
            Ok(session) => Some(session),
            Err(rejected) => {
                count(&shared.counters.unauthentic);
                return rejection(message, rejected);
            }
        }
    } else {
        None
    };
    if request.opcode == UPDATE {
        return update(shared, &request, session).await;
    }
    let transfer = request.record_type == RecordType::AXFR || tcp && request.record_type == RecordType::IXFR;
    if transfer {
        return transfer_of(shared, &request, session, tcp);
    }
    let mut out = Vec::with_capacity(1024);
    let reserved = session.as_ref().map_or(0, Session::length);
    let outcome = {
        let zone = shared.zones.current();
        reply(&request, shared.context(&zone, client.ip(), tcp, now()), reserved, &mut out)
    };
    match (outcome, session) {
        (Outcome::Ignored, _) => Work::Nothing,
        (Outcome::Answered(answered), session) => {
            shared.count(answered);
            finish(out, session)
        }
        (Outcome::Slow, None) => forward(shared, &request, tcp).await,
        // What others say is not signed by us.
        (Outcome::Slow, session) => code(shared, message, Rcode::REFUSED, session),
    }
}

fn finish(mut answer: Vec<u8>, session: Option<Session>) -> Work {
    if let Some(mut session) = session {
        session.sign(&mut answer, now());
    }
    Work::Reply(answer)
}

/// An answer of nothing but a code.
fn code(shared: &Shared, message: &[u8], rcode: Rcode, session: Option<Session>) -> Work {
    count(if rcode == Rcode::NOERROR { &shared.counters.answered } else { &shared.counters.failed });
    let mut out = Vec::with_capacity(256);
    bare(&mut out, message, rcode);
    finish(out, session)
}

/// The answer to a signature that was not accepted (RFC 8945, 5.2).
fn rejection(message: &[u8], rejected: Rejected) -> Work {
    let mut out = Vec::with_capacity(256);
    match rejected {
        Rejected::Malformed => bare(&mut out, message, Rcode::FORMERR),
        Rejected::With { error, record } => {
            tracing::info!(error = error.0, "a message's signature was not accepted");
            bare(&mut out, message, Rcode::NOTAUTH);
            out.extend_from_slice(&record);
            one_more(&mut out);
        }
        Rejected::Time { mut session, signed_at } => {
            bare(&mut out, message, Rcode::NOTAUTH);
            session.sign_time(&mut out, signed_at, now());
        }
    }
    Work::Reply(out)
}

async fn update(shared: &Shared, request: &Request<'_>, session: Option<Session>) -> Work {
    let Some(session) = session else {
        count(&shared.counters.updates_refused);
        return code(shared, request.message, Rcode::REFUSED, None);
    };
    let mac = session.mac().to_vec();
    let rcode = match shared.replays.begin(&mac, now()) {
        // The first is answered when it is done.
        Seen::Running => return Work::Nothing,
        Seen::Answered(rcode) => rcode,
        Seen::Full => Rcode::SERVFAIL,
        Seen::New => {
            let rcode = match shared.updating.acquire().await {
                Ok(_place) => perform(request, &session.key, &shared.zones, shared.updates.as_deref()).await,
                Err(_) => Rcode::SERVFAIL,
            };
            shared.replays.end(&mac, rcode);
            let done = rcode == Rcode::NOERROR;
            count(if done { &shared.counters.updates } else { &shared.counters.updates_refused });
            rcode
        }
    };
    code(shared, request.message, rcode, Some(session))
}

fn transfer_of(shared: &Shared, request: &Request<'_>, session: Option<Session>, tcp: bool) -> Work {
    let zone = shared.zones.current();
    let ours = request.path.wire() == zone.origin().wire() && request.class == IN;
    match session {
        Some(session) if !ours => code(shared, request.message, Rcode::NOTAUTH, Some(session)),
        Some(session) if tcp && session.key.may_transfer() => {
            let transfer = Transfer::new(request, zone, shared.dnssec.clone(), now());
            Work::Transfer(Box::new(transfer), session)
        }
        // By UDP there is no transfer (RFC 5936, 4.2).
        session => code(shared, request.message, if tcp { Rcode::REFUSED } else { Rcode::FORMERR }, session),
    }
}

/// Passes a question on, and back what is said to it.
async fn forward(shared: &Shared, request: &Request<'_>, tcp: bool) -> Work {
    let Some(server) = shared.forwarder else { return code(shared, request.message, Rcode::REFUSED, None) };
    count(&shared.counters.forwarded);
    let mut answer = by_udp(server, request.message).await;
    if tcp && matches!(&answer, Ok(Some(answer)) if answer[2] & TC != 0) {
        answer = by_tcp(server, request.message).await;
    }
    match answer {
        Ok(Some(mut answer)) => {
            answer[..2].copy_from_slice(&request.message[..2]);
            Work::Reply(answer)
        }
        Ok(None) => code(shared, request.message, Rcode::SERVFAIL, None),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, %server, "a question was not forwarded");
            code(shared, request.message, Rcode::SERVFAIL, None)
        }
    }
}
