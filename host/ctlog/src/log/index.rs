//! Which leaf has which hash, in memory: 32 bits of the hash beside 32 bits of index in an open-addressed table, so that
//! an entry costs 11 to 22 bytes. Whoever finds a candidate compares the whole hash with the `leaves` file.

use crate::merkle::Hash;

/// Entries that can be indexed: an index of all ones stands for an empty place.
pub(super) const MAX_ENTRIES: u64 = u32::MAX as u64;

const EMPTY: u64 = u64::MAX;

/// From part of a leaf's hash to its index.
#[derive(Debug)]
pub(super) struct HashIndex {
    /// The hash's tag in the high half, the index in the low half. A power of two of places, at most 3/4 taken.
    slots: Vec<u64>,
    taken: usize,
}

impl HashIndex {
    pub(super) fn with_capacity(entries: usize) -> Self {
        let places = (entries.max(16) * 4 / 3 + 1).next_power_of_two();
        Self { slots: vec![EMPTY; places], taken: 0 }
    }

    /// Adds a leaf; `index` is below [`MAX_ENTRIES`].
    pub(super) fn insert(&mut self, hash: &Hash, index: u64) {
        if (self.taken + 1) * 4 > self.slots.len() * 3 {
            let doubled = vec![EMPTY; self.slots.len() * 2];
            for slot in std::mem::replace(&mut self.slots, doubled) {
                if slot != EMPTY {
                    self.place(slot);
                }
            }
        }
        self.place(u64::from(tag(hash)) << 32 | index);
        self.taken += 1;
    }

    /// The indices of leaves whose hash may be this one.
    pub(super) fn candidates(&self, hash: &Hash) -> Vec<u64> {
        let tag = u64::from(tag(hash));
        let slots = self.probe(tag).map(|at| self.slots[at]).take_while(|slot| *slot != EMPTY);
        slots.filter(|slot| slot >> 32 == tag).map(|slot| slot & u64::from(u32::MAX)).collect()
    }

    fn place(&mut self, slot: u64) {
        if let Some(at) = self.probe(slot >> 32).find(|at| self.slots[*at] == EMPTY) {
            self.slots[at] = slot;
        }
    }

    /// Every place, beginning with the tag's own.
    fn probe(&self, tag: u64) -> impl Iterator<Item = usize> + use<> {
        let mask = self.slots.len() - 1;
        // A table is never larger than memory, so the tag's low bits are all that counts.
        let first = usize::try_from(tag).unwrap_or(0);
        (0..=mask).map(move |step| (first + step) & mask)
    }
}

fn tag(hash: &Hash) -> u32 {
    u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::leaf_hash;

    #[test]
    fn every_leaf_is_among_its_candidates_while_the_table_grows() {
        let mut index = HashIndex::with_capacity(0);
        let hash = |i: u64| leaf_hash(&i.to_be_bytes());
        for i in 0..5000 {
            index.insert(&hash(i), i);
        }
        for i in 0..5000 {
            assert!(index.candidates(&hash(i)).contains(&i));
        }
        let strangers: usize = (5000..10_000).map(|i| index.candidates(&hash(i)).len()).sum();
        assert!(strangers < 10, "{strangers}");
    }

    #[test]
    fn equal_tags_are_told_apart_by_index() {
        let mut index = HashIndex::with_capacity(0);
        for i in 0..40 {
            index.insert(&[9; 32], i);
        }
        let mut found = index.candidates(&[9; 32]);
        found.sort_unstable();
        assert_eq!(found, (0..40).collect::<Vec<_>>());
        assert_eq!(index.candidates(&[8; 32]), Vec::<u64>::new());
    }
}
