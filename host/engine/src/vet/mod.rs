//! Is this upload a component that this host is willing to run, and what could it do?
//!
//! From the bytes alone, before any compiling: structure within limits, imports within the allow-list, the export of
//! one of the worlds. Compiling then validates the code, and linking against the world proves the types, so that a
//! component that was accepted cannot fail to link later.

mod imports;
mod instances;
mod metadata;
mod structure;

pub use metadata::Metadata;

use crate::bindings::{job, validator};
use crate::{EngineError, Profile, host, profile};
use hypermesh_model::{Bytes, Capability, World, error_chain};
use serde::{Deserialize, Serialize};
use structure::Structure;
use wasmtime::component::{Component, Linker};
use wasmtime::{Engine, Precompiled};
use wasmtime_wasi::p2::bindings::CommandPre;
use wasmtime_wasi_http::p2::bindings::ProxyPre;

/// What was found out about an accepted component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vetted {
    /// The world that it targets.
    pub world: World,
    /// Its imports and what each lets it do here.
    pub capabilities: Vec<Capability>,
}

/// What can be said of any file as a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspection {
    /// Its length.
    pub size: Bytes,
    /// The world that it targets, if it is one that this host runs.
    pub world: Option<World>,
    /// Its imports and what each lets it do here.
    pub capabilities: Vec<Capability>,
    /// The names that it exports.
    pub exports: Vec<String>,
    /// What it says of itself. Nothing of it is checked.
    pub metadata: Metadata,
    /// Why it would not be admitted, as far as can be said without compiling it. Empty: it would be, if its code is valid.
    pub refusals: Vec<String>,
}

/// Says what a file is as a component, however broken it is. Takes time linear in its length and compiles nothing.
pub fn inspect(component: &[u8]) -> Inspection {
    let Judged { world, capabilities, structure, refusals } = judge(component);
    Inspection {
        size: Bytes(component.len() as u64),
        world,
        capabilities,
        exports: structure.exports,
        metadata: structure.metadata,
        refusals: refusals.iter().map(|refusal| error_chain(refusal)).collect(),
    }
}

/// Judges a component by its structure, imports and exports, in time linear in its length.
///
/// # Errors
/// [`EngineError`] for everything that would be refused: other formats, limits, forbidden imports, missing exports.
pub fn vet(component: &[u8]) -> Result<Vetted, EngineError> {
    let Judged { world, capabilities, structure, refusals } = judge(component);
    match (refusals.into_iter().next(), world) {
        (Some(refusal), _) => Err(refusal),
        (None, Some(world)) => Ok(Vetted { world, capabilities }),
        (None, None) => Err(EngineError::MissingExport { exports: structure.exports }),
    }
}

/// Everything that is known without compiling.
struct Judged {
    world: Option<World>,
    capabilities: Vec<Capability>,
    structure: Structure,
    refusals: Vec<EngineError>,
}

fn judge(component: &[u8]) -> Judged {
    if let Some(found) = other_format(component) {
        let refusals = vec![EngineError::NotAComponent { found }];
        let structure = Structure::default();
        return Judged { world: None, capabilities: Vec::new(), structure, refusals };
    }
    let (structure, ended) = Structure::read(component);
    let world = world(&structure.exports);
    let capabilities = imports::judge(&structure.imports, world);
    let mut refusals = Vec::from_iter(ended);
    // What wasn't read to its end may have more exports.
    if world.is_none() && refusals.is_empty() {
        refusals.push(EngineError::MissingExport { exports: structure.exports.clone() });
    }
    let forbidden: Vec<_> = capabilities.iter().filter(|capability| !capability.allowed).cloned().collect();
    if !forbidden.is_empty() {
        refusals.push(EngineError::ForbiddenImports(forbidden));
    }
    Judged { world, capabilities, structure, refusals }
}

/// Vets and compiles a component. The second value is the artefact for [`Handles::artefact`](crate::Handles::artefact),
/// for executions that need this profile.
///
/// Compiling takes seconds of CPU for each megabyte and memory to match, and bytes can be made to take more: call it
/// in a process that can be killed.
///
/// # Errors
/// [`EngineError`]; [`EngineError::is_refusal`] tells the component's faults from this host's.
pub fn vet_and_compile(component: &[u8], profile: Profile) -> Result<(Vetted, Vec<u8>), EngineError> {
    let vetted = vet(component)?;
    let engine = profile::engine(profile)?;
    let compiled = Component::new(&engine, component).map_err(EngineError::Invalid)?;
    check_types(&engine, &compiled, vetted.world)?;
    let artefact = compiled.serialize().map_err(EngineError::Engine)?;
    Ok((vetted, artefact))
}

fn check_types(engine: &Engine, component: &Component, world: World) -> Result<(), EngineError> {
    if world == World::Validator {
        let pre = Linker::<()>::new(engine).instantiate_pre(component).map_err(EngineError::WrongTypes)?;
        return validator::ValidatorPre::new(pre).map(drop).map_err(EngineError::WrongTypes);
    }
    let linker = host::linker(engine).map_err(EngineError::Engine)?;
    let pre = linker.instantiate_pre(component).map_err(EngineError::WrongTypes)?;
    match world {
        World::Job => job::JobPre::new(pre).map(drop),
        World::Command => CommandPre::new(pre).map(drop),
        World::Http => ProxyPre::new(pre).map(drop),
        World::Validator => Ok(()),
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

/// The export by which a component shows its world, and the version of it. The first that is there counts.
const WORLDS: [(World, &str, &str); 4] = [
    (World::Job, "hypermesh:guest/handler", "0.1"),
    (World::Validator, "hypermesh:guest/validation", "0.1"),
    (World::Http, "wasi:http/incoming-handler", "0.2"),
    (World::Command, "wasi:cli/run", "0.2"),
];

fn world(exports: &[String]) -> Option<World> {
    let shown = |(_, interface, version): &&(World, &str, &str)| {
        exports.iter().any(|export| imports::is_version(export, interface, version))
    };
    WORLDS.iter().find(shown).map(|(world, ..)| *world)
}

#[cfg(test)]
mod tests;
