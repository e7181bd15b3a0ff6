//! Verification of inclusion and consistency proofs, as RFC 9162 §2.1.3.2 and §2.1.4.2 write the algorithms out (the trees
//! are those of RFC 6962).
//!
//! Written apart from how proofs are made: it walks from the leaf up and knows positions only, so that neither can hide
//! the other's mistake.

use super::{Hash, empty_root, node_hash};
use thiserror::Error;

/// Why a proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ProofError {
    /// The leaf or the first tree lies outside of the tree.
    #[error("position {position} is outside of a tree of {size} leaves")]
    OutOfRange {
        /// The leaf's index, or the first tree's size.
        position: u64,
        /// The tree's size.
        size: u64,
    },
    /// Hashes are missing or left over.
    #[error("the proof has {found} hashes, which does not fit the tree's shape")]
    WrongLength {
        /// Hashes in the proof.
        found: usize,
    },
    /// The root that follows from the proof is not the one that was claimed.
    #[error("the proof leads to another root")]
    WrongRoot,
}

/// Checks that `leaf` is leaf number `index` of the tree of `size` leaves with this root.
///
/// # Errors
/// [`ProofError`].
pub fn verify_inclusion(
    leaf: &Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::OutOfRange { position: index, size });
    }
    let wrong_length = ProofError::WrongLength { found: proof.len() };
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return Err(wrong_length);
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            // A node without a right sibling moves up until it is a right child.
            while node & 1 == 0 && node != 0 {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    if last != 0 {
        return Err(wrong_length);
    }
    if hash == *root { Ok(()) } else { Err(ProofError::WrongRoot) }
}

/// Checks that the tree of `first` leaves is a prefix of the tree of `second` leaves.
///
/// # Errors
/// [`ProofError`].
pub fn verify_consistency(
    first: u64,
    second: u64,
    first_root: &Hash,
    second_root: &Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if first > second {
        return Err(ProofError::OutOfRange { position: first, size: second });
    }
    if first == 0 || first == second {
        let same = if first == 0 { *first_root == empty_root() } else { first_root == second_root };
        return match (proof.is_empty(), same) {
            (false, _) => Err(ProofError::WrongLength { found: proof.len() }),
            (true, false) => Err(ProofError::WrongRoot),
            (true, true) => Ok(()),
        };
    }
    let (old, new) = roots_of(first, second, first_root, proof)?;
    if old == *first_root && new == *second_root { Ok(()) } else { Err(ProofError::WrongRoot) }
}

/// The two roots that follow from a proof for `0 < first < second`.
fn roots_of(first: u64, second: u64, first_root: &Hash, proof: &[Hash]) -> Result<(Hash, Hash), ProofError> {
    let wrong_length = ProofError::WrongLength { found: proof.len() };
    let mut rest = proof.iter();
    let (mut node, mut last) = (first - 1, second - 1);
    let up = node.trailing_ones();
    (node, last) = (node >> up, last >> up);
    // A first tree that is complete is a node of the second, and its hash is left out of the proof.
    let begin = if first.is_power_of_two() { first_root } else { rest.next().ok_or(wrong_length)? };
    let (mut old, mut new) = (*begin, *begin);
    for sibling in rest {
        if last == 0 {
            return Err(wrong_length);
        }
        if node & 1 == 1 || node == last {
            (old, new) = (node_hash(sibling, &old), node_hash(sibling, &new));
            while node & 1 == 0 && node != 0 {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            new = node_hash(&new, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    if last == 0 { Ok((old, new)) } else { Err(wrong_length) }
}

#[cfg(test)]
mod tests {
    use super::super::book::{Book, leaves, mth};
    use super::*;
    use crate::merkle::{consistency_proof, inclusion_proof};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_changed_inclusion_proof_is_refused(size in 2..200_u64, at in any::<u64>(), bit in 0..256_usize) {
            let all = leaves(size);
            let (index, root) = (at % size, mth(&all));
            let leaf = all[usize::try_from(index).unwrap()];
            let proof = inclusion_proof(index, size, &Book(all)).unwrap().unwrap();
            for changed in 0..proof.len() {
                let mut wrong = proof.clone();
                wrong[changed][bit / 8] ^= 1 << (bit % 8);
                prop_assert!(verify_inclusion(&leaf, index, size, &wrong, &root).is_err());
            }
            prop_assert!(verify_inclusion(&leaf, index, size, &proof[1..], &root).is_err());
            let longer = [proof.clone(), vec![root]].concat();
            prop_assert!(verify_inclusion(&leaf, index, size, &longer, &root).is_err());
            let other = (index + 1) % size;
            prop_assert!(verify_inclusion(&leaf, other, size, &proof, &root).is_err());
            prop_assert!(verify_inclusion(&leaf, size, size, &proof, &root).is_err());
        }

        #[test]
        fn a_changed_consistency_proof_is_refused(second in 2..200_u64, at in any::<u64>(), bit in 0..256_usize) {
            let all = leaves(second);
            let first = at % (second - 1) + 1;
            let (old, new) = (mth(&all[..usize::try_from(first).unwrap()]), mth(&all));
            let proof = consistency_proof(first, second, &Book(all)).unwrap().unwrap();
            for changed in 0..proof.len() {
                let mut wrong = proof.clone();
                wrong[changed][bit / 8] ^= 1 << (bit % 8);
                prop_assert!(verify_consistency(first, second, &old, &new, &wrong).is_err());
            }
            prop_assert!(verify_consistency(first, second, &old, &new, &proof[1..]).is_err());
            let longer = [proof.clone(), vec![new]].concat();
            prop_assert!(verify_consistency(first, second, &old, &new, &longer).is_err());
            prop_assert!(verify_consistency(first, second, &new, &old, &proof).is_err());
            prop_assert!(verify_consistency(second, first, &new, &old, &proof).is_err());
        }
    }

    #[test]
    fn the_trivial_proofs_are_empty_and_bound_to_the_roots() {
        let root = mth(&leaves(3));
        verify_consistency(3, 3, &root, &root, &[]).unwrap();
        verify_consistency(0, 3, &empty_root(), &root, &[]).unwrap();
        assert_eq!(verify_consistency(3, 3, &root, &empty_root(), &[]), Err(ProofError::WrongRoot));
        assert_eq!(verify_consistency(0, 3, &root, &root, &[]), Err(ProofError::WrongRoot));
        let one = verify_consistency(3, 3, &root, &root, &[root]);
        assert_eq!(one, Err(ProofError::WrongLength { found: 1 }));
    }
}
