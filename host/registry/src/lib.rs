//! Components outside of this node: what they say of themselves, registries that they are pulled from and pushed to,
//! archives that carry them, signatures that vouch for them.
//!
//! ```text
//! registry ─▶ RegistryClient::pull ─┐                       ┌─▶ RegistryClient::push ─▶ registry
//! archive  ─▶ Layout::open ─────────┼─▶ Artifact, Signature ┤
//! upload   ─▶ read_component ───────┘   judged by TrustPolicy└─▶ Archive::write ─▶ archive
//! ```
//!
//! Everything that comes in is a stranger's: sizes are bounded before anything is read, and nothing is used before its
//! digest was checked. Whether a component may run is not decided here, nor where anything is kept. All of it blocks.
#![forbid(unsafe_code)]

mod artifact;
mod client;
mod component;
mod digest;
mod error;
mod layout;
mod reference;
mod signature;
mod tar;

pub use artifact::{About, Artifact, ArtifactError, tag_of_version};
pub use client::{Credentials, Pulled, Pushed, Reach, RegistryAccess, RegistryClient};
pub use component::{ComponentError, ComponentFacts, read_component};
pub use error::RegistryError;
pub use layout::{Archive, Layout, LayoutError};
pub use reference::{InvalidReference, Reference, Target};
pub use signature::{
    Evidence, KeyError, MAX_PAYLOAD, PolicyError, PublicKey, Signature, SignatureMode, SigningKey,
    TrustPolicy, TrustRule, payload,
};
pub use tar::TarError;
