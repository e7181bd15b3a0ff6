//! Writing an answer: header, question, sections in their order, EDNS at the end.

use crate::message::{AA, CD, Edns, HEADER, QR, QUESTION, RA, RD, Request, TC};
use crate::name::Name;
use crate::types::{Rcode, RecordType};
use crate::zone::records;

/// Our limit of messages by UDP, in octets: what passes everywhere unfragmented (DNS flag day 2020).
pub(crate) const MAX_UDP: u16 = 1232;
/// Octets of our OPT.
const OPT: usize = 11;
/// Last place that a pointer reaches.
const MAX_POINTER: usize = 0x3fff;

/// A section of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Answer,
    Authority,
    Additional,
}

/// Whose records are appended.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Owner<'n> {
    /// The name that is written at this place.
    At(usize),
    /// This one.
    Name(&'n Name),
}

/// An answer that is being written.
#[derive(Debug)]
pub(crate) struct Builder<'o> {
    out: &'o mut Vec<u8>,
    counts: [u16; 3],
    edns: Option<Edns>,
}

impl<'o> Builder<'o> {
    /// Begins an answer with the request's question.
    pub(crate) fn new(out: &'o mut Vec<u8>, request: &Request<'_>) -> Self {
        out.clear();
        out.extend_from_slice(&request.message[..request.question_end]);
        out[2] = QR | request.message[2] & (0x78 | RD);
        out[3] = request.message[3] & CD;
        out[4..HEADER].copy_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
        Self { out, counts: [0; 3], edns: request.edns }
    }

    /// The answer comes from the authority.
    pub(crate) fn authoritative(&mut self) {
        self.out[2] |= AA;
    }

    /// Recursion is to be had.
    pub(crate) fn recursive(&mut self) {
        self.out[3] |= RA;
    }

    pub(crate) fn length(&self) -> usize {
        self.out.len()
    }

    /// Appends records that have a pointer to the question for an owner. Sections must come in their order.
    pub(crate) fn put(&mut self, section: Section, wire: &[u8], owner: Owner<'_>) {
        for record in records(wire) {
            match owner {
                Owner::At(QUESTION) => self.out.extend_from_slice(record),
                Owner::At(at) if at <= MAX_POINTER => {
                    let pointer = 0xc000 | u16::try_from(at).unwrap_or_default();
                    self.out.extend_from_slice(&pointer.to_be_bytes());
                    self.out.extend_from_slice(&record[2..]);
                }
                Owner::At(at) => {
                    self.copy_name(at);
                    self.out.extend_from_slice(&record[2..]);
                }
                Owner::Name(name) => {
                    self.out.extend_from_slice(name.wire());
                    self.out.extend_from_slice(&record[2..]);
                }
            }
            let count = &mut self.counts[match section {
                Section::Answer => 0,
                Section::Authority => 1,
                Section::Additional => 2,
            }];
            *count = count.saturating_add(1);
        }
    }

    /// Writes once more the uncompressed name at a place.
    fn copy_name(&mut self, at: usize) {
        let mut end = at;
        while let Some(length) = self.out.get(end).filter(|length| **length > 0) {
            end += usize::from(*length) + 1;
        }
        self.out.extend_from_within(at..=end.min(self.out.len() - 1));
    }

    /// Ends the answer. One that is longer than `limit` octets is cut to nothing and says so; `true` then.
    pub(crate) fn finish(mut self, rcode: Rcode, limit: usize) -> bool {
        let room = if self.edns.is_some() { OPT } else { 0 };
        let cut = self.out.len() + room > limit;
        if cut {
            truncate(self.out);
            self.counts = [0; 3];
        }
        if let Some(edns) = self.edns {
            opt(self.out, rcode, edns);
            self.counts[2] += 1;
        }
        self.out[3] |= u8::try_from(rcode.0 & 0xf).unwrap_or(0);
        for (section, count) in self.counts.iter().enumerate() {
            let at = 6 + 2 * section;
            self.out[at..at + 2].copy_from_slice(&count.to_be_bytes());
        }
        cut
    }
}

/// Cuts an answer that was written to its question, and says so.
pub(crate) fn cut(out: &mut Vec<u8>) {
    if out[4..6] == [0, 1] {
        truncate(out);
        out[6..HEADER].fill(0);
    }
}

fn truncate(out: &mut Vec<u8>) {
    let question_end = question_end(out);
    out.truncate(question_end);
    out[2] |= TC;
}

fn question_end(message: &[u8]) -> usize {
    let mut at = QUESTION;
    while message[at] > 0 {
        at += usize::from(message[at]) + 1;
    }
    at + 5
}

/// Appends our OPT (RFC 6891, 6.1).
fn opt(out: &mut Vec<u8>, rcode: Rcode, asked: Edns) {
    let flags = if asked.dnssec { 0x80 } else { 0 } | if asked.compact { 0x40 } else { 0 };
    out.push(0);
    out.extend_from_slice(&RecordType::OPT.code().to_be_bytes());
    out.extend_from_slice(&MAX_UDP.to_be_bytes());
    out.extend_from_slice(&[u8::try_from(rcode.0 >> 4).unwrap_or(0), 0, flags, 0, 0, 0]);
}

/// An answer of a header and a code, to what could not be read.
pub(crate) fn bare(out: &mut Vec<u8>, message: &[u8], rcode: Rcode) {
    out.clear();
    let code = u8::try_from(rcode.0 & 0xf).unwrap_or(0);
    out.extend_from_slice(&message[..2]);
    out.extend_from_slice(&[QR | message[2] & (0x78 | RD), code | message[3] & CD, 0, 0, 0, 0, 0, 0, 0, 0]);
}
