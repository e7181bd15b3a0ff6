//! Distinguished names (RFC 5280 §4.1.2.4), with RFC 4514 as their text.
//!
//! The DER is kept as it was read: an issuer must be named with its own bytes, and a chain is followed by them. Names
//! that are written have bounds; those of foreign certificates are read as they are, within a bound on bytes.

use super::attribute::{Attribute, Value};
use super::parse;
use crate::der::{DerError, Reader, oid, tag, to_vec};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;
use thiserror::Error;

/// Most bytes of a name, and most attributes: real ones have a tenth of both.
const MAX_BYTES: usize = 4096;
const MAX_ATTRIBUTES: usize = 32;

/// Why a text is no distinguished name; the message says which part.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the name is no distinguished name of RFC 4514: {0}")]
pub struct DnError(String);

/// A distinguished name. Equal names may be encoded differently. Cheap to clone.
#[derive(Clone)]
pub struct DistinguishedName(Arc<Parts>);

struct Parts {
    der: Vec<u8>,
    names: Vec<Vec<Attribute>>,
    /// Sorted within each RDN, without case and superfluous spaces.
    canonical: Vec<Vec<(Vec<u8>, Vec<u8>)>>,
}

impl DistinguishedName {
    /// The name without attributes.
    pub fn empty() -> Self {
        Self::of(Vec::new())
    }

    /// A name that is one common name.
    ///
    /// # Errors
    /// [`DnError`] if it is empty, longer than 64 characters, or has control characters in it.
    pub fn common(name: &str) -> Result<Self, DnError> {
        Ok(Self::of(vec![vec![Attribute::new("CN", name).map_err(DnError)?]]))
    }

    /// Reads RFC 4514 text, e.g. `CN=node 7,O=Example`. Spaces around separators are taken, hexadecimal values not.
    ///
    /// # Errors
    /// [`DnError`] says what is wrong.
    pub fn parse(text: &str) -> Result<Self, DnError> {
        if text.len() > MAX_BYTES {
            return Err(DnError(format!("it has {} bytes; at most {MAX_BYTES} are allowed", text.len())));
        }
        let mut names = parse::parse(text).map_err(DnError)?;
        let attributes: usize = names.iter().map(Vec::len).sum();
        if attributes > MAX_ATTRIBUTES {
            return Err(DnError(format!(
                "it has {attributes} attributes; at most {MAX_ATTRIBUTES} are allowed"
            )));
        }
        names.reverse();
        Ok(Self::of(names))
    }

    fn of(mut names: Vec<Vec<Attribute>>) -> Self {
        let der = to_vec(|w| {
            w.sequence(|w| {
                for parts in &mut names {
                    // DER orders a set by its elements' bytes.
                    parts.sort_by_cached_key(|part| to_vec(|w| part.write(w)));
                    w.nested(tag::SET, |w| parts.iter().for_each(|part| part.write(w)));
                }
            });
        });
        Self::with(der, names)
    }

    fn with(der: Vec<u8>, names: Vec<Vec<Attribute>>) -> Self {
        let canonical = |parts: &Vec<Attribute>| {
            let mut parts: Vec<_> = parts.iter().map(Attribute::canonical).collect();
            parts.sort();
            parts
        };
        let canonical = names.iter().map(canonical).collect();
        Self(Arc::new(Parts { der, names, canonical }))
    }

    /// Reads the DER of a Name.
    pub(crate) fn read(der: &[u8]) -> Result<Self, DerError> {
        if der.len() > MAX_BYTES {
            return Err(DerError::Value("a name has more than 4096 bytes"));
        }
        let mut reader = Reader::only(der, tag::SEQUENCE)?;
        let mut names = Vec::new();
        let mut count = 0;
        while !reader.is_empty() {
            let mut set = Reader::new(reader.expect(tag::SET)?);
            let mut parts = Vec::new();
            while !set.is_empty() {
                let mut part = set.sequence()?;
                let id = part.oid()?;
                parts.push(Attribute::read(id, &part.element()?)?);
                part.end()?;
                count += 1;
            }
            if parts.is_empty() || count > MAX_ATTRIBUTES {
                return Err(DerError::Value("a name has an empty part, or too many"));
            }
            names.push(parts);
        }
        Ok(Self::with(der.to_vec(), names))
    }

    /// The same name as it would be written here, with string types of our choice; `None` if it has attributes that
    /// would not be: too long, with control characters in them, or no text.
    pub(crate) fn written_anew(&self) -> Option<Self> {
        let writable = self.0.names.iter().flatten().all(Attribute::is_writable);
        writable.then(|| Self::of(self.0.names.clone()))
    }

    /// The DER of the Name.
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// Whether it has no attributes.
    pub fn is_empty(&self) -> bool {
        self.0.names.is_empty()
    }

    /// The last (most specific) common name.
    pub fn common_name(&self) -> Option<&str> {
        self.texts(oid::COMMON_NAME).last()
    }

    /// Mailboxes, which older certificates have here (RFC 5280 §4.1.2.6).
    pub(crate) fn emails(&self) -> impl Iterator<Item = &str> {
        self.texts(oid::EMAIL)
    }

