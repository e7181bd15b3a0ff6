//! Signatures as cosign makes them: over a small document that names a manifest by digest ("simple signing").
//!
//! A signature is two things: the payload, a JSON document with the manifest's digest, and the signature over exactly its
//! bytes. In a registry both are one more image, under the tag `sha256-<hex>.sig`, one layer a signature
//! (cosign's SIGNATURE_SPEC.md). Certificates, transparency logs and bundles are another way of trusting than by key,
//! and are not read.

mod key;
mod policy;

pub use key::{KeyError, PublicKey, SigningKey};
pub use policy::{Evidence, PolicyError, SignatureMode, TrustPolicy, TrustRule};

use crate::artifact::{Descriptor, MANIFEST, Manifest, json};
use crate::digest::{digest_text, parse_digest};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hypermesh_model::BlobDigest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Media type of a payload.
pub(crate) const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// Annotation of a payload's layer: the signature in base64.
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// Configuration of the image that carries signatures.
const IMAGE_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// What a payload says that it is.
const TYPE: &str = "cosign container image signature";
/// Largest payload: cosign's own are below 1 KiB, and annotations may be added.
pub const MAX_PAYLOAD: u64 = 64 << 10;
/// Largest signature: of P-256 in ASN.1 it is 72 bytes long.
const MAX_SIGNATURE: usize = 1024;

/// A signature with what it is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    payload: Vec<u8>,
    signature: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Payload {
    critical: Critical,
    #[serde(default)]
    optional: serde_json::Value,
}

#[derive(Serialize, Deserialize)]
struct Critical {
    identity: Identity,
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Serialize, Deserialize)]
struct Identity {
    #[serde(rename = "docker-reference")]
    reference: String,
}

#[derive(Serialize, Deserialize)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    digest: String,
}

/// The payload that is signed for a manifest. `place` is the repository as people read it; nobody checks it, since what
/// is signed may move.
pub fn payload(place: &str, manifest: &BlobDigest) -> Vec<u8> {
    json(&Payload {
        critical: Critical {
            identity: Identity { reference: place.to_owned() },
            image: Image { digest: digest_text(manifest) },
            kind: TYPE.to_owned(),
        },
        optional: serde_json::Value::Null,
    })
}

impl Signature {
    /// A signature over these bytes.
    pub fn new(payload: Vec<u8>, signature: Vec<u8>) -> Self {
        Self { payload, signature }
    }

    /// From text: the payload as it is, the signature in base64. `None` for what can't be one.
    pub fn from_text(payload: &str, signature: &str) -> Option<Self> {
        let signature = decode(signature)?;
        (payload.len() as u64 <= MAX_PAYLOAD).then(|| Self::new(payload.as_bytes().to_vec(), signature))
    }

    /// What is signed.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The signature in base64.
    pub fn text(&self) -> String {
        BASE64_STANDARD.encode(&self.signature)
    }

    /// Whether the payload speaks of this manifest.
    pub fn signs(&self, manifest: &BlobDigest) -> bool {
        self.subject().as_ref() == Some(manifest)
    }

    /// The manifest that the payload speaks of; `None` for what is no payload.
    pub fn subject(&self) -> Option<BlobDigest> {
        let payload: Payload = serde_json::from_slice(&self.payload).ok()?;
        parse_digest(&payload.critical.image.digest).filter(|_| payload.critical.kind == TYPE)
    }

    /// Whether this key signed it. What it is over is another question: [`Self::signs`].
    pub fn is_by(&self, key: &PublicKey) -> bool {
        key.verifies(&self.payload, &self.signature)
    }

    pub(crate) fn of_layer(payload: Vec<u8>, annotations: &BTreeMap<String, String>) -> Option<Self> {
        Some(Self { payload, signature: decode(annotations.get(SIGNATURE)?)? })
    }
}

/// A signature's bytes, from base64.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    let fits = text.len() <= MAX_SIGNATURE * 2;
    fits.then(|| BASE64_STANDARD.decode(text).ok()).flatten().filter(|bytes| bytes.len() <= MAX_SIGNATURE)
}

