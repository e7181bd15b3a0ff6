//! The records of one name and type, with the octets of an answer ready, and the place for their signature.

use super::ZoneError;
use crate::name::Name;
use crate::record::{RecordData, Soa, with_length};
use crate::types::RecordType;
use arc_swap::ArcSwapOption;

/// Most octets of a set on the wire: a message less header, question, signature and the longest names.
const MAX_SET: usize = 62_000;
/// Octets of a record before its data: a pointer, type, class, time to live, length.
const HEAD: usize = 12;
/// The owner that most answers have: a pointer to the question's name.
const AT_QUESTION: [u8; 2] = [0xc0, 12];

/// What was signed, as long as it may be given out.
#[derive(Debug)]
pub(crate) struct Cached {
    /// Whole records, their owner a pointer to the question's name.
    pub(crate) wire: Box<[u8]>,
    /// When it has to be signed again, in seconds since 1970.
    pub(crate) until: u64,
    /// The time to live of its records, in seconds.
    pub(crate) ttl: u32,
}

/// The records of one name and type.
#[derive(Debug)]
pub(crate) struct Rrset {
    pub(crate) record_type: RecordType,
    /// The lowest of the records' (RFC 2181, 5.2).
    pub(crate) ttl: u32,
    /// In canonical order, with the time to live that each was entered with.
    pub(crate) records: Vec<(u32, RecordData)>,
    /// Whole records, their owner a pointer to the question's name.
    wire: Box<[u8]>,
    /// Their signature, once somebody asked.
    pub(crate) signature: ArcSwapOption<Cached>,
}

impl Rrset {
    /// Sorts records, drops repeated ones (the last counts) and encodes them. There must be one.
    pub(crate) fn new(
        name: &Name,
        record_type: RecordType,
        records: Vec<(u32, RecordData)>,
    ) -> Result<Self, ZoneError> {
        let set = Self::unbounded(record_type, records);
        if set.wire.len() > MAX_SET {
            return Err(ZoneError::SetTooLarge { name: name.clone(), record_type, limit: MAX_SET });
        }
        Ok(set)
    }

    /// One record, which fits whatever it is.
    pub(crate) fn of_one(ttl: u32, data: RecordData) -> Self {
        Self::unbounded(data.record_type(), vec![(ttl, data)])
    }

    /// The SOA as negative answers have it.
    pub(crate) fn negative(soa: &Soa, soa_ttl: u32) -> Self {
        Self::of_one(soa_ttl.min(soa.minimum), RecordData::Soa(soa.clone()))
    }

    fn unbounded(record_type: RecordType, records: Vec<(u32, RecordData)>) -> Self {
        let encoded = |data: &RecordData| {
            let mut octets = Vec::with_capacity(32);
            data.encode(&mut octets);
            octets
        };
        let mut sorted: Vec<_> = records.into_iter().map(|(ttl, data)| (encoded(&data), ttl, data)).collect();
        sorted.reverse();
        sorted.sort_by(|(a, ..), (b, ..)| a.cmp(b));
        sorted.dedup_by(|(a, ..), (b, ..)| a == b);
        let ttl = sorted.iter().map(|(_, ttl, _)| *ttl).min().unwrap_or(0);
        let wire = encode(record_type, ttl, sorted.iter().map(|(octets, ..)| octets.as_slice()));
        let records = sorted.into_iter().map(|(_, ttl, data)| (ttl, data)).collect();
        Self { record_type, ttl, records, wire, signature: ArcSwapOption::empty() }
    }

    /// A set of a type that no [`RecordData`] has: the keys of the zone.
    pub(crate) fn raw(record_type: RecordType, ttl: u32, data: &[&[u8]]) -> Self {
        let wire = encode(record_type, ttl, data.iter().copied());
        Self { record_type, ttl, records: Vec::new(), wire, signature: ArcSwapOption::empty() }
    }

    /// Whole records whose owner is a pointer to the question's name.
    pub(crate) fn wire(&self) -> &[u8] {
        &self.wire
    }

    /// The data of each record, in canonical order.
    pub(crate) fn data(&self) -> impl Iterator<Item = &[u8]> {
        records(&self.wire).map(|record| &record[HEAD..])
    }
}

fn encode<'a>(record_type: RecordType, ttl: u32, data: impl Iterator<Item = &'a [u8]>) -> Box<[u8]> {
    let mut wire = Vec::new();
    for octets in data {
        wire.extend_from_slice(&AT_QUESTION);
        head(&mut wire, record_type, ttl);
        with_length(&mut wire, |wire| wire.extend_from_slice(octets));
    }
    wire.into_boxed_slice()
}

/// Appends type, class and time to live.
pub(crate) fn head(wire: &mut Vec<u8>, record_type: RecordType, ttl: u32) {
    wire.extend_from_slice(&record_type.code().to_be_bytes());
    wire.extend_from_slice(&[0, 1]);
    wire.extend_from_slice(&ttl.to_be_bytes());
}

/// The records in what was encoded here.
pub(crate) fn records(wire: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = wire;
    std::iter::from_fn(move || {
        let length = rest.get(HEAD - 2..HEAD)?;
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        let (record, after) = rest.split_at_checked(HEAD + length)?;
        rest = after;
        Some(record)
    })
}
