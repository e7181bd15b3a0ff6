//! Which devices were once seen, so that one that is lost stays in the list. Pure.
//!
//! A device is remembered by its UUID, with what never changes of it, until the process ends. One that was lost before
//! anybody asked it has no UUID and is shown as the driver lists it: with nulls.

use super::{GpuInfo, GpuSample};

/// Said of a device that was once seen, is not in the driver's list, and of which the driver says nothing.
const NOT_LISTED: &str = "the driver no longer lists it";

/// The devices that once answered.
#[derive(Debug, Default)]
pub(super) struct Memory(Vec<GpuInfo>);

impl Memory {
    /// Whether any was seen.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes a new list of the driver in, and completes it: devices that don't answer get their identity back, and those
    /// that it lacks are put behind.
    pub(super) fn complete(&mut self, mut found: Vec<GpuInfo>) -> Vec<GpuInfo> {
        for gpu in found.iter().filter(|gpu| gpu.uuid.is_some() && gpu.unavailable.is_none()) {
            self.0.retain(|known| known.uuid != gpu.uuid);
            self.0.push(identity(gpu));
        }
        self.0.sort_by_key(|known| known.index);
        let mut missing: Vec<GpuInfo> =
            self.0.iter().filter(|known| !found.iter().any(|gpu| gpu.uuid == known.uuid)).cloned().collect();
        for gpu in found.iter_mut().filter(|gpu| gpu.unavailable.is_some() && gpu.uuid.is_none()) {
            // The driver keeps a device's number while the library is loaded, and most often over a restart.
            if let Some(at) = missing.iter().position(|known| known.index == gpu.index) {
                *gpu = GpuInfo { unavailable: gpu.unavailable.take(), lost: gpu.lost, ..missing.remove(at) };
            }
        }
        found.extend(missing.into_iter().map(|gpu| unavailable(gpu, NOT_LISTED)));
        found
    }

    /// All that were once seen, when none can be asked.
    pub(super) fn all_unavailable(&self, why: &str) -> Vec<GpuInfo> {
        self.0.iter().map(|gpu| unavailable(gpu.clone(), why)).collect()
    }

    /// Completes samples likewise.
    pub(super) fn complete_samples(&self, mut samples: Vec<GpuSample>) -> Vec<GpuSample> {
        let mut missing: Vec<&GpuInfo> =
            self.0.iter().filter(|known| !samples.iter().any(|sample| sample.uuid == known.uuid)).collect();
        for sample in samples.iter_mut().filter(|sample| sample.lost && sample.uuid.is_none()) {
            if let Some(at) = missing.iter().position(|known| known.index == sample.index) {
                sample.uuid = missing.remove(at).uuid.clone();
            }
        }
        samples.extend(missing.into_iter().map(|gpu| GpuSample {
            index: gpu.index,
            uuid: gpu.uuid.clone(),
            lost: true,
            ..GpuSample::default()
        }));
        samples
    }
}

/// What never changes of a device.
fn identity(gpu: &GpuInfo) -> GpuInfo {
    GpuInfo {
        index: gpu.index,
        model: gpu.model.clone(),
        uuid: gpu.uuid.clone(),
        memory: gpu.memory,
        minor: gpu.minor,
        pci: gpu.pci.clone(),
        architecture: gpu.architecture.clone(),
        ..GpuInfo::default()
    }
}

fn unavailable(gpu: GpuInfo, why: &str) -> GpuInfo {
    GpuInfo { unavailable: Some(why.to_owned()), lost: true, ..gpu }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hypermesh_model::GpuUuid;
    use proptest::prelude::*;

    fn seen(index: u32, name: u8) -> GpuInfo {
        GpuInfo { index, uuid: Some(GpuUuid(format!("GPU-{name}"))), mig: Some(false), ..GpuInfo::default() }
    }

    fn silent(index: u32) -> GpuInfo {
        GpuInfo { index, unavailable: Some("gone".into()), lost: true, ..GpuInfo::default() }
    }

    #[test]
    fn a_lost_device_keeps_its_identity_and_nothing_else() {
        let mut memory = Memory::default();
        memory.complete(vec![seen(0, 0), seen(1, 1)]);
        let now = memory.complete(vec![seen(0, 0), silent(1)]);
        assert_eq!(now[1].uuid, seen(1, 1).uuid);
        assert_eq!((now[1].unavailable.as_deref(), now[1].mig), (Some("gone"), None));
        let again = memory.complete(vec![seen(0, 0), seen(1, 1)]);
        assert_eq!(again[1], seen(1, 1));
    }

    #[test]
    fn a_device_that_moved_up_does_not_take_the_name_of_the_one_that_left() {
        let mut memory = Memory::default();
        memory.complete(vec![seen(0, 0), seen(1, 1)]);
        let now = memory.complete(vec![seen(0, 1)]);
        assert_eq!(now[0], seen(0, 1));
        assert_eq!((&now[1].uuid, now[1].unavailable.as_deref()), (&seen(0, 0).uuid, Some(NOT_LISTED)));
    }

    proptest! {
        #[test]
        fn no_device_is_forgotten_or_listed_twice(
            lists in proptest::collection::vec(proptest::collection::btree_map(0u8..5, any::<bool>(), 0..5), 1..8),
        ) {
            let mut memory = Memory::default();
            let mut ever = std::collections::BTreeSet::new();
            for list in lists {
                let devices = list.iter().enumerate().map(|(index, (name, answers))| {
                    let index = u32::try_from(index).unwrap();
                    if *answers { seen(index, *name) } else { silent(index) }
                });
                let devices: Vec<GpuInfo> = devices.collect();
                ever.extend(devices.iter().filter_map(|gpu| gpu.uuid.clone()));
                let answering: Vec<_> = devices.iter().filter(|gpu| gpu.uuid.is_some()).cloned().collect();
                let shown = memory.complete(devices);
                let mut names: Vec<_> = shown.iter().filter_map(|gpu| gpu.uuid.clone()).collect();
                names.sort();
                prop_assert_eq!(&names, &ever.iter().cloned().collect::<Vec<_>>());
                for gpu in answering {
                    prop_assert!(shown.contains(&gpu));
                }
            }
        }
    }
}
