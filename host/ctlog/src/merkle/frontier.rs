//! The right edge of a growing tree: the roots of its complete subtrees, which is all that appending needs.

use super::{Hash, empty_root, node_hash};

/// The roots of the complete subtrees of a tree, the largest (leftmost) first: one for each bit that is set in its size.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    roots: Vec<Hash>,
}

impl Frontier {
    /// Of a tree without leaves.
    pub fn new() -> Self {
        Self::default()
    }

    /// Leaves in the tree.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf by its hash.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for _ in 0..self.size.trailing_ones() {
            let Some(left) = self.roots.pop() else { break };
            hash = node_hash(&left, &hash);
        }
        self.roots.push(hash);
        self.size += 1;
    }

    /// The tree's root.
    pub fn root(&self) -> Hash {
        let mut roots = self.roots.iter().rev();
        let Some(last) = roots.next() else { return empty_root() };
        roots.fold(*last, |right, left| node_hash(left, &right))
    }
}

#[cfg(test)]
mod tests {
    use super::super::book;
    use super::*;

    #[test]
    fn every_size_has_the_root_of_the_book() {
        let leaves = book::leaves(300);
        let mut frontier = Frontier::new();
        for (i, leaf) in leaves.iter().enumerate() {
            assert_eq!(frontier.root(), book::mth(&leaves[..i]), "at size {i}");
            assert_eq!(frontier.size(), i as u64);
            frontier.push(*leaf);
        }
    }
}
