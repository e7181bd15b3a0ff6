//! Signature algorithms: their AlgorithmIdentifier (RFC 5758, 4055, 8410) and what verifies them.

use crate::der::{DerError, Element, Reader, Writer, oid, tag};
use aws_lc_rs::signature::{self, VerificationAlgorithm};

/// How something is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the standards'")]
pub enum SignatureAlgorithm {
    EcdsaSha256,
    EcdsaSha384,
    EcdsaSha512,
    Ed25519,
    RsaSha256,
    RsaSha384,
    RsaSha512,
    RsaPssSha256,
    RsaPssSha384,
    RsaPssSha512,
    /// SHA-1 or MD5: forgeable, never verified.
    Broken,
    /// None of these.
    Unknown,
}

impl SignatureAlgorithm {
    /// Reads an AlgorithmIdentifier. Parameters that the algorithm doesn't have make it [`Self::Unknown`].
    pub(crate) fn read(element: &Element<'_>) -> Result<Self, DerError> {
        let mut reader = Reader::new(element.content);
        let id = reader.oid()?;
        let parameters = if reader.is_empty() { None } else { Some(reader.element()?) };
        reader.end()?;
        let null = parameters.is_some_and(|it| it.tag == tag::NULL && it.content.is_empty());
        // RFC 4055 §5: NULL, and what leaves it out is to be taken.
        let rsa = null || parameters.is_none();
        Ok(match id {
            oid::ECDSA_SHA256 if parameters.is_none() => Self::EcdsaSha256,
            oid::ECDSA_SHA384 if parameters.is_none() => Self::EcdsaSha384,
            oid::ECDSA_SHA512 if parameters.is_none() => Self::EcdsaSha512,
            oid::ED25519 if parameters.is_none() => Self::Ed25519,
            oid::RSA_SHA256 if rsa => Self::RsaSha256,
            oid::RSA_SHA384 if rsa => Self::RsaSha384,
            oid::RSA_SHA512 if rsa => Self::RsaSha512,
            oid::RSA_PSS => parameters.map_or(Ok(Self::Unknown), |it| pss(it.content))?,
            oid::RSA_MD5 | oid::RSA_SHA1 | oid::ECDSA_SHA1 => Self::Broken,
            _ => Self::Unknown,
        })
    }

    /// Writes the AlgorithmIdentifier of what our keys sign with; others are never written.
    pub(crate) fn write(self, w: &mut Writer) {
        let id = match self {
            Self::EcdsaSha256 => oid::ECDSA_SHA256,
            Self::EcdsaSha384 => oid::ECDSA_SHA384,
            Self::EcdsaSha512 => oid::ECDSA_SHA512,
            Self::Ed25519 => oid::ED25519,
            Self::RsaSha256
            | Self::RsaSha384
            | Self::RsaSha512
            | Self::RsaPssSha256
            | Self::RsaPssSha384
            | Self::RsaPssSha512
            | Self::Broken
            | Self::Unknown => return debug_assert!(false, "no key of ours signs so"),
        };
        w.sequence(|w| w.oid(id));
    }

