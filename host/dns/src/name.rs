//! Domain names, as they are on the wire: labels with their lengths, and the root's empty label at the end.
//!
//! Names compare without regard to ASCII case (RFC 4343), and DNSSEC signs them in lower case (RFC 4034, 6.2). So that
//! nothing has to remember this, a [`Name`] is in lower case from its constructor on. The text form is that of zone files
//! (RFC 1035, 5.1). Whether a name may be a host's is a question of the record it stands in, and asked there.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use thiserror::Error;

/// Longest name on the wire, in octets (RFC 1035, 2.3.4).
pub const MAX_NAME: usize = 255;
/// Longest label, in octets (RFC 1035, 2.3.4).
pub const MAX_LABEL: usize = 63;
/// Most labels that a name of [`MAX_NAME`] octets has, without the root's.
pub(crate) const MAX_LABELS: usize = 127;

/// An absolute domain name, in lower case. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Name(Arc<[u8]>);

/// A text or a sequence of octets that is no domain name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidName {
    /// Nothing at all.
    #[error("a name is missing; the root is written `.`")]
    Empty,
    /// Two dots in a row, or one at the beginning.
    #[error("`{0}` has an empty label")]
    EmptyLabel(String),
    /// A label of more than 63 octets.
    #[error("the label that begins with `{0}` is longer than 63 octets")]
    LongLabel(String),
    /// More than 255 octets with lengths and root.
    #[error("the name is longer than 255 octets")]
    TooLong,
    /// A character that is not ASCII and was not written as an escape.
    #[error("`{0}` is not ASCII; write the name in its A-label form (`xn--…`)")]
    NotAscii(String),
    /// A backslash with nothing sensible behind it.
    #[error("a backslash must be followed by a character, or by three digits up to 255")]
    Escape,
    /// Octets that are no uncompressed name.
    #[error("these octets are no uncompressed name")]
    Wire,
}

/// At most 40 characters of a stranger's text, for an error.
pub(crate) fn excerpt(text: &str) -> String {
    text.chars().take(40).collect()
}

impl Name {
    /// The root, `.`.
    pub fn root() -> Self {
        Self(Arc::from([0].as_slice()))
    }

