//! Entries: precertificates, as the tree's leaves hash them (RFC 6962 §3.4), as `get-entries` gives them (§4.6) and as
//! data tiles keep them (static-ct-api, `TileLeaf`).
//!
//! A `TileLeaf` begins with the `TimestampedEntry` that the leaf hash covers, followed by what that leaves out: the
//! precertificate itself and the fingerprints of its issuers. It is also what the log writes to disk.

use crate::codec::{Reader, put_uint, put_vector};
use crate::merkle::{Hash, leaf_hash};
use thiserror::Error;

/// Longest certificate, DER. A hundred names of the longest kind fit; what is longer is an attack on readers.
pub const MAX_CERTIFICATE_BYTES: usize = 64 * 1024;

/// Most issuers above a precertificate.
pub const MAX_CHAIN: usize = 10;

/// `LogEntryType` precert_entry.
const PRECERT_ENTRY: u64 = 1;

/// `MerkleTreeLeaf.version` v1 and `leaf_type` timestamped_entry: what stands before the entry where it is hashed.
const LEAF_HEAD: [u8; 2] = [0, 0];

/// What is logged: a precertificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When, in milliseconds since 1970; it is the SCT's timestamp.
    pub timestamp_ms: u64,
    /// SHA-256 of the issuer's `SubjectPublicKeyInfo`.
    pub issuer_key_hash: Hash,
    /// The `TBSCertificate` without the poison, DER: what the certificate is going to say.
    pub tbs: Vec<u8>,
    /// The precertificate with the poison, signed, DER.
    pub precert: Vec<u8>,
    /// SHA-256 fingerprints of its issuers, its own first, as they were given to [`crate::Log::add_issuer`].
    pub chain: Vec<Hash>,
}

/// An entry as RFC 6962 §4.6 gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafEntry {
    /// The `MerkleTreeLeaf`; its leaf hash is the tree's.
    pub leaf_input: Vec<u8>,
    /// The `PrecertChainEntry`: precertificate and issuers.
    pub extra_data: Vec<u8>,
}

/// Why an entry can't be logged, or isn't one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EntryError {
    /// The `TBSCertificate` or the precertificate is empty or too long.
    #[error("the {what} has {bytes} bytes; 1 to {MAX_CERTIFICATE_BYTES} are possible")]
    Size {
        /// Which.
        what: &'static str,
        /// Its length.
        bytes: usize,
    },
    /// Too many issuers.
    #[error("the chain has {0} certificates, the limit is {MAX_CHAIN}")]
    ChainTooLong(usize),
    /// Bytes that are no `TileLeaf` of a precertificate with a `leaf_index`.
    #[error("the bytes are no entry: {0}")]
    Malformed(&'static str),
}

/// A `TileLeaf` whose index can still be set.
#[derive(Debug, Clone)]
pub(crate) struct Encoded {
    pub(crate) bytes: Vec<u8>,
    /// Length of the `TimestampedEntry` at the front; its last five bytes are the index.
    hashed: usize,
}

impl Encoded {
    pub(crate) fn set_index(&mut self, index: u64) {
        self.bytes[self.hashed - 5..self.hashed].copy_from_slice(&index.to_be_bytes()[3..]);
    }

    pub(crate) fn leaf_hash(&self) -> Hash {
        leaf_hash(&[&LEAF_HEAD, &self.bytes[..self.hashed]].concat())
    }
}

/// A `TileLeaf` that was read: what it says, and which part of it the tree hashes.
#[derive(Debug, Clone)]
pub(crate) struct Decoded {
    pub(crate) entry: Entry,
    pub(crate) index: u64,
    pub(crate) leaf_input: Vec<u8>,
}

impl Decoded {
    pub(crate) fn leaf_hash(&self) -> Hash {
        leaf_hash(&self.leaf_input)
    }
}

impl Entry {
    /// Whether it can be logged at all.
    pub(crate) fn check(&self) -> Result<(), EntryError> {
        for (what, bytes) in [("TBSCertificate", self.tbs.len()), ("precertificate", self.precert.len())] {
            if bytes == 0 || bytes > MAX_CERTIFICATE_BYTES {
                return Err(EntryError::Size { what, bytes });
            }
        }
        if self.chain.len() > MAX_CHAIN { Err(EntryError::ChainTooLong(self.chain.len())) } else { Ok(()) }
    }

    /// As a `TileLeaf`; the caller has checked it.
    pub(crate) fn encode(&self, index: u64) -> Encoded {
        let chain = self.chain.concat();
        let mut bytes = Vec::with_capacity(self.tbs.len() + self.precert.len() + chain.len() + 64);
        put_uint(&mut bytes, self.timestamp_ms, 8);
        put_signed_entry(&mut bytes, &self.issuer_key_hash, &self.tbs);
        put_vector(&mut bytes, &extensions(index), 2);
        let hashed = bytes.len();
        put_vector(&mut bytes, &self.precert, 3);
        put_vector(&mut bytes, &chain, 2);
        Encoded { bytes, hashed }
    }

