//! The questions of a sample: what the devices are doing. About thirty calls a device, some milliseconds in all; and for
//! one device a sample the 40 ms of measuring its link.

use super::answers::{Answers, is_device_lost};
use super::describe::{clocks, devices, instances, is_divided, uuid};
use super::{EccErrors, GpuProcess, GpuSample, MigSample, PcieTraffic, ProcessKind, ThrottleReason, raw};
use hypermesh_model::{Bytes, GpuUuid};
use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::enum_wrappers::device::{
    EccCounter, MemoryError, PcieUtilCounter, PerformanceState, TemperatureSensor,
};
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::struct_wrappers::device::ProcessInfo;
use nvml_wrapper::{Device, Nvml};
use std::collections::BTreeMap;

/// Most fans of a device that are asked for.
const MAX_FANS: u32 = 8;

/// NVML counts PCIe traffic in KB/s (`nvmlDeviceGetPcieThroughput`), which it computes with 1024.
const KB: u64 = 1024;

/// What has to be kept from sample to sample.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// Whose link is measured next.
    turn: u32,
    /// Bytes a second received and sent, as measured last.
    rates: BTreeMap<GpuUuid, [Option<u64>; 2]>,
}

/// What all devices are doing.
///
/// # Errors
/// When not even their number is known.
pub(super) fn sample(nvml: &Nvml, links: &mut Links) -> Result<Vec<GpuSample>, NvmlError> {
    let all: Vec<_> = devices(nvml)?.collect();
    let whose = u32::try_from(all.len()).ok().and_then(|count| links.turn.checked_rem(count));
    links.turn = links.turn.wrapping_add(1);
    let read = |(index, device): (u32, Result<Device<'_>, NvmlError>)| match device {
        Ok(device) => measure(index, &device, links, whose == Some(index)),
        Err(error) => GpuSample { index, lost: is_device_lost(&error), ..GpuSample::default() },
    };
    Ok(all.into_iter().map(read).collect())
}

fn measure(index: u32, device: &Device<'_>, links: &mut Links, link_too: bool) -> GpuSample {
    let answers = Answers::default();
    let uuid = uuid(&answers, device);
    let lost = |uuid| GpuSample { index, uuid, lost: true, ..GpuSample::default() };
    if answers.lost().is_some() {
        return lost(uuid);
    }
    let utilization = answers.known(device.utilization_rates());
    let memory = answers.known(raw::memory(device));
    let parts: Vec<Device<'_>> = match is_divided(&answers, device) {
        Some(true) => instances(&answers, device).collect(),
        Some(false) | None => Vec::new(),
    };
    let watts = |milliwatts: u32| f64::from(milliwatts) / 1000.0;
    let ecc = |counter| answers.known(device.total_ecc_errors(MemoryError::Uncorrected, counter));
    let sample = GpuSample {
        index,
        lost: false,
        utilization_percent: utilization.as_ref().map(|rates| f64::from(rates.gpu)),
        memory_utilization_percent: utilization.map(|rates| f64::from(rates.memory)),
        encoder_percent: answers.known(device.encoder_utilization()).map(|encoder| encoder.utilization),
        decoder_percent: answers.known(device.decoder_utilization()).map(|decoder| decoder.utilization),
        memory_used: memory.as_ref().map(|(memory, _)| Bytes(memory.used)),
        memory_free: memory.as_ref().map(|(memory, _)| Bytes(memory.free)),
        memory_reserved: memory.and_then(|(_, reserved)| reserved).map(Bytes),
        temperature_celsius: answers.known(device.temperature(TemperatureSensor::Gpu)),
        power_watts: answers.known(device.power_usage()).map(watts),
        power_limit_watts: answers.known(device.enforced_power_limit()).map(watts),
        energy_millijoules: answers.known(device.total_energy_consumption()),
        clocks: clocks(|domain| answers.known(device.clock_info(domain))),
        throttle_reasons: answers.known(device.current_throttle_reasons()).map(throttle_reasons),
        fan_percent: fastest_fan(&answers, device),
        ecc_uncorrected: EccErrors {
            since_load: ecc(EccCounter::Volatile),
            lifetime: ecc(EccCounter::Aggregate),
        },
        performance_state: answers.known(device.performance_state()).and_then(performance_state),
        pcie: links.traffic(&answers, device, uuid.as_ref(), link_too),
        processes: processes(&answers, device, &parts),
        instances: parts.iter().map(|part| instance(&answers, part)).collect(),
        uuid,
    };
    if answers.lost().is_some() { lost(sample.uuid) } else { sample }
}

fn instance(answers: &Answers, instance: &Device<'_>) -> MigSample {
    let memory = answers.known(raw::memory(instance)).map(|(memory, _)| memory);
    MigSample {
        uuid: uuid(answers, instance),
        memory_used: memory.as_ref().map(|memory| Bytes(memory.used)),
        memory_free: memory.map(|memory| Bytes(memory.free)),
    }
}

