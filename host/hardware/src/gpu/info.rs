//! What a GPU is: facts that stay for hours, asked once an inventory.

use hypermesh_model::{Bytes, GpuUuid};
use serde::Serialize;

/// One GPU. What its driver or hardware can't say is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct GpuInfo {
    /// The driver's number, from 0; for a device that it no longer lists, the last one. It may change at a restart;
    /// the UUID doesn't.
    pub index: u32,
    /// The product's name, e.g. `NVIDIA H100 PCIe`.
    pub model: Option<String>,
    /// What names it for ever. Without one it can't be leased.
    pub uuid: Option<GpuUuid>,
    /// Its memory, in bytes.
    pub memory: Option<Bytes>,
    /// `N` of `/dev/nvidiaN`.
    pub minor: Option<u32>,
    /// Its PCI address as NVML prints it, e.g. `00000000:65:00.0`.
    pub pci: Option<String>,
    /// The chip's generation, e.g. `Hopper`.
    pub architecture: Option<String>,
    /// Whether it is in MIG mode. A device that is can't be leased whole, even without instances: CUDA refuses it.
    pub mig: Option<bool>,
    /// Its MIG instances, by slot.
    pub instances: Vec<MigInstance>,
    /// The NUMA node of the processors and memory next to it: sysfs, else NVML.
    pub numa_node: Option<u32>,
    /// The processors next to it, ascending.
    pub cpus: Option<Vec<u32>>,
    /// Its link to the machine.
    pub pcie: PcieLink,
    /// The highest clocks that it reaches.
    pub max_clocks: GpuClocks,
    /// Why it can't be asked now, for people: it fell off the bus, or this user may not. Its other members are then what
    /// never changes, as last heard, or null. `None` when it answers.
    pub unavailable: Option<String>,
    /// It doesn't answer any more: it fell off the bus, waits for a reset, or the driver is gone. It is looked for.
    pub lost: bool,
}

/// A part of a divided GPU, with memory and processors of its own (NVIDIA Multi-Instance GPU).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct MigInstance {
    /// What names it, e.g. `MIG-3f5…`. It lasts as long as the instance.
    pub uuid: Option<GpuUuid>,
    /// Its size as NVIDIA names it, e.g. `1g.10gb`. `None` when the driver's name of the instance doesn't hold it.
    pub profile: Option<String>,
    /// Its GPU instance: `N` of `giN` below `/proc/driver/nvidia/capabilities`.
    pub gpu_instance: Option<u32>,
    /// Its compute instance within the GPU instance: `N` of `ciN`.
    pub compute_instance: Option<u32>,
    /// Its memory, in bytes; compute instances of one GPU instance share it.
    pub memory: Option<Bytes>,
    /// Its streaming multiprocessors.
    pub multiprocessors: Option<u32>,
    /// The GPU that it is a part of.
    pub parent: Option<GpuUuid>,
}

/// A PCIe link. The speed now may be lower than what is possible while the device idles.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PcieLink {
    /// Generation now, e.g. 4.
    pub generation: Option<u32>,
    /// Lanes now.
    pub width: Option<u32>,
    /// The highest generation that device and machine have in common.
    pub max_generation: Option<u32>,
    /// The most lanes that device and machine have in common.
    pub max_width: Option<u32>,
}

/// Clocks of a GPU, in MHz.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct GpuClocks {
    /// Of the graphics domain.
    pub graphics: Option<u32>,
    /// Of the streaming multiprocessors.
    pub sm: Option<u32>,
    /// Of the memory.
    pub memory: Option<u32>,
}

/// How near two GPUs are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct GpuPair {
    /// [`GpuInfo::index`] of both, ascending.
    pub gpus: [u32; 2],
    /// The nearest thing that both hang on.
    pub ancestor: TopologyLevel,
}

/// What two GPUs have in common, nearest first (`nvmlGpuTopologyLevel_t`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TopologyLevel {
    /// A board.
    Board,
    /// One PCIe switch.
    PcieSwitch,
    /// Several PCIe switches, below one host bridge.
    PcieSwitches,
    /// A host bridge.
    HostBridge,
    /// A NUMA node.
    NumaNode,
    /// The machine, and nothing less.
    System,
}
