//! The questions to NVML. Every answer is optional: a call that the device, the driver's version or our rights don't
//! allow gives `None` and leaves the others alone.

use super::{GpuInfo, GpuInventory, GpuSample};
use hypermesh_model::{Bytes, GpuUuid};
use nvml_wrapper::enums::device::DeviceArchitecture;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};

/// Most devices that are asked for. No machine holds more; a broken count must not keep the thread busy.
const MAX_GPUS: u32 = 256;

/// All devices.
///
/// # Errors
/// When not even their number is known.
pub(super) fn inventory(nvml: &Nvml) -> Result<GpuInventory, NvmlError> {
    let gpus =
        devices(nvml)?.map(|(index, device)| device.map_or_else(|| unknown(index), |d| describe(index, &d)));
    Ok(GpuInventory { gpus: gpus.collect(), driver: known(nvml.sys_driver_version()), unavailable: None })
}

/// What all devices are doing.
///
/// # Errors
/// When not even their number is known.
pub(super) fn sample(nvml: &Nvml) -> Result<Vec<GpuSample>, NvmlError> {
    let read = |(index, device): (u32, Option<Device<'_>>)| GpuSample {
        index,
        uuid: device.as_ref().and_then(uuid),
        utilization_percent: device
            .as_ref()
            .and_then(|d| known(d.utilization_rates()))
            .map(|u| f64::from(u.gpu)),
        memory_used: device.as_ref().and_then(|d| known(d.memory_info())).map(|memory| Bytes(memory.used)),
    };
    Ok(devices(nvml)?.map(read).collect())
}

/// Whether the library has to be initialised anew before it can answer again.
pub(super) fn is_lost(error: &NvmlError) -> bool {
    use NvmlError::{DriverNotLoaded, GpuLost, LibRmVersionMismatch, ResetRequired, Uninitialized, Unknown};
    matches!(
        error,
        DriverNotLoaded | GpuLost | LibRmVersionMismatch | ResetRequired | Uninitialized | Unknown
    )
}

fn devices(nvml: &Nvml) -> Result<impl Iterator<Item = (u32, Option<Device<'_>>)>, NvmlError> {
    let count = nvml.device_count()?.min(MAX_GPUS);
    Ok((0..count).map(|index| (index, known(nvml.device_by_index(index)))))
}

fn unknown(index: u32) -> GpuInfo {
    GpuInfo { index, ..GpuInfo::default() }
}

fn describe(index: u32, device: &Device<'_>) -> GpuInfo {
    GpuInfo {
        index,
        model: known(device.name()),
        uuid: uuid(device),
        memory: known(device.memory_info()).map(|memory| Bytes(memory.total)),
        minor: known(device.minor_number()),
        pci: known(device.pci_info()).map(|pci| pci.bus_id),
        architecture: known(device.architecture())
            .filter(|architecture| *architecture != DeviceArchitecture::Unknown)
            .map(|architecture| architecture.to_string()),
        mig: known(device.mig_mode()).map(|mode| mode.current != 0),
    }
}

fn uuid(device: &Device<'_>) -> Option<GpuUuid> {
    known(device.uuid()).map(GpuUuid)
}

fn known<T>(answer: Result<T, NvmlError>) -> Option<T> {
    answer.inspect_err(|error| tracing::debug!(%error, "NVML doesn't answer a question")).ok()
}
