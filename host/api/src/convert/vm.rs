//! What a vm runs and within which limits.
//!
//! The domain keeps what it acts on (package, entrypoint, limits); the rest of the contract's `vm_config` is kept as
//! given in `declared` and shown again, so that a size is shown as it was written.

use super::{assets, check};
use crate::problem::Draft;
use hypermesh_mesh::NewVm;
use hypermesh_model::{Bytes, CatalogId, Package, VmLimits, VmSpec};
use hypermesh_wire::assets::{CatalogMetadata, CreateVm, ResourceLimits, SecurityPolicy, VmConfig};
use hypermesh_wire::{MAX_DESCRIPTION, MAX_NAME, MAX_SECONDS};
use serde_json::{Map, json};

/// The member of `declared` that holds the `vm_config` as given.
const DECLARED: &str = "vm_config";
/// Longest name of an operation, in characters.
pub(super) const MAX_OPERATION: usize = 128;

/// A vm to make.
pub(crate) fn new(body: CreateVm) -> Result<NewVm, Draft> {
    let declared = Map::from_iter([(DECLARED.to_owned(), json!(body.vm_config))]);
    let VmConfig { runtime: _, entrypoint, environment, dependencies, resource_limits, security_policy } =
        body.vm_config;
    if !environment.is_empty() {
        return Err(check::not_granted(
            "vm_config.environment",
            "a job has no environment; pass parameters instead",
        ));
    }
    if !dependencies.is_empty() {
        return Err(check::not_granted(
            "vm_config.dependencies",
            "components are whole; none can need another",
        ));
    }
    refuse_rights(&security_policy)?;
    let package = body.catalog_metadata.map(|metadata| metadata.catalog_id);
    Ok(NewVm {
        name: check::text("name", body.name, 1, MAX_NAME)?,
        description: check::prose("description", body.description, MAX_DESCRIPTION)?,
        privacy_level: body.privacy_level.map(assets::privacy).unwrap_or_default(),
        specifications: body.specifications,
        package: package
            .map(|id| check::id("catalog_metadata.catalog_id", &id, CatalogId::parse))
            .transpose()?,
        entrypoint: check::text("vm_config.entrypoint", entrypoint, 0, MAX_OPERATION)?,
        limits: limits("vm_config.resource_limits", &resource_limits)?,
        declared,
    })
}

fn refuse_rights(policy: &SecurityPolicy) -> Result<(), Draft> {
    let SecurityPolicy { allow_network_access, allow_file_system, allowed_urls, trusted_domains } = policy;
    let network = "this build gives guests no network";
    let asked = [
        ("allow_network_access", *allow_network_access, network),
        ("allow_file_system", *allow_file_system, "guests see only the inputs that an execution grants"),
        ("allowed_urls", !allowed_urls.is_empty(), network),
        ("trusted_domains", !trusted_domains.is_empty(), network),
    ];
    let refused = asked.into_iter().find(|(_, asked, _)| *asked);
    refused.map_or(Ok(()), |(name, _, why)| {
        Err(check::not_granted(&format!("vm_config.security_policy.{name}"), why))
    })
}

/// Limits of executions; `member` is where in the request they stand.
pub(crate) fn limits(member: &str, given: &ResourceLimits) -> Result<VmLimits, Draft> {
    let name = |of: &str| format!("{member}.{of}");
    Ok(VmLimits {
        max_cpu_percent: check::positive(&name("max_cpu"), given.max_cpu, 100.0)?,
        max_memory: check::size(&name("max_memory"), &given.max_memory)?,
        max_storage: check::size(&name("max_storage"), &given.max_storage)?,
        max_execution_seconds: check::range(
            &name("max_execution_time"),
            given.max_execution_time,
            1,
            MAX_SECONDS,
        )?,
    })
}

/// A vm's configuration as a caller sees it.
pub(crate) fn shown_config(vm: &VmSpec) -> VmConfig {
    let declared = vm.declared.get(DECLARED).cloned().and_then(|given| serde_json::from_value(given).ok());
    let declared: VmConfig = declared.unwrap_or_default();
    let resource_limits = shown_limits(&vm.limits, &declared.resource_limits);
    VmConfig { entrypoint: vm.entrypoint.clone(), resource_limits, ..declared }
}