impl Links {
    /// Traffic as measured now or last; replays are counted by the device and cost nothing.
    fn traffic(
        &mut self,
        answers: &Answers,
        device: &Device<'_>,
        uuid: Option<&GpuUuid>,
        now: bool,
    ) -> PcieTraffic {
        if let Some(uuid) = uuid.filter(|_| now) {
            let rate = |counter| {
                answers.known(device.pcie_throughput(counter)).map(|rate| u64::from(rate).saturating_mul(KB))
            };
            let received = rate(PcieUtilCounter::Receive);
            // A device that can't count one direction can't count the other, and each costs 20 ms.
            let sent = received.and_then(|_| rate(PcieUtilCounter::Send));
            self.rates.insert(uuid.clone(), [received, sent]);
        }
        let [received, sent] = uuid.and_then(|uuid| self.rates.get(uuid)).copied().unwrap_or_default();
        PcieTraffic { received, sent, replays: answers.known(device.pcie_replay_counter()) }
    }
}

/// Servers' GPUs have no fan, and say "not supported" or that there are none.
fn fastest_fan(answers: &Answers, device: &Device<'_>) -> Option<u32> {
    let fans = answers.known(device.num_fans())?.min(MAX_FANS);
    (0..fans).filter_map(|fan| answers.known(device.fan_speed(fan))).max()
}

fn performance_state(state: PerformanceState) -> Option<u32> {
    // NVML_PSTATE_UNKNOWN is 32.
    Some(state.as_c()).filter(|state| *state <= 15)
}

fn throttle_reasons(reasons: ThrottleReasons) -> Vec<ThrottleReason> {
    use ThrottleReasons as Bit;
    let named = [
        (Bit::GPU_IDLE, ThrottleReason::GpuIdle),
        (Bit::APPLICATIONS_CLOCKS_SETTING, ThrottleReason::ApplicationsClocksSetting),
        (Bit::SW_POWER_CAP, ThrottleReason::SwPowerCap),
        (Bit::HW_SLOWDOWN, ThrottleReason::HwSlowdown),
        (Bit::SYNC_BOOST, ThrottleReason::SyncBoost),
        (Bit::SW_THERMAL_SLOWDOWN, ThrottleReason::SwThermalSlowdown),
        (Bit::HW_THERMAL_SLOWDOWN, ThrottleReason::HwThermalSlowdown),
        (Bit::HW_POWER_BRAKE_SLOWDOWN, ThrottleReason::HwPowerBrakeSlowdown),
        (Bit::DISPLAY_CLOCK_SETTING, ThrottleReason::DisplayClockSetting),
    ];
    named.into_iter().filter(|(bit, _)| reasons.contains(*bit)).map(|(_, reason)| reason).collect()
}

/// The processes of a device. A divided one tells them only to those who may see all of it; its instances are asked
/// then, each of which tells its own.
fn processes(answers: &Answers, device: &Device<'_>, parts: &[Device<'_>]) -> Option<Vec<GpuProcess>> {
    let of = |device| {
        let compute = answers.known(raw::compute_processes(device));
        let graphics = answers.known(raw::graphics_processes(device));
        (compute.is_some() || graphics.is_some())
            .then(|| merge(compute.unwrap_or_default(), graphics.unwrap_or_default()))
    };
    of(device).or_else(|| {
        let found: Vec<_> = parts.iter().filter_map(of).collect();
        (!found.is_empty()).then(|| found.concat())
    })
}

/// One entry a process and instance, in the order in which they come.
fn merge(compute: Vec<ProcessInfo>, graphics: Vec<ProcessInfo>) -> Vec<GpuProcess> {
    let mut merged: Vec<GpuProcess> = Vec::new();
    let compute = compute.into_iter().map(|process| (process, ProcessKind::Compute));
    let graphics = graphics.into_iter().map(|process| (process, ProcessKind::Graphics));
    for (process, kind) in compute.chain(graphics) {
        let same = |known: &&mut GpuProcess| {
            (known.pid, known.gpu_instance, known.compute_instance)
                == (process.pid, process.gpu_instance_id, process.compute_instance_id)
        };
        let memory_used = match process.used_gpu_memory {
            UsedGpuMemory::Used(bytes) => Some(Bytes(bytes)),
            UsedGpuMemory::Unavailable => None,
        };
        match merged.iter_mut().find(same) {
            Some(known) => {
                // Both lists give all that the process holds.
                known.memory_used = known.memory_used.max(memory_used);
                if known.kind != kind {
                    known.kind = ProcessKind::ComputeAndGraphics;
                }
            }
            None => merged.push(GpuProcess {
                pid: process.pid,
                memory_used,
                kind,
                gpu_instance: process.gpu_instance_id,
                compute_instance: process.compute_instance_id,
            }),
        }
    }
    merged
}
