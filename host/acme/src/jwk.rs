//! Public keys of accounts: JSON Web Keys (RFC 7517, 7518, 8037), their thumbprints (RFC 7638), their signatures.
//!
//! RSA of 2048 to 4096 bits, P-256, P-384, Ed25519. A key has one form: numbers are of minimal or exact length, so
//! that one key never is two accounts. Fails by [`InvalidJwk`].

use crate::base64url;
use aws_lc_rs::digest;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};
use thiserror::Error;

/// Bits of an RSA key: below is weak, above costs a server more than a client.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;
/// Octets of a public exponent. 65537 has three; a larger one only makes verifying slower.
const MAX_EXPONENT: usize = 4;

/// Why a key can't be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "each message says it")]
pub enum InvalidJwk {
    #[error("the key has no {0:?}, or it is not in the form of RFC 7518")]
    Member(&'static str),
    #[error("keys of type {0:?} are not accepted; RSA, EC (P-256, P-384) and OKP (Ed25519) are")]
    Type(String),
    #[error("it is an RSA key of {0} bits; 2048 to 4096 are accepted")]
    Size(usize),
    #[error("its RSA numbers are not those of a sound key")]
    Unsound,
    #[error("it is a private key; throw it away")]
    Private,
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Jwk {
    /// RSA.
    Rsa {
        /// Modulus, big-endian, without leading zeros.
        n: Vec<u8>,
        /// Public exponent, the same.
        e: Vec<u8>,
    },
    /// A point on P-256.
    P256 {
        /// 32 octets.
        x: Vec<u8>,
        /// 32 octets.
        y: Vec<u8>,
    },
    /// A point on P-384.
    P384 {
        /// 48 octets.
        x: Vec<u8>,
        /// 48 octets.
        y: Vec<u8>,
    },
    /// Ed25519.
    Ed25519 {
        /// 32 octets.
        x: Vec<u8>,
    },
}

impl Jwk {
    /// Reads a key. Members that mean nothing here are ignored (RFC 7517, 4).
    ///
    /// # Errors
    /// [`InvalidJwk`].
    pub fn parse(map: &Map<String, Value>) -> Result<Self, InvalidJwk> {
        let text = |name| map.get(name).and_then(Value::as_str).ok_or(InvalidJwk::Member(name));
        let bytes = |name| base64url::decode(text(name)?).ok_or(InvalidJwk::Member(name));
        let exact = |name, octets| bytes(name).and_then(|found| of_length(found, octets, name));
        if map.contains_key("d") || map.contains_key("k") {
            return Err(InvalidJwk::Private);
        }
        match text("kty")? {
            "RSA" => Self::rsa(bytes("n")?, bytes("e")?),
            "EC" => match text("crv")? {
                "P-256" => Ok(Self::P256 { x: exact("x", 32)?, y: exact("y", 32)? }),
                "P-384" => Ok(Self::P384 { x: exact("x", 48)?, y: exact("y", 48)? }),
                other => Err(InvalidJwk::Type(shortened("EC", other))),
            },
            "OKP" => match text("crv")? {
                "Ed25519" => Ok(Self::Ed25519 { x: exact("x", 32)? }),
                other => Err(InvalidJwk::Type(shortened("OKP", other))),
            },
            other => Err(InvalidJwk::Type(other.chars().take(16).collect())),
        }
    }

    /// An RSA key of its two numbers, big-endian.
    pub(crate) fn rsa(n: Vec<u8>, e: Vec<u8>) -> Result<Self, InvalidJwk> {
        let (Some(first), Some(last)) = (n.first(), n.last()) else { return Err(InvalidJwk::Member("n")) };
        let bits = n.len() * 8 - usize::try_from(first.leading_zeros()).unwrap_or(0);
        if !RSA_BITS.contains(&bits) {
            return Err(InvalidJwk::Size(bits));
        }
        let exponent_is_sound = match e.as_slice() {
            [] | [0, ..] | [1] => false,
            [.., last] => last % 2 == 1 && e.len() <= MAX_EXPONENT,
        };
        // A modulus that is even, or that a client padded, is no product of two large primes, or no minimal number.
        if *first == 0 || last % 2 == 0 || !exponent_is_sound {
            return Err(InvalidJwk::Unsound);
        }
        Ok(Self::Rsa { n, e })
    }

    /// An EC key of an uncompressed point (SEC 1, 2.3.3); `None` if it is on neither curve.
    pub(crate) fn from_point(point: &[u8]) -> Option<Self> {
        let (4, coordinates) = point.split_first()? else { return None };
        let (x, y) = coordinates.split_at(coordinates.len() / 2);
        match coordinates.len() {
            64 => Some(Self::P256 { x: x.to_vec(), y: y.to_vec() }),
            96 => Some(Self::P384 { x: x.to_vec(), y: y.to_vec() }),
            _ => None,
        }
    }

    /// The key as an object, with the members that its thumbprint is over and no others.
    pub fn to_json(&self) -> Value {
        let text = |bytes: &[u8]| base64url::encode(bytes);
        match self {
            Self::Rsa { n, e } => json!({"e": text(e), "kty": "RSA", "n": text(n)}),
            Self::P256 { x, y } => json!({"crv": "P-256", "kty": "EC", "x": text(x), "y": text(y)}),
            Self::P384 { x, y } => json!({"crv": "P-384", "kty": "EC", "x": text(x), "y": text(y)}),
            Self::Ed25519 { x } => json!({"crv": "Ed25519", "kty": "OKP", "x": text(x)}),
        }
    }

    /// SHA-256 of the key's members in the order of their names, base64url (RFC 7638).
    pub fn thumbprint(&self) -> String {
        let text = |bytes: &[u8]| base64url::encode(bytes);
        let canonical = match self {
            Self::Rsa { n, e } => format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, text(e), text(n)),
            Self::P256 { x, y } => {
                format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, text(x), text(y))
            }
            Self::P384 { x, y } => {
                format!(r#"{{"crv":"P-384","kty":"EC","x":"{}","y":"{}"}}"#, text(x), text(y))
            }
            Self::Ed25519 { x } => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, text(x)),
        };
        base64url::encode(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref())
    }

