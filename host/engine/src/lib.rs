//! wasmtime, alone in the tree: vet a component, compile it, run it with limits.
//!
//! ```text
//! upload ─▶ vet_and_compile ─▶ (what it may do, artefact) ─▶ store, keyed by digest and compatibility_hash
//! once   ─▶ Runtime::new
//! lease  ─▶ Runtime::load(JobSpec { call, limits, grants }, Handles { descriptors }) ─▶ Loaded
//!           (here the worker locks itself in) ─▶ Loaded::run(observer) ─▶ JobOutcome
//! ```
//!
//! Both run guests' bytes through a compiler and a CPU, so both belong into child processes that can be killed and
//! whose resources the kernel limits; the node's own process calls neither. Nothing here forks, reads the environment
//! or opens a path of the host. One thread does everything: a worker that is about to be locked down should
//! have no others.
//!
//! A guest gets the imports of its world, empty but for what its run was granted: arguments, environment, standard
//! input, folders, hosts to connect to. What it prints goes to its log, or to a descriptor.
//!
//! Left to others: processes, cgroups, wall and CPU time (the parent kills; there is no epoch here), storage. Fails by [`EngineError`] for an upload and by [`hypermesh_model::Cause`] for a run.

mod artefact;
mod bindings;
mod error;
mod host;
mod loaded;
mod outcome;
mod profile;
mod run;
mod runtime;
mod serve;
mod spec;
mod vet;

pub use error::EngineError;
pub use loaded::Loaded;
pub use profile::{Profile, compatibility_hash};
pub use runtime::Runtime;
pub use serve::NO_RESPONSE;
pub use spec::{Call, GrantedFolder, GrantedHost, Handles, JobObserver, JobOutcome, JobSpec, LEASE_FOLDER};
pub use vet::{Inspection, Metadata, Vetted, inspect, vet, vet_and_compile};
