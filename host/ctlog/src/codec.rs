//! The presentation language of TLS (RFC 8446 §3), as far as RFC 6962 uses it: big-endian numbers and vectors with a
//! length before them. Reading gives `None` where the bytes end early; nothing panics.

/// Reads from the front of a slice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// An unsigned number of `width` bytes, at most 8.
    pub(crate) fn uint(&mut self, width: usize) -> Option<u64> {
        Some(self.take(width)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// A vector whose length stands before it in `width` bytes.
    pub(crate) fn vector(&mut self, width: usize) -> Option<&'a [u8]> {
        let length = usize::try_from(self.uint(width)?).ok()?;
        self.take(length)
    }
}

/// Appends the low `width` bytes of a number; the caller has bounded it.
pub(crate) fn put_uint(out: &mut Vec<u8>, number: u64, width: usize) {
    out.extend_from_slice(&number.to_be_bytes()[8 - width..]);
}

/// Appends a vector with its length in `width` bytes; the caller has bounded it.
pub(crate) fn put_vector(out: &mut Vec<u8>, bytes: &[u8], width: usize) {
    put_uint(out, bytes.len() as u64, width);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(number in 0..1_u64 << 40, bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut out = Vec::new();
            put_uint(&mut out, number, 5);
            put_vector(&mut out, &bytes, 3);
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.uint(5), Some(number));
            prop_assert_eq!(reader.vector(3), Some(&bytes[..]));
            prop_assert!(reader.is_empty());
            let mut short = Reader::new(&out[..out.len() - 1]);
            let _ = short.uint(5);
            prop_assert!(bytes.is_empty() || short.vector(3).is_none());
        }
    }
}
