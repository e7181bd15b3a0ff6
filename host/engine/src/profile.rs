//! The one configuration of wasmtime.
//!
//! Compiling and running share it, since an artefact only loads into an engine that is configured alike. Every switch
//! that is not wasmtime's default has its reason beside it. What the build leaves out cannot be switched on: Winch,
//! threads, GC and component-model-async aren't compiled in.

use crate::EngineError;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroUsize;
use wasmtime::{Config, Engine, Strategy, WasmBacktraceDetails};

/// The guest's stack. Wasmtime's own default, named because a guest sees it as "call stack exhausted".
const MAX_WASM_STACK: usize = 512 << 10;
/// The stack on which guest and host functions run: the guest's, and room for the host's calls.
const FIBER_STACK: usize = 2 << 20;

/// Frames of a backtrace, innermost first: of a deep recursion they are all alike.
const BACKTRACE_FRAMES: NonZeroUsize = NonZeroUsize::new(20).expect("not zero");

fn config() -> Config {
    let mut config = Config::new();
    config
        // Winch had sandbox escapes that Cranelift had not.
        .strategy(Strategy::Cranelift)
        .wasm_component_model(true)
        // The limits on memory assume 32-bit memories, and no guest toolchain makes others yet.
        .wasm_memory64(false)
        // A worker process has one execution, and its parent kills it: neither pays for a check in every loop.
        .consume_fuel(false)
        .epoch_interruption(false)
        .max_wasm_stack(MAX_WASM_STACK)
        .async_stack_size(FIBER_STACK)
        // A trap's cause carries the guest's backtrace, by function; the source lines would need DWARF at run time.
        .wasm_backtrace_max_frames(Some(BACKTRACE_FRAMES))
        .wasm_backtrace_details(WasmBacktraceDetails::Disable);
    config
}

/// A fresh engine. Cheap: some microseconds.
pub(crate) fn engine() -> Result<Engine, EngineError> {
    Engine::new(&config()).map_err(EngineError::Engine)
}

/// What keys a compiled artefact besides the component's digest, in hex: two hosts with the same value can load each
/// other's artefacts. It covers wasmtime's version, the configuration and the CPU's features.
///
/// # Errors
/// [`EngineError::Engine`] where wasmtime does not support this machine.
pub fn compatibility_hash() -> Result<String, EngineError> {
    let engine = engine()?;
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    Ok(format!("{:016x}", hasher.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_stable_within_a_build() {
        let hash = compatibility_hash().unwrap();
        assert_eq!(hash, compatibility_hash().unwrap());
        assert_eq!(hash.len(), 16);
    }
}
