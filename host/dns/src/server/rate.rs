//! Response rate limiting: equal answers to one network are counted by the second.
//!
//! A table of fixed size without locks; a place holds a tag, a second and a count in one word. Two networks that meet in a
//! place push each other out, which lets through more than it should, never less; the hash is keyed, so nobody can aim at
//! a place. Two threads that count at once may count one, which doesn't matter either.

use super::settings::RateLimit;
use crate::answer::Answered;
use crate::message::{QUESTION, Request};
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Places; a power of two. Half a megabyte.
const PLACES: usize = 1 << 16;

/// What to do with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Send,
    /// Send it cut to nothing.
    Slip,
    Drop,
}

pub(super) struct Limiter {
    limit: RateLimit,
    hash: RandomState,
    places: Box<[AtomicU64]>,
    slips: AtomicU32,
}

/// What is counted together: the network, and which answer.
#[derive(Hash)]
struct Key<'k> {
    network: [u8; 7],
    /// The question of a positive answer, in lower case; nothing for all others, which differ by their code alone.
    question: &'k [u8],
    rcode: u16,
}

impl Limiter {
    pub(super) fn new(limit: RateLimit) -> Self {
        let places = std::iter::repeat_with(AtomicU64::default).take(PLACES).collect();
        Self { limit, hash: RandomState::new(), places, slips: AtomicU32::new(0) }
    }

    /// Counts an answer; `now` is in seconds since 1970.
    pub(super) fn judge(&self, client: IpAddr, message: &[u8], answered: Answered, now: u64) -> Verdict {
        let client = client.to_canonical();
        if client.is_loopback() && !self.limit.loopback {
            return Verdict::Send;
        }
        let mut question = [0; 259];
        let length =
            if answered.positive && !answered.wildcard { lowered(message, &mut question) } else { 0 };
        let key = Key { network: network(client), question: &question[..length], rcode: answered.rcode.0 };
        let hash = self.hash.hash_one(key);
        let place = &self.places[usize::try_from(hash & 0xffff).unwrap_or(0)];
        let mark = hash >> 40 << 40 | (now & 0xff_ffff) << 16;
        let known = place.load(Ordering::Relaxed);
        let count = if known >> 16 == mark >> 16 { (known & 0xffff) + 1 } else { 1 };
        place.store(mark | count.min(0xffff), Ordering::Relaxed);
        if count <= u64::from(self.limit.per_second) {
            return Verdict::Send;
        }
        let slip = u32::from(self.limit.slip);
        if slip > 0 && self.slips.fetch_add(1, Ordering::Relaxed).is_multiple_of(slip) {
            Verdict::Slip
        } else {
            Verdict::Drop
        }
    }
}

/// The question of a request that has been answered, in lower case. Gives its length.
fn lowered(message: &[u8], into: &mut [u8; 259]) -> usize {
    let length = Request::read(message).map_or(0, |request| request.question_end - QUESTION);
    into[..length].copy_from_slice(&message[QUESTION..QUESTION + length]);
    into[..length].make_ascii_lowercase();
    length
}

/// The first 24 bits of an IPv4 address, the first 56 of an IPv6 one.
fn network(client: IpAddr) -> [u8; 7] {
    match client {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            [4, a, b, c, 0, 0, 0]
        }
        IpAddr::V6(address) => {
            let [a, b, c, d, e, f, g, ..] = address.octets();
            [a, b, c, d, e, f, g]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::question;
    use crate::{Rcode, RecordType};

    const POSITIVE: Answered =
        Answered { rcode: Rcode::NOERROR, positive: true, wildcard: false, cut: false };

    #[test]
    fn equal_answers_to_one_network_are_bounded_by_the_second() {
        let limiter = Limiter::new(RateLimit { per_second: 2, slip: 2, loopback: false });
        let a = question("a.example.org", RecordType::A);
        let judge = |client: &str, message: &[u8], now| {
            limiter.judge(client.parse().unwrap(), message, POSITIVE, now)
        };
        let verdicts: Vec<_> = (0..6).map(|_| judge("192.0.2.1", &a, 7)).collect();
        assert_eq!(
            verdicts,
            [Verdict::Send, Verdict::Send, Verdict::Slip, Verdict::Drop, Verdict::Slip, Verdict::Drop]
        );
        assert_eq!(judge("192.0.2.99", &question("A.EXAMPLE.org", RecordType::A), 7), Verdict::Slip);
        assert_eq!(judge("192.0.2.1", &question("b.example.org", RecordType::A), 7), Verdict::Send);
        assert_eq!(judge("198.51.100.1", &a, 7), Verdict::Send);
        assert_eq!(judge("192.0.2.1", &a, 8), Verdict::Send);
        assert!((0..99).all(|_| judge("127.0.0.1", &a, 8) == Verdict::Send));
    }

    #[test]
    fn names_that_do_not_exist_count_as_one() {
        let limiter = Limiter::new(RateLimit { per_second: 2, slip: 0, loopback: true });
        let missing = Answered { rcode: Rcode::NXDOMAIN, positive: false, ..POSITIVE };
        let names = ["a", "b", "c", "d"].map(|name| question(name, RecordType::A));
        let client = "::1".parse().unwrap();
        let verdicts = names.map(|name| limiter.judge(client, &name, missing, 7));
        assert_eq!(verdicts, [Verdict::Send, Verdict::Send, Verdict::Drop, Verdict::Drop]);
    }
}