    /// The one algorithm that it signs with (RFC 7518, 3.1; RFC 8037, 3.1).
    pub fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa { .. } => "RS256",
            Self::P256 { .. } => "ES256",
            Self::P384 { .. } => "ES384",
            Self::Ed25519 { .. } => "EdDSA",
        }
    }

    /// Whether it signed the message with its algorithm.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let verified = match self {
            Self::Rsa { n, e } => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
            Self::P256 { x, y } => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point(x, y)).verify(message, signature)
            }
            Self::P384 { x, y } => {
                UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point(x, y)).verify(message, signature)
            }
            Self::Ed25519 { x } => UnparsedPublicKey::new(&ED25519, x).verify(message, signature),
        };
        verified.is_ok()
    }
}

fn point(x: &[u8], y: &[u8]) -> Vec<u8> {
    [&[4], x, y].concat()
}

fn of_length(bytes: Vec<u8>, octets: usize, name: &'static str) -> Result<Vec<u8>, InvalidJwk> {
    if bytes.len() == octets { Ok(bytes) } else { Err(InvalidJwk::Member(name)) }
}

fn shortened(family: &str, curve: &str) -> String {
    format!("{family} {}", curve.chars().take(16).collect::<String>())
}

impl Serialize for Jwk {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Jwk {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = Map::deserialize(deserializer)?;
        Self::parse(&map).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Jwk, InvalidJwk> {
        Jwk::parse(&serde_json::from_str(text).unwrap())
    }

    const N: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_\
        BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMi\
        cAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINH\
        aQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";

    #[test]
    fn thumbprints_are_those_of_the_rfcs() {
        // RFC 7638, 3.1.
        let key = parse(&format!(r#"{{"kty":"RSA","n":"{N}","e":"AQAB","alg":"RS256","kid":"2011-04-29"}}"#));
        assert_eq!(key.unwrap().thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
        // RFC 8037, A.3.
        let key = parse(r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#);
        assert_eq!(key.unwrap().thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn keys_that_are_weak_or_in_another_form_are_refused() {
        let rsa = |n: &[u8], e: &[u8]| Jwk::rsa(n.to_vec(), e.to_vec());
        let mut n = vec![0xff; 256];
        assert!(rsa(&n, &[1, 0, 1]).is_ok());
        assert_eq!(rsa(&n[..128], &[1, 0, 1]), Err(InvalidJwk::Size(1024)));
        assert_eq!(rsa(&[0xff; 1024], &[1, 0, 1]), Err(InvalidJwk::Size(8192)));
        for exponent in [&[][..], &[1], &[2], &[0, 1, 0, 1], &[1, 0, 0, 0, 1]] {
            assert_eq!(rsa(&n, exponent), Err(InvalidJwk::Unsound), "{exponent:?}");
        }
        *n.last_mut().unwrap() = 0xfe;
        assert_eq!(rsa(&n, &[1, 0, 1]), Err(InvalidJwk::Unsound));
        for text in [
            r#"{}"#,
            r#"{"kty":1}"#,
            r#"{"kty":"oct"}"#,
            r#"{"kty":"EC","crv":"P-521","x":"AA","y":"AA"}"#,
            r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#,
            r#"{"kty":"OKP","crv":"X25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
            r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo="}"#,
            r#"{"kty":"OKP","crv":"Ed25519","d":"AA","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_key_reads_back_as_itself() {
        let key = Jwk::Rsa { n: vec![0xff; 256], e: vec![1, 0, 1] };
        assert_eq!(serde_json::from_str::<Jwk>(&serde_json::to_string(&key).unwrap()).unwrap(), key);
    }
}
