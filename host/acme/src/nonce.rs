//! Nonces: each request is taken once (RFC 8555, 6.5).
//!
//! A nonce carries the time it was made and 16 random bytes under a MAC of a key that lives as long as the process, so
//! giving one out costs no memory and no write. Only used ones are remembered, for as long as they would be valid. A
//! restart makes all old ones unknown, which clients answer by trying again with a new one.

use crate::base64url;
use aws_lc_rs::{hmac, rand};
use hypermesh_model::Timestamp;
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// Seconds that a nonce can be used.
const LIFE: i64 = 300;
/// Bytes of the random part.
const RANDOM: usize = 16;
/// Bytes of the time, seconds since 1970, big-endian.
const TIME: usize = 8;
/// Bytes of the MAC that are kept: 128 bits.
const MAC: usize = 16;
/// Used nonces that are remembered for each span of [`LIFE`]: about 10 MiB, 870 requests a second.
const MAX_USED: usize = 262_144;

/// Why a nonce is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NonceError {
    /// It was not made by this process, or is too old.
    Unknown,
    /// It was used.
    Used,
    /// No more uses can be remembered at this time.
    Full,
}

/// Used nonces by the span of time in which they were made.
#[derive(Default)]
struct Used {
    spans: Vec<(i64, HashSet<[u8; RANDOM]>)>,
}

/// Gives out nonces and takes them back once.
pub(crate) struct Nonces {
    key: hmac::Key,
    used: Mutex<Used>,
    capacity: usize,
}

impl Nonces {
    /// With a key of its own. `None` if the system has no randomness.
    pub(crate) fn new() -> Option<Self> {
        let mut key = [0; 32];
        rand::fill(&mut key).ok()?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        Some(Self { key, used: Mutex::default(), capacity: MAX_USED })
    }

    /// A new nonce. `None` if the system has no randomness.
    pub(crate) fn make(&self, now: Timestamp) -> Option<String> {
        let mut bytes = [0; TIME + RANDOM];
        bytes[..TIME].copy_from_slice(&seconds(now).to_be_bytes());
        rand::fill(&mut bytes[TIME..]).ok()?;
        let tag = hmac::sign(&self.key, &bytes);
        Some(base64url::encode(&[&bytes, &tag.as_ref()[..MAC]].concat()))
    }

    /// Takes a nonce back: true once for each that was made in the last five minutes.
    pub(crate) fn spend(&self, nonce: &str, now: Timestamp) -> Result<(), NonceError> {
        let bytes = base64url::decode(nonce).filter(|bytes| bytes.len() == TIME + RANDOM + MAC);
        let bytes = bytes.ok_or(NonceError::Unknown)?;
        let (content, tag) = bytes.split_at(TIME + RANDOM);
        let expected = hmac::sign(&self.key, content);
        aws_lc_rs::constant_time::verify_slices_are_equal(&expected.as_ref()[..MAC], tag)
            .map_err(|_| NonceError::Unknown)?;
        let (time, random) = content.split_at(TIME);
        // The lengths are those of the split, so neither conversion can fail.
        let made = i64::from_be_bytes(time.try_into().map_err(|_| NonceError::Unknown)?);
        let random = random.try_into().map_err(|_| NonceError::Unknown)?;
        if !(0..=LIFE).contains(&(seconds(now) - made)) {
            return Err(NonceError::Unknown);
        }
        // An insertion that panics (no memory) leaves a set that lacks one nonce of a request that failed.
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.insert(made / LIFE, random, seconds(now) / LIFE, self.capacity)
    }
}

impl Used {
    fn insert(
        &mut self,
        span: i64,
        random: [u8; RANDOM],
        now: i64,
        capacity: usize,
    ) -> Result<(), NonceError> {
        // A nonce lives no longer than a span, so what is valid now was made in this one or the one before.
        self.spans.retain(|(span, _)| *span >= now - 1);
        let known = self.spans.iter().position(|(known, _)| *known == span);
        let at = known.unwrap_or_else(|| {
            self.spans.push((span, HashSet::new()));
            self.spans.len() - 1
        });
        let set = &mut self.spans[at].1;
        if set.contains(&random) {
            return Err(NonceError::Used);
        }
        if set.len() >= capacity {
            return Err(NonceError::Full);
        }
        set.insert(random);
        Ok(())
    }
}

fn seconds(time: Timestamp) -> i64 {
    time.as_millis().div_euclid(1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn a_nonce_is_taken_once_and_only_while_it_is_fresh() {
        let nonces = Nonces::new().unwrap();
        let nonce = nonces.make(at(1_000)).unwrap();
        assert_eq!(nonces.spend(&nonce, at(1_300)), Ok(()));
        assert_eq!(nonces.spend(&nonce, at(1_300)), Err(NonceError::Used));
        let nonce = nonces.make(at(1_000)).unwrap();
        assert_eq!(nonces.spend(&nonce, at(1_301)), Err(NonceError::Unknown));
        assert_eq!(nonces.spend(&nonce, at(999)), Err(NonceError::Unknown));
        assert_eq!(Nonces::new().unwrap().spend(&nonce, at(1_000)), Err(NonceError::Unknown));
    }

    #[test]
    fn used_nonces_are_forgotten_when_they_are_too_old_and_bounded_before() {
        let nonces = Nonces { capacity: 2, ..Nonces::new().unwrap() };
        let spend = |time| nonces.spend(&nonces.make(at(time)).unwrap(), at(time));
        assert_eq!([spend(0), spend(1), spend(2)], [Ok(()), Ok(()), Err(NonceError::Full)]);
        assert_eq!(spend(300), Ok(()));
        assert_eq!(spend(600), Ok(()));
        assert_eq!(nonces.used.lock().unwrap().spans.len(), 2);
    }

    proptest! {
        #[test]
        fn a_nonce_that_was_changed_is_unknown(place in 0usize..54, with in "[A-Za-z0-9_-]") {
            let nonces = Nonces::new().unwrap();
            let nonce = nonces.make(at(5)).unwrap();
            let mut changed = nonce.clone();
            changed.replace_range(place..=place, &with);
            prop_assume!(changed != nonce);
            prop_assert_eq!(nonces.spend(&changed, at(5)), Err(NonceError::Unknown));
        }
    }
}
