//! One attribute of a distinguished name: its type, its string, and how that is encoded and compared.

use crate::der::{DerError, Element, Writer, oid, tag};

/// A known type: what it is called, its bound in characters (RFC 5280 Appendix A.1), and how it is written.
struct Known {
    name: &'static str,
    oid: &'static [u8],
    bound: usize,
    tag: u8,
}

const fn known(name: &'static str, oid: &'static [u8], bound: usize, tag: u8) -> Known {
    Known { name, oid, bound, tag }
}

/// The first name of an identifier is printed; others are read.
const KNOWN: [Known; 16] = [
    known("CN", oid::COMMON_NAME, 64, tag::UTF8),
    known("SN", oid::SURNAME, 64, tag::UTF8),
    known("serialNumber", oid::SERIAL_NUMBER, 64, tag::PRINTABLE),
    known("C", oid::COUNTRY, 2, tag::PRINTABLE),
    known("L", oid::LOCALITY, 128, tag::UTF8),
    known("ST", oid::STATE, 128, tag::UTF8),
    known("S", oid::STATE, 128, tag::UTF8),
    known("STREET", oid::STREET, 128, tag::UTF8),
    known("O", oid::ORGANIZATION, 64, tag::UTF8),
    known("OU", oid::UNIT, 64, tag::UTF8),
    known("title", oid::TITLE, 64, tag::UTF8),
    known("GN", oid::GIVEN_NAME, 64, tag::UTF8),
    known("UID", oid::USER_ID, 256, tag::UTF8),
    known("DC", oid::DOMAIN_COMPONENT, 63, tag::IA5),
    known("emailAddress", oid::EMAIL, 255, tag::IA5),
    known("E", oid::EMAIL, 255, tag::IA5),
];

/// A type and a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Attribute {
    pub(super) oid: Vec<u8>,
    pub(super) value: Value,
}

/// What an attribute says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Value {
    /// One of the string types.
    Text(String),
    /// DER of another type.
    Other(Vec<u8>),
}

impl Attribute {
    /// The attribute that is called so, with this text, if it keeps the type's bound.
    pub(super) fn new(name: &str, text: &str) -> Result<Self, String> {
        let oid = match KNOWN.iter().find(|known| known.name.eq_ignore_ascii_case(name)) {
            Some(known) => known.oid.to_vec(),
            None => {
                let dotted = name.strip_prefix("OID.").unwrap_or(name);
                oid::from_dotted(dotted).ok_or_else(|| format!("there is no attribute type `{name}`"))?
            }
        };
        let attribute = Self { oid, value: Value::Text(text.into()) };
        attribute.check(text)?;
        Ok(attribute)
    }

    fn known(&self) -> Option<&'static Known> {
        KNOWN.iter().find(|known| known.oid == self.oid)
    }

    fn check(&self, text: &str) -> Result<(), String> {
        let name = self.name();
        if text.is_empty() {
            return Err(format!("`{name}` is empty"));
        }
        if text.chars().any(char::is_control) {
            return Err(format!("`{name}` has control characters in it"));
        }
        let known = self.known();
        let bound = known.map_or(256, |known| known.bound);
        let length = text.chars().count();
        if length > bound {
            return Err(format!("`{name}` has {length} characters; at most {bound} are allowed"));
        }
        if self.oid == oid::COUNTRY && !(length == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase())) {
            return Err("`C` must be two capital letters (ISO 3166)".into());
        }
        let fits = match known.map_or(tag::UTF8, |known| known.tag) {
            tag::PRINTABLE => text.bytes().all(is_printable),
            tag::IA5 => text.is_ascii(),
            _ => true,
        };
        if fits { Ok(()) } else { Err(format!("`{name}` has characters that its type can't have")) }
    }

    /// Whether it is a text within the bounds of what is written.
    pub(super) fn is_writable(&self) -> bool {
        match &self.value {
            Value::Text(text) => self.check(text).is_ok(),
            Value::Other(_) => false,
        }
    }

    /// The short name of its type, or the dotted identifier.
    pub(super) fn name(&self) -> String {
        self.known().map_or_else(|| oid::dotted(&self.oid), |known| known.name.into())
    }

    /// Reads a foreign value as it is; bounds are for what is written.
    pub(super) fn read(oid: &[u8], element: &Element<'_>) -> Result<Self, DerError> {
        let bytes = element.content;
        let unreadable = DerError::Value("a name has a string that is none");
        let text = match element.tag {
            tag::UTF8 => String::from_utf8(bytes.to_vec()).map_err(|_| unreadable)?,
            tag::PRINTABLE | tag::IA5 if bytes.is_ascii() => {
                bytes.iter().map(|byte| char::from(*byte)).collect()
            }
            tag::PRINTABLE | tag::IA5 => return Err(unreadable),
            tag::TELETEX => bytes.iter().map(|byte| char::from(*byte)).collect(),
            tag::BMP if bytes.len().is_multiple_of(2) => {
                let units = bytes.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
                char::decode_utf16(units).collect::<Result<_, _>>().map_err(|_| unreadable)?
            }
            _ => return Ok(Self { oid: oid.to_vec(), value: Value::Other(element.whole.to_vec()) }),
        };
        Ok(Self { oid: oid.to_vec(), value: Value::Text(text) })
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.sequence(|w| {
            w.oid(&self.oid);
            match &self.value {
                Value::Text(text) => {
                    w.element(self.known().map_or(tag::UTF8, |known| known.tag), text.as_bytes());
                }
                Value::Other(der) => w.raw(der),
            }
        });
    }

    /// What two attributes of the same meaning share (RFC 5280 §7.1): letters without case, runs of spaces as one.
    pub(super) fn canonical(&self) -> (Vec<u8>, Vec<u8>) {
        let value = match &self.value {
            Value::Text(text) => {
                text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase().into_bytes()
            }
            // No text begins with a zero byte.
            Value::Other(der) => [&[0], &der[..]].concat(),
        };
        (self.oid.clone(), value)
    }
}

fn is_printable(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&byte)
}
