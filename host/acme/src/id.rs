//! Names of records, as they stand in URLs.
//!
//! An account, an order and an authorization are named by 128 random bits, so that a URL says nothing about how many
//! there are. A certificate is named as RFC 9773 names it, so one name serves its download and its renewal
//! information. All are safe in a path as they are. Fails by [`InvalidId`].

use crate::base64url;
use serde::{Deserialize, Serialize};
use std::fmt;
use thiserror::Error;

/// Random bytes of a name.
const RANDOM: usize = 16;
/// Bytes of a key identifier or serial number in a [`CertificateId`]; RFC 5280 knows at most 20 and 32 are in use.
const MAX_PART: usize = 64;

/// A text that names no record.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is no name of {1}")]
pub struct InvalidId(String, &'static str);

impl InvalidId {
    fn new(text: &str, what: &'static str) -> Self {
        Self(text.chars().take(80).collect(), what)
    }
}

macro_rules! random_id {
    ($name:ident, $what:literal) => {
        #[doc = concat!("The name of ", $what, ": 16 random bytes, base64url.")]
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// A new name. `None` if the system has no randomness.
            pub(crate) fn random() -> Option<Self> {
                base64url::random::<RANDOM>().map(Self)
            }

            /// Reads a name.
            ///
            /// # Errors
            /// [`InvalidId`] for everything but base64url of 16 bytes.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                let bytes = base64url::decode(text).filter(|bytes| bytes.len() == RANDOM);
                bytes.map(|_| Self(text.to_owned())).ok_or_else(|| InvalidId::new(text, $what))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::parse(&text)
            }
        }
    };
}

random_id!(AccountId, "an account");
random_id!(OrderId, "an order");
random_id!(AuthorizationId, "an authorization");

/// The name of a certificate: its authority key identifier and its serial number, each base64url, joined by a full
/// stop (RFC 9773, 4.1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CertificateId(String);

impl CertificateId {
    /// From the key identifier of the issuer and the content octets of the serial number.
    pub fn new(key_identifier: &[u8], serial: &[u8]) -> Self {
        Self(format!("{}.{}", base64url::encode(key_identifier), base64url::encode(serial)))
    }

    /// Reads a name.
    ///
    /// # Errors
    /// [`InvalidId`] unless both parts are base64url of 1 to 64 bytes.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let is_part = |part| base64url::decode(part).is_some_and(|b| (1..=MAX_PART).contains(&b.len()));
        match text.split_once('.') {
            Some((key, serial)) if is_part(key) && is_part(serial) => Ok(Self(text.to_owned())),
            _ => Err(InvalidId::new(text, "a certificate")),
        }
    }

    /// The issuer's key identifier: what the certificate's authorityKeyIdentifier holds.
    pub fn key_identifier(&self) -> Vec<u8> {
        self.part(0)
    }

    /// The content octets of the serial number, with the leading zero octet where DER has one.
    pub fn serial(&self) -> Vec<u8> {
        self.part(1)
    }

    fn part(&self, which: usize) -> Vec<u8> {
        self.0.split('.').nth(which).and_then(base64url::decode).unwrap_or_default()
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CertificateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<CertificateId> for String {
    fn from(id: CertificateId) -> Self {
        id.0
    }
}

impl TryFrom<String> for CertificateId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        Self::parse(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_named_as_in_the_example_of_the_rfc() {
        // RFC 9773, 4.1.
        let key = [
            0x69, 0x88, 0x5B, 0x6B, 0x87, 0x46, 0x40, 0x41, 0xE1, 0xB3, 0x7B, 0x84, 0x7B, 0xA0, 0xAE, 0x2C,
            0xDE, 0x01, 0xC8, 0xD4,
        ];
        let id = CertificateId::new(&key, &[0x00, 0x87, 0x65, 0x43, 0x21]);
        assert_eq!(id.as_str(), "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE");
        assert_eq!(CertificateId::parse(id.as_str()), Ok(id.clone()));
        assert_eq!((id.key_identifier(), id.serial()), (key.to_vec(), vec![0, 0x87, 0x65, 0x43, 0x21]));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["", ".", "a.", "AAAA", "AAAA.AAAA=", "AAAA.AA/A", "AAAA.AAAA.AAAA", "../etc"] {
            assert!(CertificateId::parse(text).is_err(), "{text}");
            assert!(OrderId::parse(text).is_err(), "{text}");
        }
        let id = OrderId::random().unwrap();
        assert_eq!(OrderId::parse(id.as_str()), Ok(id));
    }
}
