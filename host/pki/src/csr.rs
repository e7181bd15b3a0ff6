//! Certification requests (PKCS #10, RFC 2986): what is taken from one is its key, its subject and its names.
//!
//! Everything else that a request may ask for (usages, dates, extensions) is decided by a [`crate::Profile`]. A request
//! to be a CA is refused rather than overlooked: who asks for that would be surprised. The signature is verified, so
//! that the key is the asker's. Whether the asker may have the names is left to others.

use crate::certificate::KeyUsages;
use crate::certificate::extensions::{Extension, Extensions};
use crate::der::{DerError, Reader, Writer, oid, tag, to_vec};
use crate::key::{KeyError, PrivateKey, PublicKey, SignatureAlgorithm};
use crate::name::{DistinguishedName, NameError, Names};
use crate::pem::{self, PemError};
use thiserror::Error;

/// Most bytes of a request: a hundred long names and an RSA key of 8192 bits are a tenth of it.
pub const MAX_REQUEST_BYTES: usize = 256 << 10;

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CsrError {
    /// It isn't there, or not once.
    #[error("the text holds no certification request")]
    Pem(#[source] PemError),
    /// It is malformed; bytes after its end are too.
    #[error("the request is malformed")]
    Der(#[source] DerError),
    /// More than [`MAX_REQUEST_BYTES`].
    #[error("the request has {0} bytes; at most {MAX_REQUEST_BYTES} are read")]
    TooLarge(usize),
    /// It isn't signed by its key.
    #[error("the request's signature ({0}) is not its key's")]
    Signature(&'static str),
    /// It asks for `CA:TRUE`, or to sign certificates or revocation lists.
    #[error("the request asks for a CA certificate ({0}), which requests don't get")]
    AsksForCa(&'static str),
    /// Its key is weak or unknown.
    #[error("the request's key can't be certified")]
    Key(#[source] KeyError),
    /// Its names can't be certified, or are too many.
    #[error("the request's names can't be certified")]
    Names(#[source] NameError),
    /// Names that are neither DNS names nor addresses, URIs or mailboxes.
    #[error("the request has {0} alternative names of kinds that are not certified")]
    OtherNames(usize),
}

impl From<DerError> for CsrError {
    fn from(error: DerError) -> Self {
        Self::Der(error)
    }
}

/// A request that was made by the holder of its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Csr {
    /// Whom it says it is about.
    pub subject: DistinguishedName,
    /// The alternative names that it asks for.
    pub names: Names,
    /// The key.
    pub key: PublicKey,
}

impl Csr {
    /// Reads a PEM (`CERTIFICATE REQUEST`, or `NEW CERTIFICATE REQUEST` as older tools call it).
    ///
    /// # Errors
    /// [`CsrError`].
    pub fn from_pem(text: &str) -> Result<Self, CsrError> {
        // Base64 has four characters for three bytes; lines and text around it add to that.
        if text.len() > 2 * MAX_REQUEST_BYTES {
            return Err(CsrError::TooLarge(text.len() / 4 * 3));
        }
        let old = pem::decode("NEW CERTIFICATE REQUEST", text);
        let der = old.or_else(|_| pem::decode("CERTIFICATE REQUEST", text)).map_err(CsrError::Pem)?;
        Self::from_der(&der)
    }

    /// Reads DER, which nothing may follow.
    ///
    /// # Errors
    /// [`CsrError`].
    pub fn from_der(bytes: &[u8]) -> Result<Self, CsrError> {
        if bytes.len() > MAX_REQUEST_BYTES {
            return Err(CsrError::TooLarge(bytes.len()));
        }
        let mut reader = Reader::only(bytes, tag::SEQUENCE)?;
        let info = reader.whole_sequence()?;
        let algorithm = SignatureAlgorithm::read(&reader.whole_sequence()?)?;
        let signature = reader.bytes_of_bits()?;
        reader.end()?;
        let mut reader = Reader::new(info.content);
        if reader.number()? != 0 {
            return Err(DerError::Value("a request's version is 0").into());
        }
        let subject = DistinguishedName::read(reader.whole_sequence()?.whole)?;
        let key = PublicKey::from_spki_der(reader.whole_sequence()?.whole).map_err(CsrError::Key)?;
        let attributes = Reader::new(reader.expect(tag::constructed(0))?);
        reader.end()?;
        if !key.verifies(algorithm, info.whole, signature) {
            return Err(CsrError::Signature(algorithm.name()));
        }
        let names = match requested(attributes)? {
            Some(extensions) => names(&extensions)?,
            None => Names::default(),
        };
        Ok(Self { subject, names, key })
    }

    /// Makes a request, DER: what a client of ours sends.
    ///
    /// # Errors
    /// [`KeyError::Failed`].
    pub fn sign(key: &PrivateKey, subject: &DistinguishedName, names: &Names) -> Result<Vec<u8>, KeyError> {
        let info = to_vec(|w| {
            w.sequence(|w| {
                w.number(0);
                w.raw(subject.der());
                w.raw(key.public().spki_der());
                w.nested(tag::constructed(0), |w| {
                    if !names.is_empty() {
                        write_request(w, names, subject.is_empty());
                    }
                });
            });
        });
        let signature = key.sign(&info)?;
        Ok(to_vec(|w| {
            w.sequence(|w| {
                w.raw(&info);
                key.algorithm().signature().write(w);
                w.bits(&signature);
            });
        }))
    }

    /// The PEM (`CERTIFICATE REQUEST`) of a request's DER.
    pub fn to_pem(der: &[u8]) -> String {
        pem::encode("CERTIFICATE REQUEST", der)
    }
}

/// The attribute that asks for alternative names.
fn write_request(w: &mut Writer, names: &Names, critical: bool) {
    let extension = Extension::new(oid::SUBJECT_ALT_NAME, critical, |w| names.write(w));
    w.sequence(|w| {
        w.oid(oid::EXTENSION_REQUEST);
        w.nested(tag::SET, |w| w.sequence(|w| extension.write(w)));
    });
}

/// The extensions that are asked for (RFC 2985 §5.4.2). Other attributes, such as a challenge password, say nothing here.
fn requested(mut attributes: Reader<'_>) -> Result<Option<Extensions>, DerError> {
    let mut found = None;
    while !attributes.is_empty() {
        let mut attribute = attributes.sequence()?;
        let id = attribute.oid()?;
        let mut values = Reader::new(attribute.expect(tag::SET)?);
        attribute.end()?;
        if id == oid::EXTENSION_REQUEST {
            let list = values.sequence()?;
            values.end()?;
            if found.is_some() {
                return Err(DerError::Value("extensions are asked for twice"));
            }
            // Some tools write the attribute with nothing in it.
            found = if list.is_empty() { None } else { Some(Extensions::read(list)?) };
        }
    }
    Ok(found)
}

fn names(extensions: &Extensions) -> Result<Names, CsrError> {
    if extensions.basic.is_some_and(|basic| basic.ca) {
        return Err(CsrError::AsksForCa("basicConstraints CA:TRUE"));
    }
    let usages = extensions.key_usages.unwrap_or_default();
    for (usage, name) in [(KeyUsages::KEY_CERT_SIGN, "keyCertSign"), (KeyUsages::CRL_SIGN, "cRLSign")] {
        if usages.contains(usage) {
            return Err(CsrError::AsksForCa(name));
        }
    }
    if extensions.other_names > 0 {
        return Err(CsrError::OtherNames(extensions.other_names));
    }
    let asked = &extensions.names;
    let (dns, ips) = (asked.dns().to_vec(), asked.ips().to_vec());
    Names::new(dns, ips, asked.uris().to_vec(), asked.emails().to_vec()).map_err(CsrError::Names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyAlgorithm;
    use proptest::prelude::*;

    fn request() -> (PrivateKey, Vec<u8>) {
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let names = Names::of_dns(["a.example", "*.b.example"]).unwrap();
        let der = Csr::sign(&key, &DistinguishedName::common("a.example").unwrap(), &names).unwrap();
        (key, der)
    }

    #[test]
    fn a_request_comes_back() {
        let (key, der) = request();
        let csr = Csr::from_pem(&Csr::to_pem(&der)).unwrap();
        assert_eq!(csr, Csr::from_der(&der).unwrap());
        assert_eq!(&csr.key, key.public());
        assert_eq!((csr.subject.to_string(), csr.names.dns().len()), ("CN=a.example".into(), 2));
    }

    #[test]
    fn bytes_after_the_end_and_too_many_bytes_are_refused() {
        let (_, der) = request();
        let longer = Csr::from_der(&[&der[..], &[0]].concat());
        assert_eq!(longer, Err(CsrError::Der(DerError::Trailing(1))));
        let huge = vec![0; MAX_REQUEST_BYTES + 1];
        assert_eq!(Csr::from_der(&huge), Err(CsrError::TooLarge(huge.len())));
        assert!(matches!(Csr::from_pem(&Csr::to_pem(&vec![0; 600 << 10])), Err(CsrError::TooLarge(_))));
    }

    #[test]
    fn ten_thousand_names_are_too_many() {
        let (key, _) = request();
        let extension = Extension::new(oid::SUBJECT_ALT_NAME, false, |w| {
            w.sequence(|w| {
                (0..10_000).for_each(|n| w.element(tag::context(2), format!("n{n}.x").as_bytes()))
            });
        });
        let der = signed(&key, &extension);
        assert_eq!(Csr::from_der(&der), Err(CsrError::Names(NameError::TooMany(10_000))));
    }

    #[test]
    fn a_request_to_be_a_ca_is_refused() {
        let (key, _) = request();
        let basic = Extension::new(oid::BASIC_CONSTRAINTS, true, |w| w.sequence(Writer::yes));
        assert!(matches!(Csr::from_der(&signed(&key, &basic)), Err(CsrError::AsksForCa(_))));
        let usage = Extension::new(oid::KEY_USAGE, true, |w| KeyUsages::KEY_CERT_SIGN.write(w));
        assert_eq!(Csr::from_der(&signed(&key, &usage)), Err(CsrError::AsksForCa("keyCertSign")));
        let other = Extension::new(oid::SUBJECT_ALT_NAME, false, |w| {
            w.sequence(|w| w.element(tag::constructed(0), &[]));
        });
        assert_eq!(Csr::from_der(&signed(&key, &other)), Err(CsrError::OtherNames(1)));
    }

    #[test]
    fn a_subject_that_could_not_be_written_is_not_copied_from_a_request() {
        let now = crate::forge::now();
        let root = DistinguishedName::common("Root").unwrap();
        let serial = crate::SerialNumber::generate().unwrap();
        let until = now.plus_seconds(86_400);
        let root = crate::Authority::new_root(&root, crate::forge::key(), serial, now, until).unwrap();
        let url = "http://x/".to_owned();
        let urls = crate::IssuerUrls { crl: url.clone(), ocsp: url.clone(), ca_issuers: url };
        let prepared = |id: &[u8], kind: u8, content: &[u8]| {
            let subject = to_vec(|w| {
                w.sequence(|w| {
                    w.nested(tag::SET, |w| {
                        w.sequence(|w| {
                            w.oid(id);
                            w.element(kind, content);
                        });
                    });
                });
            });
            let (key, names) = (crate::forge::key(), Names::of_dns(["a.example"]).unwrap());
            let subject = DistinguishedName::read(&subject).unwrap();
            let csr = Csr::from_der(&Csr::sign(&key, &subject, &names).unwrap()).unwrap();
            let (profile, serial) = (crate::Profile::Server, crate::SerialNumber::generate().unwrap());
            let Csr { subject, names, key } = csr;
            let order =
                crate::Order { profile, subject, names, key, serial, not_before: now, not_after: until };
            root.prepare(&order, &urls).map(|made| made.tbs)
        };
        // The types of strings are ours to choose.
        for kind in [tag::UTF8, tag::PRINTABLE, tag::TELETEX] {
            let tbs = prepared(oid::COMMON_NAME, kind, b"a.example").unwrap();
            assert!(tbs.windows(11).any(|bytes| bytes == b"\x0c\x09a.example"), "{kind:02x}");
        }
        for (id, kind, content) in [
            (oid::COMMON_NAME, tag::UTF8, &b"a.example\0.evil.example"[..]),
            (oid::COMMON_NAME, tag::UTF8, &[b'a'; 65]),
            (oid::COMMON_NAME, tag::UTF8, b""),
            (oid::COMMON_NAME, tag::SEQUENCE, b"garbage"),
            (oid::COUNTRY, tag::PRINTABLE, b"at"),
            (oid::EMAIL, tag::UTF8, "ä@example".as_bytes()),
        ] {
            let refused = prepared(id, kind, content);
            assert!(matches!(refused, Err(crate::IssueError::Profile { .. })), "{content:02x?}: {refused:?}");
        }
    }

    /// A request for this extension.
    fn signed(key: &PrivateKey, extension: &Extension) -> Vec<u8> {
        let info = to_vec(|w| {
            w.sequence(|w| {
                w.number(0);
                w.raw(DistinguishedName::empty().der());
                w.raw(key.public().spki_der());
                w.nested(tag::constructed(0), |w| {
                    w.sequence(|w| {
                        w.oid(oid::EXTENSION_REQUEST);
                        w.nested(tag::SET, |w| w.sequence(|w| extension.write(w)));
                    });
                });
            });
        });
        let signature = key.sign(&info).unwrap();
        to_vec(|w| {
            w.sequence(|w| {
                w.raw(&info);
                key.algorithm().signature().write(w);
                w.bits(&signature);
            });
        })
    }

    proptest! {
        #[test]
        fn a_request_with_one_bit_changed_is_refused(position: prop::sample::Index, bit in 0_u8..8) {
            let (_, mut der) = request();
            let at = position.index(der.len());
            der[at] ^= 1 << bit;
            prop_assert!(Csr::from_der(&der).is_err());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Csr::from_der(&bytes);
        }
    }
}
