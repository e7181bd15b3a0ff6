//! Assets: the node's hardware, registered at start as measured, and what people register.

use crate::Mesh;
use crate::error::MeshError;
use crate::requests::{AssetChange, AssetFilter, NewAsset, NewVm};
use hypermesh_hardware::{GpuGroup, Inventory};
use hypermesh_model::{
    Asset, AssetId, AssetStatus, AssetType, Bytes, Capacity, EventKind, GpuUuid, Location, MilliCpu,
    PrivacyLevel, Subject, Timestamp, VmSpec,
};
use hypermesh_planner::Totals;
use hypermesh_store::Batch;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// Most assets of all kinds: the lists stay servable in one answer of the contract.
pub const MAX_ASSETS: usize = 10_000;

impl Mesh {
    /// Assets that match, by id, with their capacity as of now.
    pub fn assets(&self, filter: &AssetFilter) -> Vec<Asset> {
        let view = self.capacity_view();
        let mut assets: Vec<Asset> =
            self.tables.assets.all().into_iter().map(|asset| view.fill(asset)).collect();
        assets.retain(|a| {
            filter.asset_type.is_none_or(|t| t == a.asset_type)
                && filter.status.is_none_or(|s| s == a.status)
                && filter.privacy_level.is_none_or(|p| p == a.privacy_level)
                && filter.owner.as_ref().is_none_or(|o| *o == a.owner.0)
        });
        assets
    }

    /// One asset, with its capacity as of now.
    ///
    /// # Errors
    /// [`MeshError::NotFound`].
    pub fn asset(&self, id: &AssetId) -> Result<Asset, MeshError> {
        let asset = self.tables.assets.get(id).ok_or_else(|| MeshError::not_found("asset", id))?;
        Ok(self.capacity_view().fill(asset))
    }

    /// Registers an asset that is not hardware and not a vm. Nothing of it can be leased.
    ///
    /// # Errors
    /// [`MeshError::Busy`] at [`MAX_ASSETS`].
    pub async fn register_asset(&self, by: &Subject, new: NewAsset) -> Result<Asset, MeshError> {
        let now = Timestamp::now();
        let home = self.location();
        let asset = Asset {
            id: AssetId::generate(),
            asset_type: new.asset_type,
            name: new.name,
            description: new.description,
            owner: by.clone(),
            status: AssetStatus::Available,
            privacy_level: new.privacy_level,
            location: Location {
                address: new.address.unwrap_or(home.address),
                region: new.region.unwrap_or(home.region),
                ..home
            },
            specifications: new.specifications,
            capacity: none("units"),
            vm: None,
            created_at: now,
            updated_at: now,
        };
        self.add_asset(asset).await
    }

    /// Makes a vm asset.
    ///
    /// # Errors
    /// [`MeshError::NotFound`] for the package; [`MeshError::Unfit`] for an entrypoint that it does not have.
    pub async fn create_vm(&self, by: &Subject, new: NewVm) -> Result<Asset, MeshError> {
        // So that the package isn't removed before the vm is there.
        let _binding = self.catalog.changes.lock().await;
        if let Some(id) = &new.package {
            let package = self.tables.packages.get(id).ok_or_else(|| MeshError::not_found("package", id))?;
            let known = package.operations.iter().any(|o| o.name == new.entrypoint);
            if !new.entrypoint.is_empty() && !known {
                let detail = format!("the package has no operation `{}`", new.entrypoint);
                return Err(MeshError::unfit("vm_config.entrypoint", detail));
            }
        }
        let now = Timestamp::now();
        let asset = Asset {
            id: AssetId::generate(),
            asset_type: AssetType::Vm,
            name: new.name,
            description: new.description,
            owner: by.clone(),
            status: AssetStatus::Available,
            privacy_level: new.privacy_level,
            location: self.location(),
            specifications: new.specifications,
            capacity: none("units"),
            vm: Some(VmSpec {
                package: new.package,
                entrypoint: new.entrypoint,
                limits: new.limits,
                declared: new.declared,
            }),
            created_at: now,
            updated_at: now,
        };
        self.add_asset(asset).await
    }

    async fn add_asset(&self, asset: Asset) -> Result<Asset, MeshError> {
        if self.tables.assets.len() >= MAX_ASSETS {
            return Err(MeshError::Conflict {
                detail: format!("{MAX_ASSETS} assets are registered; delete some"),
            });
        }
        let mut batch = Batch::new();
        batch.put(&self.tables.assets, asset.clone());
        batch.event(EventKind::AssetRegistered, asset.id.as_str(), json!({ "name": asset.name }));
        self.commit(batch, "registering an asset").await?;
        self.asset(&asset.id)
    }

