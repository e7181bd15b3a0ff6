//! Certificates (RFC 5280 §4.1): read, kept as their DER, asked.
//!
//! Reading says what a certificate is, not whether it is any good: a weak key, a wrong date or a missing extension is
//! for [`crate::explain`] and [`crate::lint`] to say. What isn't DER, or an extension that can't be understood although
//! it is known, is refused.

pub(crate) mod extensions;
mod usage;

pub use usage::{ExtendedKeyUsage, KeyUsages};

use crate::der::{self, DerError, Reader, tag};
use crate::digest::{hex, sha256};
use crate::key::{PublicKey, SignatureAlgorithm};
use crate::name::{DistinguishedName, Names};
use crate::pem::{self, PemError};
use crate::serial::SerialNumber;
use extensions::Extensions;
use hypermesh_model::Timestamp;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use thiserror::Error;

/// Most bytes of a certificate that is read; real ones have two or three thousand.
pub const MAX_CERTIFICATE_BYTES: usize = 64 << 10;

const LABEL: &str = "CERTIFICATE";

/// Why something is no certificate.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CertificateError {
    /// It isn't there, or not once.
    #[error("the text holds no certificate")]
    Pem(#[source] PemError),
    /// It is malformed.
    #[error("the certificate is malformed")]
    Der(#[source] DerError),
    /// More than [`MAX_CERTIFICATE_BYTES`].
    #[error("the certificate has {0} bytes; at most {MAX_CERTIFICATE_BYTES} are read")]
    TooLarge(usize),
}

impl From<DerError> for CertificateError {
    fn from(error: DerError) -> Self {
        Self::Der(error)
    }
}

impl From<PemError> for CertificateError {
    fn from(error: PemError) -> Self {
        Self::Pem(error)
    }
}

/// A certificate. Equal ones have the same bytes. Cheap to clone.
#[derive(Clone)]
pub struct Certificate(Arc<Parts>);

pub(crate) struct Parts {
    der: Vec<u8>,
    tbs: Range<usize>,
    pub(crate) version: u64,
    /// The integer's content, with its sign.
    pub(crate) serial: Vec<u8>,
    pub(crate) issuer: DistinguishedName,
    pub(crate) subject: DistinguishedName,
    not_before: Timestamp,
    not_after: Timestamp,
    key: PublicKey,
    pub(crate) extensions: Extensions,
    pub(crate) signature_algorithm: SignatureAlgorithm,
    /// Whether the algorithm in the signed part is the one beside the signature.
    pub(crate) algorithms_agree: bool,
    signature: Vec<u8>,
}

impl Certificate {
    /// Reads DER, which nothing may follow.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn from_der(bytes: &[u8]) -> Result<Self, CertificateError> {
        if bytes.len() > MAX_CERTIFICATE_BYTES {
            return Err(CertificateError::TooLarge(bytes.len()));
        }
        Ok(read(bytes)?)
    }

    /// Reads the one certificate of a PEM.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn from_pem(text: &str) -> Result<Self, CertificateError> {
        Self::from_der(&pem::decode(LABEL, text)?)
    }

    /// Reads every certificate of a PEM, in order; there may be none.
    ///
    /// # Errors
    /// [`CertificateError`] for the first that is none.
    pub fn all_from_pem(text: &str) -> Result<Vec<Self>, CertificateError> {
        pem::decode_all(LABEL, text)?.iter().map(|der| Self::from_der(der)).collect()
    }

    /// Its bytes.
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// Its PEM.
    pub fn pem(&self) -> String {
        pem::encode(LABEL, &self.0.der)
    }

    /// What is signed.
    pub fn tbs(&self) -> &[u8] {
        &self.0.der[self.0.tbs.clone()]
    }

    /// Whom it is about.
    pub fn subject(&self) -> &DistinguishedName {
        &self.0.subject
    }

    /// Who signed it.
    pub fn issuer(&self) -> &DistinguishedName {
        &self.0.issuer
    }

    /// The serial number, lower-case hexadecimal, whole bytes.
    pub fn serial_hex(&self) -> String {
        hex(self.0.serial.strip_prefix(&[0]).unwrap_or(&self.0.serial))
    }

    /// The serial number if it has the form of ours.
    pub fn serial(&self) -> Option<SerialNumber> {
        SerialNumber::from_bytes(self.0.serial[..].try_into().ok()?).ok()
    }

    /// From when on it is valid, that second included.
    pub fn not_before(&self) -> Timestamp {
        self.0.not_before
    }

    /// Until when it is valid, that second included.
    pub fn not_after(&self) -> Timestamp {
        self.0.not_after
    }

    /// `SHA256:` and the hexadecimal SHA-256 of its bytes.
    pub fn fingerprint(&self) -> String {
        format!("SHA256:{}", hex(&self.sha256()))
    }

    /// SHA-256 of its bytes.
    pub fn sha256(&self) -> [u8; 32] {
        sha256(&self.0.der)
    }

    /// Its subject's key.
    pub fn public_key(&self) -> &PublicKey {
        &self.0.key
    }

    /// Its alternative names; kinds other than DNS names, addresses, URIs and mailboxes are left out.
    pub fn names(&self) -> &Names {
        &self.0.extensions.names
    }

    /// Whether its basic constraints say that it is a CA's.
    pub fn is_ca(&self) -> bool {
        self.0.extensions.basic.is_some_and(|basic| basic.ca)
    }

    /// How many intermediates may follow, if that is bounded.
    pub fn path_len(&self) -> Option<u64> {
        self.0.extensions.basic.and_then(|basic| basic.path_len)
    }

    /// What its key may be used for; `None` if that isn't said.
    pub fn key_usages(&self) -> Option<KeyUsages> {
        self.0.extensions.key_usages
    }

    /// What it may be used for; `None` if that isn't said.
    pub fn extended_key_usages(&self) -> Option<&[ExtendedKeyUsage]> {
        self.0.extensions.extended.as_deref()
    }

    /// Its key's identifier, as it says.
    pub fn subject_key_id(&self) -> Option<&[u8]> {
        self.0.extensions.subject_key.as_deref()
    }

    /// Its issuer's key's identifier, as it says.
    pub fn authority_key_id(&self) -> Option<&[u8]> {
        self.0.extensions.authority_key.as_deref()
    }

    /// Where its issuer's revocation list is.
    pub fn crl_urls(&self) -> &[String] {
        &self.0.extensions.crl_urls
    }

    /// Where its issuer answers OCSP.
    pub fn ocsp_urls(&self) -> &[String] {
        &self.0.extensions.ocsp_urls
    }

    /// Where its issuer's certificate is.
    pub fn issuer_urls(&self) -> &[String] {
        &self.0.extensions.issuer_urls
    }

    /// How it is signed.
    pub fn signature_algorithm(&self) -> SignatureAlgorithm {
        self.0.signature_algorithm
    }

    /// Whether subject and issuer are one name (RFC 5280 §6.1: self-issued).
    pub fn is_self_issued(&self) -> bool {
        self.0.subject == self.0.issuer
    }

    /// Whether its own key signed it.
    pub fn is_self_signed(&self) -> bool {
        self.is_self_issued() && self.is_signed_by(&self.0.key)
    }

    /// Whether this key signed it.
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        key.verifies(self.0.signature_algorithm, self.tbs(), &self.0.signature)
    }

    pub(crate) fn parts(&self) -> &Parts {
        &self.0
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.0.der == other.0.der
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({}, serial {})", self.0.subject, self.serial_hex())
    }
}

