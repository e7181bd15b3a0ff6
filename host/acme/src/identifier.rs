//! What a certificate is asked for: DNS names (RFC 8555, 7.1.4) and IP addresses (RFC 8738).
//!
//! A name is parsed once, into lower case, and compared as text from then on. Whether an authority may issue for it
//! is not decided here. Fails by [`InvalidIdentifier`], which says whether the type or the value is wrong.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use thiserror::Error;

/// Octets of a name in text, RFC 1035, 2.3.4 less the root label and the first length octet.
const MAX_NAME: usize = 253;
/// Octets of a label, RFC 1035, 2.3.4.
const MAX_LABEL: usize = 63;

/// Why something can't be an identifier.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "each message says it")]
pub enum InvalidIdentifier {
    #[error("the identifier type {0:?} is not supported; `dns` and `ip` are")]
    Type(String),
    #[error("{name:?} is no DNS name that a certificate can have: {why}")]
    Name { name: String, why: &'static str },
    #[error("{0:?} is no IP address")]
    Address(String),
}

/// A DNS name: lower-case letters, digits and hyphens in labels, the first of which may be `*`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DnsName(String);

impl DnsName {
    /// Reads a name, in any case. Internationalised names come as A-labels (`xn--…`).
    ///
    /// # Errors
    /// [`InvalidIdentifier::Name`].
    pub fn parse(text: &str) -> Result<Self, InvalidIdentifier> {
        let refuse = |why| {
            let name = text.chars().take(MAX_NAME).collect();
            Err(InvalidIdentifier::Name { name, why })
        };
        if text.len() > MAX_NAME {
            return refuse("it is longer than 253 octets");
        }
        let name = text.to_ascii_lowercase();
        let base = name.strip_prefix("*.").unwrap_or(&name);
        for label in base.split('.') {
            if let Some(why) = wrong_label(label) {
                return refuse(why);
            }
        }
        let last = base.rsplit('.').next().unwrap_or(base);
        if last.bytes().all(|byte| byte.is_ascii_digit()) {
            return refuse("its last label is a number");
        }
        Ok(Self(name))
    }

    /// The name as text, `*.` included.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it stands for every name one label below its base.
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with("*.")
    }

    /// The name without a leading `*.`: what an authorization is for.
    #[must_use]
    pub fn base(&self) -> Self {
        Self(self.0.strip_prefix("*.").unwrap_or(&self.0).to_owned())
    }
}

/// What is wrong with a label, if anything.
fn wrong_label(label: &str) -> Option<&'static str> {
    if label.is_empty() {
        return Some("a label is empty");
    }
    if label.len() > MAX_LABEL {
        return Some("a label is longer than 63 octets");
    }
    if !label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') {
        return Some("labels are of letters, digits and hyphens, and `*` is the first label or none");
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Some("a label begins or ends with a hyphen");
    }
    // RFC 5890, 2.3.1: of labels with hyphens in places 3 and 4 only A-labels are in use.
    if label.get(2..4) == Some("--") && !label.starts_with("xn--") {
        return Some("a label has hyphens in places 3 and 4 and is no A-label");
    }
    None
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<DnsName> for String {
    fn from(name: DnsName) -> Self {
        name.0
    }
}

impl TryFrom<String> for DnsName {
    type Error = InvalidIdentifier;

    fn try_from(text: String) -> Result<Self, InvalidIdentifier> {
        Self::parse(&text)
    }
}

/// A name or address that a certificate can be for. Serialises as ACME writes it: `{"type":"dns","value":"…"}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "type", content = "value")]
pub enum Identifier {
    /// A DNS name.
    #[serde(rename = "dns")]
    Dns(DnsName),
    /// An IP address, written as RFC 5952 has it.
    #[serde(rename = "ip")]
    Ip(IpAddr),
}

impl Identifier {
    /// Reads the two members of an identifier object.
    ///
    /// # Errors
    /// [`InvalidIdentifier`].
    pub fn parse(kind: &str, value: &str) -> Result<Self, InvalidIdentifier> {
        match kind {
            "dns" => DnsName::parse(value).map(Self::Dns),
            "ip" => value
                .parse()
                .map(Self::Ip)
                .map_err(|_| InvalidIdentifier::Address(value.chars().take(64).collect())),
            other => Err(InvalidIdentifier::Type(other.chars().take(32).collect())),
        }
    }

    /// Whether it is a name that begins with `*.`.
    pub fn is_wildcard(&self) -> bool {
        matches!(self, Self::Dns(name) if name.is_wildcard())
    }

    /// What an authorization for it is about: the name without `*.`, or the address.
    #[must_use]
    pub fn base(&self) -> Self {
        match self {
            Self::Dns(name) => Self::Dns(name.base()),
            Self::Ip(address) => Self::Ip(*address),
        }
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => name.fmt(f),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_kept_in_lower_case() {
        let name = DnsName::parse("*.ExAmple.TEST").unwrap();
        assert_eq!((name.as_str(), name.is_wildcard()), ("*.example.test", true));
        assert_eq!(name.base().as_str(), "example.test");
        assert_eq!(
            serde_json::to_string(&Identifier::Dns(name)).unwrap(),
            r#"{"type":"dns","value":"*.example.test"}"#
        );
        assert!(DnsName::parse("xn--bcher-kva.example").is_ok());
    }

    #[test]
    fn what_no_certificate_can_be_for_is_refused() {
        for name in [
            "",
            ".",
            "a..b",
            "a.b.",
            "*",
            "a.*.b",
            "**.a",
            "a*.b",
            "-a.b",
            "a-.b",
            "a_b.c",
            "a b.c",
            "a\0.b",
            "bücher.example",
            "1.2.3.4",
            "a.1",
            "ab--c.example",
        ] {
            assert!(DnsName::parse(name).is_err(), "{name:?}");
        }
        assert!(DnsName::parse(&"a".repeat(64)).is_err());
        assert!(DnsName::parse(&vec!["a"; 128].join(".")).is_err());
        assert!(Identifier::parse("ip", "1.2.3").is_err());
        assert!(Identifier::parse("ip", "127.1").is_err());
        assert_eq!(Identifier::parse("email", "a@b"), Err(InvalidIdentifier::Type("email".into())));
    }

    #[test]
    fn an_address_has_one_form() {
        let address = Identifier::parse("ip", "2001:0DB8:0:0::1").unwrap();
        assert_eq!(address.to_string(), "2001:db8::1");
    }

    proptest! {
        #[test]
        fn a_name_that_parses_reads_back_as_itself(text in "\\PC{0,24}|[a-zA-Z0-9*.-]{1,20}") {
            if let Ok(name) = DnsName::parse(&text) {
                prop_assert_eq!(DnsName::parse(name.as_str()), Ok(name.clone()));
                prop_assert_eq!(name.as_str(), text.to_ascii_lowercase());
                prop_assert!(!name.base().is_wildcard());
            }
        }
    }
}
