//! Removing: a package that nothing uses, and with the last package of a component the component and its machine code.
//!
//! The record goes first. Should the node die before the files are gone, they are orphans, which the next start removes.

use crate::Mesh;
use crate::blobs::Receiving;
use crate::error::MeshError;
use hypermesh_engine::Profile;
use hypermesh_model::{Asset, BlobDigest, CatalogId, EventKind, Execution};
use hypermesh_store::Batch;
use serde_json::json;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// Most users of each kind that a refusal names.
const MOST_NAMED: usize = 8;

impl Mesh {
    /// Removes a package that nothing uses.
    ///
    /// # Errors
    /// [`MeshError::NotFound`]; [`MeshError::Conflict`] with the vms and executions that use it.
    pub async fn remove_package(&self, id: &CatalogId) -> Result<(), MeshError> {
        let _changing = self.catalog.changes.lock().await;
        let package = self.package(id)?;
        let users = self.users_of(id);
        if !users.is_empty() {
            let detail = format!("{} {} is used by {}", package.name, package.version, users.join("; "));
            return Err(MeshError::Conflict { detail });
        }
        let mut batch = Batch::new();
        batch.delete(&self.tables.packages, id);
        batch.delete(&self.tables.sources, id);
        let data = json!({ "name": package.name, "version": package.version, "digest": package.digest });
        batch.event(EventKind::PackageRemoved, id.as_str(), data);
        self.commit(batch, "removing a package").await?;
        self.drop_component(&package.digest).await
    }

    /// What would break without a package, in words, one kind each.
    fn users_of(&self, id: &CatalogId) -> Vec<String> {
        let runs = |a: &Asset| a.vm.as_ref().is_some_and(|vm| vm.package.as_ref() == Some(id));
        let vms = self.tables.assets.filter(runs);
        let lives = |e: &Execution| e.package == *id && !e.status.is_final();
        let executions = self.tables.executions.filter(lives);
        [
            named("the vm assets", vms.iter().map(|vm| vm.id.as_str())),
            named("the executions", executions.iter().map(|execution| execution.id.as_str())),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Removes a component and what was compiled from it, unless a package has it or somebody is about to make one.
    pub(super) async fn drop_component(&self, digest: &BlobDigest) -> Result<(), MeshError> {
        let digest = digest.clone();
        self.blocking_mesh(move |mesh| {
            let removed = mesh.catalog.unless_held(&digest, || {
                if mesh.tables.packages.filter(|package| package.digest == digest).is_empty() {
                    mesh.remove_files(&digest)
                } else {
                    Ok(())
                }
            });
            removed.unwrap_or(Ok(()))
        })
        .await
    }

    fn remove_files(&self, digest: &BlobDigest) -> Result<(), MeshError> {
        let component = self.blobs.path(Receiving::Component, digest);
        let [plain, metered] =
            [Profile::Plain, Profile::Metered].map(|profile| self.compiled_path(digest, profile));
        [component, plain, metered].iter().try_for_each(|path| remove_file(path))
    }

    /// Removes components that no package has: what an earlier run had not come to.
    pub(crate) fn drop_orphaned_components(&self) -> Result<(), MeshError> {
        let fault = |e| MeshError::internal("listing components")(Box::new(e));
        for digest in self.blobs.components().map_err(fault)? {
            if self.tables.packages.filter(|package| package.digest == digest).is_empty() {
                self.remove_files(&digest)?;
            }
        }
        Ok(())
    }
}

fn named<'a>(kind: &str, ids: impl ExactSizeIterator<Item = &'a str>) -> Option<String> {
    let count = ids.len();
    let mut names: Vec<&str> = ids.take(MOST_NAMED).collect();
    if count > MOST_NAMED {
        names.push("…");
    }
    (count > 0).then(|| format!("{kind} {}", names.join(", ")))
}

fn remove_file(path: &Path) -> Result<(), MeshError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(MeshError::internal("removing a component")(Box::new(error)))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_named_up_to_a_bound() {
        assert_eq!(named("the vms", [].into_iter()), None);
        assert_eq!(named("the vms", ["a", "b"].into_iter()).as_deref(), Some("the vms a, b"));
        let many = vec!["x"; 20];
        assert!(named("the vms", many.into_iter()).unwrap().ends_with("x, …"));
    }
}
