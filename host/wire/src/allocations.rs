//! Allocations: leases on a part of the machine. Asking for one, changing one, and how one looks.

mod change;
mod create;
mod enforcement;
mod shown;
mod usage;

pub use change::{AttachProcess, Attached, RenewAllocation, ResizeAllocation, Stays};
pub use create::{
    AllocationPlan, AllocationQuery, CreateAllocation, CreateQuery, GpuWish, IoLimits, Requirements, Shortage,
};
pub use enforcement::{Enforcement, EnforcementEntry, EnforcementState, JailLayer, LeaseUsage};
pub use shown::{
    Allocation, AllocationStatus, CpuMode, OnExpiry, Phase, Proof, ProofType, QueuePlace, Resources,
};
pub use usage::{
    AllocationUsage, CpuUsage, GpuUsage, IoUsage, MemoryUsage, PidsUsage, Pressure, PressureUsage,
    StorageUsage, UsageEnded, UsageQuery,
};

/// Most CPU time of one lease, thousandths of a logical CPU: 4096 CPUs, more than any machine has.
pub const MAX_CPU_MILLIS: u32 = 4_096_000;
/// Most CPU time that may be saved up, microseconds: 1000 s, far above what the kernel takes.
pub const MAX_BURST_US: u64 = 1_000_000_000;
/// Most processes: the kernel's own limit (`PID_MAX_LIMIT`).
pub const MAX_PIDS: u32 = 4_194_304;
/// Most GPUs of one lease: more than any machine has.
pub const MAX_GPUS: u32 = 64;
/// Highest limit of I/O, bytes or operations a second: a device that does more needs none.
pub const MAX_IO: u64 = 1_000_000_000_000;
/// Longest wait for room, seconds: a week.
pub const MAX_WAIT_S: u64 = 604_800;
/// Longest time in the frozen state, seconds: a day.
pub const MAX_GRACE_S: u64 = 86_400;
/// The highest priority.
pub const MAX_PRIORITY: u8 = 100;
/// Most seconds between two readings of a followed usage.
pub const MAX_INTERVAL_S: u64 = 60;
