//! Core modules made into components, and what a component says of itself.
//!
//! ```text
//! compiler ─▶ core module ─▶ without_imports (validators) ─▶ encode ─▶ describe ─▶ component ─▶ outline
//! ```
//!
//! Works on bytes alone: no file, no process, no clock, and nothing is run or compiled. It is the author's side of
//! `wasm-tools`; whether a node admits the result is the engine's to say. Built on `wit-component`, of the release that
//! the guests' bindings are generated with.
//!
//! Fails by [`ComponentizeError`]; bytes that make no sense are an error and never a panic.
#![forbid(unsafe_code)]

mod encode;
mod error;
mod metadata;
mod outline;
mod stub;

pub use encode::{Adapter, encode};
pub use error::ComponentizeError;
pub use metadata::{Metadata, describe};
pub use outline::{Form, Outline, Producer, SDK_SECTION, outline};
pub use stub::{Stubbed, without_imports};

#[cfg(test)]
mod tests;
