//! Types and response codes of the DNS, as numbers with names.
//!
//! Both are open sets: a stranger may ask for any number, and it has to be answered. So they are numbers here and no
//! enums, with constants for those that something is done about.

use std::fmt;
use std::str::FromStr;

/// A type of records, or of questions.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordType(u16);

macro_rules! types {
    ($($name:ident = $code:literal, $text:literal, $doc:literal;)*) => {
        impl RecordType {
            $(#[doc = $doc] pub const $name: Self = Self($code);)*
        }

        /// Every type with a name.
        const NAMED: &[(RecordType, &str)] = &[$((RecordType::$name, $text)),*];
    };
}

types! {
    A = 1, "A", "An IPv4 address (RFC 1035).";
    NS = 2, "NS", "A name server (RFC 1035).";
    CNAME = 5, "CNAME", "Another name for this one (RFC 1035).";
    SOA = 6, "SOA", "The start of a zone (RFC 1035).";
    MX = 15, "MX", "A mail server (RFC 1035).";
    TXT = 16, "TXT", "Strings (RFC 1035).";
    AAAA = 28, "AAAA", "An IPv6 address (RFC 3596).";
    SRV = 33, "SRV", "Where a service is (RFC 2782).";
    OPT = 41, "OPT", "EDNS (RFC 6891); never a record of a zone.";
    DS = 43, "DS", "The key of a child zone (RFC 4034).";
    RRSIG = 46, "RRSIG", "A signature (RFC 4034).";
    NSEC = 47, "NSEC", "What doesn't exist (RFC 4034).";
    DNSKEY = 48, "DNSKEY", "A key of this zone (RFC 4034).";
    TLSA = 52, "TLSA", "A certificate of a service (RFC 6698).";
    CDS = 59, "CDS", "The DS that the parent should have (RFC 7344).";
    CDNSKEY = 60, "CDNSKEY", "The key that the parent should have a DS of (RFC 7344).";
    NXNAME = 128, "NXNAME", "In an NSEC: the name doesn't exist (RFC 9824); never a question.";
    TSIG = 250, "TSIG", "A message's signature (RFC 8945); never a record of a zone.";
    IXFR = 251, "IXFR", "A question: what changed (RFC 1995).";
    AXFR = 252, "AXFR", "A question: the whole zone (RFC 5936).";
    ANY = 255, "ANY", "A question: anything (RFC 8482).";
    CAA = 257, "CAA", "Who may issue certificates (RFC 8659).";
}

impl RecordType {
    /// The type with this number.
    pub const fn from_code(code: u16) -> Self {
        Self(code)
    }

    /// The number on the wire.
    pub const fn code(self) -> u16 {
        self.0
    }
}

impl fmt::Display for RecordType {
    /// The name, or `TYPE` and the number (RFC 3597).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMED.iter().find(|(known, _)| known == self) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "TYPE{}", self.0),
        }
    }
}

impl fmt::Debug for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A text that names no type of records.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no type of DNS records")]
pub struct UnknownType(pub String);

impl FromStr for RecordType {
    type Err = UnknownType;

    fn from_str(text: &str) -> Result<Self, UnknownType> {
        let named = NAMED.iter().find(|(_, name)| name.eq_ignore_ascii_case(text)).map(|(known, _)| *known);
        let numbered = || {
            let prefix = text.get(..4).filter(|prefix| prefix.eq_ignore_ascii_case("TYPE"));
            prefix.and_then(|_| text[4..].parse().ok()).map(Self)
        };
        named.or_else(numbered).ok_or_else(|| UnknownType(text.chars().take(40).collect()))
    }
}

/// How a question was answered: the twelve bits of header and EDNS together (RFC 6895, 2.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rcode(pub u16);

impl Rcode {
    /// All is well.
    pub const NOERROR: Self = Self(0);
    /// The message can't be read.
    pub const FORMERR: Self = Self(1);
    /// Something is wrong here.
    pub const SERVFAIL: Self = Self(2);
    /// There is no such name.
    pub const NXDOMAIN: Self = Self(3);
    /// Such messages aren't understood here.
    pub const NOTIMP: Self = Self(4);
    /// Not for you, or not from here.
    pub const REFUSED: Self = Self(5);
    /// A name exists that must not (RFC 2136).
    pub const YXDOMAIN: Self = Self(6);
    /// Records exist that must not (RFC 2136).
    pub const YXRRSET: Self = Self(7);
    /// Records don't exist that must (RFC 2136).
    pub const NXRRSET: Self = Self(8);
    /// Not this server's zone, or not your key (RFC 2136, RFC 8945).
    pub const NOTAUTH: Self = Self(9);
    /// A name outside of the zone that is updated (RFC 2136).
    pub const NOTZONE: Self = Self(10);
    /// A version of EDNS that isn't understood here (RFC 6891).
    pub const BADVERS: Self = Self(16);
    /// In a TSIG: the signature is wrong (RFC 8945).
    pub const BADSIG: Self = Self(16);
    /// In a TSIG: the key is unknown (RFC 8945).
    pub const BADKEY: Self = Self(17);
    /// In a TSIG: the clocks differ too much (RFC 8945).
    pub const BADTIME: Self = Self(18);
    /// In a TSIG: the signature was cut too short (RFC 8945).
    pub const BADTRUNC: Self = Self(22);
}

impl fmt::Display for Rcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET",
            "NXRRSET", "NOTAUTH", "NOTZONE",
        ];
        match names.get(usize::from(self.0)) {
            Some(name) => f.write_str(name),
            None => write!(f, "RCODE{}", self.0),
        }
    }
}

impl fmt::Debug for Rcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_by_name_and_by_number() {
        assert_eq!("aaaa".parse(), Ok(RecordType::AAAA));
        assert_eq!("TYPE257".parse(), Ok(RecordType::CAA));
        assert_eq!(RecordType::from_code(64999).to_string(), "TYPE64999");
        for wrong in ["", "TYPE", "TYPE65536", "AAAAA", "é"] {
            assert!(wrong.parse::<RecordType>().is_err(), "{wrong}");
        }
    }
}
