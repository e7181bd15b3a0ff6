//! Is this upload a component that this host is willing to run, and what could it do?
//!
//! From the bytes alone, before any compiling: structure within limits, imports within the allow-list, the export of
//! one of the two worlds. Compiling then validates the code, and linking against the world proves the types, so that a
//! component that was accepted cannot fail to link later.

mod imports;
mod instances;
mod structure;

use crate::bindings::{job, validator};
use crate::{EngineError, host, profile};
use hypermesh_model::{Capability, World};
use serde::{Deserialize, Serialize};
use structure::Structure;
use wasmtime::component::{Component, Linker};
use wasmtime::{Engine, Precompiled};

/// What was found out about an accepted component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vetted {
    /// The world that it targets.
    pub world: World,
    /// Its imports and what each lets it do here.
    pub capabilities: Vec<Capability>,
}

/// Judges a component by its structure, imports and exports, in time linear in its length.
///
/// # Errors
/// [`EngineError`] for everything that would be refused: other formats, limits, forbidden imports, missing exports.
pub fn vet(component: &[u8]) -> Result<Vetted, EngineError> {
    if let Some(found) = other_format(component) {
        return Err(EngineError::NotAComponent { found });
    }
    let structure = Structure::read(component)?;
    let world = world(&structure.exports)?;
    let capabilities = imports::judge(&structure.imports, world);
    let forbidden: Vec<_> = capabilities.iter().filter(|capability| !capability.allowed).cloned().collect();
    if forbidden.is_empty() {
        Ok(Vetted { world, capabilities })
    } else {
        Err(EngineError::ForbiddenImports(forbidden))
    }
}

/// Vets and compiles a component. The second value is the artefact for [`JobSpec::cwasm`](crate::JobSpec::cwasm).
///
/// Compiling takes seconds of CPU for each megabyte and memory to match, and bytes can be made to take more: call it
/// in a process that can be killed.
///
/// # Errors
/// [`EngineError`]; [`EngineError::is_refusal`] tells the component's faults from this host's.
pub fn vet_and_compile(component: &[u8]) -> Result<(Vetted, Vec<u8>), EngineError> {
    let vetted = vet(component)?;
    let engine = profile::engine()?;
    let compiled = Component::new(&engine, component).map_err(EngineError::Invalid)?;
    check_types(&engine, &compiled, vetted.world)?;
    let artefact = compiled.serialize().map_err(EngineError::Engine)?;
    Ok((vetted, artefact))
}

fn check_types(engine: &Engine, component: &Component, world: World) -> Result<(), EngineError> {
    match world {
        World::Job => {
            let pre = host::linker(engine)
                .map_err(EngineError::Engine)?
                .instantiate_pre(component)
                .map_err(EngineError::WrongTypes)?;
            job::JobPre::new(pre).map(drop)
        }
        World::Validator => {
            let pre =
                Linker::<()>::new(engine).instantiate_pre(component).map_err(EngineError::WrongTypes)?;
            validator::ValidatorPre::new(pre).map(drop)
        }
    }
    .map_err(EngineError::WrongTypes)
}

/// What bytes are that clearly are no component.
fn other_format(bytes: &[u8]) -> Option<&'static str> {
    // `\0asm`, then a version of 16 bits and a layer of 16 bits: a core module is version 1, layer 0.
    const CORE_MODULE: &[u8] = b"\0asm\x01\0\0\0";
    match Engine::detect_precompiled(bytes) {
        Some(Precompiled::Component | Precompiled::Module) => {
            return Some("precompiled machine code; upload the component that it was made from");
        }
        None => {}
    }
    if bytes.is_empty() {
        Some("an empty file")
    } else if bytes.starts_with(b"\x7fELF") {
        Some("a native ELF file; build for the target wasm32-wasip2")
    } else if bytes.starts_with(CORE_MODULE) {
        Some(
            "a core WebAssembly module; build for the target wasm32-wasip2, or wrap it by `wasm-tools component new`",
        )
    } else if bytes.starts_with(b"\0asm") {
        None
    } else if bytes.starts_with(b"(component") || bytes.starts_with(b"(module") {
        Some("WebAssembly text; translate it by `wasm-tools parse`")
    } else {
        Some("some other file (it does not start with `\\0asm`)")
    }
}

/// The world whose export a component has. One that exports both is a job.
fn world(exports: &[String]) -> Result<World, EngineError> {
    let has = |interface| exports.iter().any(|export| imports::is_version_0_1(export, interface));
    if has("hypermesh:guest/handler") {
        Ok(World::Job)
    } else if has("hypermesh:guest/validation") {
        Ok(World::Validator)
    } else {
        Err(EngineError::MissingExport { exports: exports.to_vec() })
    }
}

#[cfg(test)]
mod tests;
