//! What each GPU does, under the names, units and labels of NVIDIA's DCGM exporter (`etc/default-counters.csv`), so that
//! boards made for it show our GPUs.
//!
//! A MIG instance is a row of its own with its GPU's labels and `GPU_I_PROFILE` and `GPU_I_ID`, as the exporter has it.
//! A label that is not known is left out. `DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION` and `DCGM_FI_DEV_PCIE_REPLAY_COUNTER`
//! are counters there and have the type `unknown` here (see `families`); the names are the same.

use crate::families::{Metric, Value, some};
use hypermesh_model::{Bytes, GpuUuid};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabel, EncodeLabelSet, EncodeLabelValue, LabelSetEncoder,
};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

/// Most GPUs and MIG instances that are shown: twice what a machine of 16 GPUs with 7 instances each has.
const MAX_GPUS: usize = 256;

/// What was measured of one GPU or MIG instance. `None`: not known; it then has no label or no sample.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GpuSample {
    /// The driver's number of the GPU.
    pub index: u32,
    /// The GPU's UUID; of a MIG instance, its GPU's.
    pub uuid: Option<GpuUuid>,
    /// Its PCI address, e.g. `00000000:31:00.0`.
    pub pci_bus_id: Option<String>,
    /// The minor number of its device file: `device` is `nvidia<minor>`.
    pub minor: Option<u32>,
    /// Its model, e.g. `NVIDIA L4`.
    pub model: Option<String>,
    /// The machine's name.
    pub hostname: Option<String>,
    /// The driver's version.
    pub driver_version: Option<String>,
    /// The MIG instance; `None` for the GPU itself.
    pub mig: Option<MigLabels>,
    /// Clock of the streaming multiprocessors in MHz.
    pub sm_clock_mhz: Option<u32>,
    /// Clock of the memory in MHz.
    pub memory_clock_mhz: Option<u32>,
    /// Temperature of the memory in °C.
    pub memory_temperature_celsius: Option<u32>,
    /// Temperature of the chip in °C.
    pub temperature_celsius: Option<u32>,
    /// Power drawn in W.
    pub power_watts: Option<f64>,
    /// Energy used since the driver was loaded in mJ.
    pub energy_millijoules: Option<u64>,
    /// Retries on PCIe.
    pub pcie_replays: Option<u64>,
    /// Time in which a kernel ran, 0 to 100 %.
    pub utilization_percent: Option<f64>,
    /// Time in which the memory was read or written, 0 to 100 %.
    pub memory_utilization_percent: Option<f64>,
    /// Time in which the encoder worked, 0 to 100 %.
    pub encoder_percent: Option<u32>,
    /// Time in which the decoder worked, 0 to 100 %.
    pub decoder_percent: Option<u32>,
    /// The last XID error; 0 when they are watched and there was none.
    pub last_xid: Option<u64>,
    /// Memory that is free. Shown in MiB, rounded down.
    pub memory_free: Option<Bytes>,
    /// Memory in use without the driver's own part. Shown in MiB, rounded down.
    pub memory_used: Option<Bytes>,
    /// Memory that the driver keeps for itself. Shown in MiB, rounded down.
    pub memory_reserved: Option<Bytes>,
}

/// What tells a MIG instance from its GPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigLabels {
    /// Its profile, e.g. `1g.10gb`.
    pub profile: String,
    /// Its GPU instance's number on that GPU.
    pub gpu_instance: u32,
}

impl GpuSample {
    /// The order of the rows, and what must be different in each.
    fn key(&self) -> (u32, Option<u32>) {
        (self.index, self.mig.as_ref().map(|mig| mig.gpu_instance))
    }
}

impl EncodeLabelSet for GpuSample {
    fn encode(&self, encoder: &mut LabelSetEncoder) -> fmt::Result {
        label(encoder, "gpu", Some(self.index))?;
        label(encoder, "UUID", self.uuid.as_ref().map(|uuid| uuid.0.as_str()))?;
        label(encoder, "pci_bus_id", self.pci_bus_id.as_deref())?;
        label(encoder, "device", self.minor.map(|minor| format!("nvidia{minor}")))?;
        label(encoder, "modelName", self.model.as_deref())?;
        label(encoder, "GPU_I_PROFILE", self.mig.as_ref().map(|mig| mig.profile.as_str()))?;
        label(encoder, "GPU_I_ID", self.mig.as_ref().map(|mig| mig.gpu_instance))?;
        label(encoder, "Hostname", self.hostname.as_deref())?;
        label(encoder, "DCGM_FI_DRIVER_VERSION", self.driver_version.as_deref())
    }
}