/// Limits as a caller sees them: in the notation of `declared` where that means the same.
fn shown_limits(limits: &VmLimits, declared: &ResourceLimits) -> ResourceLimits {
    let size = |bytes: Bytes, text: &str| {
        if Bytes::parse(text) == Ok(bytes) { text.to_owned() } else { check::size_text(bytes) }
    };
    ResourceLimits {
        max_cpu: limits.max_cpu_percent,
        max_memory: size(limits.max_memory, &declared.max_memory),
        max_storage: size(limits.max_storage, &declared.max_storage),
        max_execution_time: limits.max_execution_seconds,
    }
}

/// The package that a vm runs.
pub(crate) fn shown_metadata(package: Package) -> CatalogMetadata {
    CatalogMetadata {
        catalog_id: package.id.into(),
        version: package.version,
        author: package.author.0,
        description: package.description,
        tags: Vec::new(),
        download_count: package.downloads,
        rating: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn create(vm_config: &Value) -> Result<NewVm, Draft> {
        new(serde_json::from_value(json!({ "name": "vm", "vm_config": vm_config })).unwrap())
    }

    #[test]
    fn what_was_declared_is_shown_again() {
        let config = json!({
            "runtime": "wasm-component", "entrypoint": "run", "environment": {}, "dependencies": [],
            "resource_limits": { "max_cpu": 12.5, "max_memory": "1.25 GB", "max_storage": "100MB", "max_execution_time": 60 },
            "security_policy": {
                "allow_network_access": false, "allow_file_system": false, "allowed_urls": [], "trusted_domains": []
            }
        });
        let vm = create(&config).unwrap();
        let NewVm { package, entrypoint, limits, declared, .. } = vm;
        let spec = VmSpec { package, entrypoint, limits, declared };
        assert_eq!(json!(shown_config(&spec)), config);
    }

    #[test]
    fn limits_that_nobody_declared_are_shown_exactly() {
        let limits = hypermesh_mesh::default_limits();
        let spec = VmSpec { package: None, entrypoint: String::new(), limits, declared: Map::new() };
        assert_eq!(shown_config(&spec), VmConfig::default());
    }

    #[test]
    fn rights_that_this_build_has_not_are_refused_by_name() {
        for (member, config) in [
            ("vm_config.environment", json!({ "environment": { "A": "b" } })),
            ("vm_config.dependencies", json!({ "dependencies": ["pkg-1"] })),
            (
                "vm_config.security_policy.allow_network_access",
                json!({ "security_policy": { "allow_network_access": true } }),
            ),
            (
                "vm_config.security_policy.allow_file_system",
                json!({ "security_policy": { "allow_file_system": true } }),
            ),
            (
                "vm_config.security_policy.allowed_urls",
                json!({ "security_policy": { "allowed_urls": ["http://a"] } }),
            ),
            (
                "vm_config.security_policy.trusted_domains",
                json!({ "security_policy": { "trusted_domains": ["a"] } }),
            ),
        ] {
            let refused = create(&config).err().unwrap();
            assert_eq!(refused.member(), Some(member));
            assert_eq!(refused.render("/", "r").status(), 422);
        }
    }

    #[test]
    fn limits_out_of_range_are_refused_by_name() {
        for (member, limits) in [
            ("max_cpu", json!({ "max_cpu": 0 })),
            ("max_cpu", json!({ "max_cpu": 100.1 })),
            ("max_memory", json!({ "max_memory": "-1MiB" })),
            ("max_storage", json!({ "max_storage": "much" })),
            ("max_execution_time", json!({ "max_execution_time": 0 })),
        ] {
            let refused = create(&json!({ "resource_limits": limits })).err().unwrap();
            assert_eq!(refused.member(), Some(format!("vm_config.resource_limits.{member}").as_str()));
        }
    }
}
