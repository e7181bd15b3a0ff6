//! Requests: header, question, EDNS and the place of a signature, read without touching the heap.
//!
//! The other records of a request matter to updates alone, and are read there; here they are only stepped over, since EDNS
//! and TSIG stand behind them.

use crate::types::{Rcode, RecordType};
use crate::wire::{Malformed, Reader};
use crate::zone::Path;

/// Octets of a header.
pub(crate) const HEADER: usize = 12;
/// Where the question's name is, in requests and answers.
pub(crate) const QUESTION: usize = HEADER;
/// A plain question.
pub(crate) const QUERY: u8 = 0;
/// An update (RFC 2136).
pub(crate) const UPDATE: u8 = 5;
/// The class of the internet.
pub(crate) const IN: u16 = 1;

/// This is an answer.
pub(crate) const QR: u8 = 0x80;
/// From the authority.
pub(crate) const AA: u8 = 0x04;
/// Cut; ask by TCP.
pub(crate) const TC: u8 = 0x02;
/// Recursion is wanted.
pub(crate) const RD: u8 = 0x01;
/// In the fourth octet: recursion is to be had.
pub(crate) const RA: u8 = 0x80;
/// In the fourth octet: nothing has to be validated.
pub(crate) const CD: u8 = 0x10;

/// What came.
#[derive(Debug, Clone)]
pub(crate) struct Request<'a> {
    pub(crate) message: &'a [u8],
    pub(crate) opcode: u8,
    /// The name that is asked for.
    pub(crate) path: Path,
    pub(crate) record_type: RecordType,
    pub(crate) class: u16,
    /// Where the question ends.
    pub(crate) question_end: usize,
    pub(crate) edns: Option<Edns>,
    /// Where the TSIG begins.
    pub(crate) tsig: Option<usize>,
}

/// What a request says by EDNS (RFC 6891).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Edns {
    /// Longest answer by UDP, in octets.
    pub(crate) size: u16,
    pub(crate) version: u8,
    /// Signatures are wanted.
    pub(crate) dnssec: bool,
    /// NXDOMAIN is wanted as the code of compact denials (RFC 9824, 4).
    pub(crate) compact: bool,
}

/// A message that isn't answered as asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// No answer: it is one itself, or has no header.
    Ignore,
    /// Answered with nothing but this code.
    Reply(Rcode),
}

impl From<Malformed> for Unreadable {
    fn from(_: Malformed) -> Self {
        Self::Reply(Rcode::FORMERR)
    }
}

/// How many records each section says it has.
pub(crate) fn counts(message: &[u8]) -> [u16; 4] {
    std::array::from_fn(|section| {
        let at = 4 + 2 * section;
        message.get(at..at + 2).map_or(0, |octets| u16::from_be_bytes([octets[0], octets[1]]))
    })
}

impl<'a> Request<'a> {
    /// Reads a request.
    pub(crate) fn read(message: &'a [u8]) -> Result<Self, Unreadable> {
        if message.len() < HEADER || message[2] & QR != 0 {
            return Err(Unreadable::Ignore);
        }
        let opcode = message[2] >> 3 & 0xf;
        if opcode != QUERY && opcode != UPDATE {
            return Err(Unreadable::Reply(Rcode::NOTIMP));
        }
        let [questions, answers, authority, additional] = counts(message);
        if questions != 1 {
            return Err(Unreadable::Reply(Rcode::FORMERR));
        }
        let path = Path::read(&message[QUESTION..]).ok_or(Unreadable::Reply(Rcode::FORMERR))?;
        let mut reader = Reader::new(message, QUESTION + path.wire().len());
        let record_type = RecordType::from_code(reader.u16()?);
        let class = reader.u16()?;
        let question_end = reader.at();
        for _ in 0..u32::from(answers) + u32::from(authority) {
            skip_record(&mut reader)?;
        }
        let mut request =
            Self { message, opcode, path, record_type, class, question_end, edns: None, tsig: None };
        for _ in 0..additional {
            request.additional(&mut reader)?;
        }
        if reader.left() > 0 {
            return Err(Unreadable::Reply(Rcode::FORMERR));
        }
        Ok(request)
    }

    fn additional(&mut self, reader: &mut Reader<'a>) -> Result<(), Unreadable> {
        let start = reader.at();
        if self.tsig.is_some() {
            // It must be the last (RFC 8945, 5.1).
            return Err(Unreadable::Reply(Rcode::FORMERR));
        }
        reader.skip_name()?;
        let at_root = reader.at() == start + 1;
        let record_type = RecordType::from_code(reader.u16()?);
        let class = reader.u16()?;
        let [_, version, high, _] = reader.array()?;
        let length = usize::from(reader.u16()?);
        reader.take(length)?;
        match record_type {
            RecordType::OPT if self.edns.is_some() || !at_root => Err(Unreadable::Reply(Rcode::FORMERR)),
            RecordType::OPT => {
                let (dnssec, compact) = (high & 0x80 != 0, high & 0x40 != 0);
                self.edns = Some(Edns { size: class, version, dnssec, compact });
                Ok(())
            }
            RecordType::TSIG => {
                self.tsig = Some(start);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Whether signatures are wanted.
    pub(crate) fn wants_dnssec(&self) -> bool {
        self.edns.is_some_and(|edns| edns.dnssec)
    }

    /// Whether recursion is wanted.
    pub(crate) fn wants_recursion(&self) -> bool {
        self.message[2] & RD != 0
    }
}

/// Steps over a record.
pub(crate) fn skip_record(reader: &mut Reader<'_>) -> Result<(), Malformed> {
    reader.skip_name()?;
    reader.take(8)?;
    let length = usize::from(reader.u16()?);
    reader.take(length).map(drop)
}
