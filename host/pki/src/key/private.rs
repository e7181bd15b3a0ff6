//! Private keys: made, read, written in PKCS #8 and used. Nothing prints one, and memory that held one is overwritten.

use super::encrypted;
use super::{KeyError, PublicKey, SignatureAlgorithm};
use crate::der::{Reader, oid, tag};
use crate::pem;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair,
};
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// What kind of key is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum KeyAlgorithm {
    /// ECDSA on P-256 with SHA-256: what every client knows, and the default.
    #[default]
    EcdsaP256,
    /// ECDSA on P-384 with SHA-384.
    EcdsaP384,
    /// Ed25519 (RFC 8410); browsers don't take it.
    Ed25519,
}

impl KeyAlgorithm {
    /// What a key of this kind signs with.
    pub fn signature(self) -> SignatureAlgorithm {
        match self {
            Self::EcdsaP256 => SignatureAlgorithm::EcdsaSha256,
            Self::EcdsaP384 => SignatureAlgorithm::EcdsaSha384,
            Self::Ed25519 => SignatureAlgorithm::Ed25519,
        }
    }
}

/// A private key. Clones are the same key.
#[derive(Clone)]
pub struct PrivateKey(Arc<Inner>);

struct Inner {
    pair: Pair,
    algorithm: KeyAlgorithm,
    public: PublicKey,
    pkcs8: Zeroizing<Vec<u8>>,
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl PrivateKey {
    /// Makes a key from the system's randomness.
    ///
    /// # Errors
    /// [`KeyError::Failed`].
    pub fn generate(algorithm: KeyAlgorithm) -> Result<Self, KeyError> {
        let failed = |_| KeyError::Failed;
        let pair = match ecdsa(algorithm) {
            Some(signing) => Pair::Ecdsa(EcdsaKeyPair::generate(signing).map_err(failed)?),
            None => Pair::Ed25519(Ed25519KeyPair::generate().map_err(failed)?),
        };
        Self::of(algorithm, pair)
    }

    /// Reads PKCS #8 (RFC 5958), unencrypted.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, KeyError> {
        let mut reader = Reader::only(der, tag::SEQUENCE)?;
        reader.number()?;
        let mut identifier = reader.sequence()?;
        let id = identifier.oid()?;
        let algorithm = match (id, if identifier.is_empty() { None } else { Some(identifier.oid()?) }) {
            (oid::EC_PUBLIC_KEY, Some(oid::P256)) => KeyAlgorithm::EcdsaP256,
            (oid::EC_PUBLIC_KEY, Some(oid::P384)) => KeyAlgorithm::EcdsaP384,
            (oid::ED25519, None) => KeyAlgorithm::Ed25519,
            _ => return Err(KeyError::Algorithm(oid::dotted(id))),
        };
        let invalid = |_| KeyError::Invalid;
        let pair = match ecdsa(algorithm) {
            Some(signing) => Pair::Ecdsa(EcdsaKeyPair::from_pkcs8(signing, der).map_err(invalid)?),
            None => Pair::Ed25519(Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(invalid)?),
        };
        Self::of(algorithm, pair)
    }

    /// Reads a PEM of PKCS #8 (`PRIVATE KEY`).
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_pkcs8_pem(text: &str) -> Result<Self, KeyError> {
        Self::from_pkcs8_der(&pem::decode("PRIVATE KEY", text)?)
    }

    /// Reads an encrypted PEM (`ENCRYPTED PRIVATE KEY`: PBES2 with AES-256-CBC, and scrypt or PBKDF2), ours or one that
    /// `openssl pkcs8 -topk8 -v2 aes256` wrote. It costs 16 MiB and some 50 ms for
    /// one of ours, and up to 64 MiB and seconds for another.
    ///
    /// # Errors
    /// [`KeyError::Passphrase`] if that doesn't open it.
    pub fn from_encrypted_pem(text: &str, passphrase: &[u8]) -> Result<Self, KeyError> {
        let sealed = pem::decode("ENCRYPTED PRIVATE KEY", text)?;
        let opened = encrypted::open(&sealed, passphrase)?;
        // What a wrong passphrase leaves is seldom padded well, and then it is no key.
        Self::from_pkcs8_der(&opened).map_err(|_| KeyError::Passphrase)
    }

    fn of(algorithm: KeyAlgorithm, pair: Pair) -> Result<Self, KeyError> {
        // Version 1: OpenSSL 3.0 reads no other.
        let (document, bits) = match &pair {
            Pair::Ecdsa(pair) => (pair.to_pkcs8v1(), pair.public_key().as_ref()),
            Pair::Ed25519(pair) => (pair.to_pkcs8v1(), pair.public_key().as_ref()),
        };
        let pkcs8 = Zeroizing::new(document.map_err(|_| KeyError::Failed)?.as_ref().to_vec());
        let public = PublicKey::of(algorithm, bits);
        Ok(Self(Arc::new(Inner { pair, algorithm, public, pkcs8 })))
    }

    /// The PKCS #8 bytes, e.g. for a TLS listener.
    pub fn pkcs8_der(&self) -> &[u8] {
        &self.0.pkcs8
    }

