//! What a device says of itself: numbers, texts and structs of fixed size.

use super::{Handle, getters, of_device, put, put_text};
use crate::scenario::{Clocks, Code, Instance};
use crate::world::Seen;
use std::ffi::{c_char, c_uint, c_ulonglong};

/// `nvmlMemory_t`.
#[repr(C)]
pub(crate) struct MemoryV1 {
    total: c_ulonglong,
    free: c_ulonglong,
    used: c_ulonglong,
}

/// `nvmlMemory_v2_t`.
#[repr(C)]
pub(crate) struct MemoryV2 {
    version: c_uint,
    total: c_ulonglong,
    reserved: c_ulonglong,
    free: c_ulonglong,
    used: c_ulonglong,
}

/// `nvmlUtilization_t`.
#[repr(C)]
pub(crate) struct Rates {
    gpu: c_uint,
    memory: c_uint,
}

/// `nvmlPciInfo_t`.
#[repr(C)]
pub(crate) struct PciInfo {
    legacy: [c_char; 16],
    domain: c_uint,
    bus: c_uint,
    device: c_uint,
    id: c_uint,
    subsystem: c_uint,
    bus_id: [c_char; 32],
}

/// `nvmlDeviceAttributes_t`.
#[repr(C)]
#[derive(Default)]
pub(crate) struct Attributes {
    multiprocessors: c_uint,
    copy_engines: c_uint,
    decoders: c_uint,
    encoders: c_uint,
    jpeg: c_uint,
    ofa: c_uint,
    gpu_slices: c_uint,
    compute_slices: c_uint,
    memory_mib: c_ulonglong,
}

/// Struct version 2 in the form of `NVML_STRUCT_VERSION(Memory, 2)`.
const MEMORY_V2: c_uint = 40 | (2 << 24);

fn memory(seen: &Seen<'_>) -> Result<[u64; 3], Code> {
    let memory = seen.instance.map_or(seen.gpu.memory.as_ref(), |instance| instance.memory.as_ref());
    memory.map(|memory| [memory.total, memory.reserved, memory.used]).ok_or(Code::NotSupported)
}

fn instance<T>(seen: &Seen<'_>, read: impl FnOnce(&Instance) -> Option<T>) -> Result<T, Code> {
    seen.instance.and_then(read).ok_or(Code::NotSupported)
}

/// Without a driver that can tell them apart, what is reserved counts as used.
fn memory_v1(seen: &Seen<'_>) -> Result<MemoryV1, Code> {
    let [total, reserved, used] = memory(seen)?;
    let used = used + reserved;
    Ok(MemoryV1 { total, used, free: total.saturating_sub(used) })
}

fn pci(seen: &Seen<'_>) -> Result<PciInfo, Code> {
    let text = seen.whole(seen.gpu.pci.as_deref())?;
    let mut info =
        PciInfo { legacy: [0; 16], domain: 0, bus: 0, device: 0, id: 0, subsystem: 0, bus_id: [0; 32] };
    // The last byte stays zero.
    for (to, from) in info.bus_id.iter_mut().take(31).zip(text.bytes()) {
        *to = c_char::from_ne_bytes([from]);
    }
    Ok(info)
}

