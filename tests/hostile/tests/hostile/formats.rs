//! What is no component, or one that is over a limit of structure, is refused at once, with the limit.

use crate::ground::{Vigil, nothing_is_left, offer, reasons, refused};
use hypermesh_artifacts::HASH_FILES;
use hypermesh_harness::{Node, problem, require_cgroups};
use hypermesh_tests_hostile::bombs;
use hypermesh_tests_hostile::forge::{Job, component};
use hypermesh_wire::catalog::UploadQuery;
use std::fs;
use std::io::Read;

/// The first bytes of this very program.
fn elf() -> Vec<u8> {
    let mut bytes = Vec::new();
    let program = fs::File::open(std::env::current_exe().unwrap()).unwrap();
    program.take(1 << 20).read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn other_formats_are_refused_by_name() {
    let node = Node::start();
    require_cgroups!(node);
    let _vigil = Vigil::over(&node);
    let zip = [&b"PK\x03\x04\x14\0\0\0\x08\0"[..], &[0; 64]].concat();
    for (name, bytes, said) in [
        ("empty", Vec::new(), "an empty file"),
        ("text", b"hello".to_vec(), "some other file"),
        ("wat", b"(component)".to_vec(), "WebAssembly text"),
        ("script", b"#!/bin/sh\nrm -rf /\n".to_vec(), "some other file"),
        ("elf", elf(), "ELF"),
        ("zip", zip, "some other file"),
        ("core", component("(module)"), "a core WebAssembly module"),
        ("header", b"\0asm\x0d\0\x01\0".to_vec(), "exports nothing"),
        ("bare", bombs::empty(), "exports nothing"),
        ("magic", b"\0asm".to_vec(), "malformed"),
        ("future", b"\0asm\x0e\0\x01\0".to_vec(), "malformed"),
        ("zeros", vec![0; 1 << 16], "some other file"),
        ("magic-zeros", [&b"\0asm\x0d\0\x01\0"[..], &vec![0; 1 << 16]].concat(), ""),
    ] {
        let refused = refused(&node, name, &bytes);
        assert!(refused.detail.contains(said), "{name}: {}", refused.detail);
    }
    assert!(node.client().applications(&Default::default()).unwrap().is_empty());
    nothing_is_left(&node);
}

#[test]
fn machine_code_is_refused_even_the_nodes_own() {
    let node = Node::start();
    require_cgroups!(node);
    let _vigil = Vigil::over(&node);
    assert!(offer(&node, "plain", &Job::default().component()).is_none());
    let mut found = Vec::new();
    for folder in fs::read_dir(node.data_dir().join("compiled")).unwrap() {
        found.extend(fs::read_dir(folder.unwrap().path()).unwrap().map(|entry| entry.unwrap().path()));
    }
    assert!(!found.is_empty());
    for path in found {
        let refused = refused(&node, "cwasm", &fs::read(path).unwrap());
        assert!(refused.detail.contains("precompiled machine code"), "{}", refused.detail);
    }
    nothing_is_left(&node);
}

#[test]
fn every_limit_of_structure_is_named_with_both_numbers() {
    let node = Node::start();
    require_cgroups!(node);
    let _vigil = Vigil::over(&node);
    let names = |count: usize| (0..count).map(|n| format!("wasi:io/poll@0.2.{n}")).collect::<Vec<_>>();
    for (name, bytes, said) in [
        ("exports", bombs::exports(10_000, 12), "257 exports; at most 256"),
        ("long-export", bombs::exports(1, 257), "257 bytes in one name; at most 256"),
        ("imports", bombs::importing(&names(10_000)), "257 imports; at most 256"),
        ("modules", bombs::modules(1000), "129 core modules; at most 128"),
        ("deep", bombs::nested(50), "9 levels of nesting; at most 8"),
        ("functions", bombs::functions(150_000), "150003 functions; at most 150000"),
        ("long", bombs::long_function(1 << 20), "bytes in one function; at most 1048576"),
    ] {
        let refused = refused(&node, name, &bytes);
        assert!(refused.detail.contains(said), "{name}: {}", refused.detail);
    }
    for (name, bytes) in [("fewer-exports", bombs::exports(255, 256)), ("less-deep", bombs::nested(7))] {
        assert_eq!(offer(&node, name, &bytes), None, "{name} is at its limit");
    }
    nothing_is_left(&node);
}

#[test]
fn every_forbidden_import_is_a_reason() {
    let node = Node::start();
    require_cgroups!(node);
    let forbidden = [
        "wasi:keyvalue/store@0.2.0",
        "wasi:nn/inference@0.2.0",
        "acme:db/sql@1.0.0",
        "wasi:io/poll@0.3.0",
        "hypermesh:guest/handler@0.1.0",
    ];
    let imports = forbidden.map(str::to_owned);
    let refused = refused(&node, "imports", &bombs::importing(&imports));
    let reasons = reasons(&refused);
    for import in forbidden {
        assert!(reasons.iter().any(|reason| reason.starts_with(import)), "{import}: {refused:?}");
    }
    nothing_is_left(&node);
}

#[test]
fn more_bytes_than_a_component_may_have_are_not_received() {
    let node = Node::start();
    let bytes = vec![0; (64 << 20) + 1];
    let about = UploadQuery { name: Some("huge".into()), ..UploadQuery::default() };
    let refused = problem(node.upload_package(&about, &bytes));
    assert_eq!(refused.status, 413, "{refused:?}");
    assert!(refused.detail.contains("64"), "{}", refused.detail);
    assert_eq!(fs::read_dir(node.data_dir().join("components")).unwrap().count(), 0, "nothing of it is kept");
}

#[test]
fn names_at_their_limits_are_taken_and_over_them_refused() {
    let node = Node::start();
    require_cgroups!(node);
    let upload = |name: &str, version: &str, description: &str| {
        let about = UploadQuery {
            name: Some(name.into()),
            version: Some(version.into()),
            description: Some(description.into()),
        };
        node.upload_package(&about, &Job::default().component())
    };
    upload(&"x".repeat(64), "999999.999999.999999", &"d".repeat(256)).unwrap();
    for (name, version, description) in [
        ("x".repeat(65), "1.0.0".to_owned(), "d".to_owned()),
        (String::new(), "1.0.0".to_owned(), "d".to_owned()),
        ("../escape".to_owned(), "1.0.0".to_owned(), "d".to_owned()),
        ("x".to_owned(), "1000000000.0.0".to_owned(), "d".to_owned()),
        ("x".to_owned(), "1.0.0".to_owned(), "d".repeat(257)),
        ("x".to_owned(), "1.0.0".to_owned(), "\u{1b}[31mred".to_owned()),
    ] {
        let refused = problem(upload(&name, &version, &description));
        assert_eq!(refused.status, 400, "{name} {version} {description}: {refused:?}");
    }
    assert!(offer(&node, "sample", HASH_FILES.component).is_none(), "a good one is still taken");
    nothing_is_left(&node);
}
