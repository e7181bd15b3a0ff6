//! Writes DER into one buffer. A nested element is written in place and its length put before it afterwards.

use super::tag;

/// The bytes so far.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }

    /// An element, written by `inside`.
    pub(crate) fn nested(&mut self, tag: u8, inside: impl FnOnce(&mut Self)) {
        self.0.extend([tag, 0]);
        let start = self.0.len();
        inside(self);
        let length = self.0.len() - start;
        match u8::try_from(length) {
            Ok(short) if short < 0x80 => self.0[start - 1] = short,
            _ => {
                let bytes = length.to_be_bytes();
                let digits = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
                // At most eight digits.
                self.0[start - 1] = 0x80 | digits.len().to_be_bytes()[size_of::<usize>() - 1];
                self.0.splice(start..start, digits.iter().copied());
            }
        }
    }

    pub(crate) fn sequence(&mut self, inside: impl FnOnce(&mut Self)) {
        self.nested(tag::SEQUENCE, inside);
    }

    /// An element with this content.
    pub(crate) fn element(&mut self, tag: u8, content: &[u8]) {
        self.nested(tag, |w| w.raw(content));
    }

    /// Bytes that are DER already.
    pub(crate) fn raw(&mut self, der: &[u8]) {
        self.0.extend_from_slice(der);
    }

    pub(crate) fn oid(&mut self, oid: &[u8]) {
        self.element(tag::OID, oid);
    }

    /// A number that isn't negative, from its bytes, high first.
    pub(crate) fn unsigned(&mut self, bytes: &[u8]) {
        let digits = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
        self.nested(tag::INTEGER, |w| {
            if digits.first().is_none_or(|first| first & 0x80 != 0) {
                w.raw(&[0]);
            }
            w.raw(digits);
        });
    }

    pub(crate) fn number(&mut self, number: u64) {
        self.unsigned(&number.to_be_bytes());
    }

    pub(crate) fn yes(&mut self) {
        self.element(tag::BOOLEAN, &[0xff]);
    }

    /// A bit string of whole bytes.
    pub(crate) fn bits(&mut self, bytes: &[u8]) {
        self.nested(tag::BIT_STRING, |w| {
            w.raw(&[0]);
            w.raw(bytes);
        });
    }
}

/// What `write` writes, as bytes.
pub(crate) fn to_vec(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::new();
    write(&mut writer);
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::super::Reader;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_have_the_shortest_form() {
        for (number, expected) in
            [(0, &[2, 1, 0][..]), (127, &[2, 1, 127]), (128, &[2, 2, 0, 128]), (256, &[2, 2, 1, 0])]
        {
            assert_eq!(to_vec(|w| w.number(number)), expected, "{number}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            content in proptest::collection::vec(any::<u8>(), 0..70_000), number: u64, depth in 0_usize..5
        ) {
            fn write(w: &mut Writer, depth: usize, content: &[u8], number: u64) {
                if depth == 0 {
                    w.element(tag::OCTET_STRING, content);
                    w.number(number);
                } else {
                    w.sequence(|w| write(w, depth - 1, content, number));
                }
            }
            let bytes = to_vec(|w| write(w, depth, &content, number));
            let mut reader = Reader::new(&bytes);
            for _ in 0..depth {
                let inner = reader.sequence().unwrap();
                prop_assert_eq!(reader.end(), Ok(()));
                reader = inner;
            }
            prop_assert_eq!(reader.expect(tag::OCTET_STRING).unwrap(), &content[..]);
            prop_assert_eq!(reader.number(), Ok(number));
            prop_assert_eq!(reader.end(), Ok(()));
        }
    }
}
