//! Pushing: what the registry lacks of a package, then its manifest, then its signatures beside those that are there.

use super::http::{Payload, Session};
use super::{Reach, RegistryClient};
use crate::artifact::{Artifact, MANIFEST};
use crate::digest::sha256;
use crate::error::RegistryError;
use crate::layout::signature_tag;
use crate::reference::{Reference, Target};
use crate::signature::{Signature, signature_manifest};
use hypermesh_model::BlobDigest;
use std::fs::File;
use ureq::http::{Method, StatusCode, header};

/// What was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// Where it is, by tag.
    pub tagged: Reference,
    /// Where it is, by the digest of its manifest.
    pub digest: Reference,
    /// How many signatures stand beside it now.
    pub signatures: usize,
}

impl RegistryClient {
    /// Pushes a package under the reference's tag, or else under `tag`. `component` is read from its beginning.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn push(
        &self,
        reference: &Reference,
        reach: &Reach,
        artifact: &Artifact,
        tag: &str,
        component: &File,
        signatures: &[Signature],
    ) -> Result<Pushed, RegistryError> {
        let mut session = self.session(reference, reach)?;
        let tagged = match reference.target() {
            Some(Target::Tag(_)) => reference.clone(),
            Some(Target::Digest(_)) | None => reference.with_target(Target::Tag(tag.to_owned())),
        };
        session.put_blob(&sha256(artifact.config()), &Payload::Bytes(artifact.config()))?;
        let file = Payload::File(component, artifact.component_size());
        session.put_blob(artifact.component(), &file)?;
        session.put_manifest(tagged.target(), artifact.manifest())?;
        let digest = artifact.manifest_digest();
        let count = session.put_signatures(&digest, signatures)?;
        Ok(Pushed { tagged, digest: reference.with_target(Target::Digest(digest)), signatures: count })
    }
}

impl Session<'_> {
    /// Uploads a blob in one piece, unless it is there (OCI Distribution Specification 1.1, "Pushing blobs").
    fn put_blob(&mut self, digest: &BlobDigest, content: &Payload<'_>) -> Result<(), RegistryError> {
        let uri = self.below(&format!("blobs/sha256:{digest}"))?;
        if self.send(&Method::HEAD, &uri, &[], &Payload::Nothing)?.status() == StatusCode::OK {
            return Ok(());
        }
        let begin = self.below("blobs/uploads/")?;
        let begun = self.send(&Method::POST, &begin, &[], &Payload::Bytes(b""))?;
        let begun = self.succeeded(begun, "an upload")?;
        let place = self.led(&begun)?;
        let separator = if place.query().is_some() { '&' } else { '?' };
        let place = format!("{place}{separator}digest=sha256:{digest}");
        let place = place.parse().map_err(|_| self.protocol("it leads to an address that is none"))?;
        let kind = [(header::CONTENT_TYPE, "application/octet-stream")];
        let answer = self.send(&Method::PUT, &place, &kind, content)?;
        self.succeeded(answer, "an upload").map(drop)
    }

    fn put_manifest(&mut self, target: Option<&Target>, bytes: &[u8]) -> Result<(), RegistryError> {
        let target = target.ok_or_else(|| self.protocol("there is no tag"))?;
        let uri = self.below(&format!("manifests/{target}"))?;
        let kind = [(header::CONTENT_TYPE, MANIFEST)];
        let answer = self.send(&Method::PUT, &uri, &kind, &Payload::Bytes(bytes))?;
        self.succeeded(answer, "a manifest").map(drop)
    }

    /// Adds signatures to those that stand there, so that nobody's is lost.
    fn put_signatures(&mut self, manifest: &BlobDigest, ours: &[Signature]) -> Result<usize, RegistryError> {
        if ours.is_empty() {
            return Ok(0);
        }
        let mut all = self.signatures(manifest)?;
        let there = all.len();
        all.extend(ours.iter().filter(|signature| !all.contains(signature)).cloned().collect::<Vec<_>>());
        let Some(image) = signature_manifest(&all).filter(|_| all.len() > there) else { return Ok(there) };
        for signature in &all {
            self.put_blob(&sha256(signature.payload()), &Payload::Bytes(signature.payload()))?;
        }
        self.put_blob(&sha256(&image.config), &Payload::Bytes(&image.config))?;
        self.put_manifest(Some(&Target::Tag(signature_tag(manifest))), &image.manifest)?;
        Ok(all.len())
    }
}
