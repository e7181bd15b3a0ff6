//! The vm asset that a package runs as: one that is there and has the wanted limits, else a new one.
//!
//! Limits belong to the vm, since they are what its owner answers for; so "run this with 64 MiB" is a vm of 64 MiB.

use hypermesh_client::{Client, ClientError};
use hypermesh_model::Bytes;
use hypermesh_wire::assets::{Asset, AssetQuery, AssetStatus, AssetType, ResourceLimits};
use hypermesh_wire::catalog::Install;

/// What an execution needs of a vm's limits. `None`: whatever the vm has.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Wanted {
    /// CPU share, percent of the pool.
    pub(crate) cpu: Option<f64>,
    /// Memory.
    pub(crate) memory: Option<Bytes>,
    /// Wall time, at least, seconds.
    pub(crate) seconds: u64,
}

impl Wanted {
    fn fits(&self, limits: &ResourceLimits) -> bool {
        let memory = Bytes::parse(&limits.max_memory).ok();
        self.cpu.is_none_or(|cpu| (cpu - limits.max_cpu).abs() < 1e-9)
            && self.memory.is_none_or(|wanted| Some(wanted) == memory)
            && self.seconds <= limits.max_execution_time
    }

    fn limits(&self) -> ResourceLimits {
        let default = ResourceLimits::default();
        ResourceLimits {
            max_cpu: self.cpu.unwrap_or(default.max_cpu),
            max_memory: self.memory.map_or(default.max_memory, |memory| format!("{} B", memory.0)),
            max_storage: default.max_storage,
            max_execution_time: self.seconds.max(default.max_execution_time),
        }
    }
}

/// A vm asset that runs the package `catalog_id` with limits that fit.
///
/// # Errors
/// What the node says to an installation.
pub(crate) fn ensure(client: &Client, catalog_id: &str, wanted: &Wanted) -> Result<Asset, ClientError> {
    let query = AssetQuery { asset_type: Some(AssetType::Vm), ..AssetQuery::default() };
    let vms = client.assets(&query)?;
    if let Some(vm) = vms.into_iter().find(|vm| is_usable(vm, catalog_id, wanted)) {
        return Ok(vm);
    }
    let request = Install {
        catalog_id: catalog_id.to_owned(),
        privacy_level: None,
        resource_limits: Some(wanted.limits()),
    };
    client.install(&request).map(|installed| installed.vm_asset)
}

fn is_usable(vm: &Asset, catalog_id: &str, wanted: &Wanted) -> bool {
    let in_service = match vm.status {
        AssetStatus::Available | AssetStatus::Allocated | AssetStatus::Busy => true,
        AssetStatus::Maintenance | AssetStatus::Offline => false,
    };
    in_service
        && vm.catalog_metadata.as_ref().is_some_and(|package| package.catalog_id == catalog_id)
        && vm.vm_config.as_ref().is_some_and(|config| wanted.fits(&config.resource_limits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vm_is_used_again_only_if_its_limits_are_the_wanted_ones() {
        let limits = ResourceLimits::default();
        let anything = Wanted { seconds: 300, ..Wanted::default() };
        assert!(anything.fits(&limits));
        assert!(Wanted { memory: Some(Bytes::mib(256)), cpu: Some(25.0), ..anything }.fits(&limits));
        assert!(!Wanted { memory: Some(Bytes::mib(257)), ..anything }.fits(&limits));
        assert!(!Wanted { cpu: Some(10.0), ..anything }.fits(&limits));
        assert!(!Wanted { seconds: 301, ..anything }.fits(&limits));
        assert!(
            !Wanted { memory: Some(Bytes::mib(1)), ..anything }
                .fits(&ResourceLimits { max_memory: "?".into(), ..limits })
        );
    }

    #[test]
    fn a_new_vm_has_limits_that_fit() {
        for wanted in [
            Wanted::default(),
            Wanted { cpu: Some(12.5), memory: Some(Bytes(64 << 20)), seconds: 4000 },
            Wanted { memory: Some(Bytes(123_456_789)), ..Wanted::default() },
        ] {
            assert!(wanted.fits(&wanted.limits()), "{wanted:?}");
        }
    }
}
