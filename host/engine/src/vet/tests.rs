//! Vetting, against small components in text form and against bytes that are none.

use super::*;
use hypermesh_artifacts::{HASH_FILES, HOSTILE, SAMPLES};
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
fn every_forbidden_import_is_named_with_what_it_would_give() {
    let bytes = with_imports(
        "hypermesh:guest/handler@0.1.0",
        &[
            "wasi:http/outgoing-handler@0.2.6",
            "wasi:io/poll@0.2.6",
            "wasi:sockets/tcp@0.2.6",
            "acme:db/sql@1.0.0",
        ],
    );
    let message = refusal(&bytes);
    for expected in [
        "`wasi:http/outgoing-handler@0.2.6` (would send or serve HTTP requests",
        "`wasi:sockets/tcp@0.2.6` (would open network connections",
        "`acme:db/sql@1.0.0` (is unknown to this host)",
    ] {
        assert!(message.contains(expected), "{expected} in {message}");
    }
    assert!(!message.contains("wasi:io/poll"), "{message}");
}

#[test]
fn a_component_without_the_export_says_what_it_exports() {
    let message = refusal(&with_imports("wasi:cli/run@0.2.6", &[]));
    assert!(
        message.contains("hypermesh:guest/handler@0.1") && message.contains("wasi:cli/run@0.2.6"),
        "{message}"
    );
    assert!(refusal(&with_imports("hypermesh:guest/handler@0.2.0", &[])).contains("neither"));
    assert!(refusal(&component("(component)")).contains("exports nothing"));
}

#[test]
fn the_right_name_with_the_wrong_type_does_not_match_its_world() {
    for export in ["hypermesh:guest/handler@0.1.0", "hypermesh:guest/validation@0.1.0"] {
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_bytes_make_vetting_panic(tail in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = vet(&tail);
        let _ = vet(&[b"\0asm\x0d\0\x01\0", &tail[..]].concat());
    }

    #[test]
    fn no_damaged_component_makes_vetting_panic(at in 8_usize..4000, byte in any::<u8>()) {
        let mut bytes = HASH_FILES.component[..4096].to_vec();
        bytes[at] = byte;
        let _ = vet(&bytes);
    }
}
