//! Reads DER from a slice, one element after another, and refuses every other encoding.

use super::{DerError, tag};

/// One element: its tag, what is in it, and all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    pub(crate) content: &'a [u8],
    pub(crate) whole: &'a [u8],
}

/// What is left to be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The one element that `bytes` are: nothing may follow it.
    pub(crate) fn only(bytes: &'a [u8], tag: u8) -> Result<Self, DerError> {
        let mut outer = Self(bytes);
        let content = outer.expect(tag)?;
        outer.end()?;
        Ok(Self(content))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many bytes are left.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Nothing may be left.
    pub(crate) fn end(&self) -> Result<(), DerError> {
        if self.0.is_empty() { Ok(()) } else { Err(DerError::Trailing(self.0.len())) }
    }

    /// The next element, whatever it is.
    pub(crate) fn element(&mut self) -> Result<Element<'a>, DerError> {
        let [tag, first, ..] = *self.0 else { return Err(DerError::Truncated) };
        if tag & 0x1f == 0x1f {
            return Err(DerError::Value("a tag of several bytes is nowhere used"));
        }
        let (header, length) = match first {
            0..=0x7f => (2, usize::from(first)),
            0x80 | 0xff => return Err(DerError::NotDer("a length")),
            _ => {
                let count = usize::from(first & 0x7f);
                // Four bytes are 4 GiB, more than anything read here may have.
                if count > 4 {
                    return Err(DerError::Truncated);
                }
                let bytes = self.0.get(2..2 + count).ok_or(DerError::Truncated)?;
                let length = bytes.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
                if length < 0x80 || bytes[0] == 0 {
                    return Err(DerError::NotDer("a length"));
                }
                (2 + count, length)
            }
        };
        let end = header.checked_add(length).ok_or(DerError::Truncated)?;
        let whole = self.0.get(..end).ok_or(DerError::Truncated)?;
        self.0 = &self.0[end..];
        Ok(Element { tag, content: &whole[header..], whole })
    }

    /// The content of the next element, which must have this tag.
    pub(crate) fn expect(&mut self, expected: u8) -> Result<&'a [u8], DerError> {
        let element = self.element()?;
        if element.tag == expected {
            Ok(element.content)
        } else {
            Err(DerError::Tag { expected, found: element.tag })
        }
    }

    /// The content of the next element if it has this tag; else nothing is read.
    pub(crate) fn optional(&mut self, tag: u8) -> Result<Option<&'a [u8]>, DerError> {
        if self.0.first() == Some(&tag) { self.expect(tag).map(Some) } else { Ok(None) }
    }

    pub(crate) fn sequence(&mut self) -> Result<Self, DerError> {
        self.expect(tag::SEQUENCE).map(Self)
    }

    /// A sequence with its header, for what is signed or compared as bytes.
    pub(crate) fn whole_sequence(&mut self) -> Result<Element<'a>, DerError> {
        let element = self.element()?;
        if element.tag == tag::SEQUENCE {
            Ok(element)
        } else {
            Err(DerError::Tag { expected: tag::SEQUENCE, found: element.tag })
        }
    }

    pub(crate) fn oid(&mut self) -> Result<&'a [u8], DerError> {
        let oid = self.expect(tag::OID)?;
        // X.690 §8.19.2: a part ends, and doesn't begin with a group of zeros.
        let is_padded =
            oid.first() == Some(&0x80) || oid.windows(2).any(|pair| pair[0] & 0x80 == 0 && pair[1] == 0x80);
        if is_padded || oid.last().is_none_or(|last| last & 0x80 != 0) {
            return Err(DerError::NotDer("an object identifier"));
        }
        Ok(oid)
    }

    /// An integer's content, in the shortest form, with its sign.
    pub(crate) fn integer(&mut self) -> Result<&'a [u8], DerError> {
        let content = self.expect(tag::INTEGER)?;
        match *content {
            [] => Err(DerError::NotDer("an integer")),
            [0, next, ..] if next & 0x80 == 0 => Err(DerError::NotDer("an integer")),
            [0xff, next, ..] if next & 0x80 != 0 => Err(DerError::NotDer("an integer")),
            _ => Ok(content),
        }
    }

    /// An integer that isn't negative and fits.
    pub(crate) fn number(&mut self) -> Result<u64, DerError> {
        number(self.integer()?)
    }

    /// A `BOOLEAN DEFAULT FALSE`: the default is left out, so that what is there says true.
    pub(crate) fn flag(&mut self) -> Result<bool, DerError> {
        match self.optional(tag::BOOLEAN)? {
            None => Ok(false),
            Some([0xff]) => Ok(true),
            Some(_) => Err(DerError::NotDer("a boolean")),
        }
    }

    /// A bit string of whole bytes, as keys and signatures are.
    pub(crate) fn bytes_of_bits(&mut self) -> Result<&'a [u8], DerError> {
        match self.expect(tag::BIT_STRING)? {
            [0, bytes @ ..] => Ok(bytes),
            _ => Err(DerError::Value("a bit string has no whole bytes")),
        }
    }
}