fn read(bytes: &[u8]) -> Result<Certificate, DerError> {
    let mut reader = Reader::only(bytes, tag::SEQUENCE)?;
    let tbs = reader.whole_sequence()?;
    let algorithm = reader.whole_sequence()?;
    let signature = reader.bytes_of_bits()?.to_vec();
    reader.end()?;
    let mut reader = Reader::new(tbs.content);
    let version = match reader.optional(tag::constructed(0))? {
        Some(version) => {
            let mut version = Reader::new(version);
            let number = version.number()?;
            version.end()?;
            number.checked_add(1).ok_or(DerError::Value("the version is none that exists"))?
        }
        None => 1,
    };
    let serial = reader.integer()?.to_vec();
    let inner = reader.whole_sequence()?;
    let issuer = DistinguishedName::read(reader.whole_sequence()?.whole)?;
    let mut validity = reader.sequence()?;
    let (not_before, not_after) = (der::time::read(&mut validity)?, der::time::read(&mut validity)?);
    validity.end()?;
    let subject = DistinguishedName::read(reader.whole_sequence()?.whole)?;
    let key = PublicKey::read(reader.whole_sequence()?.whole)?;
    // Unique identifiers of version 2, which nobody uses.
    reader.optional(tag::context(1))?;
    reader.optional(tag::context(2))?;
    let extensions = match reader.optional(tag::constructed(3))? {
        Some(extensions) => Extensions::read(Reader::only(extensions, tag::SEQUENCE)?)?,
        None => Extensions::default(),
    };
    reader.end()?;
    // The first element of the first: what precedes it is the outer header alone.
    let start = bytes.len() - Reader::only(bytes, tag::SEQUENCE)?.len();
    Ok(Certificate(Arc::new(Parts {
        der: bytes.to_vec(),
        tbs: start..start + tbs.whole.len(),
        version,
        serial,
        issuer,
        subject,
        not_before,
        not_after,
        key,
        extensions,
        signature_algorithm: SignatureAlgorithm::read(&algorithm)?,
        algorithms_agree: inner.whole == algorithm.whole,
        signature,
    })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forge::Forge;
    use proptest::prelude::*;

    #[test]
    fn bytes_after_the_end_and_two_in_a_pem_are_refused() {
        let certificate = Forge::server("a.example").root().certificate;
        let longer = Certificate::from_der(&[certificate.der(), &[0]].concat());
        assert_eq!(longer, Err(CertificateError::Der(DerError::Trailing(1))));
        let both = certificate.pem().repeat(2);
        assert!(matches!(Certificate::from_pem(&both), Err(CertificateError::Pem(PemError::Several(_, 2)))));
        assert_eq!(Certificate::all_from_pem(&both).unwrap(), [certificate.clone(), certificate]);
        let large = vec![0; MAX_CERTIFICATE_BYTES + 1];
        assert_eq!(Certificate::from_der(&large), Err(CertificateError::TooLarge(large.len())));
    }

    #[test]
    fn a_version_is_one_small_number() {
        let forged = Forge::server("a.example").root();
        let whole = forged.certificate.der();
        let tbs = Reader::new(forged.certificate.tbs()).sequence().unwrap();
        let mut rest = tbs;
        rest.element().unwrap();
        let after = &forged.certificate.tbs()[forged.certificate.tbs().len() - rest.len()..];
        let tail = &whole[whole.len()
            - (Reader::only(whole, tag::SEQUENCE).unwrap().len() - forged.certificate.tbs().len())..];
        let with = |version: &[u8]| {
            let der = der::to_vec(|w| {
                w.sequence(|w| {
                    w.sequence(|w| {
                        w.element(tag::constructed(0), version);
                        w.raw(after);
                    });
                    w.raw(tail);
                });
            });
            Certificate::from_der(&der).map(|it| it.parts().version)
        };
        assert_eq!(with(&[2, 1, 2]), Ok(3));
        for version in [&[2, 9, 0, 255, 255, 255, 255, 255, 255, 255, 255][..], &[2, 1, 2, 0], &[]] {
            assert!(with(version).is_err(), "{version:02x?}");
        }
    }

    proptest! {
        #[test]
        fn no_bit_can_be_changed_without_breaking_the_signature(position: prop::sample::Index, bit in 0_u8..8) {
            let forged = Forge::server("a.example").root();
            let mut der = forged.certificate.der().to_vec();
            let at = position.index(der.len());
            der[at] ^= 1 << bit;
            if let Ok(changed) = Certificate::from_der(&der) {
                let key = forged.key.public();
                prop_assert!(!changed.is_signed_by(key) || !changed.parts().algorithms_agree);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Certificate::from_der(&bytes);
        }
    }
}
