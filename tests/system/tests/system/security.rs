//! Who may do what: reads on loopback are open, writes need the token, and nothing else gets in.

use hypermesh_harness::{Answer, Node, exchange, program};
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// A write that would succeed, with these headers.
fn write(node: &Node, headers: &[&str]) -> Answer {
    let body = br#"{"type":"service","name":"x"}"#;
    let mut head = vec!["POST /api/v1/assets HTTP/1.1", "content-type: application/json"];
    head.extend(headers);
    exchange(node.address("hypermesh"), &head, body)
}

fn is_problem(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(answer.json()["status"], status);
}

fn registered(node: &Node) -> usize {
    let assets = node.client().assets(&Default::default()).unwrap();
    assets.iter().filter(|asset| asset.name == "x").count()
}

#[test]
fn a_write_needs_the_nodes_token() {
    let node = Node::start();
    let other = format!("authorization: Bearer {}", "0".repeat(64));
    let cut = format!("authorization: Bearer {}", &node.token()[1..]);
    let basic = format!("authorization: Basic {}", node.token());
    for headers in [
        &["host: localhost"][..],
        &["host: localhost", &other],
        &["host: localhost", &cut],
        &["host: localhost", &basic],
    ] {
        let answer = write(&node, headers);
        is_problem(&answer, 401);
        assert!(
            answer.header("www-authenticate").is_some_and(|scheme| scheme.starts_with("Bearer")),
            "{answer:?}"
        );
    }
    assert_eq!(registered(&node), 0);
    let right = format!("authorization: Bearer {}", node.token());
    assert_eq!(write(&node, &["host: localhost", &right]).status, 201);
    assert_eq!(registered(&node), 1);
    // A read needs none.
    let read = exchange(node.address("hypermesh"), &["GET /api/v1/assets HTTP/1.1", "host: localhost"], b"");
    assert_eq!(read.status, 200, "{read:?}");
}

#[test]
fn a_name_that_is_not_the_nodes_is_misdirected() {
    let node = Node::start();
    for service in ["hypermesh", "stoq", "trustchain"] {
        for host in ["evil.example", "127.0.0.1.nip.io", "localhost.evil.example:8446", "10.0.0.1"] {
            let host = format!("host: {host}");
            let answer = exchange(node.address(service), &["GET /api/v1/assets HTTP/1.1", &host], b"");
            is_problem(&answer, 421);
        }
        let none = exchange(node.address(service), &["GET /api/v1/assets HTTP/1.1"], b"");
        assert_eq!(none.status, 400, "{service}: {none:?}");
    }
    let right = format!("authorization: Bearer {}", node.token());
    is_problem(&write(&node, &["host: evil.example", &right]), 421);
    assert_eq!(registered(&node), 0);
}

#[test]
fn a_foreign_page_may_not_write_even_with_the_token() {
    let node = Node::start();
    let right = format!("authorization: Bearer {}", node.token());
    for origin in ["http://evil.example", "null", "http://127.0.0.1:1", "https://localhost:5173"] {
        let origin = format!("origin: {origin}");
        is_problem(&write(&node, &["host: localhost", &right, &origin]), 403);
    }
    assert_eq!(registered(&node), 0);
    let listed = write(&node, &["host: localhost", &right, "origin: http://localhost:5173"]);
    assert_eq!(listed.status, 201, "{listed:?}");
    assert_eq!(listed.header("access-control-allow-origin"), Some("http://localhost:5173"));
}

#[test]
fn an_address_that_others_reach_is_refused_as_configuration() {
    for service in ["hypermesh", "stoq", "trustchain"] {
        let folder = tempfile::tempdir().unwrap();
        let flag = format!("--listen-{service}");
        let mut serve = program();
        let serve = serve.args(["serve", "--data-dir", folder.path().to_str().unwrap(), &flag, "0.0.0.0:0"]);
        let refused = serve.output().unwrap();
        assert_eq!(refused.status.code(), Some(64), "{refused:?}");
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(said.contains("0.0.0.0:0") && said.contains("loopback"), "{said}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made");
    }
}

#[test]
fn the_token_is_the_owners_alone_and_in_no_log() {
    let mut node = Node::start_with(&["--log-filter", "trace"]);
    let mode = |name: &str| fs::metadata(node.data_dir().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("token"), mode("")), (0o600, 0o700));
    assert!(node.token().len() >= 32, "at least 128 bits");
    let right = format!("authorization: Bearer {}", node.token());
    assert_eq!(write(&node, &["host: localhost", &right]).status, 201);
    is_problem(&write(&node, &["host: localhost", &right, "origin: http://evil.example"]), 403);
    let command_line = fs::read(format!("/proc/{}/cmdline", node.pid())).unwrap();
    assert!(!String::from_utf8_lossy(&command_line).contains(node.token()));
    let token = node.token().to_owned();
    node.stop();
    assert!(node.log().contains("/api/v1/assets"), "it did log the requests");
    assert!(!node.log().contains(&token));
    node.restart();
    assert_eq!(fs::read_to_string(node.data_dir().join("token")).unwrap().trim(), token, "the same for ever");
}