/// The image that carries signatures.
pub(crate) struct SignatureManifest {
    pub(crate) manifest: Vec<u8>,
    pub(crate) config: Vec<u8>,
}

/// Builds it; `None` without a signature.
pub(crate) fn signature_manifest(signatures: &[Signature]) -> Option<SignatureManifest> {
    if signatures.is_empty() {
        return None;
    }
    let layers: Vec<Descriptor> = signatures
        .iter()
        .map(|signature| {
            let mut layer = Descriptor::of(SIMPLE_SIGNING, &signature.payload);
            layer.annotations.insert(SIGNATURE.to_owned(), signature.text());
            layer
        })
        .collect();
    let diff_ids: Vec<&str> = layers.iter().map(|layer| layer.digest.as_str()).collect();
    let config = json(&serde_json::json!({
        "architecture": "", "created": "0001-01-01T00:00:00Z", "config": {}, "history": [], "os": "",
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    }));
    let manifest = json(&Manifest {
        schema_version: 2,
        media_type: MANIFEST.to_owned(),
        config: Descriptor::of(IMAGE_CONFIG, &config),
        layers,
        annotations: BTreeMap::new(),
    });
    Some(SignatureManifest { manifest, config })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A payload, signature and key that cosign made (from sigstore-rs' tests of its verification).
    const PAYLOAD: &str = r#"{"critical":{"identity":{"docker-reference":"registry-testing.svc.lan/busybox"},"image":{"docker-manifest-digest":"sha256:f3cfc9d0dbf931d3db4685ec659b7ac68e2a578219da4aae65427886e649b06b"},"type":"cosign container image signature"},"optional":null}"#;
    const SIGNED: &str =
        "MEUCIQD6q/COgzOyW0YH1Dk+CCYSt4uAhm3FDHUwvPI55zwnlwIgE0ZK58ZOWpZw8YVmBapJhBqCfdPekIknimuO0xH8Jh8=";
    const KEY: &str = "-----BEGIN PUBLIC KEY-----\n\
        MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAENptdY/l3nB0yqkXLBWkZWQwo6+cu\n\
        OSWS1X9vPavpiQOoTTGC0xX57OojUadxF1cdQmrsiReWg2Wn4FneJfa8xw==\n\
        -----END PUBLIC KEY-----\n";

    #[test]
    fn what_cosign_signed_is_verified_and_nothing_else() {
        let key = PublicKey::from_pem(KEY.as_bytes()).unwrap();
        let signature = Signature::from_text(PAYLOAD, SIGNED).unwrap();
        assert!(signature.is_by(&key));
        let digest = "f3cfc9d0dbf931d3db4685ec659b7ac68e2a578219da4aae65427886e649b06b";
        assert!(signature.signs(&BlobDigest::parse(digest).unwrap()));
        assert!(!signature.signs(&BlobDigest::from_bytes(&[0; 32])));
        let moved = PAYLOAD.replace("f3cfc9d0", "f3cfc9d1");
        assert!(!Signature::from_text(&moved, SIGNED).unwrap().is_by(&key));
        let other = SigningKey::generate().unwrap().public().unwrap();
        assert!(!signature.is_by(&other));
    }

    #[test]
    fn our_payload_is_cosign_s_to_the_byte() {
        let digest = "f3cfc9d0dbf931d3db4685ec659b7ac68e2a578219da4aae65427886e649b06b";
        let ours = payload("registry-testing.svc.lan/busybox", &BlobDigest::parse(digest).unwrap());
        assert_eq!(String::from_utf8(ours).unwrap(), PAYLOAD);
    }

    #[test]
    fn what_is_no_signature_is_none() {
        assert!(Signature::from_text("{}", "not base64!").is_none());
        assert!(Signature::from_text("{}", &"A".repeat(4000)).is_none());
        let other_kind = PAYLOAD.replace("cosign container", "atomic container");
        assert_eq!(Signature::from_text(&other_kind, SIGNED).unwrap().subject(), None);
        assert_eq!(Signature::from_text("noise", SIGNED).unwrap().subject(), None);
    }
}
