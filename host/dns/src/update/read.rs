//! An update on the wire: what must be so, and what is to be changed (RFC 2136, 2 and 3.4.1).

use crate::message::{IN, Request, counts};
use crate::name::Name;
use crate::record::{MAX_TTL, Record, RecordData};
use crate::types::{Rcode, RecordType};
use crate::wire::Reader;

/// "None of this" in an update.
const NONE: u16 = 254;
/// "Any of this" in an update.
const ANY: u16 = 255;

/// What must be so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Prerequisite {
    NameExists(Name),
    NameMissing(Name),
    SetExists(Name, RecordType),
    SetMissing(Name, RecordType),
    /// One record of a set that must be exactly those which are named.
    Holds(Name, RecordData),
}

/// What is to be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Add(Record),
    RemoveName(Name),
    RemoveSet(Name, RecordType),
    Remove(Name, RecordData),
}

impl Step {
    /// Whose records are changed.
    pub(crate) fn name(&self) -> &Name {
        match self {
            Self::Add(record) => &record.name,
            Self::RemoveName(name) | Self::RemoveSet(name, _) | Self::Remove(name, _) => name,
        }
    }
}

/// An update that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) prerequisites: Vec<Prerequisite>,
    pub(crate) steps: Vec<Step>,
}

/// A record of an update, before it is known what it stands for.
struct Raw {
    name: Name,
    record_type: RecordType,
    class: u16,
    ttl: u32,
    length: usize,
    /// `None` for types that aren't kept here.
    data: Option<RecordData>,
}

/// Reads an update of the zone `origin`.
pub(crate) fn read(request: &Request<'_>, origin: &Name) -> Result<Asked, Rcode> {
    if request.record_type != RecordType::SOA {
        return Err(Rcode::FORMERR);
    }
    if request.class != IN || request.path.wire() != origin.wire() {
        return Err(Rcode::NOTAUTH);
    }
    let [_, prerequisites, updates, _] = counts(request.message);
    let mut reader = Reader::new(request.message, request.question_end);
    let mut asked = Asked { prerequisites: Vec::new(), steps: Vec::new() };
    for _ in 0..prerequisites {
        let raw = raw(&mut reader, origin)?;
        asked.prerequisites.push(prerequisite(raw)?);
    }
    for _ in 0..updates {
        let raw = raw(&mut reader, origin)?;
        asked.steps.extend(step(raw)?);
    }
    Ok(asked)
}

fn raw(reader: &mut Reader<'_>, origin: &Name) -> Result<Raw, Rcode> {
    let malformed = |_| Rcode::FORMERR;
    let name = reader.name().map_err(malformed)?;
    let record_type = RecordType::from_code(reader.u16().map_err(malformed)?);
    let class = reader.u16().map_err(malformed)?;
    let ttl = reader.u32().map_err(malformed)?;
    let length = usize::from(reader.u16().map_err(malformed)?);
    let data = if length == 0 {
        None
    } else {
        RecordData::decode(record_type, reader, length).map_err(malformed)?
    };
    if !name.is_within(origin) {
        return Err(Rcode::NOTZONE);
    }
    Ok(Raw { name, record_type, class, ttl, length, data })
}

/// Types of which there are no records.
fn is_meta(record_type: RecordType) -> bool {
    let code = record_type.code();
    code == 0 || record_type == RecordType::OPT || (128..=255).contains(&code)
}

fn prerequisite(raw: Raw) -> Result<Prerequisite, Rcode> {
    let Raw { name, record_type, class, ttl, length, data } = raw;
    if ttl != 0 {
        return Err(Rcode::FORMERR);
    }
    match (class, record_type, length, data) {
        (ANY, RecordType::ANY, 0, _) => Ok(Prerequisite::NameExists(name)),
        (NONE, RecordType::ANY, 0, _) => Ok(Prerequisite::NameMissing(name)),
        (_, meta, ..) if is_meta(meta) => Err(Rcode::FORMERR),
        (ANY, _, 0, _) => Ok(Prerequisite::SetExists(name, record_type)),
        (NONE, _, 0, _) => Ok(Prerequisite::SetMissing(name, record_type)),
        (IN, _, _, Some(data)) => Ok(Prerequisite::Holds(name, data)),
        // A record of a type that isn't kept can't be there.
        (IN, _, 1.., None) => Err(Rcode::NXRRSET),
        _ => Err(Rcode::FORMERR),
    }
}

