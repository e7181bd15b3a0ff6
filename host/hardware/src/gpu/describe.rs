//! The questions of an inventory: what the devices are.

use super::answers::{Answers, is_device_lost};
use super::{GpuClocks, GpuInfo, GpuInventory, GpuPair, MigInstance, PcieLink, TopologyLevel, raw};
use hypermesh_model::{Bytes, GpuUuid};
use nvml_wrapper::enum_wrappers::device::{Clock, TopologyLevel as Ancestor};
use nvml_wrapper::enums::device::DeviceArchitecture;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};

/// Most devices that are asked for. No machine holds more; a broken count must not keep the thread busy.
const MAX_GPUS: u32 = 256;
/// Most MIG instances of a device that are asked for; NVIDIA's largest divides into seven, and each of those once more.
const MAX_INSTANCES: u32 = 64;
/// Most devices whose pairs are asked for: with 32 there are 496 pairs.
const MAX_IN_TOPOLOGY: usize = 32;
/// Processors that fit the driver's mask: 128 words of 64, as many as Linux can be built for.
const CPU_WORDS: usize = 128;
/// NUMA nodes likewise; Linux has at most 1024.
const NODE_WORDS: usize = 16;
/// `NVML_AFFINITY_SCOPE_NODE`.
const SCOPE_NODE: u32 = 0;

/// All devices.
///
/// # Errors
/// When not even their number is known.
pub(super) fn inventory(nvml: &Nvml) -> Result<GpuInventory, NvmlError> {
    let all: Vec<_> = devices(nvml)?.collect();
    let gpus = all.iter().map(|(index, device)| match device {
        Ok(device) => describe(*index, device),
        Err(error) => unavailable(*index, error.to_string(), is_device_lost(error)),
    });
    let answers = Answers::default();
    Ok(GpuInventory {
        gpus: gpus.collect(),
        topology: topology(nvml, &all),
        driver: answers.known(nvml.sys_driver_version()),
        cuda: answers.known(nvml.sys_cuda_driver_version()).and_then(cuda),
        unavailable: None,
    })
}

/// The devices that the driver lists, with their indices.
///
/// # Errors
/// When not even their number is known.
pub(super) fn devices(
    nvml: &Nvml,
) -> Result<impl Iterator<Item = (u32, Result<Device<'_>, NvmlError>)>, NvmlError> {
    let count = nvml.device_count()?.min(MAX_GPUS);
    Ok((0..count).map(|index| (index, nvml.device_by_index(index))))
}

/// The MIG instances of a device, empty slots left out.
pub(super) fn instances<'nvml>(
    answers: &Answers,
    device: &Device<'nvml>,
) -> impl Iterator<Item = Device<'nvml>> {
    let slots = answers.known(device.mig_device_count()).unwrap_or(0).min(MAX_INSTANCES);
    (0..slots).filter_map(|slot| answers.known(device.mig_device_by_index(slot)))
}

/// Whether a device is in MIG mode.
pub(super) fn is_divided(answers: &Answers, device: &Device<'_>) -> Option<bool> {
    answers.known(device.mig_mode()).map(|mode| mode.current != 0)
}

/// What names a device or an instance.
pub(super) fn uuid(answers: &Answers, device: &Device<'_>) -> Option<GpuUuid> {
    answers.known(device.uuid()).filter(|uuid| !uuid.is_empty()).map(GpuUuid)
}

fn unavailable(index: u32, why: String, lost: bool) -> GpuInfo {
    GpuInfo { index, unavailable: Some(why), lost, ..GpuInfo::default() }
}

fn describe(index: u32, device: &Device<'_>) -> GpuInfo {
    let answers = Answers::default();
    let uuid = uuid(&answers, device);
    if let Some(why) = answers.lost() {
        return unavailable(index, why, true);
    }
    let mig = is_divided(&answers, device);
    let parts = match mig {
        Some(true) => {
            instances(&answers, device).map(|part| instance(&answers, uuid.as_ref(), &part)).collect()
        }
        Some(false) | None => Vec::new(),
    };
    let found = GpuInfo {
        index,
        model: answers.known(device.name()).filter(|name| !name.is_empty()),
        uuid,
        memory: answers.known(raw::memory(device)).map(|(memory, _)| Bytes(memory.total)),
        minor: answers.known(device.minor_number()),
        pci: answers.known(device.pci_info()).map(|pci| pci.bus_id),
        architecture: answers
            .known(device.architecture())
            .filter(|architecture| *architecture != DeviceArchitecture::Unknown)
            .map(|architecture| architecture.to_string()),
        mig,
        instances: parts,
        numa_node: answers.known(device.memory_affinity(NODE_WORDS, SCOPE_NODE)).and_then(|mask| only(&mask)),
        cpus: answers.known(device.cpu_affinity(CPU_WORDS)).map(|mask| numbers(&mask).collect()),
        pcie: PcieLink {
            generation: answers.known(device.current_pcie_link_gen()),
            width: answers.known(device.current_pcie_link_width()),
            max_generation: answers.known(device.max_pcie_link_gen()),
            max_width: answers.known(device.max_pcie_link_width()),
        },
        max_clocks: clocks(|domain| answers.known(device.max_clock_info(domain))),
        unavailable: None,
        lost: false,
    };
    match answers.lost() {
        // Half of it is from before and half from after; what never changes is remembered elsewhere.
        Some(why) => unavailable(index, why, true),
        None => found,
    }
}

