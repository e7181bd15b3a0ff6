//! A blocking client of the HyperMesh REST contract: one method a route, in and out as `hypermesh_wire` types.
//!
//! Blocking, because its users are a command line and tests: a thread that waits is simpler than a runtime. One
//! [`Client`] keeps its connections alive and may be shared between threads. It speaks plain HTTP, or TLS to a node whose
//! root certificate it was given; the certificates that the system trusts say nothing of a node, and are not asked.
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
mod trustchain;
mod uri;
mod usage;

pub use error::ClientError;
pub use events::{EventStream, Notice, Start};
pub use transfer::Upload;
pub use transport::{Client, RawAnswer, Trust};
pub use usage::{UsageNotice, UsageStream};
