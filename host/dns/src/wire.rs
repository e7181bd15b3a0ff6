//! Reading a stranger's octets: every access is checked, and names can't run in circles.
//!
//! A compressed name is followed backwards only: each pointer must lie before the place where the name's current piece
//! began. So it ends, whatever the message says, and its length is bounded by [`MAX_NAME`] besides.

use crate::name::{MAX_LABEL, MAX_NAME, Name};
use thiserror::Error;

/// A message that can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

const SHORT: Malformed = Malformed("the message ends too early");

/// A place in a message.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    message: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(message: &'a [u8], at: usize) -> Self {
        Self { message, at: at.min(message.len()), end: message.len() }
    }

    /// A reader of the same message that ends earlier; pointers of names still lead anywhere before it.
    pub(crate) fn until(&self, end: usize) -> Result<Self, Malformed> {
        if end > self.end || end < self.at {
            return Err(SHORT);
        }
        Ok(Self { message: self.message, at: self.at, end })
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn left(&self) -> usize {
        self.end - self.at
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        if length > self.left() {
            return Err(SHORT);
        }
        let taken = &self.message[self.at..self.at + length];
        self.at += length;
        Ok(taken)
    }

    pub(crate) fn rest(&mut self) -> &'a [u8] {
        let rest = &self.message[self.at..self.end];
        self.at = self.end;
        rest
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.try_into().map_err(|_| SHORT)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// A string with its length in front.
    pub(crate) fn string(&mut self) -> Result<Vec<u8>, Malformed> {
        let length = usize::from(self.u8()?);
        Ok(self.take(length)?.to_vec())
    }

    /// A name, compressed or not; the reader is behind its first piece.
    pub(crate) fn name(&mut self) -> Result<Name, Malformed> {
        let mut wire = Vec::with_capacity(64);
        let mut at = self.at;
        let mut piece = self.at;
        let mut limit = self.end;
        let mut after = None;
        loop {
            let length = usize::from(*self.message[..limit].get(at).ok_or(SHORT)?);
            match length {
                0 => {
                    wire.push(0);
                    self.at = after.unwrap_or(at + 1);
                    break;
                }
                1..=MAX_LABEL => {
                    let label = self.message[..limit].get(at..=at + length).ok_or(SHORT)?;
                    wire.extend_from_slice(label);
                    at += length + 1;
                }
                0xc0.. => {
                    let low = *self.message[..limit].get(at + 1).ok_or(SHORT)?;
                    let target = (length & 0x3f) << 8 | usize::from(low);
                    if target >= piece {
                        return Err(Malformed("a name's pointer doesn't lead backwards"));
                    }
                    after.get_or_insert(at + 2);
                    (at, piece, limit) = (target, target, self.message.len());
                }
                _ => return Err(Malformed("a label is of a kind that there isn't")),
            }
            if wire.len() > MAX_NAME {
                return Err(Malformed("a name is longer than 255 octets"));
            }
        }
        Name::from_wire(&wire).map_err(|_| Malformed("a name is longer than 255 octets"))
    }

    /// Goes behind a name without reading where its pointer leads.
    pub(crate) fn skip_name(&mut self) -> Result<(), Malformed> {
        loop {
            let length = usize::from(self.u8()?);
            match length {
                0 => return Ok(()),
                1..=MAX_LABEL => drop(self.take(length)?),
                0xc0.. => return self.u8().map(drop),
                _ => return Err(Malformed("a label is of a kind that there isn't")),
            }
        }
    }
}

/// A length as the two octets on the wire have it. Everything that is encoded is bounded where it is constructed.
pub(crate) fn length16(length: usize) -> u16 {
    debug_assert!(length <= usize::from(u16::MAX), "{length} octets don't fit a length of 16 bits");
    u16::try_from(length).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compressed_name_is_followed_backwards() {
        let message = b"\x03org\0\x07example\xc0\x00\x03www\xc0\x05!";
        let mut reader = Reader::new(message, 15);
        assert_eq!(reader.name().unwrap().to_string(), "www.example.org.");
        assert_eq!(reader.rest(), b"!");
    }

    #[test]
    fn a_name_that_runs_in_a_circle_is_refused() {
        for (message, at) in [
            (&b"\xc0\x00"[..], 0),
            (b"\x01a\xc0\x00", 0),
            (b"\xc0\x02\xc0\x00", 0),
            (b"\xc0\x02\xc0\x00", 2),
            (b"\x01a\xc0\x04\xc0\x00", 4),
            (b"\x01a\xc0\x04\xc0\x00", 0),
        ] {
            assert!(Reader::new(message, at).name().is_err(), "{message:?} at {at}");
        }
    }

    #[test]
    fn a_name_that_is_cut_short_or_too_long_is_refused() {
        for message in [&b""[..], b"\x01", b"\x01a", b"\xc0", b"\x40a\0", b"\x80\0"] {
            assert!(Reader::new(message, 0).name().is_err(), "{message:?}");
        }
        let long = [&b"\x01a".repeat(128)[..], b"\0"].concat();
        assert!(Reader::new(&long, 0).name().is_err());
    }
}
