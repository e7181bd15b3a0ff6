//! A `libnvidia-ml.so` made of a JSON file, so that everything about GPUs is tested on machines without any: several
//! models, MIG, drivers that are old, slow, broken or gone, devices that fall off the bus.
//!
//! * [`scenario`]: what the file says. What it leaves out is what the device "does not support".
//! * [`driver`]: for tests in Rust: a private copy of the library with a scenario of its own, to be changed while in use.
//! * `abi`: the C functions (`nvml.h`, R550) that `nvml-wrapper` looks up by these exact names.
//! * `world`: which file is read, and the little that outlives a call.
//!
//! The file is read anew at **every** call. It is the one that [`SCENARIO_VARIABLE`] names (for a node under test), or
//! else the library's own path with `.json` behind it (for tests that share a process and so an environment). A file
//! that can't be read or parsed makes every call fail with `NVML_ERROR_UNKNOWN`, and stderr says why.
//!
//! ```text
//! HYPERMESH_FAKE_NVML=tests/fake-nvml/scenarios/two-gpus.json   the world
//! libhypermesh_fake_nvml.so                                     the "driver", given to the node as its NVML library
//! ```

mod abi;
pub mod driver;
pub mod scenario;
mod world;

pub use driver::{FakeDriver, library};
pub use scenario::Scenario;
pub use world::SCENARIO_VARIABLE;
