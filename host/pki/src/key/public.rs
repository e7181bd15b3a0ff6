//! Public keys: a SubjectPublicKeyInfo (RFC 5280 §4.1.2.7), kept byte for byte.
//!
//! The bytes are never written anew: a P-256 key in a request that was signed with SHA-384 stays a P-256 key.

use super::{KeyError, SignatureAlgorithm};
use crate::der::{DerError, Reader, oid, tag, to_vec};
use crate::digest::{hex, sha1, sha256};
use crate::pem;
use aws_lc_rs::signature::{ParsedPublicKey, UnparsedPublicKey};
use std::fmt;
use std::sync::Arc;

/// The least modulus that is certified, in bits (CA/Browser Forum BR §6.1.5), and the largest that verifies here.
const RSA_BITS: std::ops::RangeInclusive<u32> = 2048..=8192;

/// What a key is for, by its algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the standards'")]
pub enum PublicKeyAlgorithm {
    /// RSA with a modulus of so many bits.
    Rsa {
        bits: u32,
    },
    EcdsaP256,
    EcdsaP384,
    EcdsaP521,
    Ed25519,
    /// None of these: nothing is verified with it.
    Unknown,
}

impl PublicKeyAlgorithm {
    pub(super) fn usual_signatures(self) -> &'static [SignatureAlgorithm] {
        match self {
            Self::Rsa { .. } => &[SignatureAlgorithm::RsaSha256, SignatureAlgorithm::RsaPssSha256],
            Self::EcdsaP256 => &[SignatureAlgorithm::EcdsaSha256],
            Self::EcdsaP384 => &[SignatureAlgorithm::EcdsaSha384],
            Self::EcdsaP521 => &[SignatureAlgorithm::EcdsaSha512],
            Self::Ed25519 => &[SignatureAlgorithm::Ed25519],
            Self::Unknown => &[],
        }
    }
}