/// The value of an integer's content, if it isn't negative and fits.
fn number(content: &[u8]) -> Result<u64, DerError> {
    let digits = content.strip_prefix(&[0]).unwrap_or(content);
    if content.first().is_none_or(|first| first & 0x80 != 0) || digits.len() > 8 {
        return Err(DerError::Value("a number is negative or too large"));
    }
    Ok(digits.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn other_encodings_of_a_length_are_refused() {
        for bytes in [&[0x30, 0x80, 0, 0][..], &[0x30, 0x81, 1, 0], &[0x30, 0x82, 0, 0x80], &[0x30, 0xff]] {
            assert!(Reader::new(bytes).element().is_err(), "{bytes:02x?}");
        }
        assert_eq!(Reader::new(&[0x30, 5, 0]).element(), Err(DerError::Truncated));
        assert_eq!(Reader::only(&[0x30, 0, 1], tag::SEQUENCE).map(|_| ()), Err(DerError::Trailing(1)));
    }

    #[test]
    fn other_encodings_of_a_value_are_refused() {
        for bytes in [[2, 2, 0, 1], [2, 2, 0xff, 0x80], [1, 1, 1, 0], [3, 1, 0, 0]] {
            let mut reader = Reader::new(&bytes);
            let read = match bytes[0] {
                tag::INTEGER => reader.integer().is_ok(),
                tag::BOOLEAN => reader.flag().is_ok(),
                _ => reader.bytes_of_bits().is_ok_and(|bytes| !bytes.is_empty()),
            };
            assert!(!read, "{bytes:02x?}");
        }
        assert_eq!(Reader::new(&[2, 2, 0, 0x80]).number(), Ok(128));
        assert!(Reader::new(&[2, 1, 0x80]).number().is_err());
    }

    #[test]
    fn an_identifier_has_one_encoding() {
        assert_eq!(Reader::new(&[6, 4, 0x2a, 0x86, 0x48, 0x01]).oid(), Ok(&[0x2a, 0x86, 0x48, 0x01][..]));
        assert_eq!(Reader::new(&[6, 3, 0x81, 0x80, 0x01]).oid(), Ok(&[0x81, 0x80, 0x01][..]));
        for bytes in
            [&[6, 0][..], &[6, 1, 0x86], &[6, 4, 0x55, 0x80, 0x1d, 0x11], &[6, 4, 0x80, 0x55, 0x1d, 0x11]]
        {
            assert_eq!(
                Reader::new(bytes).oid(),
                Err(DerError::NotDer("an object identifier")),
                "{bytes:02x?}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_read_beyond_them(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut reader = Reader::new(&bytes);
            let mut read = 0;
            while let Ok(element) = reader.element() {
                read += element.whole.len();
                prop_assert!(element.content.len() + 2 <= element.whole.len());
            }
            prop_assert!(read <= bytes.len());
        }
    }
}