    fn texts(&self, id: &'static [u8]) -> impl Iterator<Item = &str> {
        self.0.names.iter().flatten().filter(move |attribute| attribute.oid == id).filter_map(|attribute| {
            match &attribute.value {
                Value::Text(text) => Some(text.as_str()),
                Value::Other(_) => None,
            }
        })
    }

    /// Whether this name is `base` or lies below it (RFC 5280 §4.2.1.10, directoryName).
    pub(crate) fn is_within(&self, base: &Self) -> bool {
        self.0.canonical.starts_with(&base.0.canonical)
    }
}

impl PartialEq for DistinguishedName {
    /// RFC 5280 §7.1: without case, runs of spaces as one, whatever string type is used.
    fn eq(&self, other: &Self) -> bool {
        self.0.der == other.0.der || self.0.canonical == other.0.canonical
    }
}

impl Eq for DistinguishedName {}

impl Hash for DistinguishedName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.canonical.hash(state);
    }
}

impl FromStr for DistinguishedName {
    type Err = DnError;

    fn from_str(text: &str) -> Result<Self, DnError> {
        Self::parse(text)
    }
}

impl fmt::Display for DistinguishedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&parse::print(&self.0.names))
    }
}

impl fmt::Debug for DistinguishedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DistinguishedName({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn dn(text: &str) -> DistinguishedName {
        DistinguishedName::parse(text).unwrap()
    }

    #[test]
    fn the_examples_of_rfc_4514_are_read_and_written() {
        for text in [
            "UID=jsmith,DC=example,DC=net",
            "OU=Sales+CN=J.  Smith,DC=example,DC=net",
            "CN=James \\\"Jim\\\" Smith\\, III,DC=example,DC=net",
            "CN=Before\\0dAfter,DC=example,DC=net",
        ] {
            match DistinguishedName::parse(text) {
                Ok(name) => assert_eq!(DistinguishedName::read(name.der()).unwrap().to_string(), text),
                Err(error) => assert!(text.contains("\\0d"), "{text}: {error}"),
            }
        }
        assert_eq!(dn("CN=Lu\\C4\\8Di\\C4\\87").to_string(), "CN=Lučić");
        assert_eq!(dn(" cn = a , o=b ;c=DE").to_string(), "CN=a,O=b,C=DE");
        assert!(dn("").is_empty());
    }

    #[test]
    fn what_is_no_name_says_what_is_wrong() {
        for (text, part) in [
            ("node7", "no `type=value`"),
            ("CN=", "`CN` is empty"),
            ("CN=a,", "no `type=value`"),
            ("XX=a", "no attribute type `XX`"),
            ("C=Germany", "at most 2"),
            ("C=de", "two capital letters"),
            ("CN=#0403", "hexadecimal"),
            ("CN=a\\", "backslash"),
            ("CN=a\\g", "no escape"),
            ("CN=<a>", "escaped"),
            ("CN=\\00", "control"),
            ("CN=\\ff", "UTF-8"),
            ("DC=ü", "characters"),
            (&format!("CN={}", "a".repeat(65)), "at most 64"),
            (&vec!["CN=a"; 33].join(","), "at most 32"),
            (&"a".repeat(5000), "at most 4096"),
        ] {
            let error = DistinguishedName::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn names_are_compared_by_meaning_and_kept_by_bytes() {
        // `O=Example` as UTF8String and `O=EXAMPLE` as PrintableString.
        let utf8 = dn("O=Example");
        let printable = to_vec(|w| {
            w.sequence(|w| {
                w.nested(tag::SET, |w| {
                    w.sequence(|w| {
                        w.oid(oid::ORGANIZATION);
                        w.element(tag::PRINTABLE, b"EXAMPLE");
                    });
                });
            });
        });
        let printable = DistinguishedName::read(&printable).unwrap();
        assert_eq!(utf8, printable);
        assert_ne!(utf8.der(), printable.der());
        assert_ne!(dn("O=a b"), dn("O=ab"));
        assert_eq!(dn("O=a  B"), dn("O=A b"));
        assert!(dn("CN=x,O=Example").is_within(&printable) && !printable.is_within(&dn("CN=x,O=Example")));
        assert_eq!(dn("CN=x,O=y").common_name(), Some("x"));
    }

    proptest! {
        #[test]
        fn every_text_that_is_read_is_written_so_that_it_reads_the_same(values in proptest::collection::vec("[^\\p{Cc}]{1,20}", 1..5)) {
            let names: Vec<Vec<Attribute>> =
                values.iter().map(|value| vec![Attribute::new("CN", value).unwrap()]).collect();
            let name = DistinguishedName::of(names);
            let again = dn(&name.to_string());
            prop_assert_eq!(name.der(), again.der());
            prop_assert_eq!(DistinguishedName::read(name.der()).unwrap().to_string(), name.to_string());
        }

        #[test]
        fn no_text_and_no_bytes_make_it_panic(text in "\\PC{0,60}", bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = DistinguishedName::parse(&text);
            let _ = DistinguishedName::read(&bytes);
        }
    }
}