    /// Parses a name that is absolute, with or without the dot at its end. Escapes are those of zone files.
    ///
    /// # Errors
    /// [`InvalidName`].
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        Self::parse_in(text, &Self::root())
    }

    /// Parses a name of a zone file: `@` is the origin, and what doesn't end in a dot is relative to it.
    ///
    /// # Errors
    /// [`InvalidName`].
    pub fn parse_in(text: &str, origin: &Self) -> Result<Self, InvalidName> {
        match text {
            "" => return Err(InvalidName::Empty),
            "." => return Ok(Self::root()),
            "@" => return Ok(origin.clone()),
            _ => {}
        }
        let mut wire = Vec::with_capacity(text.len() + 2 + origin.0.len());
        let mut label = Vec::new();
        let mut rest = text;
        let mut absolute = false;
        while let Some(c) = rest.chars().next() {
            if c == '.' {
                rest = &rest[1..];
                push_label(&mut wire, &label, text)?;
                label.clear();
                absolute = rest.is_empty();
                continue;
            }
            let (octet, after) = octet(rest)?;
            label.push(octet);
            rest = after;
        }
        if absolute {
            wire.push(0);
        } else {
            push_label(&mut wire, &label, text)?;
            wire.extend_from_slice(&origin.0);
        }
        Self::checked(wire)
    }

    /// Takes over a name from the wire: uncompressed, with its root, and nothing behind it.
    ///
    /// # Errors
    /// [`InvalidName::Wire`] or [`InvalidName::TooLong`].
    pub fn from_wire(wire: &[u8]) -> Result<Self, InvalidName> {
        let mut at = 0;
        loop {
            let length = usize::from(*wire.get(at).ok_or(InvalidName::Wire)?);
            if length > MAX_LABEL {
                return Err(InvalidName::Wire);
            }
            at += length + 1;
            if length == 0 {
                break;
            }
        }
        if at != wire.len() {
            return Err(InvalidName::Wire);
        }
        Self::checked(wire.to_vec())
    }

    fn checked(mut wire: Vec<u8>) -> Result<Self, InvalidName> {
        if wire.len() > MAX_NAME {
            return Err(InvalidName::TooLong);
        }
        // Lengths of labels are below `A`, so that lowering everything leaves them alone.
        wire.make_ascii_lowercase();
        Ok(Self(wire.into()))
    }

    /// The name with one more label in front.
    ///
    /// # Errors
    /// [`InvalidName`], where the label is empty or anything gets too long.
    pub fn child(&self, label: &[u8]) -> Result<Self, InvalidName> {
        let mut wire = Vec::with_capacity(label.len() + 1 + self.0.len());
        push_label(&mut wire, label, "the name")?;
        wire.extend_from_slice(&self.0);
        Self::checked(wire)
    }

    /// The name without its first label; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        let first = usize::from(self.0[0]);
        (first > 0).then(|| Self(Arc::from(&self.0[first + 1..])))
    }

    /// The octets on the wire, uncompressed, with the root's.
    pub fn wire(&self) -> &[u8] {
        &self.0
    }

    /// The labels from left to right, without the root's.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.0[..];
        std::iter::from_fn(move || {
            let length = usize::from(rest[0]);
            let label = (length > 0).then(|| &rest[1..=length]);
            rest = if length > 0 { &rest[length + 1..] } else { rest };
            label
        })
    }

    /// How many labels there are, without the root's.
    pub fn label_count(&self) -> usize {
        self.labels().count()
    }

    /// Whether this is `ancestor` or a name below it.
    pub fn is_within(&self, ancestor: &Self) -> bool {
        let (long, short) = (self.label_count(), ancestor.label_count());
        long >= short && self.after(long - short) == ancestor.wire()
    }

    /// Whether the first label is `*` (RFC 4592, 2.1.1).
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with(b"\x01*")
    }

    /// The octets behind the first `labels` labels.
    fn after(&self, labels: usize) -> &[u8] {
        let mut at = 0;
        for _ in 0..labels {
            at += usize::from(self.0[at]) + 1;
        }
        &self.0[at..]
    }

    /// Where the labels begin, without the root's, and how many there are.
    fn places(&self) -> ([u8; MAX_LABELS], usize) {
        let mut places = [0; MAX_LABELS];
        let (mut at, mut count) = (0_u8, 0);
        while self.0[usize::from(at)] > 0 {
            places[count] = at;
            count += 1;
            at += self.0[usize::from(at)] + 1;
        }
        (places, count)
    }

    fn label_at(&self, place: u8) -> &[u8] {
        let at = usize::from(place);
        &self.0[at + 1..=at + usize::from(self.0[at])]
    }

    /// The text without the dot at its end, as people write names outside of zone files; `.` for the root.
    pub fn text(&self) -> String {
        let full = self.to_string();
        if full.len() > 1 { full[..full.len() - 1].to_owned() } else { full }
    }
}

fn push_label(wire: &mut Vec<u8>, label: &[u8], text: &str) -> Result<(), InvalidName> {
    let length = u8::try_from(label.len()).ok().filter(|length| usize::from(*length) <= MAX_LABEL);
    match length {
        Some(0) => Err(InvalidName::EmptyLabel(excerpt(text))),
        Some(_) if wire.len() > MAX_NAME => Err(InvalidName::TooLong),
        Some(length) => {
            wire.push(length);
            wire.extend_from_slice(label);
            Ok(())
        }
        None => Err(InvalidName::LongLabel(excerpt(&String::from_utf8_lossy(label)))),
    }
}

/// The octet that a text begins with, escaped or not, and what follows (RFC 1035, 5.1). The text must not be empty.
pub(crate) fn octet(text: &str) -> Result<(u8, &str), InvalidName> {
    let bytes = text.as_bytes();
    match bytes {
        [b'\\', digits @ ..] if digits.first().is_some_and(u8::is_ascii_digit) => {
            let number = text.get(1..4).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
            let octet = number.and_then(|number| number.parse().ok()).ok_or(InvalidName::Escape)?;
            Ok((octet, &text[4..]))
        }
        [b'\\', next, ..] if next.is_ascii() => Ok((*next, &text[2..])),
        [b'\\', ..] | [] => Err(InvalidName::Escape),
        [first, ..] if first.is_ascii() => Ok((*first, &text[1..])),
        _ => Err(InvalidName::NotAscii(excerpt(text))),
    }
}