getters! {
    nvmlDeviceGetMinorNumber -> c_uint = |seen| seen.whole(seen.gpu.minor);
    nvmlDeviceGetArchitecture -> c_uint = |seen| seen.gpu.architecture.ok_or(Code::NotSupported);
    nvmlDeviceGetPciInfo_v3 -> PciInfo = |seen| pci(seen);
    nvmlDeviceGetMemoryInfo -> MemoryV1 = |seen| memory_v1(seen);
    nvmlDeviceGetUtilizationRates -> Rates = |seen| seen
        .whole(seen.gpu.utilization.as_ref())
        .map(|rates| Rates { gpu: rates.gpu, memory: rates.memory });
    nvmlDeviceGetPowerUsage -> c_uint = |seen| seen.whole(seen.gpu.power_mw);
    nvmlDeviceGetEnforcedPowerLimit -> c_uint = |seen| seen.whole(seen.gpu.power_limit_mw);
    nvmlDeviceGetTotalEnergyConsumption -> c_ulonglong = |seen| seen.whole(seen.gpu.energy_mj);
    nvmlDeviceGetCurrentClocksThrottleReasons -> c_ulonglong = |seen| seen.whole(seen.gpu.throttle_reasons);
    nvmlDeviceGetPerformanceState -> c_uint = |seen| seen.whole(seen.gpu.performance_state);
    nvmlDeviceGetCurrPcieLinkGeneration -> c_uint = |seen| seen.whole(seen.gpu.pcie.as_ref().map(|p| p.generation));
    nvmlDeviceGetCurrPcieLinkWidth -> c_uint = |seen| seen.whole(seen.gpu.pcie.as_ref().map(|p| p.width));
    nvmlDeviceGetMaxPcieLinkGeneration -> c_uint = |seen| seen.whole(seen.gpu.pcie.as_ref().map(|p| p.max_generation));
    nvmlDeviceGetMaxPcieLinkWidth -> c_uint = |seen| seen.whole(seen.gpu.pcie.as_ref().map(|p| p.max_width));
    nvmlDeviceGetPcieReplayCounter -> c_uint = |seen| seen.whole(seen.gpu.pcie.as_ref().map(|p| p.replays));
    nvmlDeviceGetNumFans -> c_uint = |seen| seen
        .whole(seen.gpu.fans_percent.as_ref())
        .and_then(|fans| c_uint::try_from(fans.len()).map_err(|_| Code::Unknown));
    nvmlDeviceGetMaxMigDeviceCount -> c_uint = |seen| seen
        .whole(seen.gpu.mig)
        .and_then(|_| c_uint::try_from(seen.gpu.instances.len()).map_err(|_| Code::Unknown));
    nvmlDeviceGetGpuInstanceId -> c_uint = |seen| instance(seen, |instance| instance.gpu_instance);
    nvmlDeviceGetComputeInstanceId -> c_uint = |seen| instance(seen, |instance| instance.compute_instance);
    nvmlDeviceGetAttributes_v2 -> Attributes = |seen| instance(seen, |instance| Some(Attributes {
        multiprocessors: instance.multiprocessors?,
        memory_mib: instance.memory.as_ref().map_or(0, |memory| memory.total >> 20),
        ..Attributes::default()
    }));
}

/// As in `nvml.h`: refused when the caller's struct says another version.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvmlDeviceGetMemoryInfo_v2(device: Handle, out: *mut MemoryV2) -> c_uint {
    // SAFETY: the caller's pointer is null or valid, and its version is set, as nvml.h demands.
    let version = unsafe { out.as_ref() }.map(|memory| memory.version);
    let answer = of_device("nvmlDeviceGetMemoryInfo_v2", device, |seen| {
        let [total, reserved, used] = memory(seen)?;
        let free = total.saturating_sub(reserved + used);
        let right = version == Some(MEMORY_V2);
        right
            .then_some(MemoryV2 { version: MEMORY_V2, total, reserved, free, used })
            .ok_or(Code::InvalidArgument)
    });
    // SAFETY: the caller's pointer is null or valid, as nvml.h demands.
    unsafe { put(out, answer) }
}

/// As in `nvml.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvmlDeviceGetName(
    device: Handle,
    text: *mut c_char,
    length: c_uint,
) -> c_uint {
    let answer = of_device("nvmlDeviceGetName", device, |seen| {
        let name = seen.instance.map_or(seen.gpu.name.clone(), |instance| instance.name.clone());
        name.ok_or(Code::NotSupported)
    });
    // SAFETY: the caller's buffer is null or has `length` bytes, as nvml.h demands.
    unsafe { put_text(text, length, answer) }
}

/// As in `nvml.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvmlDeviceGetUUID(
    device: Handle,
    text: *mut c_char,
    length: c_uint,
) -> c_uint {
    let answer = of_device("nvmlDeviceGetUUID", device, |seen| {
        let uuid = seen.instance.map_or(seen.gpu.uuid.clone(), |instance| instance.uuid.clone());
        uuid.ok_or(Code::NotSupported)
    });
    // SAFETY: the caller's buffer is null or has `length` bytes, as nvml.h demands.
    unsafe { put_text(text, length, answer) }
}

/// As in `nvml.h`: mode now, and after the next reset.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvmlDeviceGetMigMode(
    device: Handle,
    current: *mut c_uint,
    pending: *mut c_uint,
) -> c_uint {
    let answer = of_device("nvmlDeviceGetMigMode", device, |seen| seen.whole(seen.gpu.mig).map(c_uint::from));
    // SAFETY: the caller's pointers are null or valid, as nvml.h demands.
    unsafe { put(current, answer).max(put(pending, answer)) }
}

/// As in `nvml.h`; there is one sensor.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvmlDeviceGetTemperature(
    device: Handle,
    _sensor: c_uint,
    out: *mut c_uint,
) -> c_uint {
    let answer =
        of_device("nvmlDeviceGetTemperature", device, |seen| seen.whole(seen.gpu.temperature_celsius));
    // SAFETY: the caller's pointer is null or valid, as nvml.h demands.
    unsafe { put(out, answer) }
}