fn instance(answers: &Answers, parent: Option<&GpuUuid>, instance: &Device<'_>) -> MigInstance {
    let attributes = answers.known(instance.attributes());
    let memory = answers.known(raw::memory(instance)).map(|(memory, _)| Bytes(memory.total));
    let in_attributes = attributes.as_ref().and_then(|a| a.memory_size_mb.checked_mul(Bytes::MIB)).map(Bytes);
    MigInstance {
        uuid: uuid(answers, instance),
        profile: answers.known(instance.name()).as_deref().and_then(profile),
        gpu_instance: answers.known(raw::gpu_instance(instance)),
        compute_instance: answers.known(raw::compute_instance(instance)),
        memory: memory.or(in_attributes),
        multiprocessors: attributes.map(|attributes| attributes.multiprocessor_count).filter(|n| *n > 0),
        parent: parent.cloned(),
    }
}

/// `NVIDIA A100-SXM4-40GB MIG 1g.5gb` → `1g.5gb`.
fn profile(name: &str) -> Option<String> {
    let (_, profile) = name.rsplit_once(" MIG ")?;
    Some(profile.trim().to_owned()).filter(|profile| !profile.is_empty())
}

/// One clock of each domain.
pub(super) fn clocks(ask: impl Fn(Clock) -> Option<u32>) -> GpuClocks {
    GpuClocks { graphics: ask(Clock::Graphics), sm: ask(Clock::SM), memory: ask(Clock::Memory) }
}

/// 12040 → `12.4`.
fn cuda(version: i32) -> Option<String> {
    (version > 0).then(|| format!("{}.{}", version / 1000, version % 1000 / 10))
}

/// The numbers of the bits that are set, ascending.
fn numbers(mask: &[std::ffi::c_ulong]) -> impl Iterator<Item = u32> + '_ {
    const BITS: u32 = std::ffi::c_ulong::BITS;
    let words = (0..).step_by(BITS as usize).zip(mask);
    words.flat_map(|(first, word)| {
        (0..BITS).filter(move |bit| word >> bit & 1 == 1).map(move |bit| first + bit)
    })
}

/// The number of the bit, if one is set and no more.
fn only(mask: &[std::ffi::c_ulong]) -> Option<u32> {
    let mut numbers = numbers(mask);
    numbers.next().filter(|_| numbers.next().is_none())
}

fn topology(nvml: &Nvml, all: &[(u32, Result<Device<'_>, NvmlError>)]) -> Vec<GpuPair> {
    let answers = Answers::default();
    let answering: Vec<_> =
        all.iter().filter_map(|(index, device)| Some((*index, device.as_ref().ok()?))).collect();
    if answering.len() > MAX_IN_TOPOLOGY {
        return Vec::new();
    }
    let pairs =
        answering.iter().enumerate().flat_map(|(n, a)| answering[n + 1..].iter().map(move |b| (a, b)));
    let ask = |((first, a), (second, b)): (&(u32, &Device<'_>), &(u32, &Device<'_>))| {
        let ancestor = level(&answers.known(nvml.topology_common_ancestor(a, b))?);
        Some(GpuPair { gpus: [*first, *second], ancestor })
    };
    pairs.filter_map(ask).collect()
}

fn level(ancestor: &Ancestor) -> TopologyLevel {
    match ancestor {
        Ancestor::Internal => TopologyLevel::Board,
        Ancestor::Single => TopologyLevel::PcieSwitch,
        Ancestor::Multiple => TopologyLevel::PcieSwitches,
        Ancestor::HostBridge => TopologyLevel::HostBridge,
        Ancestor::Node => TopologyLevel::NumaNode,
        Ancestor::System => TopologyLevel::System,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_what_follows_the_devices_name() {
        assert_eq!(profile("NVIDIA A100-SXM4-40GB MIG 1c.3g.20gb").as_deref(), Some("1c.3g.20gb"));
        assert_eq!((profile("NVIDIA A100-SXM4-40GB"), profile("X MIG ")), (None, None));
    }

    #[test]
    fn masks_are_sets_of_numbers() {
        assert_eq!(numbers(&[0b101, 1 << 63]).collect::<Vec<_>>(), [0, 2, 127]);
        assert_eq!((only(&[0, 2]), only(&[3]), only(&[0, 0])), (Some(65), None, None));
    }

    #[test]
    fn cuda_versions_are_shown_as_people_write_them() {
        assert_eq!((cuda(12040), cuda(11080), cuda(0)), (Some("12.4".into()), Some("11.8".into()), None));
    }
}
