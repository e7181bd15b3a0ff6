//! From data to text: members of the REST contract, and lines of zone files.

use super::{Record, RecordData};
use crate::name::write_octet;
use std::fmt;

/// A string in quotes, as zone files have it.
struct Quoted<'a>(&'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for octet in self.0 {
            match octet {
                b' ' => f.write_str(" ")?,
                other => write_octet(f, *other, b"\"\\")?,
            }
        }
        f.write_str("\"")
    }
}

/// Octets as hexadecimal digits.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Display for RecordData {
    /// As in zone files.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::A(address) => write!(f, "{address}"),
            Self::Aaaa(address) => write!(f, "{address}"),
            Self::Cname(name) | Self::Ns(name) => write!(f, "{name}"),
            Self::Txt(texts) => {
                for (index, text) in texts.iter().enumerate() {
                    let space = if index == 0 { "" } else { " " };
                    write!(f, "{space}{}", Quoted(text))?;
                }
                Ok(())
            }
            Self::Mx { preference, exchange } => write!(f, "{preference} {exchange}"),
            Self::Srv { priority, weight, port, target } => write!(f, "{priority} {weight} {port} {target}"),
            Self::Caa { flags, tag, value } => write!(f, "{flags} {tag} {}", Quoted(value)),
            Self::Tlsa { usage, selector, matching, data } => {
                write!(f, "{usage} {selector} {matching} {}", Hex(data))
            }
            Self::Ds { key_tag, algorithm, digest_type, digest } => {
                write!(f, "{key_tag} {algorithm} {digest_type} {}", Hex(digest))
            }
            Self::Soa(soa) => write!(
                f,
                "{} {} {} {} {} {} {}",
                soa.primary, soa.mailbox, soa.serial, soa.refresh, soa.retry, soa.expire, soa.minimum
            ),
        }
    }
}

impl fmt::Display for Record {
    /// A line of a zone file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\t{}\tIN\t{}\t{}", self.name, self.ttl, self.record_type(), self.data)
    }
}

impl RecordData {
    /// The member `value` of the REST contract: what [`RecordData::parse`] reads, without the numbers of MX and SRV, and
    /// a TXT as its text where that is unambiguous.
    pub fn value(&self) -> String {
        match self {
            Self::Mx { exchange, .. } => exchange.to_string(),
            Self::Srv { target, .. } => target.to_string(),
            Self::Txt(texts) => {
                let (last, full) = texts.split_last().map_or((&[][..], &[][..]), |(last, full)| (last, full));
                let cut = full.iter().all(|text| text.len() == 255) && (full.is_empty() || !last.is_empty());
                let plain = String::from_utf8(texts.concat()).ok().filter(|text| !text.starts_with('"'));
                plain.filter(|_| cut).unwrap_or_else(|| self.to_string())
            }
            Self::A(_)
            | Self::Aaaa(_)
            | Self::Cname(_)
            | Self::Caa { .. }
            | Self::Tlsa { .. }
            | Self::Ns(_)
            | Self::Ds { .. }
            | Self::Soa(_) => self.to_string(),
        }
    }

    /// The preference of an MX, or the priority of an SRV.
    pub fn priority(&self) -> Option<u16> {
        if let Self::Mx { preference: number, .. } | Self::Srv { priority: number, .. } = self {
            return Some(*number);
        }
        None
    }

    /// The weight of an SRV.
    pub fn weight(&self) -> Option<u16> {
        if let Self::Srv { weight, .. } = self { Some(*weight) } else { None }
    }

    /// The port of an SRV.
    pub fn port(&self) -> Option<u16> {
        if let Self::Srv { port, .. } = self { Some(*port) } else { None }
    }
}