    /// The PEM (`PRIVATE KEY`), unencrypted: for the one answer that gives a made key out.
    pub fn to_pkcs8_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(pem::encode("PRIVATE KEY", &self.0.pkcs8))
    }

    /// The PEM (`ENCRYPTED PRIVATE KEY`), sealed with PBES2: scrypt (N = 16384, r = 8, p = 1: what OpenSSL's own
    /// limits read) and AES-256-CBC, with a salt and an IV of its own. It costs 16 MiB and some 50 ms.
    ///
    /// The cost slows guessing, and a random passphrase makes it hopeless; one that people choose should be long.
    ///
    /// # Errors
    /// [`KeyError::Failed`].
    pub fn to_encrypted_pem(&self, passphrase: &[u8]) -> Result<String, KeyError> {
        Ok(pem::encode("ENCRYPTED PRIVATE KEY", &encrypted::seal(&self.0.pkcs8, passphrase)?))
    }

    /// The key that verifies what this one signs.
    pub fn public(&self) -> &PublicKey {
        &self.0.public
    }

    /// What kind of key it is.
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.0.algorithm
    }

    /// Signs a message: ECDSA in DER over its SHA-256 (P-256) or SHA-384 (P-384), or Ed25519.
    ///
    /// # Errors
    /// [`KeyError::Failed`].
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let signature = match &self.0.pair {
            Pair::Ecdsa(pair) => pair.sign(&SystemRandom::new(), message),
            Pair::Ed25519(pair) => pair.try_sign(message),
        };
        signature.map(|signature| signature.as_ref().to_vec()).map_err(|_| KeyError::Failed)
    }

    /// Signs as [`Self::sign`] and gives ECDSA's two numbers side by side, as DNSSEC (RFC 6605 §4) and JWS (RFC 7518
    /// §3.4) have them: 64 bytes on P-256, 96 on P-384.
    ///
    /// # Errors
    /// [`KeyError::Failed`].
    pub fn sign_fixed(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let signature = self.sign(message)?;
        let width = match self.0.algorithm {
            KeyAlgorithm::EcdsaP256 => 32,
            KeyAlgorithm::EcdsaP384 => 48,
            KeyAlgorithm::Ed25519 => return Ok(signature),
        };
        let mut reader = Reader::only(&signature, tag::SEQUENCE)?;
        let mut fixed = Vec::with_capacity(2 * width);
        for _ in 0..2 {
            let number = reader.integer()?;
            let digits = number.strip_prefix(&[0]).unwrap_or(number);
            fixed.resize(fixed.len() + width.saturating_sub(digits.len()), 0);
            fixed.extend_from_slice(digits);
        }
        Ok(fixed)
    }
}

fn ecdsa(algorithm: KeyAlgorithm) -> Option<&'static EcdsaSigningAlgorithm> {
    match algorithm {
        KeyAlgorithm::EcdsaP256 => Some(&ECDSA_P256_SHA256_ASN1_SIGNING),
        KeyAlgorithm::EcdsaP384 => Some(&ECDSA_P384_SHA384_ASN1_SIGNING),
        KeyAlgorithm::Ed25519 => None,
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify_possession;

    const ALL: [KeyAlgorithm; 3] = [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Ed25519];

    #[test]
    fn a_key_comes_back_from_each_of_its_forms() {
        for algorithm in ALL {
            let key = PrivateKey::generate(algorithm).unwrap();
            let plain = PrivateKey::from_pkcs8_pem(&key.to_pkcs8_pem()).unwrap();
            assert_eq!(plain.public(), key.public());
            assert_eq!(PublicKey::from_pem(&key.public().pem()).unwrap(), *key.public());
            assert_eq!(format!("{key:?}"), "PrivateKey(hidden)");
            let sealed = key.to_encrypted_pem(b"a long passphrase").unwrap();
            assert_ne!(sealed, key.to_encrypted_pem(b"a long passphrase").unwrap());
            let opened = PrivateKey::from_encrypted_pem(&sealed, b"a long passphrase").unwrap();
            assert_eq!((opened.public(), opened.algorithm()), (key.public(), algorithm));
            for wrong in [&b"a long passphrasf"[..], b""] {
                let error = PrivateKey::from_encrypted_pem(&sealed, wrong).unwrap_err();
                assert_eq!(error, KeyError::Passphrase);
            }
        }
    }

    #[test]
    fn only_the_key_that_signed_verifies() {
        for algorithm in ALL {
            let (key, other) =
                (PrivateKey::generate(algorithm).unwrap(), PrivateKey::generate(algorithm).unwrap());
            let signature = key.sign(b"message").unwrap();
            assert!(verify_possession(key.public(), b"message", &signature));
            assert!(!verify_possession(key.public(), b"massage", &signature));
            assert!(!verify_possession(other.public(), b"message", &signature));
            assert!(!verify_possession(key.public(), b"message", &[]));
            assert!(!verify_possession(key.public(), b"message", &key.sign_fixed(b"other").unwrap()));
            let width = if algorithm == KeyAlgorithm::EcdsaP384 { 96 } else { 64 };
            assert!((0..20).all(|_| key.sign_fixed(b"message").unwrap().len() == width));
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let der = key.pkcs8_der();
        assert!(PrivateKey::from_pkcs8_der(&der[..der.len() - 1]).is_err());
        assert!(PrivateKey::from_pkcs8_der(&[der, &[0]].concat()).is_err());
        let mut spki = key.public().spki_der().to_vec();
        *spki.last_mut().unwrap() ^= 1;
        assert_eq!(PublicKey::from_spki_der(&spki), Err(KeyError::Invalid));
    }
}
