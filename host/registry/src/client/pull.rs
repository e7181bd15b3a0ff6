//! Pulling: manifest, configuration, component and signatures of one reference, each checked against its digest.

use super::http::{Payload, Session};
use super::{Reach, RegistryClient};
use crate::artifact::{Artifact, Descriptor, MANIFEST, MAX_MANIFEST, Manifest};
use crate::digest::{Hashing, sha256};
use crate::error::RegistryError;
use crate::layout::signature_tag;
use crate::reference::{Reference, Target};
use crate::signature::{MAX_PAYLOAD, SIMPLE_SIGNING, Signature};
use hypermesh_model::BlobDigest;
use serde::Deserialize;
use std::io::{self, Read, Write};
use ureq::http::{Method, StatusCode, header};

/// The tag of a reference that has none.
const LATEST: &str = "latest";
/// Most signatures that are looked at.
const MAX_SIGNATURES: usize = 16;
/// What cosign calls a signature that refers to its subject (OCI 1.1 mode).
const SIGNATURE_ARTIFACT: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";

/// What was pulled; the component went where the caller wanted it.
#[derive(Debug)]
pub struct Pulled {
    /// Where it was, by the digest of its manifest.
    pub reference: Reference,
    /// Manifest and configuration.
    pub artifact: Artifact,
    /// The signatures that claim to be over the manifest. Nobody has verified them.
    pub signatures: Vec<Signature>,
}

impl RegistryClient {
    /// Pulls a component of at most `largest` bytes. What `to` has after a failure is worthless.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn pull(
        &self,
        reference: &Reference,
        reach: &Reach,
        largest: u64,
        to: &mut dyn Write,
    ) -> Result<Pulled, RegistryError> {
        let mut session = self.session(reference, reach)?;
        let target = reference.target().cloned().unwrap_or_else(|| Target::Tag(LATEST.to_owned()));
        let manifest = session.manifest(&target)?;
        let parsed = Manifest::parse(&manifest).map_err(RegistryError::Artifact)?;
        let layer = parsed.component(largest).map_err(RegistryError::Artifact)?.clone();
        let config = session.small_blob(&parsed.config, "the configuration", MAX_MANIFEST)?;
        let artifact = Artifact::read(manifest, config, largest).map_err(RegistryError::Artifact)?;
        session.copy_blob(&layer, artifact.component(), to)?;
        let digest = artifact.manifest_digest();
        let signatures = session.signatures(&digest)?;
        Ok(Pulled { reference: reference.with_target(Target::Digest(digest)), artifact, signatures })
    }
}

/// A list of what refers to a manifest (OCI Distribution Specification 1.1, "Listing Referrers").
#[derive(Deserialize)]
struct Referrers {
    manifests: Vec<Referrer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Referrer {
    digest: String,
    #[serde(default)]
    artifact_type: String,
}

impl Session<'_> {
    /// The bytes of a manifest; by digest they are what the digest says.
    fn manifest(&mut self, target: &Target) -> Result<Vec<u8>, RegistryError> {
        let uri = self.below(&format!("manifests/{target}"))?;
        let answer = self.send(&Method::GET, &uri, &[(header::ACCEPT, MANIFEST)], &Payload::Nothing)?;
        let what = self.reference().with_target(target.clone()).to_string();
        let mut answer = self.succeeded(answer, &what)?;
        let bytes = self.read(&uri, &mut answer, "the manifest", MAX_MANIFEST)?;
        match target {
            Target::Tag(_) => Ok(bytes),
            Target::Digest(wanted) => same("the manifest", wanted, sha256(&bytes)).map(|()| bytes),
        }
    }

    fn small_blob(
        &mut self,
        descriptor: &Descriptor,
        what: &'static str,
        limit: u64,
    ) -> Result<Vec<u8>, RegistryError> {
        let wanted = descriptor.sha256().map_err(RegistryError::Artifact)?;
        let uri = self.below(&format!("blobs/sha256:{wanted}"))?;
        let answer = self.send(&Method::GET, &uri, &[], &Payload::Nothing)?;
        let mut answer = self.succeeded(answer, what)?;
        let bytes = self.read(&uri, &mut answer, what, limit)?;
        same(what, &wanted, sha256(&bytes)).map(|()| bytes)
    }

