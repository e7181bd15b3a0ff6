//! Keys: ECDSA on P-256 with SHA-256, which cosign makes, and Ed25519 (FIPS 186-5).
//!
//! The arithmetic is aws-lc-rs'. Public keys are PEM of a SubjectPublicKeyInfo, private ones PEM of PKCS #8 (or SEC 1,
//! as `openssl ecparam` writes it). Of a public key's DER only the two exact forms are taken, so that one key has one id.

use crate::digest::sha256;
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    UnparsedPublicKey,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer};
use std::fmt;
use thiserror::Error;

/// What precedes the 65 bytes of an uncompressed point on P-256 (RFC 5480, 2).
const P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// What precedes the 32 bytes of an Ed25519 key (RFC 8410, 4).
const EDWARDS: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Why a key can't be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "each message says it")]
pub enum KeyError {
    #[error("it is no PEM of a public key (`-----BEGIN PUBLIC KEY-----`)")]
    NoPublicKey,
    #[error("it is no PEM of a private key (`-----BEGIN PRIVATE KEY-----`)")]
    NoPrivateKey,
    #[error("the key is encrypted; decrypt it first, e.g. with `openssl pkey`")]
    Encrypted,
    #[error(
        "the key is in cosign's own encrypted format, which is not read; sign with cosign, or with a PEM of PKCS #8"
    )]
    Cosign,
    #[error("the key is neither ECDSA on P-256 nor Ed25519")]
    Algorithm,
    #[error("the system gives no randomness, or the key does not work")]
    Failed,
}

/// A key that verifies.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    spki: Vec<u8>,
    id: String,
    is_edwards: bool,
}

impl PublicKey {
    /// Reads a PEM.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        let spki = SubjectPublicKeyInfoDer::from_pem_slice(pem).map_err(|_| KeyError::NoPublicKey)?;
        Self::from_der(spki.to_vec())
    }

    fn from_der(spki: Vec<u8>) -> Result<Self, KeyError> {
        let is = |prefix: &[u8], rest: usize| spki.len() == prefix.len() + rest && spki.starts_with(prefix);
        let is_edwards = is(&EDWARDS, 32);
        if !is_edwards && !is(&P256, 65) {
            return Err(KeyError::Algorithm);
        }
        Ok(Self { id: sha256(&spki).into(), spki, is_edwards })
    }

    /// The SHA-256 of the key's SubjectPublicKeyInfo, in hexadecimal.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether this key signed the message.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let verified = if self.is_edwards {
            UnparsedPublicKey::new(&ED25519, &self.spki[EDWARDS.len()..]).verify(message, signature)
        } else {
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.spki[P256.len()..])
                .verify(message, signature)
        };
        verified.is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublicKey").field(&self.id).finish()
    }
}

/// A key that signs. It never leaves the process that read it.
pub struct SigningKey(Pair);

enum Pair {
    P256(EcdsaKeyPair),
    Edwards(Ed25519KeyPair),
}