fn label(encoder: &mut LabelSetEncoder<'_>, name: &str, value: Option<impl EncodeLabelValue>) -> fmt::Result {
    match value {
        Some(value) => (name, value).encode(encoder.encode_label()),
        None => Ok(()),
    }
}

/// The last snapshot of all GPUs.
#[derive(Debug, Default)]
pub(crate) struct GpuCollector {
    shown: RwLock<Arc<[GpuSample]>>,
}

impl GpuCollector {
    /// Replaces the snapshot.
    pub(crate) fn set(&self, mut gpus: Vec<GpuSample>) {
        gpus.sort_by_key(GpuSample::key);
        gpus.dedup_by_key(|gpu| gpu.key());
        gpus.truncate(MAX_GPUS);
        *self.shown.write().unwrap_or_else(PoisonError::into_inner) = gpus.into();
    }
}

impl Collector for GpuCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let shown = Arc::clone(&self.shown.read().unwrap_or_else(PoisonError::into_inner));
        METRICS.iter().try_for_each(|metric| metric.encode(&mut encoder, shown.iter()))
    }
}

/// Those of the exporter's default counters that NVML has without DCGM.
const METRICS: &[Metric<GpuSample>] = &[
    Metric::gauge("DCGM_FI_DEV_SM_CLOCK", "SM clock frequency (in MHz).", |g| some(g.sm_clock_mhz)),
    Metric::gauge("DCGM_FI_DEV_MEM_CLOCK", "Memory clock frequency (in MHz).", |g| some(g.memory_clock_mhz)),
    Metric::gauge("DCGM_FI_DEV_MEMORY_TEMP", "Memory temperature (in C).", |g| {
        some(g.memory_temperature_celsius)
    }),
    Metric::gauge("DCGM_FI_DEV_GPU_TEMP", "GPU temperature (in C).", |g| some(g.temperature_celsius)),
    Metric::gauge("DCGM_FI_DEV_POWER_USAGE", "Power draw (in W).", |g| some(g.power_watts)),
    Metric::counter(
        "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION",
        "Total energy consumption since the driver was loaded (in mJ).",
        |g| some(g.energy_millijoules),
    ),
    Metric::counter("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", "Total number of PCIe retries.", |g| {
        some(g.pcie_replays)
    }),
    Metric::gauge("DCGM_FI_DEV_GPU_UTIL", "GPU utilization (in %).", |g| some(g.utilization_percent)),
    Metric::gauge("DCGM_FI_DEV_MEM_COPY_UTIL", "Memory utilization (in %).", |g| {
        some(g.memory_utilization_percent)
    }),
    Metric::gauge("DCGM_FI_DEV_ENC_UTIL", "Encoder utilization (in %).", |g| some(g.encoder_percent)),
    Metric::gauge("DCGM_FI_DEV_DEC_UTIL", "Decoder utilization (in %).", |g| some(g.decoder_percent)),
    Metric::gauge("DCGM_FI_DEV_XID_ERRORS", "Last XID error; 0 when there was none.", |g| some(g.last_xid)),
    Metric::gauge("DCGM_FI_DEV_FB_FREE", "Framebuffer memory free (in MiB).", |g| mib(g.memory_free)),
    Metric::gauge("DCGM_FI_DEV_FB_USED", "Framebuffer memory used (in MiB).", |g| mib(g.memory_used)),
    Metric::gauge("DCGM_FI_DEV_FB_RESERVED", "Framebuffer memory reserved (in MiB).", |g| {
        mib(g.memory_reserved)
    }),
];

fn mib(bytes: Option<Bytes>) -> Option<Value> {
    bytes.map(|bytes| Value::Whole(bytes.0 / Bytes::MIB))
}

#[cfg(test)]
mod tests;
