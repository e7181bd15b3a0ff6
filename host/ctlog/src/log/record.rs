//! The `entries` file: a header that names the log, then records.
//!
//! A record is a length (4 bytes, big-endian), the SHA-256 over that length and the content, and the content, a
//! `TileLeaf`. The digest covers what no leaf hash does (the precertificate, the chain), and tells a record that was
//! written whole from one that a crash tore.

use crate::error::LogError;
use crate::merkle::{Hash, sha256_of};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// The first bytes of the file; the last of them is the format's version.
const MAGIC: [u8; 8] = *b"HMCTLOG\x01";

/// Where the first record begins: after the magic and the log's id.
pub(crate) const RECORDS_BEGIN: u64 = 40;

/// Length and digest.
const RECORD_HEAD: usize = 36;

/// Longest content: twice the longest certificate, and what is around them. A longer length is damage.
const MAX_CONTENT: usize = 2 * crate::entry::MAX_CERTIFICATE_BYTES + 1024;

/// Bytes that are read ahead where many records are wanted.
pub(crate) const MANY: usize = 256 * 1024;

/// Bytes that are read ahead where one is wanted: it is rarely longer.
pub(super) const ONE: usize = 4 * 1024;

/// The file's header for a log of this id.
pub(crate) fn header(log_id: &Hash) -> Vec<u8> {
    [&MAGIC[..], log_id].concat()
}

/// Appends a record.
pub(super) fn put_record(out: &mut Vec<u8>, content: &[u8]) {
    // Entries are bounded far below 4 GiB.
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX).to_be_bytes();
    out.extend_from_slice(&length);
    out.extend_from_slice(&sha256_of(&[&length, content]));
    out.extend_from_slice(content);
}

/// Bytes that are no record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Damage {
    /// The file ends within the record.
    CutOff,
    /// The bytes are there and wrong.
    Wrong(&'static str),
}

/// What stands at a place of the file.
#[derive(Debug)]
pub(crate) enum Step {
    /// A record.
    Record {
        /// Where it begins.
        at: u64,
        /// What is in it.
        content: Vec<u8>,
    },
    /// Nothing: the file ends here.
    End,
    /// Something else.
    Damaged(Damage),
}

/// Reads records one after the other.
pub(crate) struct RecordReader<'a> {
    file: &'a File,
    path: &'a Path,
    ahead: usize,
    buffer: Vec<u8>,
    /// Bytes of the buffer that were used up.
    used: usize,
    /// Where in the file the unused rest of the buffer begins.
    at: u64,
}

impl<'a> RecordReader<'a> {
    /// From the place where a record begins, reading [`ONE`] or [`MANY`] bytes ahead.
    pub(crate) fn new(file: &'a File, path: &'a Path, at: u64, ahead: usize) -> Self {
        Self { file, path, ahead, buffer: Vec::new(), used: 0, at }
    }

    /// Where the next record begins.
    pub(crate) fn position(&self) -> u64 {
        self.at
    }

    /// The next record.
    pub(crate) fn step(&mut self) -> Result<Step, LogError> {
        if self.fill(RECORD_HEAD)? < RECORD_HEAD {
            let rest = self.buffer.len() - self.used;
            return Ok(if rest == 0 { Step::End } else { Step::Damaged(Damage::CutOff) });
        }
        let head = &self.buffer[self.used..self.used + RECORD_HEAD];
        let (length, digest) = head.split_at(4);
        let length: [u8; 4] = length.try_into().unwrap_or_default();
        let digest: Hash = digest.try_into().unwrap_or_default();
        let bytes = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if bytes > MAX_CONTENT {
            return Ok(Step::Damaged(Damage::Wrong("a record's length is impossible")));
        }
        let whole = RECORD_HEAD + bytes;
        if self.fill(whole)? < whole {
            return Ok(Step::Damaged(Damage::CutOff));
        }
        let content = &self.buffer[self.used + RECORD_HEAD..self.used + whole];
        if sha256_of(&[&length, content]) != digest {
            return Ok(Step::Damaged(Damage::Wrong("a record is not what its digest says")));
        }
        let (at, content) = (self.at, content.to_vec());
        self.used += whole;
        self.at += whole as u64;
        Ok(Step::Record { at, content })
    }

    /// Has at least `wanted` unused bytes in the buffer, unless the file ends; gives how many there are.
    fn fill(&mut self, wanted: usize) -> Result<usize, LogError> {
        if self.buffer.len() - self.used < wanted {
            self.buffer.drain(..self.used);
            self.used = 0;
            let mut have = self.buffer.len();
            self.buffer.resize(have.max(wanted) + self.ahead, 0);
            while have < wanted {
                let n = self
                    .file
                    .read_at(&mut self.buffer[have..], self.at + have as u64)
                    .map_err(|error| LogError::io("read", self.path, error))?;
                if n == 0 {
                    break;
                }
                have += n;
            }
            self.buffer.truncate(have);
        }
        Ok(self.buffer.len() - self.used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The contents of all records before the end or the damage, and which it was.
    fn read(bytes: &[u8]) -> (Vec<Vec<u8>>, Option<Damage>) {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(bytes, 0).unwrap();
        let mut reader = RecordReader::new(&file, Path::new("entries"), 0, ONE);
        let mut contents = Vec::new();
        loop {
            match reader.step().unwrap() {
                Step::Record { content, .. } => contents.push(content),
                Step::End => return (contents, None),
                Step::Damaged(damage) => return (contents, Some(damage)),
            }
        }
    }

    fn written(contents: &[Vec<u8>]) -> Vec<u8> {
        let mut out = Vec::new();
        contents.iter().for_each(|content| put_record(&mut out, content));
        out
    }

    proptest! {
        #[test]
        fn records_are_read_up_to_where_they_were_cut(
            contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..2000), 1..8),
            at in any::<prop::sample::Index>(),
        ) {
            let bytes = written(&contents);
            prop_assert_eq!(read(&bytes), (contents.clone(), None));
            let cut = at.index(bytes.len());
            let (whole, damage) = read(&bytes[..cut]);
            prop_assert_eq!(&whole[..], &contents[..whole.len()]);
            prop_assert_eq!(damage.is_none(), written(&whole).len() == cut);
        }

        #[test]
        fn a_flipped_bit_is_damage(content in prop::collection::vec(any::<u8>(), 0..600), at in any::<prop::sample::Index>()) {
            let mut bytes = written(&[content]);
            let bit = at.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            let (whole, damage) = read(&bytes);
            prop_assert!(whole.is_empty() && damage.is_some());
        }
    }

    #[test]
    fn records_larger_than_a_chunk_are_read() {
        let contents = vec![vec![1; MANY / 4], vec![2; MAX_CONTENT], vec![3; MAX_CONTENT]];
        assert_eq!(read(&written(&contents)), (contents, None));
        let damage = read(&written(&[vec![0; MAX_CONTENT + 1]])).1;
        assert_eq!(damage, Some(Damage::Wrong("a record's length is impossible")));
    }
}