    fn copy_blob(
        &mut self,
        layer: &Descriptor,
        wanted: &BlobDigest,
        to: &mut dyn Write,
    ) -> Result<(), RegistryError> {
        let what = "the component";
        let uri = self.below(&format!("blobs/sha256:{wanted}"))?;
        let answer = self.send(&Method::GET, &uri, &[], &Payload::Nothing)?;
        let mut answer = self.succeeded(answer, what)?;
        let mut from =
            Remembering { from: answer.body_mut().as_reader().take(layer.size + 1), failure: None };
        let mut to = Hashing::new(to);
        let copied = io::copy(&mut from, &mut to);
        if let Some(error) = from.failure {
            return Err(self.failed(&uri, error.into()));
        }
        copied.map_err(|source| RegistryError::Local { what: "storing the component", source })?;
        let (found, size) = to.finish();
        if size > layer.size {
            return Err(RegistryError::TooLarge { what, limit: layer.size });
        }
        same(what, wanted, found)
    }

    /// The signatures of a manifest, from cosign's tag and from what refers to it.
    pub(super) fn signatures(&mut self, manifest: &BlobDigest) -> Result<Vec<Signature>, RegistryError> {
        let mut images = vec![Target::Tag(signature_tag(manifest))];
        images.extend(self.referring(manifest)?.into_iter().map(Target::Digest));
        let mut signatures = Vec::new();
        for image in images {
            let bytes = match self.manifest(&image) {
                Ok(bytes) => bytes,
                Err(RegistryError::NotFound { .. }) => continue,
                Err(error) => return Err(error),
            };
            let parsed = Manifest::parse(&bytes).map_err(RegistryError::Artifact)?;
            for layer in parsed.layers.iter().filter(|layer| layer.media_type == SIMPLE_SIGNING) {
                if signatures.len() == MAX_SIGNATURES {
                    return Ok(signatures);
                }
                let payload = self.small_blob(layer, "a signature's payload", MAX_PAYLOAD)?;
                let signature = Signature::of_layer(payload, &layer.annotations);
                let fresh = |s: &Signature| s.signs(manifest) && !signatures.contains(s);
                signatures.extend(signature.filter(fresh));
            }
        }
        Ok(signatures)
    }

    /// Signatures that refer to a manifest; registries before OCI 1.1 don't know the question.
    fn referring(&mut self, manifest: &BlobDigest) -> Result<Vec<BlobDigest>, RegistryError> {
        let uri = self.below(&format!("referrers/sha256:{manifest}"))?;
        let mut answer = self.send(&Method::GET, &uri, &[], &Payload::Nothing)?;
        if answer.status() != StatusCode::OK {
            return Ok(Vec::new());
        }
        let bytes = self.read(&uri, &mut answer, "the list of referrers", MAX_MANIFEST)?;
        let Ok(list) = serde_json::from_slice::<Referrers>(&bytes) else { return Ok(Vec::new()) };
        let signatures = list.manifests.into_iter().filter(|m| m.artifact_type == SIGNATURE_ARTIFACT);
        let digests = signatures.filter_map(|m| crate::digest::parse_digest(&m.digest));
        Ok(digests.take(MAX_SIGNATURES).collect())
    }
}

fn same(what: &'static str, wanted: &BlobDigest, found: BlobDigest) -> Result<(), RegistryError> {
    if *wanted == found {
        Ok(())
    } else {
        Err(RegistryError::Content { what, wanted: wanted.clone(), found })
    }
}

/// Tells whose fault a failed copy is.
struct Remembering<R> {
    from: R,
    failure: Option<io::Error>,
}

impl<R: Read> Read for Remembering<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.from.read(buffer).map_err(|error| {
            let kind = error.kind();
            self.failure = Some(error);
            kind.into()
        })
    }
}
