//! One request in, one answer out: no socket, no lock, no clock.

mod builder;
mod query;

pub(crate) use builder::{Builder, MAX_UDP, bare, cut};

use crate::dnssec::Dnssec;
use crate::message::{IN, QUERY, Request, Unreadable};
use crate::types::{Rcode, RecordType};
use crate::zone::Zone;

/// What a request is answered from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'c> {
    pub(crate) zone: &'c Zone,
    pub(crate) dnssec: Option<&'c Dnssec>,
    /// Seconds since 1970.
    pub(crate) now: u64,
    /// Whether the client may have names of other zones looked up.
    pub(crate) recursion: bool,
    /// Whether the request came by TCP.
    pub(crate) tcp: bool,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// There is an answer.
    Answered(Answered),
    /// There is none to give.
    Ignored,
    /// It is an update, a transfer, signed, or for others to answer.
    Slow,
}

/// An answer, as counters and the rate limit see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) rcode: Rcode,
    /// Whether there are records in it that were asked for.
    pub(crate) positive: bool,
    /// Whether they are a wildcard's, so that there is no end of such answers.
    pub(crate) wildcard: bool,
    /// Whether it was cut.
    pub(crate) cut: bool,
}

impl Answered {
    fn with(rcode: Rcode) -> Self {
        Self { rcode, positive: false, wildcard: false, cut: false }
    }
}

/// Answers a request.
pub(crate) fn respond(message: &[u8], context: Context<'_>, out: &mut Vec<u8>) -> Outcome {
    let request = match Request::read(message) {
        Ok(request) => request,
        Err(Unreadable::Ignore) => return Outcome::Ignored,
        Err(Unreadable::Reply(rcode)) => {
            bare(out, message, rcode);
            return Outcome::Answered(Answered::with(rcode));
        }
    };
    if request.opcode != QUERY || request.tsig.is_some() {
        return Outcome::Slow;
    }
    reply(&request, context, 0, out)
}

/// Answers a question that was read; `reserved` octets are left for a signature.
pub(crate) fn reply(
    request: &Request<'_>,
    context: Context<'_>,
    reserved: usize,
    out: &mut Vec<u8>,
) -> Outcome {
    let limit = match request.edns {
        _ if context.tcp => usize::from(u16::MAX),
        None => 512,
        Some(edns) => usize::from(edns.size.clamp(512, MAX_UDP)),
    };
    let limit = limit - reserved;
    let mut builder = Builder::new(out, request);
    if context.recursion {
        builder.recursive();
    }
    let refusal = if request.edns.is_some_and(|edns| edns.version != 0) {
        Some(Rcode::BADVERS)
    } else if request.class != IN {
        Some(Rcode::REFUSED)
    } else {
        refusal_of_type(request.record_type)
    };
    if let Some(rcode) = refusal {
        builder.finish(rcode, limit);
        return Outcome::Answered(Answered::with(rcode));
    }
    if request.record_type == RecordType::AXFR || request.record_type == RecordType::IXFR && context.tcp {
        return Outcome::Slow;
    }
    match query::query(request, context, &mut builder) {
        Ok(query::Said::Elsewhere) if context.recursion && request.wants_recursion() => Outcome::Slow,
        Ok(query::Said::Elsewhere) => {
            builder.finish(Rcode::REFUSED, limit);
            Outcome::Answered(Answered::with(Rcode::REFUSED))
        }
        Ok(query::Said::Here { rcode, positive, wildcard }) => {
            let cut = builder.finish(rcode, limit);
            Outcome::Answered(Answered { rcode, positive, wildcard, cut })
        }
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "an answer can't be signed");
            Builder::new(out, request).finish(Rcode::SERVFAIL, limit);
            Outcome::Answered(Answered::with(Rcode::SERVFAIL))
        }
    }
}

/// Types that are no records.
fn refusal_of_type(record_type: RecordType) -> Option<Rcode> {
    match record_type {
        RecordType::OPT | RecordType::TSIG | RecordType::NXNAME => Some(Rcode::FORMERR),
        other if other.code() == 0 => Some(Rcode::FORMERR),
        // MAILA, MAILB, TKEY: other questions than for records.
        other if (249..=254).contains(&other.code()) && !is_transfer(other) => Some(Rcode::NOTIMP),
        _ => None,
    }
}

fn is_transfer(record_type: RecordType) -> bool {
    record_type == RecordType::AXFR || record_type == RecordType::IXFR
}

/// Answers one message from an unsigned zone as by UDP, without sockets: for tests, fuzzing and benchmarks. `None` where a
/// server is silent, or goes another way: signed messages, updates, transfers.
pub fn answer(zone: &Zone, message: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(usize::from(MAX_UDP));
    let context = Context { zone, dnssec: None, now: 0, recursion: false, tcp: false };
    match respond(message, context, &mut out) {
        Outcome::Answered(_) => Some(out),
        Outcome::Ignored | Outcome::Slow => None,
    }
}
