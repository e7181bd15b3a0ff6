//! Vetting, against small components in text form and against bytes that are none.

use super::*;
use hypermesh_artifacts::{ECHO_COMMAND, HASH_FILES, HELLO_HTTP, HOSTILE, SAMPLES};
use hypermesh_model::error_chain;
use proptest::prelude::*;

fn component(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

fn refusal(bytes: &[u8]) -> String {
    let error = vet_and_compile(bytes, Profile::Plain).unwrap_err();
    assert!(error.is_refusal(), "{error:?}");
    error_chain(&error)
}

/// A component that exports an empty instance of a name and imports others.
fn with_imports(export: &str, imports: &[&str]) -> Vec<u8> {
    let imports: String = imports.iter().map(|name| format!("(import \"{name}\" (instance))\n")).collect();
    component(&format!(
        "(component {imports} (component $empty) (instance $i (instantiate $empty)) (export \"{export}\" (instance $i)))"
    ))
}

#[test]
fn the_samples_are_accepted_and_say_what_they_can_do() {
    for artifact in SAMPLES.iter().chain([&HOSTILE]) {
        let vetted = vet(artifact.component).unwrap();
        assert_eq!(vetted.world, World::Job, "{}", artifact.name);
        assert!(vetted.capabilities.iter().all(|capability| capability.allowed));
        let blobs = vetted.capabilities.iter().find(|c| c.import == "hypermesh:guest/blobs@0.1.0");
        assert_eq!(blobs.unwrap().meaning, "read the files granted to it and write outputs");
    }
}

#[test]
fn other_formats_are_named() {
    for (bytes, expected) in [
        (&b""[..], "an empty file"),
        (b"\0asm\x01\0\0\0", "a core WebAssembly module"),
        (b"\x7fELF\x02\x01\x01\0", "ELF"),
        (b"#!/bin/sh\n", "some other file"),
        (b"(component)", "WebAssembly text"),
    ] {
        let message = refusal(bytes);
        assert!(message.contains("not a WebAssembly component") && message.contains(expected), "{message}");
    }
}

#[test]
fn precompiled_code_is_refused_even_our_own() {
    let engine = profile::engine(Profile::Plain).unwrap();
    let artefact = engine.precompile_component(&component("(component)")).unwrap();
    assert!(refusal(&artefact).contains("precompiled machine code"));
}

#[test]
fn a_truncated_component_is_malformed() {
    let whole = HASH_FILES.component;
    for length in [8, 9, 100, whole.len() / 2, whole.len() - 1] {
        let error = vet(&whole[..length]).unwrap_err();
        let truncated = matches!(error, EngineError::Malformed(_) | EngineError::MissingExport { .. });
        assert!(truncated, "{length}: {error:?}");
    }
}

#[test]
fn commands_and_http_components_of_anybody_are_accepted() {
    for (artifact, world) in [(ECHO_COMMAND, World::Command), (HELLO_HTTP, World::Http)] {
        let (vetted, artefact) = vet_and_compile(artifact.component, Profile::Plain).unwrap();
        assert_eq!(vetted.world, world);
        assert!(!artefact.is_empty());
    }
    for version in ["0.2.0", "0.2.3", "0.2.12"] {
        let bytes = with_imports(&format!("wasi:cli/run@{version}"), &[]);
        assert_eq!(vet(&bytes).unwrap().world, World::Command, "{version}");
    }
}

#[test]
fn every_forbidden_import_is_named_with_what_it_would_give() {
    let bytes = with_imports(
        "hypermesh:guest/handler@0.1.0",
        &["wasi:nn/graph@0.2.0", "wasi:io/poll@0.2.6", "wasi:sockets/tcp@0.3.0", "acme:db/sql@1.0.0"],
    );
    let message = refusal(&bytes);
    for expected in [
        "`wasi:nn/graph@0.2.0` (would run machine-learning models",
        "`wasi:sockets/tcp@0.3.0` (would open network connections to the hosts granted to it, and this host offers \
         version 0.2",
        "`acme:db/sql@1.0.0` (is unknown to this host)",
    ] {
        assert!(message.contains(expected), "{expected} in {message}");
    }
    assert!(!message.contains("wasi:io/poll"), "{message}");
}

#[test]
fn a_component_without_the_export_says_what_it_exports() {
    let message = refusal(&with_imports("acme:db/store@1.0.0", &[]));
    for expected in [
        "hypermesh:guest/handler@0.1",
        "wasi:cli/run@0.2",
        "wasi:http/incoming-handler",
        "acme:db/store@1.0.0",
    ] {
        assert!(message.contains(expected), "{message}");
    }
    assert!(refusal(&with_imports("hypermesh:guest/handler@0.2.0", &[])).contains("exports none of"));
    assert!(refusal(&with_imports("wasi:cli/run@0.3.0", &[])).contains("exports none of"));
    assert!(refusal(&component("(component)")).contains("exports nothing"));
}

#[test]
fn the_right_name_with_the_wrong_type_does_not_match_its_world() {
    for export in [
        "hypermesh:guest/handler@0.1.0",
        "hypermesh:guest/validation@0.1.0",
        "wasi:cli/run@0.2.0",
        "wasi:http/incoming-handler@0.2.0",
    ] {
        let error = vet_and_compile(&with_imports(export, &[]), Profile::Plain).unwrap_err();
        assert!(matches!(error, EngineError::WrongTypes(_)), "{error:?}");
    }
}

#[test]
fn a_validator_imports_nothing() {
    let message =
        refusal(&with_imports("hypermesh:guest/validation@0.1.0", &["wasi:random/insecure-seed@0.2.6"]));
    assert!(message.contains("a validator imports nothing"), "{message}");
}

#[test]
fn a_validator_without_imports_is_accepted() {
    // `validate` gives `valid`: a variant whose discriminant is the first word at the returned address.
    let bytes = component(
        r#"(component
            (core module $m
                (memory (export "memory") 1)
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
                (func (export "validate") (param i32 i32) (result i32) i32.const 16))
            (core instance $i (instantiate $m))
            (type $verdict' (variant (case "valid") (case "invalid" string)))
            (component $shim
                (type $v (variant (case "valid") (case "invalid" string)))
                (import "verdict" (type $verdict (eq $v)))
                (import "validate" (func $f (param "claim" (list u8)) (result $verdict)))
                (export $out "verdict" (type $verdict))
                (export "validate" (func $f) (func (param "claim" (list u8)) (result $out))))
            (func $validate (param "claim" (list u8)) (result $verdict')
                (canon lift (core func $i "validate") (memory $i "memory") (realloc (func $i "realloc"))))
            (instance $e (instantiate $shim
                (with "verdict" (type $verdict')) (with "validate" (func $validate))))
            (export "hypermesh:guest/validation@0.1.0" (instance $e)))"#,
    );
    let (vetted, artefact) = vet_and_compile(&bytes, Profile::Plain).unwrap();
    assert_eq!((vetted.world, vetted.capabilities.len()), (World::Validator, 0));
    assert!(!artefact.is_empty());
}

#[test]
fn code_that_is_not_valid_is_refused() {
    let text = r#"(component
        (core module (func (result i32) i64.const 0))
        (component $empty) (instance $i (instantiate $empty))
        (export "hypermesh:guest/handler@0.1.0" (instance $i)))"#;
    let error = vet_and_compile(&component(text), Profile::Plain).unwrap_err();
    assert!(matches!(error, EngineError::Invalid(_)), "{error:?}");
    assert!(error_chain(&error).contains("type mismatch"), "{}", error_chain(&error));
}

#[test]
fn structural_limits_are_named() {
    let modules = component(&format!("(component {})", "(core module)".repeat(129)));
    assert!(refusal(&modules).contains("129 core modules; at most 128"));
    let deep = component(&format!("{}{}", "(component ".repeat(9), ")".repeat(9)));
    assert!(refusal(&deep).contains("9 levels of nesting"));
    let long = component(&format!("(component (core module (func {})))", "nop ".repeat(1 << 20)));
    assert!(refusal(&long).contains("bytes in one function"));
    let many = component(&format!("(component (core module {}))", "(func)".repeat(150_001)));
    assert!(refusal(&many).contains("150001 functions"));
}

#[test]
fn what_blows_up_in_the_compiler_is_refused_before() {
    let exports: String = (0..10_000).map(|n| format!("(export \"e{n}\" (instance $i))")).collect();
    let many = component(&format!("(component (component $c) (instance $i (instantiate $c)) {exports})"));
    assert!(refusal(&many).contains("257 exports; at most 256"));
    let exports: String = (0..300_001).map(|n| format!("(export \"{n}\" (func $f))")).collect();
    let many = component(&format!("(component (core module (func $f) {exports}))"));
    assert!(refusal(&many).contains("types, imports, exports and other items"), "{}", refusal(&many));
    let function = format!("(func (local {}))", "i32 ".repeat(50_000));
    let locals = component(&format!("(component (core module {}))", function.repeat(161)));
    assert!(refusal(&locals).contains("local variables; at most 8000000"), "{}", refusal(&locals));
}

/// A component whose one type has this many instance types within each other.
fn nested_types(levels: usize) -> Vec<u8> {
    fn leb(mut value: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            let low = u8::try_from(value & 0x7f).unwrap();
            value >>= 7;
            if value == 0 {
                bytes.push(low);
                return bytes;
            }
            bytes.push(low | 0x80);
        }
    }
    // instancetype: 0x42, a vector of declarations; a declaration of a type: 0x01 (Binary.md of the Component Model).
    let mut section = vec![1];
    section.extend([0x42, 1, 1].repeat(levels));
    section.extend([0x42, 0]);
    [&b"\0asm\x0d\0\x01\0\x07"[..], &leb(section.len()), &section].concat()
}

#[test]
fn types_are_nested_only_as_deep_as_the_parser_can_follow() {
    assert!(inspect(&nested_types(100)).refusals[0].contains("exports none of"));
    assert!(refusal(&nested_types(1_000_000)).contains("types within types; at most 300"));
    // Below our limit compiling follows them, and nothing overflows.
    let mut deep = nested_types(250);
    deep.extend(&with_imports("wasi:cli/run@0.2.0", &[])[8..]);
    assert!(vet(&deep).is_ok());
    assert!(vet_and_compile(&deep, Profile::Plain).is_err_and(|error| error.is_refusal()));
}

#[test]
fn an_inspection_tells_all_reasons_and_what_a_component_says_of_itself() {
    let inspection = inspect(HASH_FILES.component);
    assert_eq!((inspection.world, inspection.refusals.len()), (Some(World::Job), 0));
    assert_eq!(inspection.size, Bytes(HASH_FILES.component.len() as u64));
    assert!(inspection.exports.iter().any(|export| export.starts_with("hypermesh:guest/handler@")));
    assert!(inspection.metadata.languages.iter().any(|language| language.starts_with("Rust")));
    assert!(inspection.metadata.processed_by.iter().any(|tool| tool.starts_with("rustc")));

    let inspection = inspect(&component(
        r#"(component $called (@custom "version" "1.2.3") (@custom "authors" "A\1b")
            (import "acme:db/sql@1.0.0" (instance)) (core module (@custom "version" "9")))"#,
    ));
    assert_eq!(inspection.metadata.name.as_deref(), Some("called"));
    assert_eq!(inspection.metadata.version.as_deref(), Some("1.2.3"));
    assert_eq!(inspection.metadata.authors.as_deref(), Some("A\u{fffd}"));
    assert_eq!(inspection.metadata.description, None);
    assert_eq!(inspection.refusals.len(), 2, "{:?}", inspection.refusals);
    assert!(!inspection.capabilities[0].allowed);
}

#[test]
fn an_inspection_of_a_broken_file_keeps_what_was_read() {
    let whole = HASH_FILES.component;
    let inspection = inspect(&whole[..whole.len() / 2]);
    assert!(inspection.refusals.iter().any(|refusal| refusal.contains("malformed")), "{inspection:?}");
    assert!(!inspection.capabilities.is_empty());
    assert_eq!(inspect(b"#!/bin/sh").refusals.len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_bytes_make_vetting_panic(tail in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = vet(&tail);
        let _ = vet(&[b"\0asm\x0d\0\x01\0", &tail[..]].concat());
    }

    #[test]
    fn no_damaged_component_makes_vetting_panic(
        of in 0_usize..4,
        flips in proptest::collection::vec((any::<proptest::sample::Index>(), 0_u32..8), 1..8),
        cut in proptest::option::of(any::<proptest::sample::Index>()),
    ) {
        let whole = [HASH_FILES, HOSTILE, ECHO_COMMAND, HELLO_HTTP][of].component;
        let mut bytes = whole.to_vec();
        if let Some(cut) = cut {
            bytes.truncate(cut.index(whole.len()));
        }
        for (at, bit) in flips {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
            }
        }
        let inspection = inspect(&bytes);
        prop_assert_eq!(vet(&bytes).is_ok(), inspection.refusals.is_empty());
    }
}
