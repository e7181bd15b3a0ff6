//! Reading an open log: entries, proofs, tiles. Nothing newer than the last signed head is shown, so that whatever is
//! answered can be checked against it. Blocks for the disk where a page is not in memory.

use super::record::{MANY, ONE, RecordReader, Step};
use super::tree::Shared;
use super::{Log, MAX_ENTRIES_ANSWER};
use crate::entry::{Decoded, Entry, LeafEntry, extra_data};
use crate::error::LogError;
use crate::merkle::{Hash, TilePath, consistency_proof, inclusion_proof, root};

/// Rows that are read at a time.
const ROWS: u64 = 4096;

impl Log {
    /// The audit path of entry `index` in the tree of the first `size` entries (RFC 6962 §2.1.1).
    ///
    /// # Errors
    /// [`LogError::OutOfRange`] when there is no such entry or tree.
    pub fn inclusion(&self, index: u64, size: u64) -> Result<Vec<Hash>, LogError> {
        let shared = &self.inner.shared;
        let limit = shared.tree_of(size)?;
        let out = LogError::OutOfRange { what: "entry", asked: index, size: limit };
        inclusion_proof(index, size, &**shared)?.ok_or(out)
    }

    /// Index and audit path of the entry with this leaf hash, in the tree of the first `size` entries (`get-proof-by-hash`);
    /// `None` when it isn't there.
    ///
    /// # Errors
    /// [`LogError::OutOfRange`] when there is no such tree.
    pub fn inclusion_by_hash(&self, hash: &Hash, size: u64) -> Result<Option<(u64, Vec<Hash>)>, LogError> {
        let shared = &self.inner.shared;
        shared.tree_of(size)?;
        let Some(index) = shared.index_of(hash, size)? else { return Ok(None) };
        Ok(inclusion_proof(index, size, &**shared)?.map(|path| (index, path)))
    }

    /// The proof that the first `first` entries are still those that they were when the log had `second` (RFC 6962
    /// §2.1.2).
    ///
    /// # Errors
    /// [`LogError::OutOfRange`] when there are no such trees, or the first is larger.
    pub fn consistency(&self, first: u64, second: u64) -> Result<Vec<Hash>, LogError> {
        let shared = &self.inner.shared;
        shared.tree_of(second)?;
        let out = LogError::OutOfRange { what: "the first tree", asked: first, size: second };
        consistency_proof(first, second, &**shared)?.ok_or(out)
    }

    /// The root of the tree of the first `size` entries.
    ///
    /// # Errors
    /// [`LogError::OutOfRange`].
    pub fn root(&self, size: u64) -> Result<Hash, LogError> {
        self.inner.shared.tree_of(size)?;
        root(size, &*self.inner.shared)
    }

    /// The leaf hash of an entry.
    ///
    /// # Errors
    /// [`LogError::OutOfRange`].
    pub fn leaf_hash(&self, index: u64) -> Result<Hash, LogError> {
        let shared = &self.inner.shared;
        shared.in_log(index)?;
        Ok(shared.rows(index, 1)?[0].0)
    }

    /// An entry.
    ///
    /// # Errors
    /// [`LogError::OutOfRange`]; [`LogError::Corrupt`] when the file has something else in its place.
    pub fn entry(&self, index: u64) -> Result<Entry, LogError> {
        let size = self.inner.shared.in_log(index)?;
        let mut found = None;
        self.inner.shared.visit(index, 1, ONE, &mut |decoded, _| found = Some(decoded.entry))?;
        found.ok_or(LogError::OutOfRange { what: "entry", asked: index, size })
    }

    /// Entries `start` to `end`, both included, as `get-entries` gives them (RFC 6962 §4.6): fewer where the log ends
    /// before, and at most [`MAX_ENTRIES_ANSWER`].
    ///
    /// # Errors
    /// [`LogError::OutOfRange`] when `start` is outside of the log or after `end`.
    pub fn entries(&self, start: u64, end: u64) -> Result<Vec<LeafEntry>, LogError> {
        let shared = &self.inner.shared;
        let size = shared.in_log(start)?;
        if end < start {
            return Err(LogError::OutOfRange { what: "the last entry", asked: end, size });
        }
        let count = (end.min(size - 1) - start + 1).min(MAX_ENTRIES_ANSWER);
        let mut answer = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
        let mut missing = Ok(());
        shared.visit(start, count, MANY, &mut |decoded, _| match self.extra_data(&decoded.entry) {
            Ok(extra_data) => answer.push(LeafEntry { leaf_input: decoded.leaf_input, extra_data }),
            Err(error) => missing = Err(error),
        })?;
        missing.map(|()| answer)
    }