fn clock(clocks: Option<&Clocks>, domain: c_uint) -> Option<c_uint> {
    let clocks = clocks?;
    match domain {
        0 => Some(clocks.graphics),
        1 => Some(clocks.sm),
        2 => Some(clocks.memory),
        _ => None,
    }
}

/// As in `nvml.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvmlDeviceGetClockInfo(
    device: Handle,
    domain: c_uint,
    out: *mut c_uint,
) -> c_uint {
    let answer = of_device("nvmlDeviceGetClockInfo", device, |seen| {
        seen.whole(clock(seen.gpu.clocks_mhz.as_ref(), domain))
    });
    // SAFETY: the caller's pointer is null or valid, as nvml.h demands.
    unsafe { put(out, answer) }
}

/// As in `nvml.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvmlDeviceGetMaxClockInfo(
    device: Handle,
    domain: c_uint,
    out: *mut c_uint,
) -> c_uint {
    let answer = of_device("nvmlDeviceGetMaxClockInfo", device, |seen| {
        seen.whole(clock(seen.gpu.max_clocks_mhz.as_ref(), domain))
    });
    // SAFETY: the caller's pointer is null or valid, as nvml.h demands.
    unsafe { put(out, answer) }
}

/// As in `nvml.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvmlDeviceGetFanSpeed_v2(
    device: Handle,
    fan: c_uint,
    out: *mut c_uint,
) -> c_uint {
    let answer = of_device("nvmlDeviceGetFanSpeed_v2", device, |seen| {
        let fans = seen.whole(seen.gpu.fans_percent.as_ref())?;
        fans.get(fan as usize).copied().ok_or(Code::InvalidArgument)
    });
    // SAFETY: the caller's pointer is null or valid, as nvml.h demands.
    unsafe { put(out, answer) }
}

/// As in `nvml.h`; corrected errors (type 0) are not counted.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvmlDeviceGetTotalEccErrors(
    device: Handle,
    kind: c_uint,
    counter: c_uint,
    out: *mut c_ulonglong,
) -> c_uint {
    let answer = of_device("nvmlDeviceGetTotalEccErrors", device, |seen| {
        let ecc = seen.whole(seen.gpu.ecc.as_ref())?;
        match (kind, counter) {
            (1, 0) => Ok(ecc.volatile),
            (1, 1) => Ok(ecc.aggregate),
            _ => Err(Code::NotSupported),
        }
    });
    // SAFETY: the caller's pointer is null or valid, as nvml.h demands.
    unsafe { put(out, answer) }
}

/// As in `nvml.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvmlDeviceGetPcieThroughput(
    device: Handle,
    counter: c_uint,
    out: *mut c_uint,
) -> c_uint {
    let answer = of_device("nvmlDeviceGetPcieThroughput", device, |seen| {
        let pcie = seen.whole(seen.gpu.pcie.as_ref())?;
        Ok(if counter == 0 { pcie.sent } else { pcie.received })
    });
    // SAFETY: the caller's pointer is null or valid, as nvml.h demands.
    unsafe { put(out, answer) }
}

/// Percent, and the period over which it was measured in microseconds.
///
/// # Safety
/// The pointers are null or valid for writing.
unsafe fn put_period(percent: *mut c_uint, period: *mut c_uint, answer: Result<u32, Code>) -> c_uint {
    // SAFETY: the contract of this function.
    unsafe { put(percent, answer).max(put(period, answer.map(|_| 167_000))) }
}

/// As in `nvml.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvmlDeviceGetEncoderUtilization(
    device: Handle,
    percent: *mut c_uint,
    period: *mut c_uint,
) -> c_uint {
    let answer =
        of_device("nvmlDeviceGetEncoderUtilization", device, |seen| seen.whole(seen.gpu.encoder_percent));
    // SAFETY: the caller's pointers are null or valid, as nvml.h demands.
    unsafe { put_period(percent, period, answer) }
}

/// As in `nvml.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvmlDeviceGetDecoderUtilization(
    device: Handle,
    percent: *mut c_uint,
    period: *mut c_uint,
) -> c_uint {
    let answer =
        of_device("nvmlDeviceGetDecoderUtilization", device, |seen| seen.whole(seen.gpu.decoder_percent));
    // SAFETY: the caller's pointers are null or valid, as nvml.h demands.
    unsafe { put_period(percent, period, answer) }
}