impl SigningKey {
    /// Reads a PEM.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        let has = |label: &[u8]| pem.windows(label.len()).any(|window| window == label);
        if has(b"ENCRYPTED SIGSTORE") || has(b"ENCRYPTED COSIGN") {
            return Err(KeyError::Cosign);
        }
        if has(b"ENCRYPTED") {
            return Err(KeyError::Encrypted);
        }
        let der = PrivateKeyDer::from_pem_slice(pem).map_err(|_| KeyError::NoPrivateKey)?;
        let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let pair = if let PrivateKeyDer::Pkcs8(key) = &der {
            let der = key.secret_pkcs8_der();
            let edwards = |_| Ed25519KeyPair::from_pkcs8(der).map(Pair::Edwards);
            EcdsaKeyPair::from_pkcs8(algorithm, der).map(Pair::P256).or_else(edwards).ok()
        } else if let PrivateKeyDer::Sec1(key) = &der {
            EcdsaKeyPair::from_private_key_der(algorithm, key.secret_sec1_der()).map(Pair::P256).ok()
        } else {
            None
        };
        pair.map(Self).ok_or(KeyError::Algorithm)
    }

    /// Makes a key on P-256.
    ///
    /// # Errors
    /// [`KeyError::Failed`].
    pub fn generate() -> Result<Self, KeyError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(|_| KeyError::Failed)?;
        Ok(Self(Pair::P256(pair)))
    }

    /// Signs a message.
    ///
    /// # Errors
    /// [`KeyError::Failed`].
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let signature = match &self.0 {
            Pair::P256(pair) => pair.sign(&SystemRandom::new(), message),
            Pair::Edwards(pair) => pair.try_sign(message),
        };
        signature.map(|signature| signature.as_ref().to_vec()).map_err(|_| KeyError::Failed)
    }

    /// The key that verifies what this one signs.
    ///
    /// # Errors
    /// [`KeyError::Failed`].
    pub fn public(&self) -> Result<PublicKey, KeyError> {
        let der: Result<PublicKeyX509Der<'static>, _> = match &self.0 {
            Pair::P256(pair) => pair.public_key().as_der(),
            Pair::Edwards(pair) => pair.public_key().as_der(),
        };
        PublicKey::from_der(der.map_err(|_| KeyError::Failed)?.as_ref().to_vec())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// The key of RFC 8410, 10.3.
    const EDWARDS_KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
        -----END PRIVATE KEY-----\n";
    const EDWARDS_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
        -----END PUBLIC KEY-----\n";

    #[test]
    fn an_edwards_key_signs_and_verifies() {
        let key = SigningKey::from_pem(EDWARDS_KEY.as_bytes()).unwrap();
        let public = PublicKey::from_pem(EDWARDS_PUBLIC.as_bytes()).unwrap();
        assert_eq!(key.public().unwrap(), public);
        let signature = key.sign(b"message").unwrap();
        assert!(public.verifies(b"message", &signature) && !public.verifies(b"massage", &signature));
        assert!(!public.verifies(b"message", &[]) && !public.verifies(b"message", &signature[1..]));
    }

    #[test]
    fn what_openssl_signs_is_verified_and_the_other_way_round() {
        let folder = tempfile::tempdir().unwrap();
        let run = |arguments: &[&str]| {
            let output = Command::new("openssl").current_dir(folder.path()).args(arguments).output().ok()?;
            output.status.success().then_some(output.stdout)
        };
        let made =
            run(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "key.pem"]);
        if made.is_none() {
            eprintln!("SKIPPED what_openssl_signs_is_verified_and_the_other_way_round: there is no openssl");
            return;
        }
        run(&["pkey", "-in", "key.pem", "-pubout", "-out", "pub.pem"]).unwrap();
        run(&["ec", "-in", "key.pem", "-out", "sec1.pem"]).unwrap();
        let file = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
        std::fs::write(folder.path().join("message"), b"message").unwrap();
        run(&["dgst", "-sha256", "-sign", "key.pem", "-out", "theirs", "message"]).unwrap();
        let public = PublicKey::from_pem(&file("pub.pem")).unwrap();
        assert!(public.verifies(b"message", &file("theirs")));
        for private in ["key.pem", "sec1.pem"] {
            let key = SigningKey::from_pem(&file(private)).unwrap();
            assert_eq!(key.public().unwrap(), public, "{private}");
            std::fs::write(folder.path().join("ours"), key.sign(b"message").unwrap()).unwrap();
            run(&["dgst", "-sha256", "-verify", "pub.pem", "-signature", "ours", "message"]).unwrap();
        }
    }

    #[test]
    fn what_is_no_key_of_ours_is_refused() {
        for noise in ["", "noise", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"] {
            assert!(PublicKey::from_pem(noise.as_bytes()).is_err(), "{noise}");
            assert!(SigningKey::from_pem(noise.as_bytes()).is_err(), "{noise}");
        }
        let encrypted = "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n";
        assert_eq!(SigningKey::from_pem(encrypted.as_bytes()).unwrap_err(), KeyError::Cosign);
        let encrypted = encrypted.replace(" SIGSTORE", "");
        assert_eq!(SigningKey::from_pem(encrypted.as_bytes()).unwrap_err(), KeyError::Encrypted);
    }
}