    fn extra_data(&self, entry: &Entry) -> Result<Vec<u8>, LogError> {
        let issuers = &self.inner.shared.issuers;
        issuers.know_all(&entry.chain)?;
        let chain: Vec<_> = entry.chain.iter().filter_map(|fingerprint| issuers.get(fingerprint)).collect();
        Ok(extra_data(&entry.precert, &chain.iter().map(|issuer| &**issuer).collect::<Vec<_>>()))
    }

    /// A tile's content (static-ct-api): hashes, or entries as `TileLeaf`s. `None` when the log doesn't have all of it
    /// yet.
    ///
    /// # Errors
    /// What reading says.
    pub fn tile(&self, path: TilePath) -> Result<Option<Vec<u8>>, LogError> {
        let shared = &self.inner.shared;
        let there = shared.size() / path.span();
        let (first, width) = (path.index.saturating_mul(256), u64::from(path.width));
        if width == 0 || width > 256 || first.checked_add(width).is_none_or(|end| end > there) {
            return Ok(None);
        }
        if let Some(level) = path.level {
            return Ok(Some(shared.hashes(level, first, width)?.concat()));
        }
        let mut content = Vec::new();
        shared.visit(first, width, MANY, &mut |_, bytes| content.extend_from_slice(bytes))?;
        Ok(Some(content))
    }

    /// Calls `visit` with every entry from index `from` to the end as it was when this began; gives the index after the
    /// last. For rebuilding what is derived from the log.
    ///
    /// # Errors
    /// What reading says; entries before the one that could not be read were visited.
    pub fn scan(&self, from: u64, visit: &mut dyn FnMut(u64, Entry)) -> Result<u64, LogError> {
        let shared = &self.inner.shared;
        let size = shared.size();
        if from < size {
            shared.visit(from, size - from, MANY, &mut |decoded, _| visit(decoded.index, decoded.entry))?;
        }
        Ok(size)
    }
}

impl Shared {
    /// Whether there is a tree of this size; gives the log's own.
    fn tree_of(&self, size: u64) -> Result<u64, LogError> {
        let limit = self.size();
        if size <= limit {
            Ok(limit)
        } else {
            Err(LogError::OutOfRange { what: "tree", asked: size, size: limit })
        }
    }

    /// Whether there is such an entry; gives the log's size.
    fn in_log(&self, index: u64) -> Result<u64, LogError> {
        let size = self.size();
        if index < size { Ok(size) } else { Err(LogError::OutOfRange { what: "entry", asked: index, size }) }
    }

    /// Reads `count` entries that exist, each with the bytes of its `TileLeaf`; each must be the leaf that the tree has.
    fn visit(
        &self,
        first: u64,
        count: u64,
        ahead: usize,
        visit: &mut dyn FnMut(Decoded, &[u8]),
    ) -> Result<(), LogError> {
        let path = &self.paths.entries;
        let end = first + count;
        let mut reader = RecordReader::new(&self.entries, path, self.rows(first, 1)?[0].1, ahead);
        let mut next = first;
        while next < end {
            for (leaf, _) in self.rows(next, (end - next).min(ROWS))? {
                let Step::Record { content, .. } = reader.step()? else {
                    return Err(LogError::corrupt(path, format!("entry {next} is not where it was written")));
                };
                let decoded =
                    Entry::decode(&content).map_err(|error| LogError::corrupt(path, error.to_string()))?;
                if decoded.leaf_hash() != leaf {
                    return Err(LogError::corrupt(
                        path,
                        format!("entry {next} is not the leaf that was hashed"),
                    ));
                }
                visit(decoded, &content);
                next += 1;
            }
        }
        Ok(())
    }
}
