//! The tree as it stands: what the writer needs to append to it, what readers see of it, and the `leaves` file.
//!
//! A row of `leaves` is a leaf's hash and where its record begins in `entries`. All rows below the published head are
//! there and never change, so readers need no lock for them; tiles above level 0 are behind one that is held for moments.

use super::files::Paths;
use super::index::HashIndex;
use super::issuers::Issuers;
use super::{Statistics, unpoisoned};
use crate::error::LogError;
use crate::merkle::{Frontier, Hash, Nodes, TILE_WIDTH, fold, tile_node};
use crate::note::SignedTreeHead;
use crate::sign::LogKey;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::RwLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of a row.
pub(crate) const ROW: usize = 40;

/// A row's two halves.
pub(crate) fn row_of(row: &[u8; ROW]) -> (Hash, u64) {
    let (mut hash, mut place) = ([0; 32], [0; 8]);
    hash.copy_from_slice(&row[..32]);
    place.copy_from_slice(&row[32..]);
    (hash, u64::from_be_bytes(place))
}

pub(super) fn put_row(out: &mut Vec<u8>, hash: &Hash, place: u64) {
    out.extend_from_slice(hash);
    out.extend_from_slice(&place.to_be_bytes());
}

/// The right edge, which only appending needs.
#[derive(Debug, Clone, Default)]
pub(super) struct Edge {
    pub(super) frontier: Frontier,
    /// The leaves of the last tile of level 0, while it is not full.
    partial: Vec<Hash>,
}

impl Edge {
    /// Appends a leaf; gives the hash of its tile when that is full now.
    pub(super) fn push(&mut self, leaf: Hash) -> Option<Hash> {
        self.frontier.push(leaf);
        self.partial.push(leaf);
        if self.partial.len() as u64 == TILE_WIDTH { fold(std::mem::take(&mut self.partial)) } else { None }
    }
}

/// Hashes of tiles above level 0, and the leaves by their hash.
#[derive(Debug)]
pub(super) struct Tiles {
    /// Level 1 first.
    upper: Vec<Vec<Hash>>,
    index: HashIndex,
}

impl Tiles {
    pub(super) fn with_capacity(entries: u64) -> Self {
        Self { upper: Vec::new(), index: HashIndex::with_capacity(usize::try_from(entries).unwrap_or(0)) }
    }

    /// Enters a leaf, and the tile that it filled.
    pub(super) fn enter(&mut self, index: u64, leaf: &Hash, full_tile: Option<Hash>) {
        self.index.insert(leaf, index);
        let mut filled = full_tile;
        let mut level = 0;
        while let Some(hash) = filled {
            if self.upper.len() == level {
                self.upper.push(Vec::new());
            }
            let hashes = &mut self.upper[level];
            hashes.push(hash);
            let full = (hashes.len() as u64).is_multiple_of(TILE_WIDTH);
            let tile = hashes.iter().rev().take(256).rev();
            filled = if full { fold(tile.copied().collect()) } else { None };
            level += 1;
        }
    }
}

/// What readers see.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) head: SignedTreeHead,
    pub(super) tiles: Tiles,
}

/// What the writer and all readers share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) paths: Paths,
    pub(super) origin: String,
    pub(super) key: LogKey,
    pub(super) entries: File,
    pub(super) leaves: File,
    pub(super) issuers: Issuers,
    pub(super) published: RwLock<Published>,
    pub(super) counts: Counts,
    /// Locks the folder for as long as it is open.
    pub(super) _lock: File,
}

impl Shared {
    pub(super) fn head(&self) -> SignedTreeHead {
        unpoisoned(self.published.read()).head.clone()
    }

    pub(super) fn size(&self) -> u64 {
        unpoisoned(self.published.read()).head.size
    }

    /// Rows of leaves that exist.
    pub(super) fn rows(&self, first: u64, count: u64) -> Result<Vec<(Hash, u64)>, LogError> {
        let mut bytes = vec![0; usize::try_from(count).unwrap_or(0) * ROW];
        let read = self.leaves.read_exact_at(&mut bytes, first * ROW as u64);
        read.map_err(|error| LogError::io("read", &self.paths.leaves, error))?;
        Ok(bytes.as_chunks().0.iter().map(row_of).collect())
    }

    /// Hashes of the tiles of a level that exist.
    pub(super) fn hashes(&self, level: u8, first: u64, count: u64) -> Result<Vec<Hash>, LogError> {
        let Some(above) = usize::from(level).checked_sub(1) else {
            return Ok(self.rows(first, count)?.into_iter().map(|(hash, _)| hash).collect());
        };
        let published = unpoisoned(self.published.read());
        let range = usize::try_from(first).ok().zip(usize::try_from(first + count).ok());
        let hashes = published.tiles.upper.get(above).zip(range).and_then(|(level, (a, b))| level.get(a..b));
        let out = LogError::OutOfRange { what: "tile hash", asked: first, size: published.head.size };
        hashes.map(<[Hash]>::to_vec).ok_or(out)
    }

    /// The index of a leaf in the first `size`.
    pub(super) fn index_of(&self, hash: &Hash, size: u64) -> Result<Option<u64>, LogError> {
        let candidates = unpoisoned(self.published.read()).tiles.index.candidates(hash);
        for index in candidates.into_iter().filter(|index| *index < size) {
            if self.rows(index, 1)?.iter().any(|(leaf, _)| leaf == hash) {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }
}

impl Nodes for Shared {
    type Error = LogError;

    fn node(&self, level: u8, index: u64) -> Result<Hash, LogError> {
        let node = tile_node(level, index, |level, first, count| self.hashes(level, first, count))?;
        node.ok_or(LogError::OutOfRange { what: "node", asked: index, size: self.size() })
    }
}

/// Counts since the log was opened.
#[derive(Debug, Default)]
pub(super) struct Counts {
    appended: AtomicU64,
    batches: AtomicU64,
    refused: AtomicU64,
    heads: AtomicU64,
}

impl Counts {
    pub(super) fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn batch(&self, entries: usize) {
        self.appended.fetch_add(entries as u64, Ordering::Relaxed);
        self.batches.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn head(&self) {
        self.heads.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Statistics {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Statistics {
            appended: get(&self.appended),
            batches: get(&self.batches),
            refused: get(&self.refused),
            heads: get(&self.heads),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::leaf_hash;

    #[test]
    fn full_tiles_are_hashed_into_the_levels_above() {
        let (mut edge, mut tiles) = (Edge::default(), Tiles::with_capacity(0));
        let mut roots = Vec::new();
        for index in 0..2 * 65_536 + 300_u64 {
            let leaf = leaf_hash(&index.to_be_bytes());
            let full_tile = edge.push(leaf);
            tiles.enter(index, &leaf, full_tile);
            if [256, 65_536].contains(&edge.frontier.size()) {
                roots.push(edge.frontier.root());
            }
        }
        let levels: Vec<_> = tiles.upper.iter().map(Vec::len).collect();
        assert_eq!(levels, [513, 2]);
        assert_eq!([tiles.upper[0][0], tiles.upper[1][0]], roots[..]);
        assert_eq!(fold(tiles.upper[0][256..512].to_vec()), Some(tiles.upper[1][1]));
    }
}