    /// What verifies it with a key of this kind, if they fit.
    pub(super) fn verifier(
        self,
        key: super::PublicKeyAlgorithm,
    ) -> Option<&'static dyn VerificationAlgorithm> {
        use super::PublicKeyAlgorithm as Key;
        Some(match (key, self) {
            (Key::EcdsaP256, Self::EcdsaSha256) => &signature::ECDSA_P256_SHA256_ASN1,
            (Key::EcdsaP256, Self::EcdsaSha384) => &signature::ECDSA_P256_SHA384_ASN1,
            (Key::EcdsaP256, Self::EcdsaSha512) => &signature::ECDSA_P256_SHA512_ASN1,
            (Key::EcdsaP384, Self::EcdsaSha256) => &signature::ECDSA_P384_SHA256_ASN1,
            (Key::EcdsaP384, Self::EcdsaSha384) => &signature::ECDSA_P384_SHA384_ASN1,
            (Key::EcdsaP384, Self::EcdsaSha512) => &signature::ECDSA_P384_SHA512_ASN1,
            (Key::EcdsaP521, Self::EcdsaSha256) => &signature::ECDSA_P521_SHA256_ASN1,
            (Key::EcdsaP521, Self::EcdsaSha384) => &signature::ECDSA_P521_SHA384_ASN1,
            (Key::EcdsaP521, Self::EcdsaSha512) => &signature::ECDSA_P521_SHA512_ASN1,
            (Key::Ed25519, Self::Ed25519) => &signature::ED25519,
            (Key::Rsa { .. }, Self::RsaSha256) => &signature::RSA_PKCS1_2048_8192_SHA256,
            (Key::Rsa { .. }, Self::RsaSha384) => &signature::RSA_PKCS1_2048_8192_SHA384,
            (Key::Rsa { .. }, Self::RsaSha512) => &signature::RSA_PKCS1_2048_8192_SHA512,
            (Key::Rsa { .. }, Self::RsaPssSha256) => &signature::RSA_PSS_2048_8192_SHA256,
            (Key::Rsa { .. }, Self::RsaPssSha384) => &signature::RSA_PSS_2048_8192_SHA384,
            (Key::Rsa { .. }, Self::RsaPssSha512) => &signature::RSA_PSS_2048_8192_SHA512,
            _ => return None,
        })
    }

    /// Its usual name, e.g. `ecdsa-with-SHA256`.
    pub fn name(self) -> &'static str {
        match self {
            Self::EcdsaSha256 => "ecdsa-with-SHA256",
            Self::EcdsaSha384 => "ecdsa-with-SHA384",
            Self::EcdsaSha512 => "ecdsa-with-SHA512",
            Self::Ed25519 => "Ed25519",
            Self::RsaSha256 => "sha256WithRSAEncryption",
            Self::RsaSha384 => "sha384WithRSAEncryption",
            Self::RsaSha512 => "sha512WithRSAEncryption",
            Self::RsaPssSha256 => "RSASSA-PSS with SHA-256",
            Self::RsaPssSha384 => "RSASSA-PSS with SHA-384",
            Self::RsaPssSha512 => "RSASSA-PSS with SHA-512",
            Self::Broken => "one with SHA-1 or MD5",
            Self::Unknown => "an unknown one",
        }
    }
}

/// RSASSA-PSS-params (RFC 4055 §3.1): only the one hash of both parts, with a salt of its length, is known.
fn pss(content: &[u8]) -> Result<SignatureAlgorithm, DerError> {
    let mut reader = Reader::new(content);
    let hash = match reader.optional(tag::constructed(0))? {
        Some(hash) => Reader::only(hash, tag::SEQUENCE)?.oid()?,
        None => return Ok(SignatureAlgorithm::Broken),
    };
    let mask = match reader.optional(tag::constructed(1))? {
        Some(mask) => {
            let mut mask = Reader::only(mask, tag::SEQUENCE)?;
            mask.oid()?;
            mask.sequence()?.oid()?
        }
        None => return Ok(SignatureAlgorithm::Broken),
    };
    let salt = match reader.optional(tag::constructed(2))? {
        Some(salt) => Reader::new(salt).number()?,
        None => 20,
    };
    Ok(match (hash, salt) {
        _ if hash != mask || !reader.is_empty() => SignatureAlgorithm::Unknown,
        (oid::SHA256, 32) => SignatureAlgorithm::RsaPssSha256,
        (oid::SHA384, 48) => SignatureAlgorithm::RsaPssSha384,
        (oid::SHA512, 64) => SignatureAlgorithm::RsaPssSha512,
        (oid::SHA1, _) => SignatureAlgorithm::Broken,
        _ => SignatureAlgorithm::Unknown,
    })
}
