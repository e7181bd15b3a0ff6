//! A node: configuration, wiring, start, drain, doctor.
//!
//! The only crate that knows all parts. [`Node::start`] spends them in order: data folder → store → identity →
//! cgroups → machine → domain → listeners; each step needs what the one before returned, so that none can be
//! forgotten. Fails with [`NodeError`], which says whether it is the configuration that is wrong.
#![forbid(unsafe_code)]

mod config;
mod doctor;
mod error;
mod node;
mod token;
mod trust;

pub use config::{
    CatalogConfig, Config, ConfigError, ConfigSources, Origin, Setting, TrustChainConfig, TrustConfig,
    default_data_dir,
};
pub use doctor::{Finding, Level, doctor};
pub use error::NodeError;
pub use hypermesh_mesh::{Admission, inspect};
pub use hypermesh_telemetry::LogFormat;
pub use node::{Bound, Node, Signals};

use std::ffi::OsString;
use std::process::ExitCode;

/// Sends this process's log to stderr as the configuration says, in colours if wanted. Once a process, before
/// [`Node::start`].
///
/// # Errors
/// [`NodeError::Logging`] for a filter that does not parse, and for a second call.
pub fn init_logging(config: &Config, color: bool) -> Result<(), NodeError> {
    let format = if config.log_format == "json" { LogFormat::Json } else { LogFormat::Text };
    hypermesh_telemetry::init_logging(format, &config.log_filter, color)
        .map_err(|e| NodeError::Logging(Box::new(e)))
}

/// The hidden subcommand `__zygote`: forks the workers that run guests. Call it first in `main`, before any thread.
pub fn zygote_main() -> ExitCode {
    ExitCode::from(hypermesh_mesh::execution::worker::zygote_main())
}

/// The hidden subcommand `__compile COMPONENT CODE REPORT`. Call it first in `main`, before any thread.
pub fn compile_main(args: Vec<OsString>) -> ExitCode {
    ExitCode::from(hypermesh_mesh::compile_main(args))
}
