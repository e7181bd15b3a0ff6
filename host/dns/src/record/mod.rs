//! Records: an owner, a time to live, and data whose form its type decides.
//!
//! Data is parsed once, where it enters ([`RecordData::parse`], a zone file, an update), and typed from then on. What is
//! said about a field that is wrong names the field as the REST contract does.

mod check;
mod parse;
mod text;
mod token;
mod wire;

pub use check::MAX_TTL;
pub(crate) use parse::{base64, seconds, to_base64};
pub(crate) use token::{Token, token, tokens};
pub(crate) use wire::with_length;

use crate::name::Name;
use crate::types::RecordType;
use std::net::{Ipv4Addr, Ipv6Addr};
use thiserror::Error;

/// One record of a zone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Record {
    /// Whose record it is.
    pub name: Name,
    /// How long it may be remembered, in seconds, at most [`MAX_TTL`].
    pub ttl: u32,
    /// What it says.
    pub data: RecordData,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RecordData {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// The name that this one is another for.
    Cname(Name),
    /// One or more strings of at most 255 octets each.
    Txt(Vec<Vec<u8>>),
    /// A mail server; the lowest preference is tried first.
    Mx {
        /// Lower ones first.
        preference: u16,
        /// The host; the root for "no mail" (RFC 7505).
        exchange: Name,
    },
    /// Where a service is.
    Srv {
        /// Lower ones first.
        priority: u16,
        /// The share among those of one priority.
        weight: u16,
        /// The port of the service.
        port: u16,
        /// The host; the root for "not here".
        target: Name,
    },
    /// Who may issue certificates.
    Caa {
        /// 128 is "critical"; the rest is zero.
        flags: u8,
        /// `issue`, `issuewild`, `iodef`, …
        tag: String,
        /// What the tag asks for.
        value: Vec<u8>,
    },
    /// A certificate of a service.
    Tlsa {
        /// 0 PKIX-TA, 1 PKIX-EE, 2 DANE-TA, 3 DANE-EE.
        usage: u8,
        /// 0 the whole certificate, 1 its key.
        selector: u8,
        /// 0 all of it, 1 SHA-256, 2 SHA-512.
        matching: u8,
        /// The certificate, key or digest.
        data: Vec<u8>,
    },
    /// A name server of the zone, or of the zone that begins here.
    Ns(Name),
    /// The key of a signed zone that begins here.
    Ds {
        /// The tag of the key.
        key_tag: u16,
        /// The key's algorithm; 13 is ECDSA P-256.
        algorithm: u8,
        /// 2 is SHA-256, 4 is SHA-384.
        digest_type: u8,
        /// The digest of owner and key.
        digest: Vec<u8>,
    },
    /// The start of the zone.
    Soa(Soa),
}

/// The start of a zone (RFC 1035, 3.3.13).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Soa {
    /// The primary name server.
    pub primary: Name,
    /// Who is responsible: a mail address whose first dot stands for the `@`.
    pub mailbox: Name,
    /// Grows with every change (RFC 1982).
    pub serial: u32,
    /// After how many seconds a secondary looks again.
    pub refresh: u32,
    /// After how many seconds it looks again if it got no answer.
    pub retry: u32,
    /// After how many seconds without an answer it stops serving.
    pub expire: u32,
    /// How long an answer that there is nothing may be remembered, in seconds (RFC 2308).
    pub minimum: u32,
}

/// A record that can't be, and why.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field}: {reason}")]
pub struct InvalidRecord {
    /// The field that is wrong: `domain`, `record_type`, `value`, `ttl`, `priority`, `weight` or `port`.
    pub field: &'static str,
    /// What is wrong with it, and where it helps, what would be right.
    pub reason: String,
}

impl InvalidRecord {
    pub(crate) fn new(field: &'static str, reason: impl Into<String>) -> Self {
        Self { field, reason: reason.into() }
    }

    pub(crate) fn value(reason: impl Into<String>) -> Self {
        Self::new("value", reason)
    }
}

impl Record {
    /// A record of which owner, time to live and data fit together.
    ///
    /// # Errors
    /// [`InvalidRecord`], e.g. for an address whose owner could be no host, or a TTL above [`MAX_TTL`].
    pub fn new(name: Name, ttl: u32, data: RecordData) -> Result<Self, InvalidRecord> {
        let record = Self { name, ttl, data };
        check::record(&record)?;
        Ok(record)
    }

    /// The type of its data.
    pub fn record_type(&self) -> RecordType {
        self.data.record_type()
    }
}

impl RecordData {
    /// The type.
    pub fn record_type(&self) -> RecordType {
        match self {
            Self::A(_) => RecordType::A,
            Self::Aaaa(_) => RecordType::AAAA,
            Self::Cname(_) => RecordType::CNAME,
            Self::Txt(_) => RecordType::TXT,
            Self::Mx { .. } => RecordType::MX,
            Self::Srv { .. } => RecordType::SRV,
            Self::Caa { .. } => RecordType::CAA,
            Self::Tlsa { .. } => RecordType::TLSA,
            Self::Ns(_) => RecordType::NS,
            Self::Ds { .. } => RecordType::DS,
            Self::Soa(_) => RecordType::SOA,
        }
    }
}