    /// From the bytes of one `TileLeaf`, which it has to fill.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Decoded, EntryError> {
        const EARLY: EntryError = EntryError::Malformed("they end early");
        let mut reader = Reader::new(bytes);
        let timestamp_ms = reader.uint(8).ok_or(EARLY)?;
        if reader.uint(2).ok_or(EARLY)? != PRECERT_ENTRY {
            return Err(EntryError::Malformed("its type is not precert_entry"));
        }
        let issuer_key_hash = reader.array().ok_or(EARLY)?;
        let tbs = reader.vector(3).ok_or(EARLY)?.to_vec();
        let index = reader.vector(2).ok_or(EARLY)?;
        let index =
            leaf_index(index).ok_or(EntryError::Malformed("its extensions are not a leaf_index alone"))?;
        let hashed = &bytes[..bytes.len() - reader.rest().len()];
        let precert = reader.vector(3).ok_or(EARLY)?.to_vec();
        let (chain, partial) = reader.vector(2).ok_or(EARLY)?.as_chunks::<32>();
        if !partial.is_empty() || !reader.is_empty() {
            return Err(EntryError::Malformed("bytes are left over"));
        }
        let entry = Self { timestamp_ms, issuer_key_hash, tbs, precert, chain: chain.to_vec() };
        entry.check()?;
        Ok(Decoded { entry, index, leaf_input: [&LEAF_HEAD, hashed].concat() })
    }
}

/// `PrecertChainEntry` of RFC 6962 §3.1, from the issuers' certificates.
pub(crate) fn extra_data(precert: &[u8], issuers: &[&[u8]]) -> Vec<u8> {
    let mut chain = Vec::new();
    for issuer in issuers {
        put_vector(&mut chain, issuer, 3);
    }
    let mut out = Vec::with_capacity(precert.len() + chain.len() + 6);
    put_vector(&mut out, precert, 3);
    put_vector(&mut out, &chain, 3);
    out
}

/// `entry_type` and `signed_entry`: what leaf and SCT have in common.
pub(crate) fn put_signed_entry(out: &mut Vec<u8>, issuer_key_hash: &Hash, tbs: &[u8]) {
    put_uint(out, PRECERT_ENTRY, 2);
    out.extend_from_slice(issuer_key_hash);
    put_vector(out, tbs, 3);
}

/// `CtExtensions` with a `leaf_index` alone, without the length before them.
pub(crate) fn extensions(index: u64) -> [u8; 8] {
    let index = index.to_be_bytes();
    // extension_type leaf_index(0), two bytes of length, a big-endian number of 40 bits.
    [0, 0, 5, index[3], index[4], index[5], index[6], index[7]]
}

/// The index that [`extensions`] put there.
pub(crate) fn leaf_index(extensions: &[u8]) -> Option<u64> {
    let mut reader = Reader::new(extensions);
    let head = reader.array::<3>()?;
    let index = reader.uint(5)?;
    (head == [0, 0, 5] && reader.is_empty()).then_some(index)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn any_entry() -> impl Strategy<Value = Entry> {
        let bytes = || prop::collection::vec(any::<u8>(), 1..200);
        let chain = prop::collection::vec(any::<Hash>(), 0..3);
        (any::<u64>(), any::<Hash>(), bytes(), bytes(), chain).prop_map(
            |(timestamp_ms, issuer_key_hash, tbs, precert, chain)| Entry {
                timestamp_ms,
                issuer_key_hash,
                tbs,
                precert,
                chain,
            },
        )
    }

    proptest! {
        #[test]
        fn an_entry_is_read_as_it_was_written(entry in any_entry(), index in 0..1_u64 << 40) {
            let mut encoded = entry.encode(0);
            encoded.set_index(index);
            let decoded = Entry::decode(&encoded.bytes).unwrap();
            prop_assert_eq!(decoded.leaf_hash(), encoded.leaf_hash());
            prop_assert_eq!((decoded.entry, decoded.index), (entry, index));
        }

        #[test]
        fn what_is_cut_or_longer_is_refused(entry in any_entry(), at in any::<prop::sample::Index>()) {
            let bytes = entry.encode(7).bytes;
            prop_assert!(Entry::decode(&bytes[..at.index(bytes.len())]).is_err());
            prop_assert!(Entry::decode(&[&bytes[..], &[0]].concat()).is_err());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let _ = Entry::decode(&bytes);
        }
    }

    #[test]
    fn the_leaf_is_laid_out_as_rfc_6962_says() {
        let entry = Entry {
            timestamp_ms: 0x0102_0304_0506_0708,
            issuer_key_hash: [0xaa; 32],
            tbs: vec![0xbb; 2],
            precert: vec![0xcc],
            chain: vec![[0xdd; 32]],
        };
        let decoded = Entry::decode(&entry.encode(0x0a_0b0c_0d0e).bytes).unwrap();
        let mut expected = vec![0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 1];
        expected.extend([0xaa; 32]);
        expected.extend([0, 0, 2, 0xbb, 0xbb, 0, 8, 0, 0, 5, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e]);
        assert_eq!(decoded.leaf_input, expected);
        assert_eq!(
            extra_data(&[0xcc], &[&[1, 2], &[3]]),
            [0, 0, 1, 0xcc, 0, 0, 9, 0, 0, 2, 1, 2, 0, 0, 1, 3]
        );
    }

    #[test]
    fn what_is_too_large_is_refused() {
        let entry = |tbs: usize, precert: usize, chain: usize| Entry {
            timestamp_ms: 0,
            issuer_key_hash: [0; 32],
            tbs: vec![0; tbs],
            precert: vec![0; precert],
            chain: vec![[0; 32]; chain],
        };
        entry(MAX_CERTIFICATE_BYTES, MAX_CERTIFICATE_BYTES, MAX_CHAIN).check().unwrap();
        assert!(matches!(entry(0, 1, 0).check(), Err(EntryError::Size { what: "TBSCertificate", .. })));
        let long = entry(1, MAX_CERTIFICATE_BYTES + 1, 0).check();
        assert!(matches!(long, Err(EntryError::Size { what: "precertificate", .. })));
        assert_eq!(entry(1, 1, MAX_CHAIN + 1).check(), Err(EntryError::ChainTooLong(MAX_CHAIN + 1)));
    }
}
