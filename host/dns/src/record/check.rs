//! What a record may say, beyond its syntax: hosts that are hosts, digests as long as their kind, times within bounds.

use super::{InvalidRecord, Record, RecordData};
use crate::name::{Name, excerpt};
use crate::types::RecordType;
use std::net::IpAddr;

/// Longest time to live, in seconds: the largest that a signed number of 32 bits holds (RFC 2181, 8).
pub const MAX_TTL: u32 = 0x7fff_ffff;
/// Most octets of one record's data: what is left of a message with the longest names and signatures around it.
pub(crate) const MAX_DATA: usize = 60_000;

type Fallible = Result<(), InvalidRecord>;

/// Whether owner, time and data fit together.
pub(super) fn record(record: &Record) -> Fallible {
    if record.ttl > MAX_TTL {
        return Err(InvalidRecord::new("ttl", format!("{} is more than {MAX_TTL} seconds", record.ttl)));
    }
    owner(&record.name, record.data.record_type())?;
    data(&record.data)
}

fn owner(name: &Name, record_type: RecordType) -> Fallible {
    let wrong = |reason: String| Err(InvalidRecord::new("domain", reason));
    let mut labels = name.labels();
    if name.is_wildcard() {
        labels.next();
        if record_type == RecordType::NS || record_type == RecordType::DS || record_type == RecordType::SOA {
            return wrong(format!("a wildcard can have no {record_type} (RFC 4592, 4)"));
        }
    }
    for label in labels {
        if !label.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')) {
            let label = String::from_utf8_lossy(label).into_owned();
            return wrong(format!(
                "the label `{}` has more than letters, digits, hyphens and underscores",
                excerpt(&label)
            ));
        }
        // Owners of addresses are hosts; RFC 1123, 2.1.
        if label.starts_with(b"-") || label.ends_with(b"-") {
            return wrong("a label begins or ends with a hyphen".into());
        }
    }
    Ok(())
}

/// Whether the data makes sense by itself.
pub(super) fn data(data: &RecordData) -> Fallible {
    match data {
        RecordData::A(_) | RecordData::Aaaa(_) | RecordData::Cname(_) => Ok(()),
        RecordData::Txt(texts) => strings(texts),
        RecordData::Mx { exchange, .. } => host("the mail server", exchange),
        RecordData::Srv { target, .. } => host("the target", target),
        RecordData::Caa { flags, tag, value } => caa(*flags, tag, value),
        RecordData::Tlsa { usage, selector, matching, data } => {
            at_most("the usage", *usage, 3)?;
            at_most("the selector", *selector, 1)?;
            at_most("the matching type", *matching, 2)?;
            digest(data, [None, Some(32), Some(64)][usize::from(*matching)])
        }
        RecordData::Ns(host_name) if host_name.wire() == [0] => {
            Err(InvalidRecord::value("the root is no name server"))
        }
        RecordData::Ns(host_name) => host("the name server", host_name),
        RecordData::Ds { digest_type, digest: octets, .. } => {
            let length = match digest_type {
                1 => Some(20),
                2 => Some(32),
                4 => Some(48),
                _ => None,
            };
            digest(octets, length)
        }
        RecordData::Soa(soa) => {
            let times = [soa.refresh, soa.retry, soa.expire, soa.minimum];
            if times.iter().any(|time| *time > MAX_TTL) {
                return Err(InvalidRecord::value(format!("a time is more than {MAX_TTL} seconds")));
            }
            host("the primary name server", &soa.primary)
        }
    }
}

/// Whether strings fit a record.
pub(super) fn strings(texts: &[Vec<u8>]) -> Fallible {
    if texts.is_empty() {
        return Err(InvalidRecord::value("there must be a string, if an empty one"));
    }
    if texts.iter().any(|text| text.len() > 255) {
        return Err(InvalidRecord::value("a string is longer than 255 octets; write it as several"));
    }
    if texts.iter().map(|text| text.len() + 1).sum::<usize>() > MAX_DATA {
        return Err(InvalidRecord::value(format!("the strings are longer than {MAX_DATA} octets together")));
    }
    Ok(())
}

fn caa(flags: u8, tag: &str, value: &[u8]) -> Fallible {
    if flags != 0 && flags != 128 {
        return Err(InvalidRecord::value(format!("the flags are {flags}; 0 and 128 (critical) are defined")));
    }
    if tag.is_empty() || tag.len() > 15 || !tag.bytes().all(|b| b.is_ascii_alphanumeric()) {
        let reason = format!("the tag `{}` is not of 1 to 15 letters and digits", excerpt(tag));
        return Err(InvalidRecord::value(reason));
    }
    if value.len() > 4096 {
        return Err(InvalidRecord::value("the value of a CAA is longer than 4096 octets"));
    }
    Ok(())
}

fn at_most(what: &str, number: u8, limit: u8) -> Fallible {
    if number > limit {
        return Err(InvalidRecord::value(format!("{what} is {number}, more than {limit}")));
    }
    Ok(())
}

fn digest(octets: &[u8], length: Option<usize>) -> Fallible {
    match length {
        Some(length) if octets.len() != length => {
            let reason = format!("the digest has {} octets; one of its type has {length}", octets.len());
            Err(InvalidRecord::value(reason))
        }
        None if octets.is_empty() || octets.len() > MAX_DATA => {
            Err(InvalidRecord::value("the octets are missing, or too many"))
        }
        Some(_) | None => Ok(()),
    }
}

/// Whether a name can be a host's: letters, digits, hyphens (RFC 1123, 2.1), and no address. The root stands for "none".
fn host(what: &str, name: &Name) -> Fallible {
    let wrong =
        |reason: &str| Err(InvalidRecord::value(format!("{what}, `{}`, {reason}", excerpt(&name.text()))));
    if name.text().parse::<IpAddr>().is_ok() {
        return wrong("is an address; a name must stand here");
    }
    for label in name.labels() {
        if !label.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-') {
            return wrong("is no name of a host: a label has more than letters, digits and hyphens");
        }
        if label.starts_with(b"-") || label.ends_with(b"-") {
            return wrong("is no name of a host: a label begins or ends with a hyphen");
        }
    }
    Ok(())
}
