//! Packages in and out: an archive, a registry.
//!
//! What comes goes the way of every upload once its digests are checked. Both directions run on threads of their own, a
//! bounded number at a time, to their end even if the caller hangs up.

use super::add::Came;
use crate::Mesh;
use crate::blobs::{MAX_COMPONENT_BYTES, Receiving, Sink, StoredBlob};
use crate::error::MeshError;
use crate::requests::NewPackage;
use hypermesh_model::{CatalogId, EventKind, Package, Subject, error_chain};
use hypermesh_registry::{
    Layout, LayoutError, Pushed, Reach, Reference, RegistryError, Target, tag_of_version,
};
use hypermesh_store::Batch;
use serde_json::json;
use std::fs::File;
use std::io::{BufReader, Write};

impl Mesh {
    /// Adds the component of an image-layout archive.
    ///
    /// # Errors
    /// [`MeshError::Unprocessable`] for an archive without one; as for [`Self::add_package`].
    pub async fn import(&self, by: &Subject, new: NewPackage, archive: File) -> Result<Package, MeshError> {
        let (came, upload) = self
            .blocking_mesh(move |mesh| {
                let mut layout =
                    Layout::open(BufReader::new(archive), MAX_COMPONENT_BYTES).map_err(no_layout)?;
                let upload = mesh.store_component(|to| layout.copy_component(to), no_layout)?;
                let came = Came {
                    artifact: Some(layout.artifact().clone()),
                    signatures: layout.signatures().to_vec(),
                    ..Came::default()
                };
                Ok((came, upload))
            })
            .await?;
        self.add(by, new, came, upload).await
    }

    /// Pulls a component from a registry and adds it.
    ///
    /// # Errors
    /// [`MeshError::Unfit`] for a registry that may not be used; [`MeshError::Unprocessable`] for what the registry does
    /// not give; [`MeshError::Busy`] when too many are under way; as for [`Self::add_package`].
    pub async fn pull(
        &self,
        by: &Subject,
        new: NewPackage,
        reference: Reference,
        reach: Reach,
    ) -> Result<Package, MeshError> {
        let (mesh, by) = (self.clone(), by.clone());
        self.spawned(async move {
            let _permit = mesh.catalog.transfers.try_acquire().map_err(|_| busy())?;
            let tag = match reference.target() {
                Some(Target::Tag(tag)) => Some(tag.clone()),
                Some(Target::Digest(_)) | None => None,
            };
            let last = reference.repository().rsplit('/').next().map(str::to_owned);
            let (pulled, upload) = mesh
                .blocking_mesh(move |mesh| {
                    let mut pulled = None;
                    let upload = mesh.store_component(
                        |to| {
                            let registries = &mesh.catalog.registries;
                            pulled = Some(registries.pull(&reference, &reach, MAX_COMPONENT_BYTES, to)?);
                            Ok(())
                        },
                        refused,
                    )?;
                    Ok((pulled, upload))
                })
                .await?;
            let mut came = Came { fallback_name: last, fallback_version: tag, ..Came::default() };
            if let Some(pulled) = pulled {
                came.artifact = Some(pulled.artifact);
                came.signatures = pulled.signatures;
                came.origin = Some(pulled.reference);
            }
            mesh.add(&by, new, came, upload).await
        })
        .await?
    }

    /// Pushes a package to a registry, under the reference's tag or else its version.
    ///
    /// # Errors
    /// [`MeshError::NotFound`]; as for [`Self::pull`].
    pub async fn push(
        &self,
        id: &CatalogId,
        reference: Reference,
        reach: Reach,
    ) -> Result<Pushed, MeshError> {
        let package = self.package(id)?;
        let mesh = self.clone();
        self.spawned(async move {
            let _permit = mesh.catalog.transfers.try_acquire().map_err(|_| busy())?;
            let (artifact, signatures) = mesh.source_of(&package)?;
            let component = mesh.open_component(&package).await?;
            let tag = tag_of_version(&package.version);
            let pushed = mesh
                .blocking_mesh(move |mesh| {
                    let registries = &mesh.catalog.registries;
                    let pushed =
                        registries.push(&reference, &reach, &artifact, &tag, &component, &signatures);
                    pushed.map_err(refused)
                })
                .await?;
            let mut batch = Batch::new();
            let data = json!({ "name": package.name, "reference": pushed.digest.to_string() });
            batch.event(EventKind::PackagePushed, package.id.as_str(), data);
            mesh.commit(batch, "recording a push").await?;
            Ok(pushed)
        })
        .await?
    }

    /// Stores what `copy` writes as a component. What the store refuses counts more than what `copy` makes of it.
    fn store_component<E>(
        &self,
        copy: impl FnOnce(&mut dyn Write) -> Result<(), E>,
        failed: impl FnOnce(E) -> MeshError,
    ) -> Result<StoredBlob, MeshError> {
        let mut writer = self.blobs.receive(Receiving::Component)?;
        let mut sink = Sink { writer: &mut writer, refused: None };
        let copied = copy(&mut sink);
        match (sink.refused.take(), copied) {
            (Some(error), _) => Err(error),
            (None, Err(error)) => Err(failed(error)),
            (None, Ok(())) => writer.finish(),
        }
    }
}

fn busy() -> MeshError {
    MeshError::Busy { detail: "too many packages are being pulled and pushed; try again later".into() }
}

fn no_layout(error: LayoutError) -> MeshError {
    let reason = error_chain(&error);
    MeshError::Unprocessable { detail: format!("the archive is refused: {reason}"), reasons: vec![reason] }
}

/// What a registry did is the caller's to know; what this node's own files did is ours.
fn refused(error: RegistryError) -> MeshError {
    match error {
        RegistryError::Reference(_) => MeshError::invalid("reference", error.to_string()),
        RegistryError::NotAllowed { .. } | RegistryError::PlainHttp { .. } => {
            MeshError::unfit("reference", error.to_string())
        }
        RegistryError::Local { .. } | RegistryError::CredentialsFile(_) | RegistryError::Certificates(_) => {
            MeshError::internal("talking to a registry")(Box::new(error))
        }
        RegistryError::Unreachable { .. }
        | RegistryError::Unauthorized { .. }
        | RegistryError::NotFound { .. }
        | RegistryError::Refused { .. }
        | RegistryError::Protocol { .. }
        | RegistryError::TooLarge { .. }
        | RegistryError::Content { .. }
        | RegistryError::Artifact(_)
        | RegistryError::Deadline { .. } => {
            let reason = error_chain(&error);
            MeshError::Unprocessable { detail: reason.clone(), reasons: vec![reason] }
        }
    }
}
