//! Signed requests: a JWS in flattened JSON serialisation (RFC 7515, 7.2.2), as RFC 8555, 6.2 narrows it.
//!
//! This is form only: what the header says, and the bytes that the signature is over. Whether the URL, the key and the
//! nonce are the right ones is decided in `server/request.rs`, in that order. Everything that two parsers could read in
//! two ways is refused: members that are there twice, unknown ones, unprotected headers, several signatures.

mod external;

use crate::base64url;
use crate::json;
use crate::jwk::{InvalidJwk, Jwk};
pub(crate) use external::binds;
use serde_json::{Map, Value};
use thiserror::Error;

/// Why a body is no signed request.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum JwsError {
    #[error("the body is no JWS: {0}")]
    Body(String),
    #[error("the JWS has no string {0:?}")]
    Member(&'static str),
    #[error(
        "the JWS has a member {0:?}; a flattened one has `protected`, `payload` and `signature`, and no more"
    )]
    Unknown(String),
    #[error("{0:?} is not base64url without padding")]
    Encoding(&'static str),
    #[error("the protected header is not one: {0}")]
    Header(String),
    #[error("the protected header has no string {0:?}")]
    HeaderMember(&'static str),
    #[error("the protected header has {0:?}, which is not supported")]
    Extension(&'static str),
    #[error("the protected header has both `jwk` and `kid`, or neither")]
    Signer,
    #[error("the key can't be used")]
    Key(#[source] InvalidJwk),
}

/// Who signed, as the header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Signer {
    /// A key that is in the header.
    Key(Jwk),
    /// The account, or the external account, of this name.
    Id(String),
}

/// A request whose form is right. Nothing of it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Jws {
    pub(crate) algorithm: String,
    pub(crate) nonce: Option<String>,
    pub(crate) url: String,
    pub(crate) signer: Signer,
    pub(crate) payload: Vec<u8>,
    pub(crate) signature: Vec<u8>,
    /// What the signature is over.
    pub(crate) signed: Vec<u8>,
}

impl Jws {
    /// Reads a body.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, JwsError> {
        Self::from_object(&json::parse_object(body).map_err(JwsError::Body)?)
    }

    /// Reads an object, as one stands in the payload of another (RFC 8555, 7.3.4).
    pub(crate) fn from_object(object: &Map<String, Value>) -> Result<Self, JwsError> {
        const MEMBERS: [&str; 3] = ["protected", "payload", "signature"];
        if let Some(name) = object.keys().find(|name| !MEMBERS.contains(&name.as_str())) {
            return Err(JwsError::Unknown(name.chars().take(40).collect()));
        }
        let text = |name| object.get(name).and_then(Value::as_str).ok_or(JwsError::Member(name));
        let bytes = |name| base64url::decode(text(name)?).ok_or(JwsError::Encoding(name));
        let signed = format!("{}.{}", text("protected")?, text("payload")?).into_bytes();
        let (header, payload, signature) = (bytes("protected")?, bytes("payload")?, bytes("signature")?);
        let header = json::parse_object(&header).map_err(JwsError::Header)?;
        if let Some(name) = ["crit", "b64"].into_iter().find(|name| header.contains_key(*name)) {
            return Err(JwsError::Extension(name));
        }
        let required = |name| header.get(name).and_then(Value::as_str).ok_or(JwsError::HeaderMember(name));
        let nonce = match header.get("nonce") {
            None => None,
            Some(nonce) => Some(nonce.as_str().ok_or(JwsError::HeaderMember("nonce"))?.to_owned()),
        };
        let signer = match (header.get("jwk"), header.get("kid")) {
            (Some(Value::Object(key)), None) => Signer::Key(Jwk::parse(key).map_err(JwsError::Key)?),
            (None, Some(Value::String(id))) => Signer::Id(id.clone()),
            _ => return Err(JwsError::Signer),
        };
        let (algorithm, url) = (required("alg")?.to_owned(), required("url")?.to_owned());
        Ok(Self { algorithm, nonce, url, signer, payload, signature, signed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &str = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

    fn body(header: &str) -> Vec<u8> {
        format!(
            r#"{{"protected":"{}","payload":"e30","signature":"AA"}}"#,
            base64url::encode(header.as_bytes())
        )
        .into()
    }

    #[test]
    fn a_request_is_read_whole() {
        let header = format!(r#"{{"alg":"EdDSA","nonce":"n","url":"u","jwk":{KEY},"typ":"x"}}"#);
        let jws = Jws::parse(&body(&header)).unwrap();
        assert_eq!(
            (jws.algorithm.as_str(), jws.nonce.as_deref(), jws.url.as_str()),
            ("EdDSA", Some("n"), "u")
        );
        assert_eq!((jws.payload.as_slice(), jws.signature.as_slice()), (&b"{}"[..], &[0][..]));
        assert!(matches!(jws.signer, Signer::Key(Jwk::Ed25519 { .. })));
        assert_eq!(jws.signed, format!("{}.e30", base64url::encode(header.as_bytes())).as_bytes());
    }

    #[test]
    fn headers_that_could_mean_two_things_are_refused() {
        for header in [
            r#"{"alg":"ES256","url":"u"}"#.to_owned(),
            format!(r#"{{"alg":"ES256","url":"u","kid":"a","jwk":{KEY}}}"#),
            r#"{"alg":"ES256","url":"u","kid":1}"#.into(),
            r#"{"alg":"ES256","url":"u","jwk":"a"}"#.into(),
            r#"{"alg":"ES256","url":"u","kid":"a","crit":["b"]}"#.into(),
            r#"{"alg":"ES256","url":"u","kid":"a","b64":false}"#.into(),
            r#"{"alg":"ES256","url":"u","kid":"a","kid":"b"}"#.into(),
            r#"{"alg":"ES256","url":"u","kid":"a","nonce":7}"#.into(),
            r#"{"alg":["ES256"],"url":"u","kid":"a"}"#.into(),
            r#"{"alg":"ES256","kid":"a"}"#.into(),
            r#"{"url":"u","kid":"a"}"#.into(),
            r#"[]"#.into(),
            String::new(),
        ] {
            assert!(Jws::parse(&body(&header)).is_err(), "{header}");
        }
    }

    #[test]
    fn bodies_that_are_not_flattened_are_refused() {
        let header = base64url::encode(br#"{"alg":"ES256","url":"u","kid":"a"}"#);
        let right = format!(r#"{{"protected":"{header}","payload":"","signature":""}}"#);
        assert!(Jws::parse(right.as_bytes()).is_ok());
        for body in [
            format!(r#"{{"protected":"{header}","payload":"","signature":"","header":{{}}}}"#),
            format!(r#"{{"protected":"{header}","payload":"","signature":"","signatures":[]}}"#),
            format!(r#"{{"payload":"","signatures":[{{"protected":"{header}","signature":""}}]}}"#),
            format!(r#"{{"protected":"{header}","payload":"","signature":"","payload":""}}"#),
            format!(r#"{{"protected":"{header}=","payload":"","signature":""}}"#),
            format!(r#"{{"protected":"{header}","payload":null,"signature":""}}"#),
            format!(r#"{{"protected":"{header}","signature":""}}"#),
            format!("{header}.."),
        ] {
            assert!(Jws::parse(body.as_bytes()).is_err(), "{body}");
        }
    }

    proptest! {
        #[test]
        fn no_body_is_too_strange(body in any::<Vec<u8>>(), header in r#"[{}",:a-z0-9\[\]]{0,40}"#) {
            let _ = Jws::parse(&body);
            let _ = Jws::parse(&self::body(&header));
        }
    }
}