    /// Changes an asset.
    ///
    /// # Errors
    /// [`MeshError::NotFound`]; [`MeshError::Unfit`] for a member that is measured.
    pub async fn update_asset(&self, id: &AssetId, change: AssetChange) -> Result<Asset, MeshError> {
        let mut asset = self.tables.assets.get(id).ok_or_else(|| MeshError::not_found("asset", id))?;
        if let Some(specifications) = change.specifications {
            if asset.asset_type.is_measured() {
                let detail = "the specifications of hardware are as measured and can't be set";
                return Err(MeshError::unfit("specifications", detail));
            }
            asset.specifications = specifications;
        }
        asset.name = change.name.unwrap_or(asset.name);
        asset.description = change.description.unwrap_or(asset.description);
        asset.privacy_level = change.privacy_level.unwrap_or(asset.privacy_level);
        asset.status = change.status.unwrap_or(asset.status);
        asset.location.address = change.address.unwrap_or(asset.location.address);
        asset.location.region = change.region.unwrap_or(asset.location.region);
        asset.updated_at = Timestamp::now();
        let mut batch = Batch::new();
        batch.put(&self.tables.assets, asset);
        batch.event(EventKind::AssetUpdated, id.as_str(), json!({}));
        self.commit(batch, "changing an asset").await?;
        self.asset(id)
    }

    /// Removes an asset that was registered by hand.
    ///
    /// # Errors
    /// [`MeshError::NotFound`]; [`MeshError::Conflict`] for hardware and while allocations or executions use it.
    pub async fn remove_asset(&self, id: &AssetId) -> Result<(), MeshError> {
        let asset = self.tables.assets.get(id).ok_or_else(|| MeshError::not_found("asset", id))?;
        if asset.asset_type.is_measured() {
            let detail =
                format!("`{id}` is hardware of this node; set its status to `offline` to keep it from use");
            return Err(MeshError::Conflict { detail });
        }
        let leases = self.tables.leases.filter(|l| l.asset_id == *id && l.status.holds_capacity()).len();
        let runs = self.tables.executions.filter(|e| e.vm_asset_id == *id && !e.status.is_final()).len();
        if leases + runs > 0 {
            let detail = format!(
                "{leases} active allocations and {runs} executions use it; release or cancel them first"
            );
            return Err(MeshError::Conflict { detail });
        }
        let mut batch = Batch::new();
        batch.delete(&self.tables.assets, id);
        batch.event(EventKind::AssetRemoved, id.as_str(), json!({ "name": asset.name }));
        self.commit(batch, "removing an asset").await
    }

    fn capacity_view(&self) -> CapacityView<'_> {
        let now = Timestamp::now();
        let (pool, totals) = self.ledger.read(|book| {
            let machine = book.machine();
            let pool = Pool { cpu: machine.cpu, memory: machine.memory, storage: machine.storage };
            (pool, book.totals(now))
        });
        CapacityView { mesh: self, pool, totals }
    }
}

fn none(unit: &str) -> Capacity {
    Capacity { total: 0.0, allocated: 0.0, available: 0.0, unit: unit.into() }
}

/// One look at the ledger, applied to many assets.
struct CapacityView<'a> {
    mesh: &'a Mesh,
    pool: Pool,
    totals: Totals,
}

/// All that can be leased.
struct Pool {
    cpu: MilliCpu,
    memory: Bytes,
    storage: Bytes,
}

impl CapacityView<'_> {
    fn fill(&self, mut asset: Asset) -> Asset {
        let capacity = match asset.asset_type {
            AssetType::Cpu => {
                let percent = |cpu: MilliCpu| tidy(cpu.as_percent_of(self.pool.cpu));
                let (allocated, available) = (percent(self.totals.cpu), percent(self.totals.cpu_free));
                Capacity { total: 100.0, allocated, available, unit: "percentage".into() }
            }
            AssetType::Memory => gigabytes(self.pool.memory, self.totals.memory, self.totals.memory_free),
            AssetType::Storage => gigabytes(self.pool.storage, self.totals.storage, self.totals.storage_free),
            AssetType::Gpu => self.gpus(&mut asset),
            AssetType::Network
            | AssetType::Service
            | AssetType::Container
            | AssetType::Vm
            | AssetType::Application => asset.capacity.clone(),
        };
        asset.capacity = capacity;
        asset.status = self.status(&asset);
        asset
    }

    /// Those that don't answer now are named, and can't be leased.
    fn gpus(&self, asset: &mut Asset) -> Capacity {
        let group = self.mesh.gpu_group(&asset.id);
        let mut lost = self.mesh.machine.lost_gpus();
        lost.retain(|gpu| group.contains(gpu));
        if !lost.is_empty() {
            asset.specifications.insert("lost".into(), json!(lost));
        }
        if !group.is_empty() && lost.len() == group.len() {
            asset.status = AssetStatus::Offline;
        }
        let held =
            |gpu: &&GpuUuid| self.totals.gpus.contains(gpu) || self.totals.gpus_shared.contains_key(*gpu);
        let free = |gpu: &&GpuUuid| self.totals.gpus_free.contains(gpu) && !lost.contains(gpu);
        #[expect(clippy::cast_precision_loss, reason = "a machine has few GPUs")]
        Capacity {
            total: group.len() as f64,
            allocated: group.iter().filter(held).count() as f64,
            available: group.iter().filter(free).count() as f64,
            unit: "units".into(),
        }
    }

    fn status(&self, asset: &Asset) -> AssetStatus {
        let exhausted = asset.capacity.total > 0.0 && asset.capacity.available <= 0.0;
        match asset.status {
            AssetStatus::Maintenance | AssetStatus::Offline => asset.status,
            AssetStatus::Available | AssetStatus::Allocated | AssetStatus::Busy => {
                if asset.asset_type == AssetType::Vm && self.mesh.supervision.runs(&asset.id) {
                    AssetStatus::Busy
                } else if exhausted {
                    AssetStatus::Allocated
                } else {
                    AssetStatus::Available
                }
            }
        }
    }
}

