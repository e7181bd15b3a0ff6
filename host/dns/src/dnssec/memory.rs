//! What was signed last for names that have no records of their own.
//!
//! Two generations of bounded size: what is found in the older moves to the newer, and when that is full the older is
//! forgotten. So a flood of names that don't exist costs signatures, but no more memory than this. What is looked for is
//! what would be signed, octet by octet, so nothing here can be out of date except by its time.

use super::SignError;
use crate::zone::Cached;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Statements in a generation; about half a kilobyte each.
const GENERATION: usize = 8192;

type Known = HashMap<Box<[u8]>, Arc<Cached>>;

#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<(Known, Known)>);

impl Memory {
    /// What is known of `key`, or what `make` makes. Two that ask at once may both make it.
    pub(super) fn get_or(
        &self,
        key: Vec<u8>,
        now: u64,
        make: impl FnOnce() -> Result<Cached, SignError>,
    ) -> Result<Arc<Cached>, SignError> {
        if let Some(known) = self.get(&key).filter(|known| known.until > now) {
            return Ok(known);
        }
        let made = Arc::new(make()?);
        self.put(key.into(), Arc::clone(&made));
        Ok(made)
    }

    fn get(&self, key: &[u8]) -> Option<Arc<Cached>> {
        let generations = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = generations.0.get(key) {
            return Some(Arc::clone(known));
        }
        let (key, known) = generations.1.remove_entry(key)?;
        keep(generations, key, Arc::clone(&known));
        Some(known)
    }

    fn put(&self, key: Box<[u8]>, made: Arc<Cached>) {
        keep(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner), key, made);
    }
}

fn keep((newer, older): &mut (Known, Known), key: Box<[u8]>, made: Arc<Cached>) {
    if newer.len() >= GENERATION {
        *older = std::mem::take(newer);
    }
    newer.insert(key, made);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_signed_is_kept_until_its_time_and_within_bounds() {
        let memory = Memory::default();
        let made = |until| Ok(Cached { wire: Box::default(), until, ttl: 0 });
        let never = || panic!("it is known");
        memory.get_or(b"a".to_vec(), 0, || made(10)).unwrap();
        assert_eq!(memory.get_or(b"a".to_vec(), 9, never).unwrap().until, 10);
        assert_eq!(memory.get_or(b"a".to_vec(), 10, || made(20)).unwrap().until, 20);
        for number in 0..4 * GENERATION {
            memory.get_or(number.to_be_bytes().to_vec(), 0, || made(10)).unwrap();
        }
        let generations = memory.0.lock().unwrap();
        assert!(generations.0.len() <= GENERATION && generations.1.len() <= GENERATION);
    }
}
