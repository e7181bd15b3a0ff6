//! A blocking client of the HyperMesh REST contract: one method a route, in and out as `hypermesh_wire` types.
//!
//! Blocking, because its users are a command line and tests: a thread that waits is simpler than a runtime. One
//! [`Client`] keeps its connections alive and may be shared between threads. It speaks plain HTTP, which is what a node
//! serves on loopback; encrypted transports come with the node's certificate authority.
//!
//! What a problem means, whether to try again and what to show are the caller's business. Every failure is a
//! [`ClientError`]; a refusal by the node is [`ClientError::Problem`] with the node's own words.
#![forbid(unsafe_code)]

mod access;
mod allocations;
mod assets;
mod catalog;
mod error;
mod events;
mod executions;
mod nodes;
mod schedules;
mod services;
mod sse;
mod transfer;
mod transport;
mod uri;
mod usage;

pub use error::ClientError;
pub use events::{EventStream, Notice, Start};
pub use transfer::Upload;
pub use transport::{Client, RawAnswer};
pub use usage::{UsageNotice, UsageStream};
