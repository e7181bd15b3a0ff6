//! Changing what is said of a package: deprecated and back.
//!
//! A deprecated version still runs, and its vms stay. Nobody is given it who asks for a name or a range, and who installs
//! it by itself is warned.

use crate::Mesh;
use crate::error::MeshError;
use hypermesh_model::{CatalogId, Deprecation, EventKind, Package, Subject, Timestamp};
use hypermesh_store::Batch;
use serde_json::{Value, json};

impl Mesh {
    /// Says that a package should not be chosen any more. Said again, the new reason replaces the old one.
    ///
    /// # Errors
    /// [`MeshError::NotFound`].
    pub async fn deprecate(
        &self,
        by: &Subject,
        id: &CatalogId,
        reason: String,
    ) -> Result<Package, MeshError> {
        let deprecation = Deprecation { reason: reason.clone(), by: by.clone(), at: Timestamp::now() };
        let data = json!({ "reason": reason });
        self.change_package(id, EventKind::PackageDeprecated, data, |package| {
            package.deprecated = Some(deprecation);
        })
        .await
    }

    /// Takes it back.
    ///
    /// # Errors
    /// [`MeshError::NotFound`]; [`MeshError::Conflict`] for one that is not deprecated.
    pub async fn undeprecate(&self, id: &CatalogId) -> Result<Package, MeshError> {
        if self.package(id)?.deprecated.is_none() {
            return Err(MeshError::Conflict { detail: format!("package `{id}` is not deprecated") });
        }
        let none = |package: &mut Package| package.deprecated = None;
        self.change_package(id, EventKind::PackageUndeprecated, json!({}), none).await
    }

    /// Changes a package as it stands when its turn comes, and tells of it.
    pub(super) async fn change_package(
        &self,
        id: &CatalogId,
        kind: EventKind,
        mut data: Value,
        change: impl FnOnce(&mut Package),
    ) -> Result<Package, MeshError> {
        let _changing = self.catalog.changes.lock().await;
        let mut package = self.package(id)?;
        change(&mut package);
        data["name"] = json!(package.name);
        data["version"] = json!(package.version);
        let mut batch = Batch::new();
        batch.put(&self.tables.packages, package.clone());
        batch.event(kind, id.as_str(), data);
        self.commit(batch, "changing a package").await?;
        Ok(package)
    }
}