/// `None` for the removal of what can't be there.
fn step(raw: Raw) -> Result<Option<Step>, Rcode> {
    let Raw { name, record_type, class, ttl, length, data } = raw;
    match (class, record_type, ttl, length, data) {
        (ANY, RecordType::ANY, 0, 0, _) => Ok(Some(Step::RemoveName(name))),
        (_, meta, ..) if is_meta(meta) => Err(Rcode::FORMERR),
        (ANY, _, 0, 0, _) => Ok(Some(Step::RemoveSet(name, record_type))),
        (NONE, _, 0, 1.., data) => Ok(data.map(|data| Step::Remove(name, data))),
        (IN, _, 0..=MAX_TTL, 1.., Some(data)) => {
            let record = Record::new(name, ttl, data).map_err(|_| Rcode::REFUSED)?;
            Ok(Some(Step::Add(record)))
        }
        (IN, _, 0..=MAX_TTL, 1.., None) => Err(Rcode::REFUSED),
        _ => Err(Rcode::FORMERR),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{name, zone};
    use crate::update::plan::plan;
    use proptest::prelude::*;

    /// An update of `example.org.` with this many records in its sections.
    fn update(prerequisites: u8, updates: u8, body: &[u8]) -> Vec<u8> {
        let mut message = vec![1, 2, 0x28, 0, 0, 1, 0, prerequisites, 0, updates, 0, 0];
        message.extend_from_slice(name("example.org").wire());
        message.extend_from_slice(&[0, 6, 0, 1]);
        message.extend_from_slice(body);
        message
    }

    fn asked(message: &[u8]) -> Result<Asked, Rcode> {
        read(&Request::read(message).unwrap(), &name("example.org"))
    }

    #[test]
    fn names_may_be_compressed_and_must_be_within_the_zone() {
        let add = asked(&update(0, 1, b"\x01a\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x01")).unwrap();
        assert_eq!(add.steps, [Step::Add(crate::testing::record("a.example.org. 60 IN A 192.0.2.1"))]);
        let outside = update(0, 1, b"\x01a\xc0\x14\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x01");
        assert_eq!(asked(&outside), Err(Rcode::NOTZONE));
    }

    #[test]
    fn classes_times_and_lengths_that_say_nothing_are_format_errors() {
        for (prerequisites, updates, body) in [
            (1, 0, &b"\xc0\x0c\0\x01\0\xff\0\0\0\x01\0\0"[..]),
            (1, 0, b"\xc0\x0c\0\x01\0\x05\0\0\0\0\0\0"),
            (0, 1, b"\xc0\x0c\0\x01\0\x05\0\0\0\0\0\0"),
            (0, 1, b"\xc0\x0c\0\x01\0\x01\0\0\0\0\0\0"),
            (0, 1, b"\xc0\x0c\0\xfc\0\xff\0\0\0\0\0\0"),
            (0, 1, b"\xc0\x0c\0\x01\0\x01\0\0\0\0\0\x03\0\0\0"),
        ] {
            assert_eq!(asked(&update(prerequisites, updates, body)), Err(Rcode::FORMERR), "{body:?}");
        }
    }

    fn record() -> impl Strategy<Value = Vec<u8>> {
        let kinds = prop::sample::select(vec![1_u16, 2, 5, 6, 15, 16, 28, 33, 43, 52, 255, 257, 999]);
        let classes = prop::sample::select(vec![1_u16, 254, 255]);
        let owner = prop::sample::select(vec![&b"\xc0\x0c"[..], b"\x01a\xc0\x0c", b"\x01*\xc0\x0c", b"\0"]);
        let data = prop_oneof![
            Just(vec![]),
            Just(vec![192, 0, 2, 1]),
            Just(b"\x01x\xc0\x0c".to_vec()),
            Just(b"\0\x0a\x01x\xc0\x0c".to_vec()),
            prop::collection::vec(any::<u8>(), 0..40)
        ];
        (owner, kinds, classes, any::<bool>(), data).prop_map(|(owner, kind, class, ttl, data)| {
            let length = u16::try_from(data.len()).unwrap();
            let mut out = owner.to_vec();
            out.extend_from_slice(&kind.to_be_bytes());
            out.extend_from_slice(&class.to_be_bytes());
            out.extend_from_slice(&u32::from(ttl).to_be_bytes());
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(&data);
            out
        })
    }

    proptest! {
        #[test]
        fn any_update_is_planned_into_changes_that_apply(records in prop::collection::vec(record(), 1..8), split in 0_u8..3) {
            let count = u8::try_from(records.len()).unwrap();
            let split = split.min(count);
            let message = update(split, count - split, &records.concat());
            if let Ok(request) = Request::read(&message)
                && let Ok(asked) = read(&request, &name("example.org"))
            {
                let zone = zone("a IN A 192.0.2.1\n*.b IN CNAME a");
                if let Ok(changes) = plan(&zone, &asked) {
                    let after = zone.apply(&changes).unwrap();
                    let serial = if changes.is_empty() { 1 } else { 2 };
                    let soa = changes.iter().any(|change| format!("{change:?}").contains("Soa"));
                    prop_assert!(soa || after.serial() == serial);
                }
            }
        }
    }
}
