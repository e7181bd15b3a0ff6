//! GPUs: what they are and what they are doing, as NVIDIA's management library (NVML) says. Other makers' GPUs are
//! not looked for.
//!
//! * [`self`]: the inventory, and how devices group into assets.
//! * `info`, `sample`: the facts that rarely change, and those of one moment.
//! * `reader`: the way to the thread that owns the library, and the time limits on it.
//! * `owner`: that thread: loading, losing and finding again. `backoff` and `memory` are its pure parts.
//! * `describe`, `measure`, `raw`: the questions to NVML. `place`: what sysfs adds.
//!
//! Without a driver there are no GPUs and [`GpuInventory::unavailable`] says why. A device that fails, that fell off
//! the bus, or that this user may not ask stays in the list with nulls and the reason: the machine has it, even if
//! nobody can lease it now.

mod answers;
mod backoff;
mod describe;
mod groups;
mod info;
mod measure;
mod memory;
mod owner;
mod place;
mod raw;
mod reader;
mod sample;
#[cfg(test)]
mod tests;

pub use groups::GpuGroup;
pub use info::{GpuClocks, GpuInfo, GpuPair, MigInstance, PcieLink, TopologyLevel};
pub(crate) use place::place;
pub(crate) use reader::GpuReader;
pub use reader::{ANSWER_LIMIT, SAMPLE_LIMIT};
pub use sample::{EccErrors, GpuProcess, GpuSample, MigSample, PcieTraffic, ProcessKind, ThrottleReason};

use serde::Serialize;

/// The GPUs of the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct GpuInventory {
    /// The devices, in the driver's order; after them those that it no longer lists.
    pub gpus: Vec<GpuInfo>,
    /// How near the devices are to each other, each pair once. Empty where the driver can't say.
    pub topology: Vec<GpuPair>,
    /// The driver's version, e.g. `550.54.15`.
    pub driver: Option<String>,
    /// The newest CUDA that the driver runs, e.g. `12.4`.
    pub cuda: Option<String>,
    /// Why no devices could be asked for, for people. `None` when they could.
    pub unavailable: Option<String>,
}
