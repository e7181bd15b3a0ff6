//! A core module into a component: what `wasm-tools component new` does.
//!
//! For guests that are built for `wasm32-unknown-unknown`, so that they import nothing: a compiler makes a core module
//! there, with the types of its world in a custom section that wit-bindgen left.

use crate::EngineError;
use wit_component::ComponentEncoder;

/// Makes a component of a core module that was built with wit-bindgen.
///
/// # Errors
/// [`EngineError::Encode`]: it is no core module, has no types of a world, or imports what no world names.
pub fn encode_component(core_module: &[u8]) -> Result<Vec<u8>, EngineError> {
    let encode = || ComponentEncoder::default().module(core_module)?.validate(true).encode();
    encode().map_err(|error| EngineError::Encode(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vet;
    use hypermesh_model::{World, error_chain};
    use wit_component::{StringEncoding, embed_component_metadata};
    use wit_parser::Resolve;

    /// A validator as a compiler leaves it: a core module with the world's types beside.
    fn validator() -> Vec<u8> {
        let mut resolve = Resolve::default();
        let wit = concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit");
        let (package, _) = resolve.push_dir(wit).unwrap();
        let world = resolve.select_world(&[package], Some("validator")).unwrap();
        let mut module = wat::parse_str(
            r#"(module
                (memory (export "memory") 1)
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
                (func (export "hypermesh:guest/validation@0.1.0#validate") (param i32 i32) (result i32)
                    i32.const 16))"#,
        )
        .unwrap();
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
        module
    }

    #[test]
    fn a_core_module_with_a_worlds_types_becomes_a_component_without_imports() {
        let component = encode_component(&validator()).unwrap();
        let vetted = vet(&component).unwrap();
        assert_eq!((vetted.world, vetted.capabilities.len()), (World::Validator, 0));
    }

    #[test]
    fn what_is_no_core_module_is_refused_with_a_reason() {
        for bytes in [&b""[..], b"\0asm\x0d\0\x01\0", b"\x7fELF"] {
            let error = encode_component(bytes).unwrap_err();
            assert!(error.is_refusal());
            assert!(error_chain(&error).len() > "cannot make a component".len(), "{error:?}");
        }
    }
}
