//! The three passes on small modules, made here.

use super::*;
use proptest::prelude::*;
use wasm_encoder::{
    CodeSection, CustomSection, EntityType, ExportKind, ExportSection, Function, FunctionSection,
    ImportSection, MemorySection, MemoryType, Module, NameMap, NameSection, TypeSection, ValType,
};
use wasmparser::Validator;

/// A module with `imports` imported functions and one of its own, exported as `f`, that calls the last of them.
fn module(imports: u32) -> Vec<u8> {
    let mut types = TypeSection::new();
    types.ty().function([], [ValType::I32]);
    types.ty().function([ValType::I64], []);
    let mut imported = ImportSection::new();
    for i in 0..imports {
        imported.import("wasi:cli/x@0.2.0", &format!("n{i}"), EntityType::Function(i % 2));
    }
    let mut functions = FunctionSection::new();
    functions.function(0);
    let mut exports = ExportSection::new();
    exports.export("f", ExportKind::Func, imports);
    let mut body = Function::new([]);
    let mut instructions = body.instructions();
    match imports.checked_sub(1) {
        Some(last) if last % 2 == 0 => instructions.call(last),
        Some(last) => instructions.i64_const(7).call(last).i32_const(1),
        None => instructions.i32_const(1),
    };
    instructions.end();
    let mut code = CodeSection::new();
    code.function(&body);
    let mut names = NameMap::new();
    names.append(imports, "mine");
    let mut name = NameSection::new();
    name.functions(&names);
    let stamp = CustomSection { name: SDK_SECTION.into(), data: b"some-sdk 1.2.3"[..].into() };
    let mut module = Module::new();
    module.section(&types).section(&imported).section(&functions).section(&exports);
    module.section(&code).section(&name).section(&stamp);
    module.finish()
}

#[test]
fn what_imports_a_memory_cannot_be_stubbed() {
    let mut imported = ImportSection::new();
    let memory =
        MemoryType { minimum: 1, maximum: None, memory64: false, shared: false, page_size_log2: None };
    imported.import("env", "memory", memory);
    let mut module = Module::new();
    module.section(&imported);
    let error = without_imports(&module.finish()).unwrap_err();
    assert_eq!(error.to_string(), "the module imports `env` `memory`, which is no function");
}

#[test]
fn a_module_without_a_world_is_an_empty_component() {
    let mut memories = MemorySection::new();
    memories.memory(MemoryType {
        minimum: 1,
        maximum: None,
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    let mut module = Module::new();
    module.section(&memories);
    let component = encode(&module.finish(), Adapter::None).unwrap();
    let outline = outline(&component).unwrap();
    assert_eq!((outline.form, outline.imports.len(), outline.exports.len()), (Form::Component, 0, 0));
}

#[test]
fn an_import_that_nothing_gives_is_told_by_name() {
    let error = encode(&module(1), Adapter::None).unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("wasi:cli/x@0.2.0"), "{source}");
    assert!(matches!(
        without_imports(
            &describe(&encode(&Module::new().finish(), Adapter::None).unwrap(), &Metadata::default())
                .unwrap()
        ),
        Err(ComponentizeError::WrongForm { .. })
    ));
}

#[test]
fn metadata_is_read_as_it_was_written() {
    let component = encode(&Module::new().finish(), Adapter::None).unwrap();
    let metadata = Metadata {
        name: Some("word-count".into()),
        version: Some("1.2.3".into()),
        description: Some("counts".into()),
        licenses: Some("MIT".into()),
        processed_by: vec![("hypermesh".into(), "0.1.0".into())],
        ..Metadata::default()
    };
    let described = describe(&component, &metadata).unwrap();
    Validator::new().validate_all(&described).unwrap();
    let outline = outline(&described).unwrap();
    assert_eq!(outline.name, metadata.name);
    assert_eq!((outline.version, outline.description), (metadata.version, metadata.description));
    assert_eq!((outline.licenses, outline.authors), (metadata.licenses, None));
    assert!(
        outline.producers.iter().any(|producer| producer.name == "hypermesh" && producer.version == "0.1.0")
    );
}

#[test]
fn an_sdk_is_found_in_the_module_and_only_a_line_of_text_is_believed() {
    assert_eq!(outline(&module(2)).unwrap().sdk.as_deref(), Some("some-sdk 1.2.3"));
    for (bad, found) in [(&b"\xff"[..], None), (b"a\nb", None), (b"", None), (b" x 1 ", Some("x 1"))] {
        let mut module = Module::new();
        module.section(&CustomSection { name: SDK_SECTION.into(), data: bad.into() });
        assert_eq!(outline(&module.finish()).unwrap().sdk.as_deref(), found, "{bad:?}");
    }
}

proptest! {
    #[test]
    fn a_stubbed_module_is_valid_imports_nothing_and_keeps_the_rest(imports in 0_u32..300) {
        let stubbed = without_imports(&module(imports)).unwrap();
        Validator::new().validate_all(&stubbed.module).unwrap();
        prop_assert_eq!(stubbed.imports.len(), imports as usize);
        let outline = outline(&stubbed.module).unwrap();
        prop_assert_eq!(outline.imports, Vec::<String>::new());
        prop_assert_eq!(outline.exports, ["f"]);
        prop_assert_eq!(outline.sdk.as_deref(), Some("some-sdk 1.2.3"));
    }

    #[test]
    fn no_bytes_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0_usize..400, flip in 1_u8..) {
        let _ = (outline(&bytes), without_imports(&bytes), encode(&bytes, Adapter::None));
        bytes = module(3);
        let at = at % bytes.len();
        bytes[at] ^= flip;
        let _ = (outline(&bytes), without_imports(&bytes));
        bytes.truncate(at);
        let _ = (outline(&bytes), without_imports(&bytes));
    }
}
