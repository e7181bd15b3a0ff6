//! SHA-256 digests in the notation of OCI: `sha256:` and 64 hexadecimal digits.

use hypermesh_model::BlobDigest;
use sha2::{Digest, Sha256};
use std::io::{self, Write};

/// The SHA-256 of some bytes.
pub(crate) fn sha256(bytes: &[u8]) -> BlobDigest {
    BlobDigest::from_bytes(&Sha256::digest(bytes).into())
}

/// `sha256:…`
pub(crate) fn digest_text(digest: &BlobDigest) -> String {
    format!("sha256:{digest}")
}

/// The other way; `None` for another algorithm.
pub(crate) fn parse_digest(text: &str) -> Option<BlobDigest> {
    BlobDigest::parse(text.strip_prefix("sha256:")?).ok()
}

/// Passes bytes on, and knows what they were.
pub(crate) struct Hashing<W> {
    to: W,
    hash: Sha256,
    written: u64,
}

impl<W: Write> Hashing<W> {
    pub(crate) fn new(to: W) -> Self {
        Self { to, hash: Sha256::new(), written: 0 }
    }

    /// The digest and the length of what was written.
    pub(crate) fn finish(self) -> (BlobDigest, u64) {
        (BlobDigest::from_bytes(&self.hash.finalize().into()), self.written)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.to.write(bytes)?;
        self.hash.update(&bytes[..count]);
        self.written += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_written_and_read_as_oci_has_it() {
        let mut hashing = Hashing::new(Vec::new());
        hashing.write_all(b"abc").unwrap();
        let (digest, length) = hashing.finish();
        // FIPS 180-4's own example.
        let text = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!((digest_text(&digest).as_str(), length), (text, 3));
        assert_eq!(parse_digest(text), Some(digest));
        assert_eq!(parse_digest("sha512:00"), None);
    }
}
