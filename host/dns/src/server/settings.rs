//! What a server is started with, and what it counts.

use crate::dnssec::ZoneSigner;
use crate::tsig::Keys;
use crate::update::Updates;
use crate::zone::Zones;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How a server is run.
#[derive(Clone)]
pub struct Settings {
    /// Where it listens, by UDP and TCP. Port 0 is any that is free with both. Of a wildcard address the system chooses the
    /// source of answers by UDP; a machine with several addresses should name them.
    pub addresses: Vec<SocketAddr>,
    /// The zone.
    pub zones: Zones,
    /// Keys for updates and transfers.
    pub keys: Keys,
    /// Who keeps updates; without it they are refused.
    pub updates: Option<Arc<dyn Updates>>,
    /// How many answers one network gets; `None` for as many as it asks for.
    pub rate_limit: Option<RateLimit>,
    /// Who is asked for names outside the zone, on behalf of clients on the loopback only. Without it, such questions are
    /// refused.
    pub forwarder: Option<SocketAddr>,
    /// Signs the zone.
    pub signer: Option<Arc<dyn ZoneSigner>>,
    /// Threads for each address; 0 for one a core.
    pub workers: usize,
}

impl Settings {
    /// Listens at one address for a zone; nothing else is on.
    pub fn new(address: SocketAddr, zones: Zones) -> Self {
        Self {
            addresses: vec![address],
            zones,
            keys: Keys::default(),
            updates: None,
            rate_limit: Some(RateLimit::default()),
            forwarder: None,
            signer: None,
            workers: 0,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("addresses", &self.addresses)
            .field("keys", &self.keys)
            .field("updates", &self.updates.is_some())
            .field("rate_limit", &self.rate_limit)
            .field("forwarder", &self.forwarder)
            .field("signed", &self.signer.is_some())
            .field("workers", &self.workers)
            .finish_non_exhaustive()
    }
}

/// Bounds the answers by UDP to each network (a /24 of IPv4, a /56 of IPv6), so that questions with a forged source are of
/// no use against it. TCP isn't limited: there the source is proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Equal answers each second; errors and "no such name" count as one answer each.
    pub per_second: u16,
    /// Every how manieth answer above it is sent cut to nothing with TC set, so that a real client comes by TCP; 0 for
    /// none, 1 for all.
    pub slip: u8,
    /// Whether clients on the loopback are limited too; nobody can forge these from outside.
    pub loopback: bool,
}

impl Default for RateLimit {
    /// Generous to resolvers, useless to an attacker.
    fn default() -> Self {
        Self { per_second: 50, slip: 2, loopback: false }
    }
}

macro_rules! stats {
    ($($name:ident: $doc:literal;)*) => {
        /// What a server has done since it began.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Stats {
            $(#[doc = $doc] pub $name: u64,)*
        }

        /// The counters behind [`Stats`].
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: AtomicU64,)*
        }

        impl Counters {
            pub(crate) fn read(&self) -> Stats {
                Stats { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

stats! {
    udp_requests: "Messages by UDP.";
    tcp_requests: "Messages by TCP.";
    tcp_connections: "Connections that were taken.";
    tcp_refused: "Connections that were closed at once, since there were too many.";
    answered: "Answers with NOERROR.";
    missing: "Answers with NXDOMAIN.";
    failed: "Answers with any other code.";
    truncated: "Answers by UDP that didn't fit, and were sent with TC.";
    ignored: "Messages that got no answer: answers themselves, or too short to be anything.";
    rate_limited: "Answers that were not sent, or cut, for the rate limit.";
    overloaded: "Requests that were dropped since too many of the slow ones were waiting.";
    unauthentic: "Signed messages whose signature was not accepted.";
    updates: "Updates that were made.";
    updates_refused: "Updates that weren't.";
    transfers: "Transfers of the whole zone that were completed.";
    forwarded: "Questions that were forwarded.";
    signatures: "Signatures over records that were made.";
}

/// Counts one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
