//! The Merkle tree of RFC 6962 §2.1: hashes, the right edge of a growing tree, proofs and their verification, tiles.
//!
//! Pure: no I/O of its own. What reads hashes from somewhere implements [`Nodes`]; its errors pass through. Left to
//! others: what the leaves are, and who signs the root.

mod frontier;
mod proof;
mod tile;
mod verify;

pub use frontier::Frontier;
pub use proof::{consistency_proof, inclusion_proof, root};
pub use tile::{InvalidTilePath, TILE_HEIGHT, TILE_WIDTH, TilePath, tile_node};
pub use verify::{ProofError, verify_consistency, verify_inclusion};

use aws_lc_rs::digest::{Context, SHA256, digest};

/// A SHA-256 hash: of a leaf, a node, a certificate or a key.
pub type Hash = [u8; 32];

/// Where the hashes of complete subtrees come from.
pub trait Nodes {
    /// Why a hash can't be had.
    type Error;

    /// The hash over the leaves `index << level` up to, but not including, `(index + 1) << level`, all of which exist.
    ///
    /// # Errors
    /// What the place that keeps them says.
    fn node(&self, level: u8, index: u64) -> Result<Hash, Self::Error>;
}

/// SHA-256.
pub fn sha256(data: &[u8]) -> Hash {
    fixed(digest(&SHA256, data).as_ref())
}

/// SHA-256 over parts, as if they were one.
pub(crate) fn sha256_of(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    fixed(context.finish().as_ref())
}

/// The hash of a tree without leaves: of the empty string.
pub fn empty_root() -> Hash {
    sha256(b"")
}

/// The hash of a leaf: `SHA-256(0x00 || data)`.
pub fn leaf_hash(data: &[u8]) -> Hash {
    sha256_of(&[&[0], data])
}

/// The hash of an inner node: `SHA-256(0x01 || left || right)`.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut data = [1; 65];
    data[1..33].copy_from_slice(left);
    data[33..].copy_from_slice(right);
    sha256(&data)
}

/// The root over hashes whose number is a power of two.
pub(crate) fn fold(mut hashes: Vec<Hash>) -> Option<Hash> {
    while hashes.len() > 1 {
        hashes = hashes.chunks_exact(2).map(|pair| node_hash(&pair[0], &pair[1])).collect();
    }
    hashes.pop()
}

fn fixed(digest: &[u8]) -> Hash {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest);
    hash
}

/// A tree in memory by the book's definition: what everything else is compared with.
#[cfg(test)]
pub(crate) mod book {
    use super::{Hash, Nodes, empty_root, leaf_hash, node_hash};
    use std::convert::Infallible;

    /// `n` leaves that differ.
    pub(crate) fn leaves(n: u64) -> Vec<Hash> {
        (0..n).map(|i| leaf_hash(&i.to_be_bytes())).collect()
    }

    /// `MTH` of RFC 6962 §2.1, over hashes of leaves.
    pub(crate) fn mth(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => empty_root(),
            [leaf] => *leaf,
            more => {
                let (left, right) = more.split_at(more.len().next_power_of_two() / 2);
                node_hash(&mth(left), &mth(right))
            }
        }
    }

    /// The leaves themselves as nodes.
    pub(crate) struct Book(pub(crate) Vec<Hash>);

    impl Nodes for Book {
        type Error = Infallible;
        fn node(&self, level: u8, index: u64) -> Result<Hash, Infallible> {
            let first = usize::try_from(index << level).unwrap();
            Ok(mth(&self.0[first..first + (1 << level)]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(hash: Hash) -> String {
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn hashes_are_those_of_the_reference_implementation() {
        // From certificate-transparency-go, merkle tests: the empty tree and the empty leaf.
        assert_eq!(hex(empty_root()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(hex(leaf_hash(b"")), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
    }

    #[test]
    fn a_node_is_hashed_with_its_prefix_and_in_order() {
        let (left, right) = (leaf_hash(b"l"), leaf_hash(b"r"));
        assert_eq!(node_hash(&left, &right), sha256_of(&[&[1], &left, &right]));
        assert_ne!(node_hash(&left, &right), node_hash(&right, &left));
    }

    #[test]
    fn a_power_of_two_is_folded_as_the_book_says() {
        for n in [1, 2, 4, 64] {
            assert_eq!(fold(book::leaves(n)), Some(book::mth(&book::leaves(n))));
        }
        assert_eq!(fold(Vec::new()), None);
    }
}
