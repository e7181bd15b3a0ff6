//! Signatures of a package that is here: which keys signed it, and adding one.
//!
//! Who signs has the key at home: the node is given payload and signature, never a key.

use super::source::{MAX_SIGNATURES, SourceRecord};
use crate::Mesh;
use crate::error::MeshError;
use hypermesh_model::{CatalogId, EventKind, Package, PackageSignature, Timestamp};
use hypermesh_registry::{Reference, Signature, SignatureMode};
use hypermesh_store::Batch;
use serde_json::json;

impl Mesh {
    /// Adds a signature over a package's manifest. Whether this node trusts its key is shown, not asked: it may be for
    /// others.
    ///
    /// # Errors
    /// [`MeshError::NotFound`]; [`MeshError::Unfit`] for a payload of something else; [`MeshError::Conflict`] at
    /// [`MAX_SIGNATURES`].
    pub async fn add_signature(&self, id: &CatalogId, signature: Signature) -> Result<Package, MeshError> {
        let _changing = self.catalog.changes.lock().await;
        let mut package = self.package(id)?;
        let (artifact, mut signatures) = self.source_of(&package)?;
        if !signature.signs(&artifact.manifest_digest()) {
            let digest = artifact.manifest_digest();
            let detail = format!("the payload is not of this package's manifest, sha256:{digest}");
            return Err(MeshError::unfit("payload", detail));
        }
        if signatures.contains(&signature) {
            return Ok(package);
        }
        if signatures.len() >= MAX_SIGNATURES {
            let detail = format!("the package has {MAX_SIGNATURES} signatures");
            return Err(MeshError::Conflict { detail });
        }
        for key_id in self.signers(&package, &signature) {
            if package.signatures.iter().all(|known| known.key_id != key_id) {
                package.signatures.push(PackageSignature { key_id, verified_at: Timestamp::now() });
            }
        }
        signatures.push(signature);
        let mut batch = Batch::new();
        batch.put(&self.tables.sources, SourceRecord::new(id, &artifact, &signatures));
        batch.put(&self.tables.packages, package.clone());
        let keys: Vec<&str> = package.signatures.iter().map(|s| s.key_id.as_str()).collect();
        batch.event(
            EventKind::PackageSigned,
            id.as_str(),
            json!({ "name": package.name, "trusted_keys": keys }),
        );
        self.commit(batch, "signing a package").await?;
        Ok(package)
    }

    /// The trusted keys that a signature is by.
    fn signers(&self, package: &Package, signature: &Signature) -> Vec<String> {
        let trust = &self.settings.catalog.trust;
        if trust.mode == SignatureMode::Off {
            return Vec::new();
        }
        let place = package.origin.as_deref().and_then(|text| Reference::parse(text).ok());
        let place = place.map(|reference| reference.place());
        let keys = trust.keys_for(&package.name, place.as_deref()).iter();
        keys.filter(|key| signature.is_by(key)).map(|key| key.id().to_owned()).collect()
    }
}
