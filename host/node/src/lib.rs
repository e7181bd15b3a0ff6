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

pub use config::{Config, ConfigError, ConfigSources, Origin, Setting, default_data_dir};
pub use doctor::{Finding, Level, doctor};
pub use error::NodeError;
pub use hypermesh_telemetry::LogFormat;
pub use node::{Bound, Node};

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

/// The hidden subcommand `__worker DIR`: runs one guest. Call it first in `main`, before any thread.
pub fn worker_main(folder: PathBuf) -> ExitCode {
    ExitCode::from(hypermesh_mesh::execution::worker::run(folder))
}

/// The hidden subcommand `__compile COMPONENT CODE REPORT`. Call it first in `main`, before any thread.
pub fn compile_main(args: Vec<OsString>) -> ExitCode {
    ExitCode::from(hypermesh_mesh::compile_main(args))
}
