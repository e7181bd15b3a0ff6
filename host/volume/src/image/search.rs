//! How long an image has to be so that its files can hold a given number of bytes.
//!
//! A filesystem's overhead depends on its length in steps (groups, descriptors, copies of the superblock) that e2fsprogs
//! alone knows in all versions. So the length is searched: format a file full of holes, which costs some milliseconds,
//! look at what is free, correct, and format again. Pure: the caller formats, this decides.

use super::superblock::BLOCK;

/// How often a filesystem is made before the closest is taken. Two or three are usual.
const ROUNDS: u32 = 10;
/// A capacity is good enough this close below what was asked: one part of 128, and at least so many bytes.
const TOLERATED_PART: u64 = 128;
const TOLERATED_BYTES: u64 = 4 * BLOCK;
/// What is promised: at least 95 % of the size.
const PROMISED_PERCENT: u64 = 95;

/// The journal of an image, in bytes. mke2fs by itself takes up to an eighth of a small one; below 8 MiB it makes none.
pub(crate) fn journal(size: u64) -> u64 {
    const MIB: u64 = 1 << 20;
    match size / MIB {
        0..512 => 4 * MIB,
        512..4096 => 16 * MIB,
        4096..65536 => 64 * MIB,
        _ => 128 * MIB,
    }
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Make a filesystem of this length and come back.
    Try(u64),
    /// The one that was made last is right.
    Accept,
    /// None is. The closest capacity below the size, in bytes.
    GiveUp { closest: u64 },
}

/// A search in progress.
#[derive(Debug)]
pub(crate) struct Search {
    size: u64,
    length: u64,
    rounds: u32,
    /// Capacity and length of the best so far.
    best: Option<(u64, u64)>,
}

impl Search {
    /// Starts for files of `size` bytes. The first length to try is [`Self::length`].
    pub(crate) fn new(size: u64) -> Self {
        // Inode tables are a 64th part, the kernel's reserve a 50th up to 16 MiB.
        let length = size + journal(size) + size / 60 + (size / 50).min(16 << 20) + (1 << 18);
        Self { size, length: whole_blocks(length), rounds: 0, best: None }
    }

    /// What was tried last, or is to be tried first, in bytes.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Answers what became of [`Self::length`]: files can hold `capacity` bytes.
    pub(crate) fn next(&mut self, capacity: u64) -> Next {
        self.rounds += 1;
        let fits = capacity <= self.size;
        let tolerated = (self.size / TOLERATED_PART).max(TOLERATED_BYTES);
        let returned = self.best.is_some_and(|(_, length)| length == self.length);
        if fits && (self.size - capacity <= tolerated || returned) {
            return Next::Accept;
        }
        if fits && self.best.is_none_or(|(best, _)| capacity > best) {
            self.best = Some((capacity, self.length));
        }
        if self.rounds >= ROUNDS {
            return self.closest();
        }
        // Into the middle of what is good enough: where a last group is too small to be made, a little less changes nothing.
        let aim = self.size - tolerated / 2;
        let next = if capacity < aim {
            self.length + whole_blocks(aim - capacity)
        } else {
            self.length.saturating_sub((capacity - aim).next_multiple_of(BLOCK))
        };
        // A length that is tried again would give the same again.
        if next == self.length {
            return self.closest();
        }
        self.length = next;
        Next::Try(next)
    }

    fn closest(&mut self) -> Next {
        match self.best {
            Some((capacity, length)) if capacity >= self.size / 100 * PROMISED_PERCENT => {
                self.length = length;
                Next::Try(length)
            }
            best => Next::GiveUp { closest: best.map_or(0, |(capacity, _)| capacity) },
        }
    }
}

/// Cut to whole blocks.
pub(crate) fn whole_blocks(bytes: u64) -> u64 {
    bytes - bytes % BLOCK
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A filesystem in the manner of ext4: inode tables, groups, a last group that is dropped when it is too small.
    fn capacity(length: u64, journal: u64) -> u64 {
        let mut blocks = length / BLOCK;
        let rest = blocks % 32768;
        if blocks > 32768 && rest > 0 && rest < 600 {
            blocks -= rest;
        }
        let overhead = 70 + blocks / 64 + blocks.div_ceil(32768) * 5 + journal / BLOCK;
        (blocks.saturating_sub(overhead + (blocks / 50).min(4096))) * BLOCK
    }

    proptest! {
        #[test]
        fn what_is_accepted_holds_95_to_100_percent(size in (1u64 << 20)..(1 << 42)) {
            let size = whole_blocks(size);
            let mut search = Search::new(size);
            let mut tries = 0;
            loop {
                tries += 1;
                prop_assert!(tries <= ROUNDS + 1);
                let held = capacity(search.length(), journal(size));
                match search.next(held) {
                    Next::Try(length) => prop_assert_eq!(length, search.length()),
                    Next::Accept => {
                        prop_assert!(held <= size && held >= size / 100 * PROMISED_PERCENT, "{held} of {size}");
                        break;
                    }
                    Next::GiveUp { closest } => prop_assert!(false, "gave up at {closest} of {size}"),
                }
            }
        }

        #[test]
        fn a_search_ends_whatever_it_is_told(size in (1u64 << 20)..(1 << 42), answers in proptest::collection::vec(any::<u64>(), 20)) {
            let mut search = Search::new(size);
            let tried = answers.iter().take_while(|answer| matches!(search.next(**answer), Next::Try(_))).count();
            prop_assert!(tried <= ROUNDS as usize + 1, "{tried}");
        }
    }
}
