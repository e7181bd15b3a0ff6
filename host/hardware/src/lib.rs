//! Measures the machine: processors, memory, disks, network, GPUs, and how much of them this node may hand out.
//!
//! [`Hardware::inventory`] says what there is, [`Hardware::sample`] what it is doing now. Kernel files are read below a
//! settable system root, so that tests measure machines made of files; GPUs are asked through NVIDIA's management
//! library, on a thread of its own. (`sysinfo` is not used: it can't be pointed at another root.)
//!
//! Nothing here fails as a whole and nothing is made up: what can't be known is `None`, and the reason is logged at
//! debug level or, for GPUs, said in the answer. Setting limits is left to the sandbox, assets to the mesh.
#![deny(unsafe_code)]

mod addresses;
mod block;
pub mod capacity;
mod cgroup;
pub mod cpu;
mod cpulist;
pub mod disk;
mod dmi;
pub mod filesystem;
pub mod gpu;
pub mod memory;
pub mod network;
mod root;
pub mod sample;
pub mod stat;
pub mod topology;
pub mod usage;

pub use addresses::InterfaceAddress;
pub use block::BlockDevice;
pub use capacity::{CapacityLimit, LimitSource, MachineCapacity};
pub use cpu::{CpuInfo, FrequencySource};
pub use disk::{DiskCounters, DiskInfo};
pub use filesystem::{Filesystem, MeasureError, filesystem};
pub use gpu::{GpuGroup, GpuInfo, GpuInventory, GpuSample, MigInstance};
pub use memory::{MemoryInfo, MemorySample};
pub use network::{InterfaceCounters, InterfaceInfo};
pub use sample::{Pressure, Sample};
pub use stat::{CoreTimes, CpuTimes};
pub use topology::{CoreInfo, CpuTopology, NodeInfo};
pub use usage::{CoreUsage, MIN_INTERVAL, Usage};

use gpu::GpuReader;
use root::SystemRoot;
use serde::Serialize;
use std::path::PathBuf;

/// What the machine has.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inventory {
    /// The processors.
    pub cpu: CpuInfo,
    /// The cores and NUMA nodes that this process may use, for pinning.
    pub topology: CpuTopology,
    /// The memory.
    pub memory: MemoryInfo,
    /// The filesystem of the data folder. `None` when no folder was given or it can't be measured.
    pub storage: Option<Filesystem>,
    /// The disks, by name.
    pub disks: Vec<DiskInfo>,
    /// The network interfaces, by name.
    pub interfaces: Vec<InterfaceInfo>,
    /// The GPUs.
    pub gpus: GpuInventory,
    /// How much CPU and memory may be handed out.
    pub capacity: MachineCapacity,
}

/// The machine, ready to be measured. Shared by reference between threads; making one does nothing yet.
#[derive(Debug)]
pub struct Hardware {
    root: SystemRoot,
    data_folder: Option<PathBuf>,
    gpus: GpuReader,
}

impl Hardware {
    /// The machine whose `proc` and `sys` lie below `system_root`: `/` in production.
    pub fn new(system_root: impl Into<PathBuf>) -> Self {
        Self { root: SystemRoot::new(system_root.into()), data_folder: None, gpus: GpuReader::new(None) }
    }

    /// Loads NVML from this library in place of the driver's own `libnvidia-ml.so.1`.
    #[must_use]
    pub fn with_nvml_library(self, path: impl Into<PathBuf>) -> Self {
        Self { gpus: GpuReader::new(Some(path.into())), ..self }
    }

    /// Measures the filesystem of this folder as [`Inventory::storage`].
    #[must_use]
    pub fn with_data_folder(self, path: impl Into<PathBuf>) -> Self {
        Self { data_folder: Some(path.into()), ..self }
    }

    /// What the machine has, read anew. Blocks for some milliseconds; with a GPU driver for seconds the first time,
    /// and never longer for it than [`gpu::ANSWER_LIMIT`].
    pub fn inventory(&self) -> Inventory {
        let gpus = self.gpus();
        let storage = self.data_folder.as_ref().map(|folder| filesystem(folder));
        Inventory {
            cpu: CpuInfo::read(&self.root),
            topology: CpuTopology::read(&self.root),
            memory: MemoryInfo::read(&self.root),
            storage: storage.and_then(|found| {
                found
                    .inspect_err(|error| tracing::warn!(error = ?error, "the data folder can't be measured"))
                    .ok()
            }),
            disks: disk::disks(&self.root),
            interfaces: network::interfaces(&self.root),
            gpus,
            capacity: MachineCapacity::read(&self.root),
        }
    }

    /// The GPUs alone, read anew: for those who look whether one was lost, came back or was divided. Blocks as
    /// [`Self::inventory`] does.
    pub fn gpus(&self) -> GpuInventory {
        let mut found = self.gpus.inventory();
        gpu::place(&self.root, &mut found.gpus);
        found
    }

    /// What the machine is doing now. Below a millisecond where no inventory found a GPU; else up to
    /// [`gpu::SAMPLE_LIMIT`], for most GPUs about 50 ms, in which the driver measures and nothing is computed.
    pub fn sample(&self) -> Sample {
        Sample::read(&self.root, self.gpus.sample())
    }
}
