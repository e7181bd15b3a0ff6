//! Signatures of the log: ECDSA on P-256 over SHA-256, wrapped as RFC 5246 §4.7 has it and RFC 6962 §2.1.4 wants it.
//!
//! The private key is somebody else's ([`Signer`]); verifying needs the public one alone ([`LogKey`]).

use crate::codec::{Reader, put_vector};
use crate::merkle::{Hash, sha256};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ParsedPublicKey};
use std::error::Error;
use std::fmt;
use thiserror::Error;

/// `SignatureAndHashAlgorithm` sha256(4), ecdsa(3) of RFC 5246 §7.4.1.4.1: the one pair that the log signs with.
const SHA256_ECDSA: [u8; 2] = [4, 3];

/// Why a signer did not sign.
pub type SignError = Box<dyn Error + Send + Sync>;

/// The log's private key, wherever it is.
pub trait Signer: Send + Sync {
    /// An ECDSA P-256 signature over the SHA-256 of the message, in DER. Called from many threads at once.
    ///
    /// # Errors
    /// What the key's keeper says.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError>;

    /// The key's public half, a DER `SubjectPublicKeyInfo`.
    fn spki_der(&self) -> &[u8];
}

/// Why a signature is not the log's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// The key is no P-256 `SubjectPublicKeyInfo`.
    #[error("the key is no P-256 public key")]
    BadKey,
    /// No `DigitallySigned` of sha256 and ecdsa.
    #[error("the signature is not in the form that the log signs in")]
    BadForm,
    /// Another key signed, or something else.
    #[error("the signature does not verify")]
    Wrong,
}

/// The log's public key.
#[derive(Clone)]
pub struct LogKey {
    id: Hash,
    key: ParsedPublicKey,
}

impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl LogKey {
    /// From a DER `SubjectPublicKeyInfo`.
    ///
    /// # Errors
    /// [`SignatureError::BadKey`].
    pub fn from_spki_der(spki: &[u8]) -> Result<Self, SignatureError> {
        let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, spki).map_err(|_| SignatureError::BadKey)?;
        Ok(Self { id: sha256(spki), key })
    }

    /// The log's id: the SHA-256 of its key (RFC 6962 §3.2).
    pub fn id(&self) -> &Hash {
        &self.id
    }

    /// Verifies a `DigitallySigned` over a message.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify(&self, message: &[u8], digitally_signed: &[u8]) -> Result<(), SignatureError> {
        let mut reader = Reader::new(digitally_signed);
        let form = reader.array::<2>().zip(reader.vector(2));
        match form {
            Some((SHA256_ECDSA, der)) if reader.is_empty() => {
                self.key.verify_sig(message, der).map_err(|_| SignatureError::Wrong)
            }
            Some(_) | None => Err(SignatureError::BadForm),
        }
    }
}

/// A DER signature as `DigitallySigned`.
pub(crate) fn digitally_signed(der: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(der.len() + 4);
    out.extend_from_slice(&SHA256_ECDSA);
    put_vector(&mut out, der, 2);
    out
}

/// A key that lives in memory, for tests.
#[cfg(test)]
pub(crate) mod memory {
    use super::{SignError, Signer};
    use aws_lc_rs::encoding::AsDer;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};

    pub(crate) struct MemoryKey(EcdsaKeyPair, Vec<u8>);

    impl MemoryKey {
        pub(crate) fn generate() -> Self {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
            let spki = pair.public_key().as_der().unwrap().as_ref().to_vec();
            Self(pair, spki)
        }
    }

    impl Signer for MemoryKey {
        fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
            let signature = self.0.sign(&SystemRandom::new(), message).map_err(|_| "unspecified")?;
            Ok(signature.as_ref().to_vec())
        }
        fn spki_der(&self) -> &[u8] {
            &self.1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::memory::MemoryKey;
    use super::*;

    #[test]
    fn a_signature_is_bound_to_key_message_and_form() {
        let (key, other) = (MemoryKey::generate(), MemoryKey::generate());
        let public = LogKey::from_spki_der(key.spki_der()).unwrap();
        let signature = digitally_signed(&key.sign(b"message").unwrap());
        public.verify(b"message", &signature).unwrap();
        assert_eq!(public.verify(b"massage", &signature), Err(SignatureError::Wrong));
        let foreign = digitally_signed(&other.sign(b"message").unwrap());
        assert_eq!(public.verify(b"message", &foreign), Err(SignatureError::Wrong));
        let longer = [&signature[..], &[0]].concat();
        let rsa = [&[4, 1], &signature[2..]].concat();
        for wrong in [&signature[..signature.len() - 1], &longer, &rsa, &[]] {
            assert_eq!(public.verify(b"message", wrong), Err(SignatureError::BadForm));
        }
        assert_eq!(LogKey::from_spki_der(b"no key").unwrap_err(), SignatureError::BadKey);
        assert_eq!(*public.id(), sha256(key.spki_der()));
    }
}
