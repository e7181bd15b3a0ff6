//! Up to where everything is done, when things are done in any order.

use std::collections::BTreeMap;

/// A low-water mark over a line of pieces that are done out of order: places of the log, frames of the archive.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Progress {
    next: u64,
    /// Pieces beyond it that are done: from where, to where.
    beyond: BTreeMap<u64, u64>,
}

impl Progress {
    /// Everything before `next` is done.
    pub(crate) fn from(next: u64) -> Self {
        Self { next, beyond: BTreeMap::new() }
    }

    /// The piece from `from` up to, not including, `to` is done.
    pub(crate) fn done(&mut self, from: u64, to: u64) {
        if from >= self.next {
            self.beyond.insert(from, to);
        }
        while let Some(to) = self.beyond.remove(&self.next) {
            self.next = to;
        }
    }

    /// The first point that is not known to be done.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_mark_is_never_beyond_a_piece_that_is_not_done(
            lengths in prop::collection::vec(1u64..9, 1..40),
            order in any::<prop::sample::Index>(),
            seed in any::<u64>(),
        ) {
            let mut pieces = Vec::new();
            let mut end = 0;
            for length in &lengths {
                pieces.push((end, end + length));
                end += length;
            }
            // Any order will do: a rotation and a stride that has no divisor in common with it.
            let start = order.index(pieces.len());
            pieces.rotate_left(start);
            pieces.sort_by_key(|(from, _)| from.wrapping_mul(seed | 1) % 17);
            let mut progress = Progress::default();
            for (done, (from, to)) in pieces.iter().enumerate() {
                progress.done(*from, *to);
                let missing = pieces[done + 1..].iter().map(|(from, _)| *from).min().unwrap_or(end);
                prop_assert_eq!(progress.next(), missing);
            }
        }
    }
}
