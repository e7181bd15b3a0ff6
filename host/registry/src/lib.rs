//! Components outside of this node: what they say of themselves.
#![forbid(unsafe_code)]

mod component;

pub use component::{ComponentError, ComponentFacts, read_component};
