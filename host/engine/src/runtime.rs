//! What is the same for every run, made once: an engine of each profile, and the linker that offers the imports.
//!
//! Made in a process that forks its workers afterwards, so nothing here starts a thread, draws a random number or makes
//! a tokio runtime: what a forked child inherits of those is broken or shared. A worker's own are made by `load`.

use crate::host::{self, GuestState};
use crate::{EngineError, Profile, artefact, profile};
use wasmtime::Engine;
use wasmtime::component::Linker;

/// Loads and runs guests. Make it once, before any fork; it is the same in every child.
pub struct Runtime {
    plain: Linked,
    metered: Linked,
}

/// An engine and what its guests may import.
pub(crate) struct Linked {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<GuestState>,
}

impl Runtime {
    /// Makes the engines and linkers: some hundred microseconds.
    ///
    /// # Errors
    /// [`EngineError::Engine`] where wasmtime does not support this machine.
    pub fn new() -> Result<Self, EngineError> {
        Ok(Self { plain: Linked::new(Profile::Plain)?, metered: Linked::new(Profile::Metered)? })
    }

    pub(crate) fn linked(&self, profile: Profile) -> &Linked {
        match profile {
            Profile::Plain => &self.plain,
            Profile::Metered => &self.metered,
        }
    }
}

impl Linked {
    fn new(profile: Profile) -> Result<Self, EngineError> {
        let mut config = profile::config(profile);
        config.with_custom_code_memory(Some(artefact::publisher()));
        let engine = Engine::new(&config).map_err(EngineError::Engine)?;
        let linker = host::linker(&engine).map_err(EngineError::Engine)?;
        Ok(Self { engine, linker })
    }
}
