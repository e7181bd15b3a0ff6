//! DNS records.

use crate::convert::{check, same_names, time};
use crate::problem::Draft;
use hypermesh_model as model;
use hypermesh_trustchain::{DnsFilter, DnsRecordChange, NewDnsRecord};
use hypermesh_wire::trustchain::{
    self as wire, ChangeDnsRecord, CreateDnsRecord, DnsQuery, DnsRecord, DnsRecordType, ResolveDns,
};

/// Seconds that others may keep a record when nobody says how long.
const DEFAULT_TTL: u32 = 300;
/// Longest of them, a week: what resolvers keep at most (RFC 8767 §4).
const MAX_TTL: u32 = 604_800;
/// Longest name, with the root's dot (RFC 1035 §2.3.4).
const MAX_DOMAIN: usize = 254;
/// Longest value, in characters: 16 strings of 255.
const MAX_VALUE: usize = 4096;

same_names!(shown_status: model::DnsRecordStatus => wire::DnsRecordStatus { Active, Pending, Failed });

const TYPES: [(DnsRecordType, &str); 10] = [
    (DnsRecordType::A, "A"),
    (DnsRecordType::Aaaa, "AAAA"),
    (DnsRecordType::Cname, "CNAME"),
    (DnsRecordType::Txt, "TXT"),
    (DnsRecordType::Mx, "MX"),
    (DnsRecordType::Srv, "SRV"),
    (DnsRecordType::Caa, "CAA"),
    (DnsRecordType::Tlsa, "TLSA"),
    (DnsRecordType::Ns, "NS"),
    (DnsRecordType::Soa, "SOA"),
];

/// How a type is written (RFC 1035 §3.2.2).
fn type_name(record_type: DnsRecordType) -> String {
    let known = TYPES.iter().find(|(known, _)| *known == record_type);
    known.map_or_else(String::new, |(_, name)| (*name).to_owned())
}

/// A name in the schema's notation; whether it is one, the domain says.
fn domain(member: &str, text: String) -> Result<String, Draft> {
    let known = |c: char| c.is_ascii_alphanumeric() || "._*-".contains(c);
    if (1..=MAX_DOMAIN).contains(&text.len()) && text.chars().all(known) {
        return Ok(text);
    }
    let detail = format!("`{member}` is a name of 1 to {MAX_DOMAIN} letters, digits and . _ * -");
    Err(Draft::invalid(member, detail))
}

fn ttl(ttl: Option<u32>) -> Result<Option<u32>, Draft> {
    ttl.map(|ttl| check::range("ttl", ttl, 0, MAX_TTL)).transpose()
}

/// A record that is wanted.
pub(crate) fn new(body: CreateDnsRecord) -> Result<NewDnsRecord, Draft> {
    Ok(NewDnsRecord {
        domain: domain("domain", body.domain)?,
        record_type: type_name(body.record_type),
        value: check::text("value", body.value, 1, MAX_VALUE)?,
        ttl: ttl(body.ttl)?.unwrap_or(DEFAULT_TTL),
        priority: body.priority,
        weight: body.weight,
        port: body.port,
    })
}

/// What is changed of a record.
pub(crate) fn change(body: ChangeDnsRecord) -> Result<DnsRecordChange, Draft> {
    Ok(DnsRecordChange {
        domain: body.domain.map(|text| domain("domain", text)).transpose()?,
        record_type: body.record_type.map(type_name),
        value: check::optional_text("value", body.value, 1, MAX_VALUE)?,
        ttl: ttl(body.ttl)?,
        priority: body.priority,
        weight: body.weight,
        port: body.port,
    })
}

/// Which records.
pub(crate) fn filter(query: &DnsQuery) -> Result<DnsFilter, Draft> {
    let domain = match &query.domain {
        Some(text) if text.chars().count() > MAX_DOMAIN => {
            return Err(Draft::invalid("domain", format!("`domain` may be {MAX_DOMAIN} characters long")));
        }
        Some(text) => Some(text.trim_end_matches('.').to_lowercase()),
        None => None,
    };
    Ok(DnsFilter { domain, ..DnsFilter::default() })
}

/// A question: name and type.
pub(crate) fn question(body: ResolveDns) -> Result<(String, String), Draft> {
    let record_type = body.record_type.unwrap_or(DnsRecordType::A);
    Ok((domain("domain", body.domain)?, type_name(record_type)))
}

/// A record as a caller sees it; `None` for a type that the contract doesn't know.
pub(crate) fn shown(record: model::DnsRecord) -> Option<DnsRecord> {
    let (record_type, _) = TYPES.into_iter().find(|(_, name)| *name == record.record_type)?;
    Some(DnsRecord {
        id: record.id.into(),
        domain: record.domain,
        record_type,
        value: record.value,
        ttl: record.ttl,
        priority: record.priority,
        weight: record.weight,
        port: record.port,
        last_updated: time(record.last_updated),
        status: shown_status(record.status),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_written_as_zone_files_write_them() {
        for (record_type, name) in TYPES {
            assert_eq!(serde_json::to_value(record_type).unwrap(), name);
        }
    }

    #[test]
    fn a_name_keeps_to_the_schema() {
        for right in ["a", "*.a.b", "_acme-challenge.a.", "A_b"] {
            assert!(domain("domain", right.into()).is_ok(), "{right}");
        }
        for wrong in ["", "a b", "é", "a/b", &"x".repeat(255)] {
            assert_eq!(domain("domain", wrong.into()).err().unwrap().member(), Some("domain"));
        }
    }
}