fn gigabytes(total: Bytes, allocated: Bytes, available: Bytes) -> Capacity {
    let [total, allocated, available] = [total, allocated, available].map(Bytes::as_gb);
    Capacity { total, allocated, available, unit: "GB".into() }
}

/// Percent to a millionth, so that 100 - 12.5 prints as 87.5.
fn tidy(percent: f64) -> f64 {
    (percent * 1e6).round() / 1e6
}

/// The node's hardware as assets.
pub(crate) fn hardware_assets(inventory: &Inventory, home: &Location, owner: &Subject) -> Vec<Asset> {
    let mut assets = Vec::new();
    let mut add = |id: String,
                   asset_type: AssetType,
                   name: String,
                   specifications: Map<String, Value>,
                   capacity: Capacity| {
        let Ok(id) = AssetId::parse(id) else { return };
        let now = Timestamp::now();
        assets.push(Asset {
            id,
            asset_type,
            name,
            description: String::new(),
            owner: owner.clone(),
            status: AssetStatus::Available,
            privacy_level: PrivacyLevel::Private,
            location: home.clone(),
            specifications,
            capacity,
            vm: None,
            created_at: now,
            updated_at: now,
        });
    };
    let model = inventory.cpu.model.clone().unwrap_or_else(|| "CPU".into());
    let capacity = &inventory.capacity;
    let (mut cpu, mut memory) = (object(&inventory.cpu), object(&inventory.memory));
    cpu.insert("capacity_limits".into(), json!(capacity.cpu_limits));
    memory.insert("capacity_limits".into(), json!(capacity.memory_limits));
    add("cpu".into(), AssetType::Cpu, model, cpu, none("percentage"));
    add("memory".into(), AssetType::Memory, "Memory".into(), memory, none("GB"));
    if let Some(fs) = &inventory.storage {
        let specifications = object(&json!({ "filesystem": fs, "disks": inventory.disks }));
        add("storage".into(), AssetType::Storage, "Data folder".into(), specifications, none("GB"));
    }
    for (id, group) in gpu_groups(inventory) {
        let name = group.model.clone().unwrap_or_else(|| "GPU".into());
        add(id, AssetType::Gpu, name, object(&group), none("units"));
    }
    for interface in &inventory.interfaces {
        // Nothing of an interface is leased, so its speed is a specification and not a capacity.
        let (id, name) = (format!("network-{}", slug(&interface.name)), interface.name.clone());
        add(id, AssetType::Network, name, object(interface), none("units"));
    }
    assets
}

/// A struct as the object that it serialises to.
fn object(value: &impl Serialize) -> Map<String, Value> {
    json!(value).as_object().cloned().unwrap_or_default()
}

/// GPUs by model and memory, each with the id of its asset.
pub(crate) fn gpu_groups(inventory: &Inventory) -> Vec<(String, GpuGroup)> {
    let mut named: Vec<(String, GpuGroup)> = Vec::new();
    for group in inventory.gpus.groups() {
        let base = format!("gpu-{}", slug(group.model.as_deref().unwrap_or("unknown")));
        let twins = named.iter().filter(|(id, _)| id.starts_with(&base)).count();
        named.push((if twins == 0 { base } else { format!("{base}-{}", twins + 1) }, group));
    }
    named
}

fn slug(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let words: Vec<&str> =
        lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty()).collect();
    words.join("-").chars().take(48).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_valid_in_ids() {
        assert_eq!(slug("NVIDIA H100 80GB HBM3"), "nvidia-h100-80gb-hbm3");
        assert!(AssetId::parse(format!("network-{}", slug("enp0s31f6:1"))).is_ok());
    }
}
