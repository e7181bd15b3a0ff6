//! How devices become assets: one a model, and one a size of MIG instance. Pure.

use super::{GpuInfo, GpuInventory, MigInstance};
use hypermesh_model::{Bytes, GpuUuid};
use serde::Serialize;

/// Devices, or MIG instances, of one model, which make one asset. Serialises as its `specifications`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GpuGroup {
    /// The product's name, which all share; for instances `<GPU's name> MIG <profile>`.
    pub model: Option<String>,
    /// The memory of each, in bytes, which all share.
    pub memory: Option<Bytes>,
    /// Those that can be leased now: all with a UUID, but those that don't answer and GPUs in MIG mode.
    pub uuid: Vec<GpuUuid>,
    /// The driver's version.
    pub driver: Option<String>,
    /// The devices, those that can't be leased included. Empty for instances.
    pub devices: Vec<GpuInfo>,
    /// The instances. Empty for whole devices.
    pub instances: Vec<MigInstance>,
}

impl GpuInfo {
    /// Whether it can be leased whole, now.
    pub fn leasable(&self) -> bool {
        self.uuid.is_some() && self.unavailable.is_none() && self.mig != Some(true)
    }
}

impl GpuInventory {
    /// Devices by model and memory size, in the order in which each first appears; then MIG instances likewise.
    pub fn groups(&self) -> Vec<GpuGroup> {
        let mut groups = Vec::new();
        for gpu in &self.gpus {
            let group = self.group(&mut groups, gpu.model.as_ref(), gpu.memory);
            group.uuid.extend(gpu.uuid.clone().filter(|_| gpu.leasable()));
            group.devices.push(gpu.clone());
        }
        let mut divided = Vec::new();
        for gpu in &self.gpus {
            for instance in &gpu.instances {
                let model = instance_model(gpu, instance);
                let group = self.group(&mut divided, model.as_ref(), instance.memory);
                group.uuid.extend(instance.uuid.clone().filter(|_| gpu.unavailable.is_none()));
                group.instances.push(instance.clone());
            }
        }
        groups.append(&mut divided);
        groups
    }

    /// The UUIDs of everything that can be leased now: whole devices and MIG instances.
    pub fn leasable(&self) -> Vec<GpuUuid> {
        self.groups().into_iter().flat_map(|group| group.uuid).collect()
    }

    /// The group of this model and size, made when there is none.
    fn group<'a>(
        &self,
        groups: &'a mut Vec<GpuGroup>,
        model: Option<&String>,
        memory: Option<Bytes>,
    ) -> &'a mut GpuGroup {
        let same = |group: &GpuGroup| group.model.as_ref() == model && group.memory == memory;
        let at = groups.iter().position(same).unwrap_or_else(|| {
            groups.push(GpuGroup {
                model: model.cloned(),
                memory,
                uuid: Vec::new(),
                driver: self.driver.clone(),
                devices: Vec::new(),
                instances: Vec::new(),
            });
            groups.len() - 1
        });
        &mut groups[at]
    }
}

fn instance_model(gpu: &GpuInfo, instance: &MigInstance) -> Option<String> {
    let model = gpu.model.as_ref()?;
    Some(match &instance.profile {
        Some(profile) => format!("{model} MIG {profile}"),
        None => format!("{model} MIG"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn instances() -> impl Strategy<Value = Vec<MigInstance>> {
        let instance = (any::<bool>(), 0u64..2).prop_map(|(known, size)| MigInstance {
            profile: known.then(|| format!("{}g", size + 1)),
            memory: Some(Bytes(size)),
            ..MigInstance::default()
        });
        proptest::collection::vec(instance, 0..3)
    }

    fn gpus() -> impl Strategy<Value = Vec<GpuInfo>> {
        let model = prop_oneof![Just(None), Just(Some("A".to_owned())), Just(Some("B".to_owned()))];
        let gpu =
            (model, any::<[bool; 3]>(), instances()).prop_map(|(model, [named, divided, lost], parts)| {
                let uuid = named.then(|| GpuUuid(String::new()));
                let unavailable = lost.then(String::new);
                GpuInfo {
                    model,
                    uuid,
                    mig: Some(divided),
                    instances: parts,
                    unavailable,
                    ..GpuInfo::default()
                }
            });
        proptest::collection::vec(gpu, 0..6).prop_map(|mut gpus| {
            for (n, gpu) in gpus.iter_mut().enumerate() {
                gpu.uuid = gpu.uuid.take().map(|_| GpuUuid(format!("GPU-{n}")));
                for (m, instance) in gpu.instances.iter_mut().enumerate() {
                    instance.uuid = Some(GpuUuid(format!("MIG-{n}-{m}")));
                }
            }
            gpus
        })
    }

    proptest! {
        #[test]
        fn every_device_and_instance_is_in_one_group_and_only_what_answers_is_leasable(gpus in gpus()) {
            let inventory = GpuInventory { gpus: gpus.clone(), ..GpuInventory::default() };
            let groups = inventory.groups();
            prop_assert_eq!(groups.iter().map(|g| g.devices.len()).sum::<usize>(), gpus.len());
            let parts: usize = gpus.iter().map(|gpu| gpu.instances.len()).sum();
            prop_assert_eq!(groups.iter().map(|g| g.instances.len()).sum::<usize>(), parts);
            let mut leasable = inventory.leasable();
            let count = leasable.len();
            leasable.sort();
            leasable.dedup();
            prop_assert_eq!(leasable.len(), count, "nothing is in two groups");
            for gpu in &gpus {
                let listed = gpu.uuid.as_ref().is_some_and(|uuid| leasable.contains(uuid));
                prop_assert_eq!(listed, gpu.leasable());
                for instance in &gpu.instances {
                    let listed = leasable.contains(instance.uuid.as_ref().unwrap());
                    prop_assert_eq!(listed, gpu.unavailable.is_none());
                }
            }
            for (n, group) in groups.iter().enumerate() {
                prop_assert!(group.devices.is_empty() != group.instances.is_empty());
                let twin = |other: &GpuGroup| (&other.model, other.memory) == (&group.model, group.memory)
                    && other.devices.is_empty() == group.devices.is_empty();
                prop_assert!(!groups[n + 1..].iter().any(twin), "one group a model and size");
            }
        }
    }
}
