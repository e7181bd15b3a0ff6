//! What the node says about itself: logs on stderr, a metrics registry for `/metrics`, and short histories in memory.
//!
//! Everything here only records; nothing measures. Who measures (hardware, sandbox, API) calls in with numbers. Nothing
//! blocks beyond a short lock, and only setting up the log can fail.
#![forbid(unsafe_code)]

mod families;
pub mod gpus;
mod labels;
pub mod leases;
pub mod logging;
pub mod metrics;
pub mod series;

pub use gpus::{GpuSample, MigLabels};
pub use labels::{CreateOutcome, Phase, ReleaseOutcome};
pub use leases::{CpuSample, IoSample, LeaseSample, MAX_LEASES, MemorySample, PressureSample, StallSample};
pub use logging::{LogFormat, LoggingError, init_logging};
pub use metrics::{METRICS_CONTENT_TYPE, Metrics};
pub use series::{Point, Resolution, Series};
