//! GPUs: what they are and what they are doing, as NVIDIA's management library (NVML) says. Other makers' GPUs are
//! not looked for.
//!
//! * [`self`]: the facts, and how devices group into assets.
//! * `reader`: the thread that owns the library, and the time limits on it.
//! * `nvml`: the questions.
//!
//! Without a driver there are no GPUs and [`GpuInventory::unavailable`] says why. A device that fails, or that this
//! user may not ask, stays in the list with nulls: the machine has it, even if nobody can lease it.

mod nvml;
mod reader;
#[cfg(test)]
mod tests;

pub(crate) use reader::GpuReader;
pub use reader::{ANSWER_LIMIT, SAMPLE_LIMIT};

use hypermesh_model::{Bytes, GpuUuid};
use serde::Serialize;

/// The GPUs of the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct GpuInventory {
    /// The devices, in the driver's order.
    pub gpus: Vec<GpuInfo>,
    /// The driver's version, e.g. `550.54.15`.
    pub driver: Option<String>,
    /// Why no devices could be asked for, for people. `None` when they could.
    pub unavailable: Option<String>,
}

/// One GPU. What its driver or hardware can't say is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct GpuInfo {
    /// The driver's number, from 0. It may change at a restart; the UUID doesn't.
    pub index: u32,
    /// The product's name, e.g. `NVIDIA H100 PCIe`.
    pub model: Option<String>,
    /// What names it for ever. Without one it can't be leased.
    pub uuid: Option<GpuUuid>,
    /// Its memory, in bytes. `None` with drivers before R510, which lack the call.
    pub memory: Option<Bytes>,
    /// `N` of `/dev/nvidiaN`.
    pub minor: Option<u32>,
    /// Its PCI address as NVML prints it, e.g. `00000000:65:00.0`.
    pub pci: Option<String>,
    /// The chip's generation, e.g. `Hopper`.
    pub architecture: Option<String>,
    /// Whether it is divided into MIG instances.
    pub mig: Option<bool>,
}

/// The GPUs of one model, which make one asset. Serialises as its `specifications`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GpuGroup {
    /// The product's name, which all share.
    pub model: Option<String>,
    /// The memory of each, in bytes, which all share.
    pub memory: Option<Bytes>,
    /// Those that can be leased: all with a UUID.
    pub uuid: Vec<GpuUuid>,
    /// The driver's version.
    pub driver: Option<String>,
    /// The devices, those without a UUID included.
    pub devices: Vec<GpuInfo>,
}

/// What a GPU is doing.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct GpuSample {
    /// The driver's number.
    pub index: u32,
    /// Which one.
    pub uuid: Option<GpuUuid>,
    /// Time in which a kernel ran, over the driver's last sampling period (1/6 to 1 s), 0 to 100.
    pub utilization_percent: Option<f64>,
    /// Memory in use, in bytes, the driver's own part left out.
    pub memory_used: Option<Bytes>,
}

impl GpuInventory {
    /// The devices by model and memory size, in the order in which each model first appears.
    pub fn groups(&self) -> Vec<GpuGroup> {
        let mut groups: Vec<GpuGroup> = Vec::new();
        for gpu in &self.gpus {
            let same = |group: &&mut GpuGroup| group.model == gpu.model && group.memory == gpu.memory;
            if let Some(group) = groups.iter_mut().find(same) {
                group.uuid.extend(gpu.uuid.clone());
                group.devices.push(gpu.clone());
            } else {
                groups.push(GpuGroup {
                    model: gpu.model.clone(),
                    memory: gpu.memory,
                    uuid: gpu.uuid.iter().cloned().collect(),
                    driver: self.driver.clone(),
                    devices: vec![gpu.clone()],
                });
            }
        }
        groups
    }
}
