//! wasmtime, alone in the tree: vet a component, compile it, run it with limits.
//!
//! ```text
//! upload ─▶ vet_and_compile ─▶ (what it may do, .cwasm) ─▶ store, keyed by digest and compatibility_hash
//! lease  ─▶ run(JobSpec { cwasm, call, limits, files }, observer) ─▶ JobOutcome
//! ```
//!
//! Both run guests' bytes through a compiler and a CPU, so both belong into child processes that can be killed and
//! whose resources the kernel limits; the node's own process calls neither. Nothing here forks, reads the environment
//! or opens a file that it wasn't named. One thread does everything: a worker that is about to be locked down should
//! have no others.
//!
//! A guest gets the imports of world `job` and what a standard library needs of WASI, empty: no environment, no
//! arguments, no directories, no network, closed standard input; what it prints goes to its log.
//!
//! Left to others: processes, cgroups, wall and CPU time (the parent kills; there is no fuel and no epoch here),
//! storage. Fails by [`EngineError`] for an upload and by [`hypermesh_model::Cause`] for a run.

mod bindings;
mod error;
mod host;
mod load;
mod outcome;
mod profile;
mod run;
mod spec;
mod vet;

pub use error::EngineError;
pub use profile::compatibility_hash;
pub use run::run;
pub use spec::{GrantedFolder, JobCall, JobObserver, JobOutcome, JobSpec, LEASE_FOLDER};
pub use vet::{Vetted, vet, vet_and_compile};
