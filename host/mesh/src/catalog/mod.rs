//! The catalog: components that were vetted, compiled and asked what they can do, and the vms that run them.
//!
//! ```text
//! upload, archive, registry ─▶ stored by digest ─▶ named, within quota, signatures judged
//!     ─▶ vetted and compiled (own process, limits) ─▶ described (own process, limits) ─▶ package
//! ```
//! Nothing of a stranger's component runs before it is vetted, nothing of it runs in the node's own process, and the
//! machine code is only ever what our own compile process wrote.
//!
//! A package is a name, a version and a component by digest; name and version stand for one component for ever. A
//! version that should not be used any more is deprecated, and removed only when nothing uses it.

mod add;
mod compile;
mod hold;
mod install;
mod lifecycle;
mod quota;
mod remove;
mod sign;
mod source;
mod transfer;

pub use compile::compile_main;
pub(crate) use hold::Catalog;
pub use install::default_limits;
pub use quota::CatalogQuota;
pub use source::Export;
pub(crate) use source::SourceRecord;

use crate::Mesh;
use crate::error::MeshError;
use crate::execution::Folder;
use hypermesh_model::{CatalogId, ExecutionId, Package, PackageRequirement};
use hypermesh_registry::{RegistryAccess, TrustPolicy};

/// How the catalog is run.
#[derive(Debug, Clone, Default)]
pub struct CatalogSettings {
    /// How much it may hold.
    pub quota: CatalogQuota,
    /// Whose signature a package needs.
    pub trust: TrustPolicy,
    /// Which registries are used, and how.
    pub registries: RegistryAccess,
}

impl Mesh {
    /// All packages, by name, of each name the newest version first.
    pub fn packages(&self) -> Vec<Package> {
        let mut packages = self.tables.packages.all();
        packages.sort_by(Package::list_order);
        packages
    }

    /// One package.
    ///
    /// # Errors
    /// [`MeshError::NotFound`].
    pub fn package(&self, id: &CatalogId) -> Result<Package, MeshError> {
        self.tables.packages.get(id).ok_or_else(|| MeshError::not_found("package", id))
    }

    /// The package that a requirement means.
    ///
    /// # Errors
    /// [`MeshError::Missing`] with what there is to choose from.
    pub fn resolve(&self, requirement: &PackageRequirement) -> Result<Package, MeshError> {
        let named = self.tables.packages.filter(|package| package.name == requirement.name);
        let chosen = requirement.choose(&named).cloned();
        chosen.map_err(|error| MeshError::Missing { detail: error.to_string() })
    }

    fn scratch(&self) -> Result<Folder, MeshError> {
        let work = Folder::of(&self.settings.data_dir.join("work"), &ExecutionId::generate());
        work.remove()?;
        Ok(work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hypermesh_model::{BlobDigest, Bytes, PackageMetadata, Subject, Timestamp, World};

    /// A package of a job, for tests of this module's parts.
    pub(super) fn package(name: &str, version: &str) -> Package {
        Package {
            id: CatalogId::generate(),
            name: name.into(),
            version: version.into(),
            description: String::new(),
            author: Subject("admin".into()),
            digest: BlobDigest::from_bytes(&[0; 32]),
            size: Bytes(1),
            world: World::Job,
            capabilities: Vec::new(),
            operations: Vec::new(),
            downloads: 0,
            created_at: Timestamp::now(),
            metadata: PackageMetadata::default(),
            deprecated: None,
            signatures: Vec::new(),
            manifest: None,
            origin: None,
        }
    }

    #[test]
    fn a_record_of_the_first_builds_still_loads() {
        let mut record = serde_json::to_value(package("a", "01.0.0")).unwrap();
        for member in ["metadata", "signatures"] {
            record.as_object_mut().unwrap().remove(member).unwrap();
        }
        let read: Package = serde_json::from_value(record).unwrap();
        assert_eq!(
            (read.version.as_str(), read.semver(), read.metadata),
            ("01.0.0", None, PackageMetadata::default())
        );
    }
}
