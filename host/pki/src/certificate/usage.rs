//! What a key may be used for: key usages (RFC 5280 §4.2.1.3) and extended ones (§4.2.1.12).

use crate::der::{DerError, Reader, Writer, oid, tag};
use std::fmt;

/// A set of key usages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct KeyUsages(u16);

impl KeyUsages {
    /// Signs what is no certificate and no revocation list.
    pub const DIGITAL_SIGNATURE: Self = Self(1 << 0);
    /// Encrypts keys.
    pub const KEY_ENCIPHERMENT: Self = Self(1 << 2);
    /// Signs certificates.
    pub const KEY_CERT_SIGN: Self = Self(1 << 5);
    /// Signs revocation lists.
    pub const CRL_SIGN: Self = Self(1 << 6);

    const NAMES: [&'static str; 9] = [
        "digitalSignature",
        "contentCommitment",
        "keyEncipherment",
        "dataEncipherment",
        "keyAgreement",
        "keyCertSign",
        "cRLSign",
        "encipherOnly",
        "decipherOnly",
    ];

    /// Both sets.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are in it.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The standard's names of those in it.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES
            .into_iter()
            .enumerate()
            .filter(move |(bit, _)| self.0 >> bit & 1 == 1)
            .map(|(_, name)| name)
    }

    /// A BIT STRING without zeros at its end (X.690 §11.2.2).
    pub(crate) fn write(self, w: &mut Writer) {
        // Bit 0 is the first byte's highest.
        let [low, high] = self.0.to_le_bytes();
        let (first, second) = (low.reverse_bits(), high.reverse_bits());
        let unused = |byte: u8| byte.trailing_zeros().to_be_bytes()[3];
        match (first, second) {
            (0, 0) => w.element(tag::BIT_STRING, &[0]),
            (first, 0) => w.element(tag::BIT_STRING, &[unused(first), first]),
            (first, second) => w.element(tag::BIT_STRING, &[unused(second), first, second]),
        }
    }

    pub(crate) fn read(der: &[u8]) -> Result<Self, DerError> {
        let mut reader = Reader::new(der);
        let content = reader.expect(tag::BIT_STRING)?;
        reader.end()?;
        let (unused, low, high) = match *content {
            [unused @ 0..8, low] => (unused, low, 0),
            [unused @ 0..8, low, high] => (unused, low, high),
            _ => return Err(DerError::Value("the key usages are no bits, or unknown ones")),
        };
        let last = if content.len() == 3 { high } else { low };
        if last.trailing_zeros() != u32::from(unused) || last == 0 {
            return Err(DerError::NotDer("the set of key usages"));
        }
        let bits = u16::from_le_bytes([low.reverse_bits(), high.reverse_bits()]);
        if bits >> Self::NAMES.len() == 0 {
            Ok(Self(bits))
        } else {
            Err(DerError::Value("a key usage is unknown"))
        }
    }
}

impl fmt::Display for KeyUsages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().collect::<Vec<_>>().join(", "))
    }
}

/// What a certificate's key may be used for, in more words.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the standard's")]
pub enum ExtendedKeyUsage {
    ServerAuth,
    ClientAuth,
    CodeSigning,
    EmailProtection,
    TimeStamping,
    OcspSigning,
    /// `anyExtendedKeyUsage`.
    Any,
    /// Of this dotted identifier.
    Other(String),
}

impl ExtendedKeyUsage {
    fn of(id: &[u8]) -> Self {
        match id {
            oid::SERVER_AUTH => Self::ServerAuth,
            oid::CLIENT_AUTH => Self::ClientAuth,
            oid::CODE_SIGNING => Self::CodeSigning,
            oid::EMAIL_PROTECTION => Self::EmailProtection,
            oid::TIME_STAMPING => Self::TimeStamping,
            oid::OCSP_SIGNING => Self::OcspSigning,
            oid::ANY_USAGE => Self::Any,
            _ => Self::Other(oid::dotted(id)),
        }
    }

    fn oid(&self) -> Option<&'static [u8]> {
        match self {
            Self::ServerAuth => Some(oid::SERVER_AUTH),
            Self::ClientAuth => Some(oid::CLIENT_AUTH),
            Self::CodeSigning => Some(oid::CODE_SIGNING),
            Self::EmailProtection => Some(oid::EMAIL_PROTECTION),
            Self::TimeStamping => Some(oid::TIME_STAMPING),
            Self::OcspSigning => Some(oid::OCSP_SIGNING),
            Self::Any => Some(oid::ANY_USAGE),
            Self::Other(_) => None,
        }
    }

    pub(crate) fn write_all(usages: &[Self], w: &mut Writer) {
        w.sequence(|w| usages.iter().filter_map(Self::oid).for_each(|id| w.oid(id)));
    }

    pub(crate) fn read_all(der: &[u8]) -> Result<Vec<Self>, DerError> {
        let mut reader = Reader::only(der, tag::SEQUENCE)?;
        let mut usages = Vec::new();
        while !reader.is_empty() {
            usages.push(Self::of(reader.oid()?));
        }
        if usages.is_empty() { Err(DerError::Value("the extended key usages are none")) } else { Ok(usages) }
    }
}

impl fmt::Display for ExtendedKeyUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ServerAuth => "serverAuth",
            Self::ClientAuth => "clientAuth",
            Self::CodeSigning => "codeSigning",
            Self::EmailProtection => "emailProtection",
            Self::TimeStamping => "timeStamping",
            Self::OcspSigning => "OCSPSigning",
            Self::Any => "anyExtendedKeyUsage",
            Self::Other(dotted) => dotted,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::der::to_vec;

    #[test]
    fn every_set_of_usages_comes_back() {
        for bits in 1..512 {
            let usages = KeyUsages(bits);
            assert_eq!(KeyUsages::read(&to_vec(|w| usages.write(w))), Ok(usages), "{usages}");
        }
        assert_eq!(to_vec(|w| KeyUsages::KEY_CERT_SIGN.with(KeyUsages::CRL_SIGN).write(w)), [3, 2, 1, 6]);
        for bytes in [&[3, 1, 0][..], &[3, 2, 0, 6], &[3, 3, 7, 0, 0], &[3, 2, 8, 0x80], &[3, 3, 6, 0, 0x40]]
        {
            assert!(KeyUsages::read(bytes).is_err(), "{bytes:02x?}");
        }
    }
}
