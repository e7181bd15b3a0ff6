//! The two configurations of wasmtime.
//!
//! Compiling and running share them, since an artefact only loads into an engine that is configured alike. Every switch
//! that is not wasmtime's default has its reason beside it. What the build leaves out cannot be switched on: Winch,
//! threads, GC and component-model-async aren't compiled in.

use crate::EngineError;
use serde::{Deserialize, Serialize};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroUsize;
use wasmtime::{Config, Engine, Strategy, WasmBacktraceDetails};

/// The guest's stack. Wasmtime's own default, named because a guest's end tells it.
pub(crate) const MAX_WASM_STACK: usize = 512 << 10;
/// The stack on which guest and host functions run: the guest's, and room for the host's calls.
const FIBER_STACK: usize = 2 << 20;

/// Frames of a backtrace, innermost first: of a deep recursion they are all alike.
const BACKTRACE_FRAMES: NonZeroUsize = NonZeroUsize::new(20).expect("not zero");

/// How code is compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// As fast as it gets: a worker process has one execution, and its parent kills it.
    Plain,
    /// Counts fuel: the same code on the same input ends at the same instruction, on every machine.
    Metered,
}

impl Profile {
    /// The profile that an execution needs.
    pub fn of(fuel: Option<u64>) -> Self {
        if fuel.is_some() { Self::Metered } else { Self::Plain }
    }
}

pub(crate) fn config(profile: Profile) -> Config {
    let mut config = Config::new();
    config
        // Winch had sandbox escapes that Cranelift had not.
        .strategy(Strategy::Cranelift)
        .wasm_component_model(true)
        // The limits on memory assume 32-bit memories, and no guest toolchain makes others yet.
        .wasm_memory64(false)
        .consume_fuel(match profile {
            Profile::Plain => false,
            Profile::Metered => true,
        })
        // The parent kills by cgroup, and a check in every loop costs up to half of its speed.
        .epoch_interruption(false)
        // An instance lives once in its process, and its data can't be mapped from an artefact that came as a
        // descriptor: copying it costs less than making an image for it.
        .memory_init_cow(false)
        .max_wasm_stack(MAX_WASM_STACK)
        .async_stack_size(FIBER_STACK)
        // A trap's cause carries the guest's backtrace, by function; the source lines would need DWARF at run time.
        .wasm_backtrace_max_frames(Some(BACKTRACE_FRAMES))
        .wasm_backtrace_details(WasmBacktraceDetails::Disable);
    config
}

/// A fresh engine that compiles. Cheap: some microseconds.
pub(crate) fn engine(profile: Profile) -> Result<Engine, EngineError> {
    Engine::new(&config(profile)).map_err(EngineError::Engine)
}

/// What keys a compiled artefact besides the component's digest, in hex: two hosts with the same value can load each
/// other's artefacts. It covers wasmtime's version, the configuration and the CPU's features.
///
/// # Errors
/// [`EngineError::Engine`] where wasmtime does not support this machine.
pub fn compatibility_hash(profile: Profile) -> Result<String, EngineError> {
    let engine = engine(profile)?;
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    Ok(format!("{:016x}", hasher.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_stable_within_a_build_and_differs_by_profile() {
        let hash = compatibility_hash(Profile::Plain).unwrap();
        assert_eq!(hash, compatibility_hash(Profile::Plain).unwrap());
        assert_eq!(hash.len(), 16);
        assert_ne!(hash, compatibility_hash(Profile::Metered).unwrap());
    }
}
