//! Adding: what came, settled into a package: named, within quota, trusted, vetted, described, entered.
//!
//! What is refused leaves nothing: the component's file goes with the last one that works on it, unless a package has
//! it. Name and version are looked at before the component is compiled, which is dear, and again when it is entered,
//! since others add at the same time.

use super::quota::shortages;
use super::source::{SourceRecord, build};
use crate::Mesh;
use crate::blobs::{Receiving, StoredBlob};
use crate::error::MeshError;
use crate::requests::NewPackage;
use hypermesh_engine::Profile;
use hypermesh_model::{
    CatalogId, EventKind, MAX_PACKAGE_VERSION, Operation, Package, PackageSignature, Subject, Timestamp,
    Version, World, error_chain, package_name_of,
};
use hypermesh_registry::{Artifact, ComponentFacts, Evidence, Reference, Signature, read_component};
use hypermesh_store::Batch;
use serde_json::json;
use std::fs;

/// The version of an upload for which nobody says one.
const FIRST_VERSION: Version = Version::new(0, 1, 0);
/// Longest description that is taken over, in characters.
const MAX_DESCRIPTION: usize = 256;

/// What came with a component beside its bytes.
#[derive(Debug, Default)]
pub(super) struct Came {
    /// The manifest that it had; `None` for a bare component.
    pub(super) artifact: Option<Artifact>,
    /// The signatures that claim to be over that manifest.
    pub(super) signatures: Vec<Signature>,
    /// Where it was pulled.
    pub(super) origin: Option<Reference>,
    /// What it is called if nothing else says.
    pub(super) fallback_name: Option<String>,
    /// Its version if nothing else says.
    pub(super) fallback_version: Option<String>,
    /// It is part of this program: nobody else has to vouch for it.
    pub(super) built_in: bool,
}

/// A component that was looked at and may go on.
struct Examined {
    called: Called,
    facts: ComponentFacts,
    signed_by: Vec<String>,
}

/// What a package will be called.
struct Called {
    name: String,
    version: Version,
    description: String,
}

/// What a command can do: run. Its arguments and environment are parameters, so that it is executed as a job is.
fn command_operation() -> Operation {
    Operation {
        name: "run".into(),
        description: "Runs the command; its standard output is at /stdout".into(),
        parameters: json!({
            "type": "object",
            "properties": {
                "arguments": { "type": "array", "items": { "type": "string" } },
                "environment": { "type": "object", "additionalProperties": { "type": "string" } },
            },
            "additionalProperties": false,
        }),
    }
}

impl Mesh {
    /// Vets, compiles and describes an uploaded component and adds it to the catalog. The same component under the
    /// same name and version is the same package. What the upload does not say is taken from the component.
    ///
    /// # Errors
    /// [`MeshError::Unprocessable`] with every reason when it can't be admitted; [`MeshError::Conflict`] when name and
    /// version are taken by another component; [`MeshError::Refused`] when a quota is used up; [`MeshError::Unfit`]
    /// when neither the upload nor the component says a name.
    pub async fn add_package(
        &self,
        by: &Subject,
        new: NewPackage,
        upload: StoredBlob,
    ) -> Result<Package, MeshError> {
        self.add(by, new, Came::default(), upload).await
    }

    /// Adds a component that this program carries, whatever the node's policy on signatures.
    ///
    /// # Errors
    /// As for [`Self::add_package`].
    pub async fn add_built_in(
        &self,
        by: &Subject,
        new: NewPackage,
        upload: StoredBlob,
    ) -> Result<Package, MeshError> {
        self.add(by, new, Came { built_in: true, ..Came::default() }, upload).await
    }

    pub(super) async fn add(
        &self,
        by: &Subject,
        new: NewPackage,
        came: Came,
        upload: StoredBlob,
    ) -> Result<Package, MeshError> {
        let (mesh, by) = (self.clone(), by.clone());
        // To its end even if the caller hangs up, so that what is refused leaves nothing.
        self.spawned(async move {
            let held = mesh.catalog.hold(&upload.digest);
            let added = mesh.add_held(&by, new, came, &upload).await;
            drop(held);
            if added.is_err() {
                mesh.drop_component(&upload.digest).await?;
            }
            added
        })
        .await?
    }

