//! OCSP requests (RFC 6960 §4.1): which certificates are asked about, and the nonce.

use super::OcspError;
use crate::authority::Authority;
use crate::der::{DerError, Reader, oid, tag};
use crate::digest::sha1;
use crate::serial::SerialNumber;
use aws_lc_rs::digest::{Algorithm, SHA256, SHA384, SHA512, digest};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// Most bytes of a request: some thirty certificates.
pub(super) const MAX_BYTES: usize = 4096;
/// Most certificates that are asked about at once.
const MAX_CERTIFICATES: usize = 32;
/// Longest nonce (RFC 9654 §2.1).
const MAX_NONCE: usize = 128;

/// A request. Its signature, if it has one, is not looked at: anybody may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OcspRequest {
    pub(super) certificates: Vec<CertId>,
    pub(super) nonce: Option<Vec<u8>>,
}

/// A certificate, named by its issuer's hashes and its serial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CertId {
    /// As it was asked, to be repeated.
    pub(super) der: Vec<u8>,
    hash: Vec<u8>,
    name_hash: Vec<u8>,
    key_hash: Vec<u8>,
    serial: Vec<u8>,
}

impl OcspRequest {
    /// Reads the body of a POST, DER.
    ///
    /// # Errors
    /// [`OcspError::Malformed`], [`OcspError::TooLarge`].
    pub fn from_der(bytes: &[u8]) -> Result<Self, OcspError> {
        if bytes.len() > MAX_BYTES {
            return Err(OcspError::TooLarge(bytes.len()));
        }
        read(bytes).map_err(OcspError::Malformed)
    }

    /// Reads the last part of a GET's path: base64, percent-encoded (RFC 6960 Appendix A.1).
    ///
    /// # Errors
    /// [`OcspError`].
    pub fn from_get(path: &str) -> Result<Self, OcspError> {
        if path.len() > 4 * MAX_BYTES {
            return Err(OcspError::TooLarge(path.len()));
        }
        let text = percent_decode(path).ok_or(OcspError::Base64)?;
        let decoded = STANDARD.decode(&text).or_else(|_| URL_SAFE.decode(&text));
        Self::from_der(&decoded.map_err(|_| OcspError::Base64)?)
    }

    /// The serials that are asked about, of whichever issuer, if they have the form of ours.
    pub fn serials(&self) -> impl Iterator<Item = SerialNumber> + '_ {
        self.certificates.iter().filter_map(CertId::serial)
    }

    /// Whether this authority issued every certificate that is asked about, as the request has it.
    pub fn is_for(&self, authority: &Authority) -> bool {
        self.certificates.iter().all(|id| id.is_of(authority))
    }

    /// Whether the answer must carry a nonce, and so can't be kept for others.
    pub fn has_nonce(&self) -> bool {
        self.nonce.is_some()
    }
}

impl CertId {
    pub(super) fn serial(&self) -> Option<SerialNumber> {
        SerialNumber::from_bytes(self.serial[..].try_into().ok()?).ok()
    }

    /// Whether the hashes are the authority's.
    pub(super) fn is_of(&self, authority: &Authority) -> bool {
        let (name, key) = (authority.certificate().subject().der(), authority.certificate().public_key());
        let by = |algorithm: &'static Algorithm| {
            digest(algorithm, name).as_ref() == self.name_hash
                && digest(algorithm, key.key_bits()).as_ref() == self.key_hash
        };
        match &self.hash[..] {
            oid::SHA1 => {
                authority.name_sha1()[..] == self.name_hash && sha1(key.key_bits())[..] == self.key_hash
            }
            oid::SHA256 => by(&SHA256),
            oid::SHA384 => by(&SHA384),
            oid::SHA512 => by(&SHA512),
            _ => false,
        }
    }

    fn read(der: &[u8]) -> Result<Self, DerError> {
        let mut reader = Reader::only(der, tag::SEQUENCE)?;
        let hash = reader.sequence()?.oid()?.to_vec();
        let name_hash = reader.expect(tag::OCTET_STRING)?.to_vec();
        let key_hash = reader.expect(tag::OCTET_STRING)?.to_vec();
        let serial = reader.integer()?.to_vec();
        reader.end()?;
        Ok(Self { der: der.to_vec(), hash, name_hash, key_hash, serial })
    }
}

