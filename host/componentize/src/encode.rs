//! A core module as a component.

use crate::ComponentizeError;
use wasi_preview1_component_adapter_provider as adapters;
use wit_component::ComponentEncoder;

/// What a module was compiled for, and so what stands between it and the component's imports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adapter {
    /// Nothing: it imports what its bindings name.
    None,
    /// A program for WASI preview 1, e.g. by `wasi-libc` of `wasm32-wasi`: becomes a `wasi:cli/command`.
    Preview1Command,
}

/// Makes a core module, which holds the types of its world in custom sections, into a component.
///
/// The result is validated. Functions of the world that the module doesn't import are left out.
///
/// # Errors
/// [`ComponentizeError::Encode`] where the module lacks an export of its world, or imports what nothing gives it.
pub fn encode(module: &[u8], adapter: Adapter) -> Result<Vec<u8>, ComponentizeError> {
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true);
    encoder.module(module).map_err(ComponentizeError::encoder)?;
    match adapter {
        Adapter::None => {}
        Adapter::Preview1Command => {
            let name = adapters::WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME;
            encoder
                .adapter(name, adapters::WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER)
                .map_err(ComponentizeError::encoder)?;
        }
    }
    encoder.encode().map_err(ComponentizeError::encoder)
}
