//! A package as an OCI artifact: its manifest, its configuration and the signatures over the manifest.
//!
//! What was pulled or imported keeps the manifest that it came with, byte by byte, since signatures are over its digest;
//! for what was uploaded as a bare component one is built, once. Both are small and stand in a table of their own, beside
//! the packages, which every list reads.

use crate::Mesh;
use crate::blobs::{MAX_COMPONENT_BYTES, Receiving};
use crate::error::MeshError;
use hypermesh_model::{CatalogId, Package, PackageMetadata};
use hypermesh_registry::{About, Archive, Artifact, Signature, read_component, tag_of_version};
use hypermesh_store::{Batch, Record};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};

/// Most signatures of one package.
pub(super) const MAX_SIGNATURES: usize = 16;

/// Manifest, configuration and signatures of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SourceRecord {
    package: CatalogId,
    manifest: String,
    config: String,
    signatures: Vec<SignatureRecord>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SignatureRecord {
    payload: String,
    /// In base64.
    signature: String,
}

impl Record for SourceRecord {
    const TABLE: &'static str = "package_sources";
    type Key = CatalogId;
    fn key(&self) -> CatalogId {
        self.package.clone()
    }
}

impl SourceRecord {
    pub(super) fn new(package: &CatalogId, artifact: &Artifact, signatures: &[Signature]) -> Self {
        // Both were parsed as JSON, which is UTF-8.
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            package: package.clone(),
            manifest: text(artifact.manifest()),
            config: text(artifact.config()),
            signatures: signatures
                .iter()
                .take(MAX_SIGNATURES)
                .map(|s| SignatureRecord { payload: text(s.payload()), signature: s.text() })
                .collect(),
        }
    }

    fn artifact(&self) -> Result<Artifact, MeshError> {
        let (manifest, config) = (self.manifest.clone().into_bytes(), self.config.clone().into_bytes());
        Artifact::read(manifest, config, MAX_COMPONENT_BYTES)
            .map_err(|e| MeshError::internal("reading a package's manifest")(Box::new(e)))
    }

    fn signatures(&self) -> Vec<Signature> {
        self.signatures.iter().filter_map(|s| Signature::from_text(&s.payload, &s.signature)).collect()
    }
}

/// A package on its way out of the node, as an archive.
#[derive(Debug)]
pub struct Export {
    /// The archive but for the component.
    pub archive: Archive,
    /// The component.
    pub component: File,
    /// A name for the file.
    pub file_name: String,
}

impl Mesh {
    /// A package as an OCI image layout in a tar archive.
    ///
    /// # Errors
    /// [`MeshError::NotFound`].
    pub async fn export(&self, id: &CatalogId) -> Result<Export, MeshError> {
        let package = self.package(id)?;
        let (artifact, signatures) = self.source_of(&package)?;
        let component = self.open_component(&package).await?;
        let archive = Archive::new(&artifact, &tag_of_version(&package.version), &signatures);
        let file_name = format!("{}-{}.tar", package.name, package.version);
        Ok(Export { archive, component, file_name })
    }

    /// A package's artifact and its signatures.
    pub(super) fn source_of(&self, package: &Package) -> Result<(Artifact, Vec<Signature>), MeshError> {
        let record = self.tables.sources.get(&package.id);
        let record = record.ok_or_else(|| MeshError::not_found("manifest of package", &package.id))?;
        Ok((record.artifact()?, record.signatures()))
    }

    /// A package's component, for as long as the caller keeps it.
    pub(super) async fn open_component(&self, package: &Package) -> Result<File, MeshError> {
        let path = self.blobs.path(Receiving::Component, &package.digest);
        let fault = |e| MeshError::internal("opening a component")(Box::new(e));
        self.blocking_mesh(move |_| File::open(path).map_err(fault)).await
    }

    /// Builds what the packages of earlier builds lack.
    pub(crate) fn complete_sources(&self) -> Result<(), MeshError> {
        for package in self.tables.packages.filter(|package| package.manifest.is_none()) {
            let path = self.blobs.path(Receiving::Component, &package.digest);
            // Whose component is gone can't run either; it is shown until somebody removes it.
            let Ok(bytes) = fs::read(path) else { continue };
            let exports = read_component(&bytes).map(|facts| facts.exports).unwrap_or_default();
            let artifact = build(&package, exports);
            let mut batch = Batch::new();
            batch.put(&self.tables.sources, SourceRecord::new(&package.id, &artifact, &[]));
            batch.put(
                &self.tables.packages,
                Package { manifest: Some(artifact.manifest_digest()), ..package },
            );
            self.store
                .commit_blocking(batch)
                .map_err(|e| MeshError::internal("completing a package")(Box::new(e)))?;
        }
        Ok(())
    }
}

/// The artifact of a package that came as a bare component.
pub(super) fn build(package: &Package, exports: Vec<String>) -> Artifact {
    let PackageMetadata { authors, licenses, source, homepage, revision } = &package.metadata;
    Artifact::build(&About {
        name: &package.name,
        version: &package.version,
        description: &package.description,
        authors: authors.as_deref(),
        licenses: licenses.as_deref(),
        source: source.as_deref(),
        homepage: homepage.as_deref(),
        revision: revision.as_deref(),
        created: package.created_at.to_string(),
        component: &package.digest,
        size: package.size.0,
        imports: package.capabilities.iter().map(|capability| capability.import.clone()).collect(),
        exports,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::tests::package;
    use hypermesh_registry::payload;

    #[test]
    fn a_record_gives_back_what_was_put_in() {
        let package = package("a", "1.0.0+build");
        let artifact = build(&package, vec!["hypermesh:guest/job".into()]);
        let signature = Signature::new(payload("r.example/a", &artifact.manifest_digest()), vec![0, 0xff, 7]);
        let record = SourceRecord::new(&package.id, &artifact, std::slice::from_ref(&signature));
        let text = serde_json::to_string(&record).unwrap();
        let record: SourceRecord = serde_json::from_str(&text).unwrap();
        assert_eq!((record.artifact().unwrap(), record.signatures()), (artifact, vec![signature]));
    }
}