/// Writes an octet of a label or string, escaped where a zone file would take it for something else.
pub(crate) fn write_octet(f: &mut fmt::Formatter<'_>, octet: u8, special: &[u8]) -> fmt::Result {
    if special.contains(&octet) {
        write!(f, "\\{}", char::from(octet))
    } else if octet.is_ascii_graphic() {
        write!(f, "{}", char::from(octet))
    } else {
        write!(f, "\\{octet:03}")
    }
}

impl fmt::Display for Name {
    /// As in zone files, with the dot at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.len() == 1 {
            return f.write_str(".");
        }
        for label in self.labels() {
            for octet in label {
                write_octet(f, *octet, b".\\\"();@$")?;
            }
            f.write_str(".")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::parse(text)
    }
}

impl Borrow<[u8]> for Name {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl Ord for Name {
    /// The canonical order of DNSSEC: label by label from the right (RFC 4034, 6.1).
    fn cmp(&self, other: &Self) -> Ordering {
        let ((mine, my_count), (theirs, their_count)) = (self.places(), other.places());
        let pairs = mine[..my_count].iter().rev().zip(theirs[..their_count].iter().rev());
        let unequal =
            pairs.map(|(a, b)| self.label_at(*a).cmp(other.label_at(*b))).find(|order| order.is_ne());
        unequal.unwrap_or_else(|| my_count.cmp(&their_count))
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_without_regard_to_case_and_written_with_its_dot() {
        let name = Name::parse("WWW.Example.org").unwrap();
        assert_eq!(name, Name::parse("www.example.org.").unwrap());
        assert_eq!(name.to_string(), "www.example.org.");
        assert_eq!(name.text(), "www.example.org");
        assert_eq!(name.wire(), b"\x03www\x07example\x03org\0");
        assert_eq!(Name::root().to_string(), ".");
    }

    #[test]
    fn a_relative_name_ends_in_the_origin() {
        let origin = Name::parse("example.org.").unwrap();
        assert_eq!(Name::parse_in("www", &origin).unwrap().to_string(), "www.example.org.");
        assert_eq!(Name::parse_in("@", &origin).unwrap(), origin);
        assert_eq!(Name::parse_in("www.", &origin).unwrap().to_string(), "www.");
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_reason() {
        let long = "a".repeat(64);
        let many = "abcdefg.".repeat(32);
        for (text, wanted) in [
            ("", "missing"),
            ("a..b", "empty label"),
            (".a", "empty label"),
            (long.as_str(), "longer than 63"),
            (many.as_str(), "longer than 255"),
            ("bücher.example", "A-label"),
            ("a\\", "backslash"),
            ("a\\999", "backslash"),
        ] {
            let error = Name::parse(text).unwrap_err().to_string();
            assert!(error.contains(wanted), "{text:?}: {error}");
        }
    }

    #[test]
    fn escapes_survive_a_round_trip() {
        let name = Name::parse("a\\.b.c\\000d\\\\.\\255.e").unwrap();
        assert_eq!(name.labels().collect::<Vec<_>>(), [&b"a.b"[..], b"c\0d\\", b"\xff", b"e"]);
        assert_eq!(Name::parse(&name.to_string()).unwrap(), name);
    }

    #[test]
    fn a_name_is_within_itself_and_its_ancestors_only() {
        let name = |text| Name::parse(text).unwrap();
        assert!(name("a.b.c").is_within(&name("b.c")) && name("b.c").is_within(&name("b.c")));
        assert!(name("b.c").is_within(&Name::root()));
        assert!(!name("xb.c").is_within(&name("b.c")) && !name("c").is_within(&name("b.c")));
    }

    #[test]
    fn the_order_is_that_of_rfc_4034() {
        let texts = [
            "example.",
            "a.example.",
            "yljkjljk.a.example.",
            "Z.a.example.",
            "zABC.a.EXAMPLE.",
            "z.example.",
            "\\001.z.example.",
            "*.z.example.",
            "\\200.z.example.",
        ];
        let names: Vec<_> = texts.iter().map(|text| Name::parse(text).unwrap()).collect();
        let mut sorted = names.clone();
        sorted.sort();
        assert_eq!(sorted, names);
    }
}
