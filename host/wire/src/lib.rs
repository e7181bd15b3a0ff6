//! The REST contract as types, one file a section, shared by the server, the client, the CLI and the tests.
//!
//! Names and members are the contract's and don't change; members may be added. The schema derives are here because
//! the OpenAPI document is part of the contract; nothing else of HTTP is. Requests refuse unknown members, so that a
//! misspelt limit is an error and not a limit that silently does not exist.
#![forbid(unsafe_code)]

pub mod allocations;
pub mod arrays;
pub mod assets;
pub mod catalog;
pub mod events;
pub mod executions;
mod lenient;
pub mod nodes;
mod notation;
pub mod problem;
pub mod queue;
pub mod quotas;
pub mod schedules;
pub mod services;
pub mod system;
pub mod tokens;
pub mod trustchain;
pub mod volumes;

pub use notation::{GPU_PATTERN, SIZE_PATTERN};

/// Longest name, in characters.
pub const MAX_NAME: usize = 128;
/// Longest description, in characters.
pub const MAX_DESCRIPTION: usize = 4096;
/// Longest lease or execution, in seconds: a year.
pub const MAX_SECONDS: u64 = 31_536_000;
