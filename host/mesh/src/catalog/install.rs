//! Installing: a vm asset that runs a package within limits.

use crate::Mesh;
use crate::error::MeshError;
use crate::execution::MIN_EXECUTION_MEMORY;
use crate::requests::NewVm;
use hypermesh_model::{
    Asset, AssetType, Bytes, CatalogId, Deprecation, Package, PrivacyLevel, Subject, VmLimits, World,
};
use hypermesh_store::Batch;

/// Limits of a vm that is installed without any: a quarter of the CPU, 256 MiB, 64 MiB of output, 5 minutes.
pub fn default_limits() -> VmLimits {
    VmLimits {
        max_cpu_percent: 25.0,
        max_memory: Bytes::mib(256),
        max_storage: Bytes::mib(64),
        max_execution_seconds: 300,
    }
}

impl Mesh {
    /// The vm that was installed last from a package.
    pub fn installed_as(&self, id: &CatalogId) -> Option<Asset> {
        let runs = |a: &Asset| a.vm.as_ref().is_some_and(|vm| vm.package.as_ref() == Some(id));
        self.tables.assets.filter(|a| a.asset_type == AssetType::Vm && runs(a)).pop()
    }

    /// Makes a vm that runs a package. Gives the vm and what was done, for people.
    ///
    /// # Errors
    /// [`MeshError::NotFound`]; [`MeshError::Conflict`] for a validator.
    pub async fn install(
        &self,
        by: &Subject,
        id: &CatalogId,
        privacy_level: PrivacyLevel,
        limits: Option<VmLimits>,
    ) -> Result<(Asset, Vec<String>), MeshError> {
        let package = self.package(id)?;
        if package.world == World::Validator {
            let detail =
                format!("`{}` is a validator; it checks claims and is not run as a vm", package.name);
            return Err(MeshError::Conflict { detail });
        }
        let limits = limits.unwrap_or_else(default_limits);
        if limits.max_memory < MIN_EXECUTION_MEMORY {
            let detail = format!("a vm needs at least {MIN_EXECUTION_MEMORY} of memory");
            return Err(MeshError::unfit("resource_limits.max_memory", detail));
        }
        self.compiled(&package.digest, hypermesh_engine::Profile::Plain).await?;
        let entrypoint = match package.operations.as_slice() {
            [only] => only.name.clone(),
            _ => String::new(),
        };
        let vm = NewVm {
            name: package.name.clone(),
            description: package.description.clone(),
            privacy_level,
            specifications: serde_json::Map::new(),
            package: Some(id.clone()),
            entrypoint,
            limits,
            declared: serde_json::Map::new(),
        };
        let asset = self.create_vm(by, vm).await?;
        self.count_installation(id).await?;
        let names: Vec<&str> = package.operations.iter().map(|o| o.name.as_str()).collect();
        let mut logs = vec![
            format!("component {} of {} is vetted and compiled", package.digest, package.size),
            format!("operations: {}", names.join(", ")),
            format!("vm asset {} made", asset.id),
        ];
        if let Some(Deprecation { reason, .. }) = &package.deprecated {
            logs.push(format!("warning: {} {} is deprecated: {reason}", package.name, package.version));
        }
        Ok((asset, logs))
    }

    async fn count_installation(&self, id: &CatalogId) -> Result<(), MeshError> {
        let _changing = self.catalog.changes.lock().await;
        let package = self.package(id)?;
        let mut batch = Batch::new();
        batch.put(&self.tables.packages, Package { downloads: package.downloads + 1, ..package });
        self.commit(batch, "counting an installation").await
    }
}