fn read(bytes: &[u8]) -> Result<OcspRequest, DerError> {
    let mut outer = Reader::only(bytes, tag::SEQUENCE)?;
    let mut reader = outer.sequence()?;
    outer.optional(tag::constructed(0))?;
    outer.end()?;
    if reader.optional(tag::constructed(0))?.is_some_and(|version| version != [tag::INTEGER, 1, 0]) {
        return Err(DerError::Value("the request's version is not 1"));
    }
    reader.optional(tag::constructed(1))?;
    let mut list = reader.sequence()?;
    let mut certificates = Vec::new();
    while !list.is_empty() {
        let mut request = list.sequence()?;
        certificates.push(CertId::read(request.whole_sequence()?.whole)?);
        request.optional(tag::constructed(0))?;
        request.end()?;
    }
    if certificates.is_empty() || certificates.len() > MAX_CERTIFICATES {
        return Err(DerError::Value("the request is about no certificate, or more than 32"));
    }
    let nonce = match reader.optional(tag::constructed(2))? {
        Some(extensions) => nonce(Reader::only(extensions, tag::SEQUENCE)?)?,
        None => None,
    };
    reader.end()?;
    Ok(OcspRequest { certificates, nonce })
}

fn nonce(mut extensions: Reader<'_>) -> Result<Option<Vec<u8>>, DerError> {
    let mut nonce = None;
    while !extensions.is_empty() {
        let mut extension = extensions.sequence()?;
        let id = extension.oid()?;
        let critical = extension.flag()?;
        let value = extension.expect(tag::OCTET_STRING)?;
        if id == oid::OCSP_NONCE {
            let mut inner = Reader::new(value);
            let bytes = inner.expect(tag::OCTET_STRING)?;
            inner.end()?;
            if nonce.is_some() {
                return Err(DerError::Value("there are two nonces"));
            }
            if bytes.is_empty() || bytes.len() > MAX_NONCE {
                return Err(DerError::Value("the nonce has no bytes, or more than 128"));
            }
            nonce = Some(value.to_vec());
        } else if critical {
            return Err(DerError::Value("a critical extension is unknown"));
        }
    }
    Ok(nonce)
}

fn percent_decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            u8::try_from(digit()? * 16 + digit()?).ok()?
        } else {
            byte
        });
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::der::to_vec;
    use proptest::prelude::*;

    #[test]
    fn a_nonce_is_one_and_nothing_follows_it() {
        let asked = |nonces: &[&[u8]]| {
            let der = to_vec(|w| {
                w.sequence(|w| {
                    w.sequence(|w| {
                        w.sequence(|w| {
                            w.sequence(|w| {
                                w.sequence(|w| {
                                    w.sequence(|w| w.oid(oid::SHA1));
                                    w.element(tag::OCTET_STRING, &[1; 20]);
                                    w.element(tag::OCTET_STRING, &[2; 20]);
                                    w.number(5);
                                });
                            });
                        });
                        w.nested(tag::constructed(2), |w| {
                            w.sequence(|w| {
                                for nonce in nonces {
                                    w.sequence(|w| {
                                        w.oid(oid::OCSP_NONCE);
                                        w.element(tag::OCTET_STRING, nonce);
                                    });
                                }
                            });
                        });
                    });
                });
            });
            OcspRequest::from_der(&der).map(|it| it.nonce)
        };
        assert_eq!(asked(&[&[4, 1, 7]]), Ok(Some(vec![4, 1, 7])));
        for nonces in [&[&[4, 1, 7, 0x30, 0][..]][..], &[&[4, 0]], &[&[4, 1, 7], &[4, 1, 8]]] {
            assert!(asked(nonces).is_err(), "{nonces:02x?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_and_no_path_make_it_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..100), path in "[%A-Za-z0-9+/=é]{0,60}"
        ) {
            let _ = OcspRequest::from_der(&bytes);
            let _ = OcspRequest::from_get(&path);
        }
    }
}
