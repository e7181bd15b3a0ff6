//! Why something doesn't fit, as numbers: one [`Shortage`] a dimension.
//!
//! Units are the contract's (percent of the CPU pool, GB of 10^9 bytes), since people read them.

use hypermesh_model::{Bytes, Timestamp};
use serde::Serialize;

/// Names of dimensions.
pub mod dimension {
    /// CPU time, in percent of the pool.
    pub const CPU: &str = "cpu";
    /// Logical CPUs on whole cores that nobody runs on and that may be pinned, in CPUs.
    pub const PINNED_CPUS: &str = "pinned_cpus";
    /// Memory, in GB.
    pub const MEMORY: &str = "memory";
    /// Storage, in GB.
    pub const STORAGE: &str = "storage";
    /// GPUs, in units.
    pub const GPU: &str = "gpu";
    /// Memory of each GPU for a lease that shares it, in GB.
    pub const GPU_MEMORY: &str = "gpu_memory";
    /// The requester's CPU time, in cores.
    pub const QUOTA_CPU: &str = "quota_cpu";
    /// The requester's memory, in GB.
    pub const QUOTA_MEMORY: &str = "quota_memory";
    /// The requester's storage, in GB.
    pub const QUOTA_STORAGE: &str = "quota_storage";
    /// The requester's GPUs, in units.
    pub const QUOTA_GPUS: &str = "quota_gpus";
    /// The requester's leases, in units.
    pub const QUOTA_LEASES: &str = "quota_leases";
}

pub(crate) mod unit {
    pub(crate) const PERCENTAGE: &str = "percentage";
    pub(crate) const GB: &str = "GB";
    pub(crate) const UNITS: &str = "units";
    pub(crate) const CORES: &str = "cores";
    pub(crate) const CPUS: &str = "cpus";
}

/// One dimension that was short.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shortage {
    /// One of [`dimension`].
    pub dimension: &'static str,
    /// What was asked, in `unit`.
    pub requested: f64,
    /// What was free, in `unit`.
    pub available: f64,
    /// `percentage`, `GB`, `units`, `cores` or `cpus`.
    pub unit: &'static str,
    /// When the whole request will fit if no lease is renewed; `None`: never, or nobody can say.
    pub fits_at: Option<Timestamp>,
    /// What the numbers don't say, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Shortage {
    pub(crate) fn new(dimension: &'static str, requested: f64, available: f64, unit: &'static str) -> Self {
        Self { dimension, requested, available, unit, fits_at: None, detail: None }
    }

    pub(crate) fn bytes(dimension: &'static str, requested: u64, available: u64) -> Self {
        Self::new(dimension, Bytes(requested).as_gb(), Bytes(available).as_gb(), unit::GB)
    }

    pub(crate) fn because(self, detail: impl Into<Option<String>>) -> Self {
        Self { detail: detail.into(), ..self }
    }
}
