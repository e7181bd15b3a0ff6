//! DER (ITU-T X.690): a strict reader and a direct writer, as much of it as X.509 needs.
//!
//! Written here because every certificate, request and revocation list is bytes that are signed: what is read must be
//! the one encoding that there is (no BER lengths, no trailing bytes), and what is written must be decided field by
//! field. A list of 100,000 revocations is written without a value a entry in between. What the values mean is left to
//! the other modules. Reading fails with [`DerError`] and never panics; writing can't fail.

pub(crate) mod oid;
mod reader;
pub(crate) mod time;
mod writer;

pub(crate) use reader::{Element, Reader};
pub(crate) use writer::{Writer, to_vec};

use thiserror::Error;

/// Tags (X.690 §8.1.2), with the constructed bit where the type has it.
pub(crate) mod tag {
    pub(crate) const BOOLEAN: u8 = 0x01;
    pub(crate) const INTEGER: u8 = 0x02;
    pub(crate) const BIT_STRING: u8 = 0x03;
    pub(crate) const OCTET_STRING: u8 = 0x04;
    pub(crate) const NULL: u8 = 0x05;
    pub(crate) const OID: u8 = 0x06;
    pub(crate) const ENUMERATED: u8 = 0x0a;
    pub(crate) const UTF8: u8 = 0x0c;
    pub(crate) const PRINTABLE: u8 = 0x13;
    pub(crate) const TELETEX: u8 = 0x14;
    pub(crate) const IA5: u8 = 0x16;
    pub(crate) const UTC_TIME: u8 = 0x17;
    pub(crate) const GENERALIZED_TIME: u8 = 0x18;
    pub(crate) const BMP: u8 = 0x1e;
    pub(crate) const SEQUENCE: u8 = 0x30;
    pub(crate) const SET: u8 = 0x31;

    /// `[number]` around a primitive value (`IMPLICIT` of one).
    pub(crate) const fn context(number: u8) -> u8 {
        0x80 | number
    }

    /// `[number]` around other elements (`EXPLICIT`, or `IMPLICIT` of a sequence).
    pub(crate) const fn constructed(number: u8) -> u8 {
        0xa0 | number
    }
}

/// Why bytes are no DER of what was expected.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DerError {
    /// An element says that it is longer than what is left.
    #[error("the bytes end in the middle of an element")]
    Truncated,
    /// BER allows several encodings of one value; DER allows one.
    #[error("{0} is not encoded as DER asks")]
    NotDer(&'static str),
    /// Another type than the standard says.
    #[error("a tag of 0x{expected:02x} was expected, and 0x{found:02x} is there")]
    Tag {
        /// The tag that the standard says.
        expected: u8,
        /// The tag that is there.
        found: u8,
    },
    /// Bytes after the end.
    #[error("{0} bytes follow the end")]
    Trailing(usize),
    /// The right type with a value that means nothing here.
    #[error("{0}")]
    Value(&'static str),
}
