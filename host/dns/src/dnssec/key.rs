//! The key of a zone: ECDSA P-256 (algorithm 13, RFC 6605), one key for both roles.

use crate::name::Name;
use crate::record::{RecordData, to_base64};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use thiserror::Error;

/// ECDSA P-256 with SHA-256 (RFC 6605).
const ALGORITHM: u8 = 13;
/// SHA-256 (RFC 4509).
const DIGEST: u8 = 2;

/// A signature that could not be made.
#[derive(Debug, Error)]
#[error("the zone's key can't sign")]
pub struct SignError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Signs a zone. Called by the threads that answer, so it must not wait for anything slow.
pub trait ZoneSigner: Send + Sync {
    /// The ECDSA P-256 signature over the message's SHA-256, as the two numbers of 32 octets each.
    ///
    /// # Errors
    /// [`SignError`]; whoever asked gets SERVFAIL.
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError>;

    /// The public key: the two coordinates of 32 octets each.
    fn public_key(&self) -> [u8; 64];
}

/// A key that can't be made or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyError {
    /// No randomness, or the like.
    #[error("a P-256 key could not be made")]
    Generate,
    /// The octets are no such key.
    #[error("this is no PKCS #8 key of ECDSA P-256")]
    Parse,
}

/// A zone's key in memory.
pub struct ZoneKey(EcdsaKeyPair);

impl std::fmt::Debug for ZoneKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ZoneKey")
    }
}

impl ZoneKey {
    /// Makes a key. Its PKCS #8 (DER) is what to keep.
    ///
    /// # Errors
    /// [`KeyError::Generate`].
    pub fn generate() -> Result<(Self, Vec<u8>), KeyError> {
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        let document = made.map_err(|_| KeyError::Generate)?;
        Ok((Self::from_pkcs8(document.as_ref())?, document.as_ref().to_vec()))
    }

    /// Reads a key from its PKCS #8 (DER).
    ///
    /// # Errors
    /// [`KeyError::Parse`].
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).map(Self).map_err(|_| KeyError::Parse)
    }
}

impl ZoneSigner for ZoneKey {
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        let signature =
            self.0.sign(&SystemRandom::new(), message).map_err(|error| SignError(error.into()))?;
        signature.as_ref().try_into().map_err(|_| SignError("a signature of another length".into()))
    }

    fn public_key(&self) -> [u8; 64] {
        let mut key = [0; 64];
        // An uncompressed point: 4, then the coordinates.
        key.copy_from_slice(&self.0.public_key().as_ref()[1..]);
        key
    }
}

/// The public half of a zone's key, as the DNS has it.
#[derive(Debug, Clone)]
pub struct PublishedKey {
    origin: Name,
    data: Vec<u8>,
}

impl PublishedKey {
    /// The key of the zone with this apex.
    pub fn new(origin: &Name, signer: &dyn ZoneSigner) -> Self {
        // Zone key and secure entry point; the protocol, which is always 3 (RFC 4034, 2.1).
        let mut data = vec![1, 1, 3, ALGORITHM];
        data.extend_from_slice(&signer.public_key());
        Self { origin: origin.clone(), data }
    }

    /// The data of the DNSKEY on the wire.
    pub(crate) fn data(&self) -> &[u8] {
        &self.data
    }

    /// The tag by which signatures name the key (RFC 4034, B).
    pub fn key_tag(&self) -> u16 {
        let sum = self.data.chunks(2).fold(0_u32, |sum, pair| {
            sum + (u32::from(pair[0]) << 8) + u32::from(pair.get(1).copied().unwrap_or(0))
        });
        u16::try_from((sum + (sum >> 16)) & 0xffff).unwrap_or(0)
    }

    /// The DS that the parent needs: SHA-256 of owner and key (RFC 4509).
    pub fn ds(&self) -> RecordData {
        let digest = digest(&SHA256, &[self.origin.wire(), &self.data].concat());
        RecordData::Ds {
            key_tag: self.key_tag(),
            algorithm: ALGORITHM,
            digest_type: DIGEST,
            digest: digest.as_ref().to_vec(),
        }
    }

    /// The data of the DNSKEY as a zone file has it: `257 3 13 …`; what a trust anchor is made of.
    pub fn dnskey(&self) -> String {
        format!("257 3 {ALGORITHM} {}", to_base64(&self.data[4..]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed([u8; 64]);

    impl ZoneSigner for Fixed {
        fn sign(&self, _: &[u8]) -> Result<[u8; 64], SignError> {
            Err(SignError("not asked for".into()))
        }

        fn public_key(&self) -> [u8; 64] {
            self.0
        }
    }

    #[test]
    fn tag_and_ds_are_those_of_the_example_in_rfc_6605() {
        let key = "GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edbkrSqQpF64cYbcB7wNcP+e+MAnLr+Wi9xMWyQLc8NAA==";
        let key = crate::record::base64(key).unwrap().try_into().unwrap();
        let published = PublishedKey::new(&Name::parse("example.net").unwrap(), &Fixed(key));
        assert_eq!(published.key_tag(), 55648);
        let digest = "b4c8c1fe2e7477127b27115656ad6256f424625bf5c1e2770ce6d6e37df61d17";
        assert_eq!(published.ds().to_string(), format!("55648 13 2 {digest}"));
    }

    #[test]
    fn a_key_survives_its_file() {
        let (key, file) = ZoneKey::generate().unwrap();
        assert_eq!(ZoneKey::from_pkcs8(&file).unwrap().public_key(), key.public_key());
        assert_eq!(ZoneKey::from_pkcs8(b"no key").unwrap_err(), KeyError::Parse);
    }
}
