//! Lists of CPUs or NUMA nodes as the kernel prints them: `0-3,8,10-11`
//! (kernel `Documentation/admin-guide/cputopology.rst`).
//!
//! A list is a set, so that lists from several files can be intersected. Text with anything else in it is refused
//! whole: half a list would look like a smaller machine.

use std::collections::BTreeSet;
use std::str::FromStr;
use thiserror::Error;

/// Highest CPU number plus one that is taken: the most that Linux can be built for (`CONFIG_NR_CPUS`, x86 `MAXSMP`).
const MAX_CPUS: u32 = 8192;

/// Text that is not a list of CPUs.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not a list of CPUs such as 0-3,8")]
pub(crate) struct InvalidCpuList(String);

/// A set of CPU or node numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CpuList(BTreeSet<u32>);

impl CpuList {
    /// How many there are.
    pub(crate) fn count(&self) -> u32 {
        // At most MAX_CPUS.
        u32::try_from(self.0.len()).unwrap_or(MAX_CPUS)
    }

    /// How many are in both.
    pub(crate) fn count_in(&self, other: &Self) -> u32 {
        u32::try_from(self.0.intersection(&other.0).count()).unwrap_or(MAX_CPUS)
    }

    /// What is in both.
    pub(crate) fn intersection(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0).copied().collect())
    }

    /// Whether a number is in it.
    pub(crate) fn contains(&self, number: u32) -> bool {
        self.0.contains(&number)
    }

    /// The numbers, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().copied()
    }
}

impl FromIterator<u32> for CpuList {
    fn from_iter<I: IntoIterator<Item = u32>>(numbers: I) -> Self {
        Self(numbers.into_iter().filter(|n| *n < MAX_CPUS).collect())
    }
}

impl FromStr for CpuList {
    type Err = InvalidCpuList;

    fn from_str(text: &str) -> Result<Self, InvalidCpuList> {
        let invalid = || InvalidCpuList(text.chars().take(80).collect());
        // `u32::from_str` would take a sign, which the kernel never prints.
        let number = |s: &str| match s.bytes().all(|b| b.is_ascii_digit()) {
            true => s.parse().ok().filter(|n| *n < MAX_CPUS).ok_or_else(invalid),
            false => Err(invalid()),
        };
        let mut numbers = BTreeSet::new();
        for part in text.trim().split(',').filter(|_| !text.trim().is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last): (u32, u32) = (number(first)?, number(last)?);
            if first > last {
                return Err(invalid());
            }
            numbers.extend(first..=last);
        }
        Ok(Self(numbers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Vec<u32> {
        text.parse::<CpuList>().unwrap().iter().collect()
    }

    #[test]
    fn the_kernels_examples() {
        assert_eq!(parse("0-3,8,10-11\n"), [0, 1, 2, 3, 8, 10, 11]);
        assert_eq!(parse("0"), [0]);
        assert!(parse("\n").is_empty(), "a v2 cpuset that inherits prints an empty line");
    }

    #[test]
    fn text_that_is_no_list_is_refused_and_costs_nothing() {
        for bad in ["a", "1-", "-1", "3-1", "0,,1", ",", "+1", "0-4294967295", "8192", "1 2", "0-3:2/4"] {
            assert!(bad.parse::<CpuList>().is_err(), "{bad}");
        }
    }

    /// The kernel's own way of printing (`bitmap_print_to_pagebuf`): maximal ranges, ascending.
    fn print(set: &BTreeSet<u32>) -> String {
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for n in set {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == *n => *last = *n,
                _ => ranges.push((*n, *n)),
            }
        }
        let print = |(a, b): &(u32, u32)| if a == b { a.to_string() } else { format!("{a}-{b}") };
        ranges.iter().map(print).collect::<Vec<_>>().join(",")
    }

    proptest! {
        #[test]
        fn what_the_kernel_prints_is_read_back(set in proptest::collection::btree_set(0..MAX_CPUS, 0..40)) {
            let list: CpuList = print(&set).parse().unwrap();
            prop_assert_eq!(list.count() as usize, set.len());
            prop_assert_eq!(list, CpuList(set));
        }

        #[test]
        fn intersections_are_of_sets(
            a in proptest::collection::btree_set(0u32..64, 0..40),
            b in proptest::collection::btree_set(0u32..64, 0..40),
        ) {
            let both: Vec<u32> = a.iter().filter(|n| b.contains(n)).copied().collect();
            let (a, b) = (CpuList(a), CpuList(b));
            prop_assert_eq!(a.count_in(&b) as usize, both.len());
            prop_assert!(both.iter().all(|n| a.contains(*n) && b.contains(*n)));
            prop_assert_eq!(a.intersection(&b).iter().collect::<Vec<_>>(), both);
        }

        #[test]
        fn no_text_panics(text in "[0-9,\\-\\n :/a]{0,30}|\\PC{0,20}") {
            let _ = text.parse::<CpuList>();
        }
    }
}
