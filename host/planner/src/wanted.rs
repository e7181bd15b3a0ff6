//! What is asked for, in kernel units, and for how long.
//!
//! Amounts in the contract's units (percent, GB) are converted before, and a choice of GPUs by model or memory is made
//! before too: here it is a list of candidates. So a [`Wanted`] means the same on every machine.

use hypermesh_model::{Bytes, CpuMode, GpuUuid, Grant, IoLimits, MilliCpu, Timestamp};
use serde::{Deserialize, Serialize};

/// What is wanted. `None`: this dimension is not asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Wanted {
    /// CPU time. A pinned lease gets it rounded up to whole cores, one at least.
    pub cpu: Option<MilliCpu>,
    /// How CPU time is given.
    pub cpu_mode: CpuMode,
    /// CPU time in microseconds that may be saved up; not counted.
    pub cpu_burst_us: Option<u64>,
    /// Hard limit of memory.
    pub memory: Option<Bytes>,
    /// Memory that counts against capacity; `None`: all of `memory`.
    pub memory_request: Option<Bytes>,
    /// Processes and threads; not counted.
    pub pids: Option<u32>,
    /// Limits on block devices; not counted.
    pub io: IoLimits,
    /// A folder of so many bytes.
    pub storage: Option<Bytes>,
    /// GPUs.
    pub gpus: Option<WantedGpus>,
}

/// How many of which GPUs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedGpus {
    /// How many.
    pub count: u32,
    /// Those that would do. What the machine doesn't have is never given.
    pub of: Vec<GpuUuid>,
    /// Memory of each, for a lease that shares it in time; `None`: each alone.
    pub shared_memory: Option<Bytes>,
}

impl Wanted {
    /// The memory that counts against capacity.
    pub fn memory_held(&self) -> Bytes {
        self.memory_request.or(self.memory).unwrap_or_default()
    }

    /// The part of a grant that needs no planning.
    pub(crate) fn unplanned(&self) -> Grant {
        Grant {
            cpu: self.cpu,
            cpu_mode: self.cpu_mode,
            cpu_burst_us: self.cpu_burst_us,
            memory: self.memory,
            memory_request: self.memory_request,
            pids: self.pids,
            io: (!self.io.is_empty()).then_some(self.io),
            storage: self.storage,
            ..Grant::default()
        }
    }
}

/// A time from, inclusive, until, exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first instant.
    pub from: Timestamp,
    /// The first instant after it.
    pub until: Timestamp,
}

impl Span {
    /// So many seconds from an instant on.
    pub fn starting(from: Timestamp, seconds: u64) -> Self {
        Self { from, until: from.plus_seconds(seconds) }
    }
}