impl fmt::Display for PublicKeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa { bits } => write!(f, "RSA {bits}"),
            Self::EcdsaP256 => f.write_str("ECDSA P-256"),
            Self::EcdsaP384 => f.write_str("ECDSA P-384"),
            Self::EcdsaP521 => f.write_str("ECDSA P-521"),
            Self::Ed25519 => f.write_str("Ed25519"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

/// A public key. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(Arc<Parts>);

#[derive(PartialEq, Eq)]
struct Parts {
    spki: Vec<u8>,
    /// The bit string's bytes: a point, an Ed25519 key, or an RSAPublicKey.
    bits: Vec<u8>,
    algorithm: PublicKeyAlgorithm,
}

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo that may be certified.
    ///
    /// # Errors
    /// [`KeyError`]: no such key, bytes after it, another algorithm, a weak one, or a point on no curve.
    pub fn from_spki_der(spki: &[u8]) -> Result<Self, KeyError> {
        let key = Self::read(spki)?;
        key.check()?;
        Ok(key)
    }

    /// Reads a PEM (`PUBLIC KEY`) as [`Self::from_spki_der`] does.
    ///
    /// # Errors
    /// As there.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        Self::from_spki_der(&pem::decode("PUBLIC KEY", text)?)
    }

    /// Reads the form, whatever the key is worth: a foreign certificate's is judged, not refused.
    pub(crate) fn read(spki: &[u8]) -> Result<Self, DerError> {
        let mut reader = Reader::only(spki, tag::SEQUENCE)?;
        let mut identifier = reader.sequence()?;
        let bits = reader.bytes_of_bits()?;
        reader.end()?;
        let id = identifier.oid()?;
        let parameters = if identifier.is_empty() { None } else { Some(identifier.element()?) };
        identifier.end()?;
        let algorithm = match (id, parameters) {
            (oid::EC_PUBLIC_KEY, Some(curve)) if curve.tag == tag::OID => match curve.content {
                oid::P256 => PublicKeyAlgorithm::EcdsaP256,
                oid::P384 => PublicKeyAlgorithm::EcdsaP384,
                oid::P521 => PublicKeyAlgorithm::EcdsaP521,
                _ => PublicKeyAlgorithm::Unknown,
            },
            (oid::ED25519, None) if bits.len() == 32 => PublicKeyAlgorithm::Ed25519,
            (oid::RSA, Some(null)) if null.tag == tag::NULL => {
                PublicKeyAlgorithm::Rsa { bits: modulus_bits(bits)? }
            }
            _ => PublicKeyAlgorithm::Unknown,
        };
        Ok(Self(Arc::new(Parts { spki: spki.to_vec(), bits: bits.to_vec(), algorithm })))
    }

    /// A key of ours, from its bits.
    pub(super) fn of(algorithm: super::KeyAlgorithm, bits: &[u8]) -> Self {
        let (id, curve, algorithm) = match algorithm {
            super::KeyAlgorithm::EcdsaP256 => {
                (oid::EC_PUBLIC_KEY, Some(oid::P256), PublicKeyAlgorithm::EcdsaP256)
            }
            super::KeyAlgorithm::EcdsaP384 => {
                (oid::EC_PUBLIC_KEY, Some(oid::P384), PublicKeyAlgorithm::EcdsaP384)
            }
            super::KeyAlgorithm::Ed25519 => (oid::ED25519, None, PublicKeyAlgorithm::Ed25519),
        };
        let spki = to_vec(|w| {
            w.sequence(|w| {
                w.sequence(|w| {
                    w.oid(id);
                    curve.into_iter().for_each(|curve| w.oid(curve));
                });
                w.bits(bits);
            });
        });
        Self(Arc::new(Parts { spki, bits: bits.to_vec(), algorithm }))
    }

    /// Whether it may be certified.
    pub(crate) fn check(&self) -> Result<(), KeyError> {
        let parts = &*self.0;
        match parts.algorithm {
            PublicKeyAlgorithm::Unknown => {
                let id = Reader::only(&parts.spki, tag::SEQUENCE)?.sequence()?.oid()?;
                return Err(KeyError::Algorithm(oid::dotted(id)));
            }
            PublicKeyAlgorithm::Rsa { bits } => {
                if !RSA_BITS.contains(&bits) {
                    return Err(KeyError::Weak(format!(
                        "its modulus has {bits} bits; 2048 to 8192 are allowed"
                    )));
                }
                rsa_exponent(&parts.bits)?;
            }
            // A compressed point is a second form of the same key, and many clients read the first alone.
            PublicKeyAlgorithm::EcdsaP256 | PublicKeyAlgorithm::EcdsaP384 | PublicKeyAlgorithm::EcdsaP521 => {
                if parts.bits.first() != Some(&4) {
                    return Err(KeyError::Invalid);
                }
            }
            PublicKeyAlgorithm::Ed25519 => {}
        }
        let verifier = parts.algorithm.usual_signatures().first().and_then(|it| it.verifier(parts.algorithm));
        let verifier = verifier.ok_or(KeyError::Invalid)?;
        ParsedPublicKey::new(verifier, &parts.bits).map(drop).map_err(|_| KeyError::Invalid)
    }

    /// Whether the key signed the message so.
    pub fn verifies(&self, algorithm: SignatureAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        algorithm.verifier(self.0.algorithm).is_some_and(|verifier| {
            UnparsedPublicKey::new(verifier, &self.0.bits).verify(message, signature).is_ok()
        })
    }

    /// The SubjectPublicKeyInfo.
    pub fn spki_der(&self) -> &[u8] {
        &self.0.spki
    }

    /// The bits alone: an uncompressed point (`04 x y`), an Ed25519 key, or an RSAPublicKey.
    pub fn key_bits(&self) -> &[u8] {
        &self.0.bits
    }

    /// The PEM (`PUBLIC KEY`).
    pub fn pem(&self) -> String {
        pem::encode("PUBLIC KEY", &self.0.spki)
    }

    /// The algorithm, with the size where it has several.
    pub fn algorithm(&self) -> PublicKeyAlgorithm {
        self.0.algorithm
    }

    /// The key's size in bits; `None` of an unknown algorithm.
    pub fn bits(&self) -> Option<u32> {
        match self.0.algorithm {
            PublicKeyAlgorithm::Rsa { bits } => Some(bits),
            PublicKeyAlgorithm::EcdsaP256 | PublicKeyAlgorithm::Ed25519 => Some(256),
            PublicKeyAlgorithm::EcdsaP384 => Some(384),
            PublicKeyAlgorithm::EcdsaP521 => Some(521),
            PublicKeyAlgorithm::Unknown => None,
        }
    }

    /// SHA-256 of the SubjectPublicKeyInfo: what a log's id, a pin and an RFC 6962 `issuer_key_hash` are.
    pub fn sha256(&self) -> [u8; 32] {
        sha256(&self.0.spki)
    }

    /// The key identifier (RFC 7093 §2, method 1): the first 160 bits of SHA-256 of the key's bits.
    pub fn key_id(&self) -> [u8; 20] {
        let mut id = [0; 20];
        id.copy_from_slice(&sha256(&self.0.bits)[..20]);
        id
    }

    /// SHA-1 of the key's bits, as OCSP names a responder (RFC 6960 §4.2.1).
    pub(crate) fn sha1(&self) -> [u8; 20] {
        sha1(&self.0.bits)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({}, {})", self.0.algorithm, hex(&self.key_id()))
    }
}

fn modulus_bits(key: &[u8]) -> Result<u32, DerError> {
    let modulus = Reader::only(key, tag::SEQUENCE)?.integer()?;
    let digits = modulus.strip_prefix(&[0]).unwrap_or(modulus);
    let top = digits.first().map_or(0, |first| first.leading_zeros());
    u32::try_from(8 * digits.len())
        .map(|bits| bits - top)
        .map_err(|_| DerError::Value("a modulus is endless"))
}

/// Small exponents make forgeries of sloppy verifiers easy, and an even one is no RSA.
fn rsa_exponent(key: &[u8]) -> Result<(), KeyError> {
    let mut reader = Reader::only(key, tag::SEQUENCE)?;
    reader.integer()?;
    let exponent = reader.number()?;
    reader.end()?;
    if exponent < 65_537 || exponent % 2 == 0 {
        return Err(KeyError::Weak(format!(
            "its exponent is {exponent}; odd ones from 65537 on are allowed"
        )));
    }
    Ok(())
}
