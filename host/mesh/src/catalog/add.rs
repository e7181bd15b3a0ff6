//! Adding: what came, settled into a package: named, within quota, vetted, described, entered.
//!
//! What is refused leaves nothing: the component's file goes with the last one that works on it, unless a package has
//! it. Name and version are looked at before the component is compiled, which is dear, and again when it is entered,
//! since others add at the same time.

use super::quota::shortages;
use crate::Mesh;
use crate::blobs::{Receiving, StoredBlob};
use crate::error::MeshError;
use crate::requests::NewPackage;
use hypermesh_model::{
    CatalogId, EventKind, Package, Subject, Timestamp, Version, World, error_chain, package_name_of,
};
use hypermesh_registry::{ComponentFacts, read_component};
use hypermesh_store::Batch;
use serde_json::json;
use std::fs;

/// The version of an upload for which nobody says one.
const FIRST_VERSION: Version = Version::new(0, 1, 0);

/// What a package will be called.
struct Called {
    name: String,
    version: Version,
    description: String,
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
        let (mesh, by) = (self.clone(), by.clone());
        // To its end even if the caller hangs up, so that what is refused leaves nothing.
        self.spawned(async move {
            let held = mesh.catalog.hold(&upload.digest);
            let added = match mesh.facts_of(&upload).await {
                Ok(facts) => mesh.add_held(&by, new, &upload, facts).await,
                Err(error) => Err(error),
            };
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
        upload: &StoredBlob,
        facts: ComponentFacts,
    ) -> Result<Package, MeshError> {
        let called = called(new, &facts)?;
        if let Some(same) = self.same_package(&called, upload)? {
            return Ok(same);
        }
        self.check_quota(by, upload)?;
        let vetted = self.compile(&upload.digest).await?;
        let operations = match vetted.world {
            World::Job => self.describe(&upload.digest).await?,
            World::Validator => Vec::new(),
        };
        let _changing = self.catalog.changes.lock().await;
        if let Some(same) = self.same_package(&called, upload)? {
            return Ok(same);
        }
        self.check_quota(by, upload)?;
        let package = Package {
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
            created_at: Timestamp::now(),
            metadata: facts.metadata,
            deprecated: None,
            signatures: Vec::new(),
            origin: None,
        };
        let mut batch = Batch::new();
        batch.put(&self.tables.packages, package.clone());
        let data = json!({ "name": package.name, "version": package.version, "digest": package.digest });
        batch.event(EventKind::PackageAdded, package.id.as_str(), data);
        self.commit(batch, "adding a package").await?;
        Ok(package)
    }

    /// What the component says of itself. For its caller the file was there a moment ago.
    async fn facts_of(&self, upload: &StoredBlob) -> Result<ComponentFacts, MeshError> {
        let path = self.blobs.path(Receiving::Component, &upload.digest);
        self.blocking_mesh(move |_| {
            let bytes = fs::read(path).map_err(|_| MeshError::Busy {
                detail: "the component was removed while it was added; send it again".into(),
            })?;
            read_component(&bytes).map_err(|error| MeshError::Unprocessable {
                detail: format!("the component is refused: {}", error_chain(&error)),
                reasons: vec![error_chain(&error)],
            })
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

    fn check_quota(&self, by: &Subject, upload: &StoredBlob) -> Result<(), MeshError> {
        let quota = &self.settings.catalog.quota;
        let packages = self.tables.packages.all();
        let shortages = shortages(quota, &packages, by, &upload.digest, upload.size);
        if shortages.is_empty() { Ok(()) } else { Err(MeshError::Refused { shortages }) }
    }
}

/// What the upload says, else what the component says, else what there is to say.
fn called(new: NewPackage, facts: &ComponentFacts) -> Result<Called, MeshError> {
    let own_name = || facts.name.as_deref().and_then(package_name_of);
    let name = new.name.or_else(own_name).ok_or_else(|| {
        MeshError::unfit("name", "`name` is needed: the component does not say what it is called")
    })?;
    let own_version = || facts.version.as_deref().and_then(|text| Version::parse(text).ok());
    Ok(Called {
        name,
        version: new.version.or_else(own_version).unwrap_or(FIRST_VERSION),
        description: new.description.or_else(|| facts.description.clone()).unwrap_or_default(),
    })
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
