//! Updates that were seen before: by UDP a client repeats what got no answer, and a stranger on the path may repeat what
//! did. Neither may be made twice, so the answer is remembered as long as the signature is valid.

use crate::types::Rcode;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Most updates that are remembered. A client that has a key and sends more within ten minutes is told to wait.
const MAX_REMEMBERED: usize = 65_536;
/// How long a signature can be accepted, in seconds: from the client's clock ahead of ours to behind it.
const VALID: u64 = 600;

/// What is known of an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Nothing; it is noted as begun.
    New,
    /// It is being made.
    Running,
    /// It was answered so.
    Answered(Rcode),
    /// Too many are remembered.
    Full,
}

struct Entry {
    until: u64,
    rcode: Option<Rcode>,
}

/// The signatures of the last updates.
#[derive(Default)]
pub(crate) struct Replays(Mutex<HashMap<Vec<u8>, Entry>>);

impl std::fmt::Debug for Replays {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Replays")
    }
}

impl Replays {
    /// Asks for an update, and notes it if it is new.
    pub(crate) fn begin(&self, mac: &[u8], now: u64) -> Seen {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = known.get(mac).filter(|entry| entry.until >= now) {
            return entry.rcode.map_or(Seen::Running, Seen::Answered);
        }
        if known.len() >= MAX_REMEMBERED {
            known.retain(|_, entry| entry.until >= now);
        }
        if known.len() >= MAX_REMEMBERED {
            return Seen::Full;
        }
        known.insert(mac.to_vec(), Entry { until: now + VALID, rcode: None });
        Seen::New
    }

    /// Notes how an update was answered.
    pub(crate) fn end(&self, mac: &[u8], rcode: Rcode) {
        if let Some(entry) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(mac) {
            entry.rcode = Some(rcode);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_is_new_once() {
        let replays = Replays::default();
        assert_eq!(replays.begin(b"mac", 0), Seen::New);
        assert_eq!(replays.begin(b"mac", 1), Seen::Running);
        replays.end(b"mac", Rcode::REFUSED);
        assert_eq!(replays.begin(b"mac", VALID), Seen::Answered(Rcode::REFUSED));
        assert_eq!(replays.begin(b"mac", VALID + 1), Seen::New);
    }
}
