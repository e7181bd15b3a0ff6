//! Would this host admit a component? Asked without a node: by a guest's author, before anything is uploaded.
//!
//! The same rules as an upload's first step: structure, imports, exports. Compiling, which an upload goes on with, also
//! proves the code and the types of its world.

use hypermesh_model::{Capability, World};

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
    let inspection = hypermesh_engine::inspect(component);
    Admission {
        world: inspection.world,
        capabilities: inspection.capabilities,
        refusals: inspection.refusals,
    }
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
