//! Private and public keys, and what they sign.
//!
//! Keys are made and held by aws-lc-rs; here they get their forms (PKCS #8, SubjectPublicKeyInfo, PEM) and their limits:
//! a CA signs with P-256, P-384 or Ed25519, and certifies those and RSA of 2048 bits and more. Where a key's file lies
//! and who may read it is left to others. Everything fails with [`KeyError`].

mod algorithm;
mod encrypted;
mod private;
mod public;

pub use algorithm::SignatureAlgorithm;
pub use private::{KeyAlgorithm, PrivateKey};
pub use public::{PublicKey, PublicKeyAlgorithm};

use crate::der::DerError;
use crate::pem::PemError;
use thiserror::Error;

/// Why a key can't be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyError {
    /// It isn't there, or not once.
    #[error("the text holds no key")]
    Pem(#[source] PemError),
    /// It is no key.
    #[error("the key is malformed")]
    Der(#[source] DerError),
    /// A key of another kind.
    #[error("keys of algorithm {0} are not supported")]
    Algorithm(String),
    /// Breakable, e.g. RSA of 1024 bits.
    #[error("the key is too weak: {0}")]
    Weak(String),
    /// A point that is on no curve, or parts that don't belong together.
    #[error("the key's parts do not fit together")]
    Invalid,
    /// The passphrase is wrong; a damaged file looks the same.
    #[error("the passphrase does not open the key")]
    Passphrase,
    /// Another encryption than PBES2 with AES-256 and scrypt or PBKDF2 within limits.
    #[error("the key's encryption is not supported: {0}")]
    Encryption(&'static str),
    /// The provider of cryptography gave up: no randomness, or no memory.
    #[error("the cryptographic operation failed")]
    Failed,
}

impl From<DerError> for KeyError {
    fn from(error: DerError) -> Self {
        Self::Der(error)
    }
}

impl From<PemError> for KeyError {
    fn from(error: PemError) -> Self {
        Self::Pem(error)
    }
}

/// Whether `signature` is the key's, over `message`: with SHA-256 on P-256 and RSA (PKCS #1 v1.5 or PSS), SHA-384 on
/// P-384, SHA-512 on P-521 (ECDSA signatures in DER), or Ed25519.
///
/// It says that who sent the message holds the key. That the message is fresh and meant for us is its own to say.
pub fn verify_possession(key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
    key.algorithm().usual_signatures().iter().any(|algorithm| key.verifies(*algorithm, message, signature))
}
