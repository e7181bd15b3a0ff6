//! Signed certificate timestamps of RFC 6962 §3.2 with the `leaf_index` extension of static-ct-api: the promise, kept
//! before it is given, that a precertificate is in the log.

use crate::codec::{Reader, put_uint, put_vector};
use crate::entry::{extensions, leaf_index, put_signed_entry};
use crate::merkle::{Hash, leaf_hash};
use crate::sign::{LogKey, SignError, SignatureError, Signer, digitally_signed};
use thiserror::Error;

/// `SignatureType` certificate_timestamp.
const CERTIFICATE_TIMESTAMP: u8 = 0;

/// A signed certificate timestamp, version 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sct {
    /// SHA-256 of the log's key.
    pub log_id: Hash,
    /// When, in milliseconds since 1970.
    pub timestamp_ms: u64,
    /// `CtExtensions` as they were signed, without the length before them.
    pub extensions: Vec<u8>,
    /// A `DigitallySigned`.
    pub signature: Vec<u8>,
}

/// Why an SCT says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SctError {
    /// The bytes are no SCT of version 1.
    #[error("the bytes are no signed certificate timestamp of version 1")]
    Malformed,
    /// Another log made it.
    #[error("the timestamp is another log's")]
    OtherLog,
    /// The signature is not the log's over this certificate.
    #[error("the timestamp does not verify")]
    Signature(#[source] SignatureError),
}

impl Sct {
    /// Signs for the entry at `index`. Only for what is on disk.
    pub(crate) fn sign(
        signer: &dyn Signer,
        log_id: Hash,
        timestamp_ms: u64,
        index: u64,
        signed_entry: (&Hash, &[u8]),
    ) -> Result<Self, SignError> {
        let extensions = extensions(index).to_vec();
        let message = message(timestamp_ms, signed_entry.0, signed_entry.1, &extensions);
        let signature = digitally_signed(&signer.sign(&message)?);
        Ok(Self { log_id, timestamp_ms, extensions, signature })
    }

    /// As it stands in a `SignedCertificateTimestampList` (RFC 6962 §3.3), without the two bytes of length before it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![0];
        out.extend_from_slice(&self.log_id);
        put_uint(&mut out, self.timestamp_ms, 8);
        put_vector(&mut out, &self.extensions, 2);
        out.extend_from_slice(&self.signature);
        out
    }

    /// Reads what [`Self::to_bytes`] writes.
    ///
    /// # Errors
    /// [`SctError::Malformed`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SctError> {
        let mut reader = Reader::new(bytes);
        if reader.uint(1) != Some(0) {
            return Err(SctError::Malformed);
        }
        let log_id = reader.array().ok_or(SctError::Malformed)?;
        let timestamp_ms = reader.uint(8).ok_or(SctError::Malformed)?;
        let extensions = reader.vector(2).ok_or(SctError::Malformed)?.to_vec();
        let signature = reader.rest().to_vec();
        let mut signed = Reader::new(&signature);
        signed.take(2).and_then(|_| signed.vector(2)).ok_or(SctError::Malformed)?;
        if signed.is_empty() {
            Ok(Self { log_id, timestamp_ms, extensions, signature })
        } else {
            Err(SctError::Malformed)
        }
    }

    /// Where its entry is; `None` when another log says so in another way or not at all.
    pub fn leaf_index(&self) -> Option<u64> {
        leaf_index(&self.extensions)
    }

    /// The hash of the tree's leaf that it promises, for a certificate without its SCT list.
    pub fn leaf_hash(&self, issuer_key_hash: &Hash, tbs: &[u8]) -> Hash {
        // MerkleTreeLeaf: version v1, leaf_type timestamped_entry, then the entry.
        let mut leaf = vec![0, 0];
        put_timestamped_entry(&mut leaf, self.timestamp_ms, issuer_key_hash, tbs, &self.extensions);
        leaf_hash(&leaf)
    }

    /// Checks that this log made it for a certificate: `tbs` is its `TBSCertificate` without the SCT list.
    ///
    /// # Errors
    /// [`SctError`].
    pub fn verify(&self, key: &LogKey, issuer_key_hash: &Hash, tbs: &[u8]) -> Result<(), SctError> {
        if self.log_id != *key.id() {
            return Err(SctError::OtherLog);
        }
        let message = message(self.timestamp_ms, issuer_key_hash, tbs, &self.extensions);
        key.verify(&message, &self.signature).map_err(SctError::Signature)
    }
}

/// What is signed: version v1, the type of signature, the timestamped entry.
fn message(timestamp_ms: u64, issuer_key_hash: &Hash, tbs: &[u8], extensions: &[u8]) -> Vec<u8> {
    let mut message = vec![0, CERTIFICATE_TIMESTAMP];
    put_timestamped_entry(&mut message, timestamp_ms, issuer_key_hash, tbs, extensions);
    message
}

fn put_timestamped_entry(
    out: &mut Vec<u8>,
    timestamp_ms: u64,
    issuer_key_hash: &Hash,
    tbs: &[u8],
    extensions: &[u8],
) {
    put_uint(out, timestamp_ms, 8);
    put_signed_entry(out, issuer_key_hash, tbs);
    put_vector(out, extensions, 2);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::tests::any_entry;
    use crate::sign::memory::MemoryKey;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_timestamp_is_bound_to_its_entry(entry in any_entry(), index in 0..1_u64 << 40) {
            let signer = MemoryKey::generate();
            let key = LogKey::from_spki_der(signer.spki_der()).unwrap();
            let of = (&entry.issuer_key_hash, &entry.tbs[..]);
            let sct = Sct::sign(&signer, *key.id(), entry.timestamp_ms, index, of).unwrap();
            sct.verify(&key, of.0, of.1).unwrap();
            prop_assert_eq!(sct.leaf_hash(of.0, of.1), entry.encode(index).leaf_hash());
            prop_assert_eq!(sct.leaf_index(), Some(index));
            let bytes = sct.to_bytes();
            prop_assert_eq!(Sct::from_bytes(&bytes).unwrap(), sct.clone());
            prop_assert!(Sct::from_bytes(&bytes[..bytes.len() - 1]).is_err());
            prop_assert!(Sct::from_bytes(&[&bytes[..], &[0]].concat()).is_err());

            let moved = Sct { extensions: extensions(index ^ 1).to_vec(), ..sct.clone() };
            let later = Sct { timestamp_ms: sct.timestamp_ms ^ 1, ..sct.clone() };
            for wrong in [moved, later] {
                prop_assert_eq!(wrong.verify(&key, of.0, of.1), Err(SctError::Signature(SignatureError::Wrong)));
            }
            let other = [&entry.tbs[..], &[0]].concat();
            prop_assert!(sct.verify(&key, of.0, &other).is_err());
            let stranger = LogKey::from_spki_der(MemoryKey::generate().spki_der()).unwrap();
            prop_assert_eq!(sct.verify(&stranger, of.0, of.1), Err(SctError::OtherLog));
        }
    }
}
