//! What a GPU is doing at one moment.

use super::GpuClocks;
use hypermesh_model::{Bytes, GpuUuid};
use serde::Serialize;

/// What a GPU is doing. What its driver or hardware can't say is `None`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct GpuSample {
    /// The driver's number.
    pub index: u32,
    /// Which one.
    pub uuid: Option<GpuUuid>,
    /// It is known, but doesn't answer: it fell off the bus or waits for a reset. Everything below is then unknown.
    pub lost: bool,
    /// Time in which a kernel ran, over the driver's last sampling period (1/6 to 1 s), 0 to 100. Not known of a
    /// device in MIG mode.
    pub utilization_percent: Option<f64>,
    /// Time in which its memory was read or written, likewise.
    pub memory_utilization_percent: Option<f64>,
    /// Time in which its video encoder worked, 0 to 100.
    pub encoder_percent: Option<u32>,
    /// Time in which its video decoder worked, 0 to 100.
    pub decoder_percent: Option<u32>,
    /// Memory in use, in bytes. The driver's own part is left out, but in drivers before R510, which can't tell.
    pub memory_used: Option<Bytes>,
    /// Memory that is free, in bytes.
    pub memory_free: Option<Bytes>,
    /// Memory that the driver keeps for itself, in bytes. Not known before R510.
    pub memory_reserved: Option<Bytes>,
    /// Of the chip, in °C.
    pub temperature_celsius: Option<u32>,
    /// Power drawn, in W.
    pub power_watts: Option<f64>,
    /// Power at which the driver slows the device down, in W.
    pub power_limit_watts: Option<f64>,
    /// Energy used since the driver was loaded, in mJ.
    pub energy_millijoules: Option<u64>,
    /// Clocks now.
    pub clocks: GpuClocks,
    /// Why the clocks aren't higher; empty when they are as high as they go.
    pub throttle_reasons: Option<Vec<ThrottleReason>>,
    /// Speed of the fastest fan, in percent of what it is built for (it may exceed 100). Servers' GPUs have none.
    pub fan_percent: Option<u32>,
    /// Memory errors that could not be corrected.
    pub ecc_uncorrected: EccErrors,
    /// From 0, the fastest, to 15.
    pub performance_state: Option<u32>,
    /// What went over its link.
    pub pcie: PcieTraffic,
    /// Processes that use it. `None`: not known. Processes of other containers and namespaces are among them, by the
    /// host's process ids.
    pub processes: Option<Vec<GpuProcess>>,
    /// Its MIG instances.
    pub instances: Vec<MigSample>,
}

/// The memory of a MIG instance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct MigSample {
    /// Which one.
    pub uuid: Option<GpuUuid>,
    /// Memory in use, in bytes.
    pub memory_used: Option<Bytes>,
    /// Memory that is free, in bytes.
    pub memory_free: Option<Bytes>,
}

/// Numbers of errors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct EccErrors {
    /// Since the driver was loaded.
    pub since_load: Option<u64>,
    /// In the device's life.
    pub lifetime: Option<u64>,
}

/// Traffic over PCIe. A measurement takes the driver 20 ms a direction, so devices are asked in turn, one a sample: the
/// rates are as many samples old as there are GPUs, at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PcieTraffic {
    /// Bytes a second into the device.
    pub received: Option<u64>,
    /// Bytes a second out of the device.
    pub sent: Option<u64>,
    /// Packets that had to be sent again, since the driver was loaded. Many are a bad slot or cable.
    pub replays: Option<u32>,
}

/// A process that uses a GPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GpuProcess {
    /// Its id, in the host's namespace.
    pub pid: u32,
    /// Memory that it holds on the device, in bytes.
    pub memory_used: Option<Bytes>,
    /// What for.
    pub kind: ProcessKind,
    /// The GPU instance it runs on, on a divided device.
    pub gpu_instance: Option<u32>,
    /// The compute instance it runs on, on a divided device.
    pub compute_instance: Option<u32>,
}

/// What a process uses a GPU for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProcessKind {
    /// It has a compute context (CUDA).
    Compute,
    /// It has a graphics context (OpenGL, Vulkan).
    Graphics,
    /// It has both.
    ComputeAndGraphics,
}

/// What keeps the clocks down (`nvmlClocksEventReasons`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ThrottleReason {
    /// Nothing runs.
    GpuIdle,
    /// Somebody set the application clocks.
    ApplicationsClocksSetting,
    /// The power limit.
    SwPowerCap,
    /// Hardware halves the clocks or worse: heat, power brake, or power drawn too fast.
    HwSlowdown,
    /// Another GPU of the same boost group.
    SyncBoost,
    /// The driver, for heat.
    SwThermalSlowdown,
    /// Hardware, for heat.
    HwThermalSlowdown,
    /// Hardware, on the power supply's demand.
    HwPowerBrakeSlowdown,
    /// The display's clocks.
    DisplayClockSetting,
}