    async fn add_held(
        &self,
        by: &Subject,
        new: NewPackage,
        came: Came,
        upload: &StoredBlob,
    ) -> Result<Package, MeshError> {
        let (came, Examined { called, facts, signed_by }) = self.examine(new, came, upload).await?;
        if let Some(same) = self.same_package(&called, upload)? {
            return self.signed_again(same, &came).await;
        }
        self.check_quota(by, upload)?;
        let vetted = self.compile(&upload.digest, Profile::Plain).await?;
        let operations = match vetted.world {
            World::Job => self.ask_operations(&upload.digest).await?,
            World::Command => vec![command_operation()],
            World::Validator | World::Http => Vec::new(),
        };
        let _changing = self.catalog.changes.lock().await;
        if let Some(same) = self.same_package(&called, upload)? {
            return Ok(same);
        }
        self.check_quota(by, upload)?;
        let now = Timestamp::now();
        let mut package = Package {
            id: CatalogId::generate(),
            name: called.name,
            version: called.version.to_string(),
            description: called.description,
            author: by.clone(),
            digest: upload.digest.clone(),
            size: upload.size,
            world: vetted.world,
            capabilities: vetted.capabilities,
            operations,
            downloads: 0,
            created_at: now,
            metadata: facts.metadata,
            deprecated: None,
            signatures: signed_by
                .into_iter()
                .map(|key_id| PackageSignature { key_id, verified_at: now })
                .collect(),
            manifest: None,
            origin: came.origin.as_ref().map(ToString::to_string),
        };
        let artifact = came.artifact.unwrap_or_else(|| build(&package, facts.exports));
        package.manifest = Some(artifact.manifest_digest());
        let mut batch = Batch::new();
        batch.put(&self.tables.sources, SourceRecord::new(&package.id, &artifact, &came.signatures));
        batch.put(&self.tables.packages, package.clone());
        let data = json!({ "name": package.name, "version": package.version, "digest": package.digest });
        batch.event(EventKind::PackageAdded, package.id.as_str(), data);
        self.commit(batch, "adding a package").await?;
        Ok(package)
    }

    /// Reads what the component says of itself, settles its name, and judges its signatures. For its caller the file was
    /// there a moment ago.
    async fn examine(
        &self,
        mut new: NewPackage,
        came: Came,
        upload: &StoredBlob,
    ) -> Result<(Came, Examined), MeshError> {
        let path = self.blobs.path(Receiving::Component, &upload.digest);
        self.blocking_mesh(move |mesh| {
            let bytes = fs::read(path).map_err(|_| MeshError::Busy {
                detail: "the component was removed while it was added; send it again".into(),
            })?;
            // What it is instead, where it is no component, the engine says best.
            let facts = read_component(&bytes).map_err(|error| {
                let reasons = hypermesh_engine::inspect(&bytes).refusals;
                match reasons.first() {
                    Some(first) => MeshError::Unprocessable {
                        detail: format!("the component is refused: {first}"),
                        reasons,
                    },
                    None => refused(&error),
                }
            })?;
            let detached = new.signature.take();
            let called = called(new, &came, &facts)?;
            let place = came.origin.as_ref().map(Reference::place);
            let manifest = came.artifact.as_ref().map(Artifact::manifest_digest);
            let evidence = Evidence {
                name: &called.name,
                place: place.as_deref(),
                manifest: manifest.as_ref(),
                signatures: &came.signatures,
                detached: detached.as_deref(),
                component: &bytes,
            };
            let signed_by = if came.built_in {
                Vec::new()
            } else {
                mesh.settings.catalog.trust.judge(&evidence).map_err(|error| refused(&error))?
            };
            Ok((came, Examined { called, facts, signed_by }))
        })
        .await
    }

