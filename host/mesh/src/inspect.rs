//! Would this host admit a component? Asked without a node: by a guest's author, before anything is uploaded.
//!
//! The same rules as an upload's first step: structure, imports, exports. Compiling, which an upload goes on with, also
//! proves the code and the types of its world.

use hypermesh_engine::EngineError;
use hypermesh_model::{Capability, World};
use std::error::Error;

/// What the rules of admission say of a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// The world that it was admitted to.
    pub world: Option<World>,
    /// What its imports would let it do here: all of them where it is admitted, else those that it is refused for.
    pub capabilities: Vec<Capability>,
    /// Why it is refused; empty where it is admitted.
    pub refusals: Vec<String>,
}

/// Judges a component as an upload would be, before compiling.
pub fn inspect(component: &[u8]) -> Admission {
    match hypermesh_engine::vet(component) {
        Ok(vetted) => {
            Admission { world: Some(vetted.world), capabilities: vetted.capabilities, refusals: Vec::new() }
        }
        Err(error) => {
            let refusals = vec![chain(&error)];
            let capabilities = match error {
                EngineError::ForbiddenImports(forbidden) => forbidden,
                EngineError::NotAComponent { .. }
                | EngineError::TooLarge { .. }
                | EngineError::Malformed(_)
                | EngineError::MissingExport { .. }
                | EngineError::Invalid(_)
                | EngineError::WrongTypes(_)
                | EngineError::Engine(_) => Vec::new(),
            };
            Admission { world: None, capabilities, refusals }
        }
    }
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_component_is_refused_with_the_whole_reason() {
        let refused = inspect(b"\0asm\x0d\0\x01\0\xff");
        assert_eq!((refused.world, refused.capabilities), (None, vec![]));
        assert!(refused.refusals[0].starts_with("the component is malformed: "));
        assert!(inspect(b"").refusals[0].contains("an empty file"));
    }
}
