//! Proofs of RFC 6962 §2.1.1 and §2.1.2, made from the hashes of complete subtrees.
//!
//! Written as the RFC's recursion, unrolled into loops, so that a proof costs a few hashes for each level of the tree.

use super::{Hash, Nodes, empty_root, node_hash};

/// The root of the tree's first `size` leaves.
///
/// # Errors
/// Those of `nodes`.
pub fn root<N: Nodes>(size: u64, nodes: &N) -> Result<Hash, N::Error> {
    if size == 0 { Ok(empty_root()) } else { subtree(0, size, nodes) }
}

/// The audit path of leaf `index` in the tree of the first `size` leaves, from the leaf up; `None` when there is no such
/// leaf.
///
/// # Errors
/// Those of `nodes`.
pub fn inclusion_proof<N: Nodes>(index: u64, size: u64, nodes: &N) -> Result<Option<Vec<Hash>>, N::Error> {
    if index >= size {
        return Ok(None);
    }
    let (mut first, mut end) = (0, size);
    let mut path = Vec::new();
    while end - first > 1 {
        let split = first + left_part(end - first);
        if index < split {
            path.push(subtree(split, end, nodes)?);
            end = split;
        } else {
            path.push(subtree(first, split, nodes)?);
            first = split;
        }
    }
    path.reverse();
    Ok(Some(path))
}

/// The proof that the tree of the first `first` leaves is a prefix of that of the first `second`; empty when they are the
/// same or the first is empty, `None` when the first is larger.
///
/// # Errors
/// Those of `nodes`.
pub fn consistency_proof<N: Nodes>(
    first: u64,
    second: u64,
    nodes: &N,
) -> Result<Option<Vec<Hash>>, N::Error> {
    if first > second {
        return Ok(None);
    }
    if first == 0 || first == second {
        return Ok(Some(Vec::new()));
    }
    // SUBPROOF(m, D[begin:end], b) of the RFC; b holds as long as the subtree begins at the tree's first leaf.
    let (mut begin, mut end) = (0, second);
    let mut path = Vec::new();
    while end != first {
        let split = begin + left_part(end - begin);
        if first <= split {
            path.push(subtree(split, end, nodes)?);
            end = split;
        } else {
            path.push(subtree(begin, split, nodes)?);
            begin = split;
        }
    }
    if begin != 0 {
        path.push(subtree(begin, end, nodes)?);
    }
    path.reverse();
    Ok(Some(path))
}

/// The hash over leaves `begin..end`, which are not none, and where `begin` is a multiple of the largest power of two
/// below their number: the only shape that the recursion makes.
fn subtree<N: Nodes>(begin: u64, end: u64, nodes: &N) -> Result<Hash, N::Error> {
    let mut parts = Vec::new();
    let mut at = begin;
    while at < end {
        let level = (end - at).ilog2();
        parts.push(nodes.node(u8::try_from(level).unwrap_or(63), at >> level)?);
        at += 1 << level;
    }
    let last = parts.pop().unwrap_or_else(empty_root);
    Ok(parts.iter().rev().fold(last, |right, left| node_hash(left, &right)))
}

/// The largest power of two below `n`, which is at least 2.
fn left_part(n: u64) -> u64 {
    1 << (n - 1).ilog2()
}

#[cfg(test)]
mod tests {
    use super::super::book::{Book, leaves, mth};
    use super::*;
    use crate::merkle::{verify_consistency, verify_inclusion};
    use proptest::prelude::*;

    #[test]
    fn every_leaf_of_every_small_tree_is_proved() {
        let all = leaves(130);
        let book = Book(all.clone());
        for size in 1..=130 {
            let at = usize::try_from(size).unwrap();
            let expected = mth(&all[..at]);
            assert_eq!(root(size, &book).unwrap(), expected);
            for index in 0..size {
                let proof = inclusion_proof(index, size, &book).unwrap().unwrap();
                let leaf = &all[usize::try_from(index).unwrap()];
                verify_inclusion(leaf, index, size, &proof, &expected).unwrap();
            }
            assert_eq!(inclusion_proof(size, size, &book).unwrap(), None);
        }
    }

    #[test]
    fn every_small_tree_is_proved_to_be_a_prefix_of_every_larger() {
        let all = leaves(130);
        let book = Book(all.clone());
        let roots: Vec<_> = (0..=130).map(|n| mth(&all[..n])).collect();
        for second in 0..=130_u64 {
            for first in 0..=second {
                let proof = consistency_proof(first, second, &book).unwrap().unwrap();
                let (a, b) =
                    (&roots[usize::try_from(first).unwrap()], &roots[usize::try_from(second).unwrap()]);
                verify_consistency(first, second, a, b, &proof).unwrap();
            }
            assert_eq!(consistency_proof(second + 1, second, &book).unwrap(), None);
        }
    }

    /// A tree of any size whose leaves are all the same, so that a complete subtree's hash depends on its level alone.
    struct Uniform(Vec<Hash>);

    impl Uniform {
        fn new() -> Self {
            let mut levels = vec![crate::merkle::leaf_hash(b"same")];
            for level in 0..62 {
                levels.push(node_hash(&levels[level], &levels[level]));
            }
            Self(levels)
        }
    }

    impl Nodes for Uniform {
        type Error = std::convert::Infallible;
        fn node(&self, level: u8, _: u64) -> Result<Hash, Self::Error> {
            Ok(self.0[usize::from(level)])
        }
    }

    proptest! {
        #[test]
        fn proofs_hold_in_trees_of_any_size(size in 1..1_u64 << 60, a in any::<u64>(), b in any::<u64>()) {
            let nodes = Uniform::new();
            let expected = root(size, &nodes).unwrap();
            let (index, first) = (a % size, b % size + 1);
            let proof = inclusion_proof(index, size, &nodes).unwrap().unwrap();
            prop_assert!(proof.len() <= 60);
            verify_inclusion(&nodes.0[0], index, size, &proof, &expected).unwrap();
            let proof = consistency_proof(first, size, &nodes).unwrap().unwrap();
            prop_assert!(proof.len() <= 61);
            verify_consistency(first, size, &root(first, &nodes).unwrap(), &expected, &proof).unwrap();
        }
    }
}