    /// The package that this would be once more, if there is one.
    fn same_package(&self, called: &Called, upload: &StoredBlob) -> Result<Option<Package>, MeshError> {
        let Called { name, version, .. } = called;
        let is_same = |p: &Package| p.name == *name && p.version == version.to_string();
        match self.tables.packages.filter(is_same).pop() {
            Some(existing) if existing.digest == upload.digest => Ok(Some(existing)),
            Some(_) => {
                let detail = format!("`{name}` {version} is another component; give this one a new version");
                Err(MeshError::Conflict { detail })
            }
            None => Ok(None),
        }
    }

    /// A package that came once more, with the signatures that it has got meanwhile.
    async fn signed_again(&self, mut package: Package, came: &Came) -> Result<Package, MeshError> {
        let manifest = came.artifact.as_ref().map(Artifact::manifest_digest);
        if manifest.is_some() && manifest == package.manifest {
            for signature in &came.signatures {
                match self.add_signature(&package.id, signature.clone()).await {
                    // It has as many as it can have.
                    Err(MeshError::Conflict { .. }) => break,
                    signed => package = signed?,
                }
            }
        }
        Ok(package)
    }

    fn check_quota(&self, by: &Subject, upload: &StoredBlob) -> Result<(), MeshError> {
        let quota = &self.settings.catalog.quota;
        let packages = self.tables.packages.all();
        let shortages = shortages(quota, &packages, by, &upload.digest, upload.size);
        if shortages.is_empty() { Ok(()) } else { Err(MeshError::Refused { shortages }) }
    }
}

fn refused(error: &(dyn std::error::Error + 'static)) -> MeshError {
    let reason = error_chain(error);
    MeshError::Unprocessable { detail: format!("the component is refused: {reason}"), reasons: vec![reason] }
}

/// What the upload says, else its manifest, else the component, else what there is to say.
fn called(new: NewPackage, came: &Came, facts: &ComponentFacts) -> Result<Called, MeshError> {
    let artifact = came.artifact.as_ref();
    let names = [artifact.and_then(Artifact::title), facts.name.as_deref(), came.fallback_name.as_deref()];
    let own_name = || names.into_iter().flatten().find_map(package_name_of);
    let name = new.name.or_else(own_name).ok_or_else(|| {
        MeshError::unfit("name", "`name` is needed: the component does not say what it is called")
    })?;
    let tag = came.fallback_version.as_deref();
    let versions = [artifact.and_then(Artifact::version), tag, facts.version.as_deref()];
    let own_version = || versions.into_iter().flatten().find_map(version_of);
    let texts = [artifact.and_then(Artifact::description), facts.description.as_deref()];
    let own_description = || texts.into_iter().flatten().next().map(line);
    Ok(Called {
        name,
        version: new.version.or_else(own_version).unwrap_or(FIRST_VERSION),
        description: new.description.or_else(own_description).unwrap_or_default(),
    })
}

/// A version that a stranger wrote, if it is one and bearable; a tag may have a `v` before it.
fn version_of(text: &str) -> Option<Version> {
    let text = text.strip_prefix('v').unwrap_or(text);
    (text.len() <= MAX_PACKAGE_VERSION).then(|| Version::parse(text).ok()).flatten()
}

/// A description that a stranger wrote, as one line of bearable length.
fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_DESCRIPTION).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_upload_leaves_out_the_component_says() {
        let facts = ComponentFacts {
            name: Some("Word_Count.wasm".into()),
            version: Some("2.0.0-rc.1".into()),
            description: Some("counts".into()),
            ..ComponentFacts::default()
        };
        let called = |new, facts: &ComponentFacts| called(new, &Came::default(), facts);
        let settled = called(NewPackage::default(), &facts).unwrap();
        assert_eq!((settled.name.as_str(), settled.description.as_str()), ("word-count", "counts"));
        assert_eq!(settled.version.to_string(), "2.0.0-rc.1");
        let given = NewPackage { name: Some("other".into()), ..NewPackage::default() };
        assert_eq!(called(given, &facts).unwrap().name, "other");
        let odd = ComponentFacts { version: Some("latest".into()), ..facts };
        assert_eq!(called(NewPackage::default(), &odd).unwrap().version, FIRST_VERSION);
        let nameless = called(NewPackage::default(), &ComponentFacts::default());
        assert!(matches!(nameless, Err(MeshError::Unfit { member, .. }) if member == "name"));
    }
}
