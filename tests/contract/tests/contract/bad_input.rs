//! Wrong requests to every route: a 4xx problem document that names what is at fault, and nothing left behind.

use crate::exchange::{Payload, Place, exchange, head, problem, refusal, send};
use crate::session::document;
use hypermesh_harness::Node;
use hypermesh_tests_contract::document::{Document, Operation};
use hypermesh_tests_contract::{schema, wrong};
use serde_json::{Map, Value, json};

mod trustchain;

/// Ids that name nothing: unknown, not UTF-8, NUL, a way out of a folder, another notation, far too long.
const STRANGE_IDS: [&str; 8] = ["nothing-here", "%00", "%FF%FE", "..", "a%2F..%2Fb", "UPPER", "%20", "-dash"];

/// Members that are numbers.
const NUMBERS: [&str; 24] = [
    "validity_days",
    "key_size",
    "ttl",
    "weight",
    "port",
    "interval_days",
    "warning_days",
    "grace_period_days",
    "amount",
    "duration",
    "timeout",
    "allocation_duration",
    "cpu_time_limit",
    "wait_s",
    "priority",
    "grace_s",
    "warn_s",
    "pids",
    "pid",
    "leases",
    "history_limit",
    "parallelism",
    "max_failures",
    "concurrency",
];

/// Larger than the largest JSON body.
const HUGE: usize = 2 << 20;
/// Deeper than any parser's stack should follow.
const DEPTH: usize = 100_000;

/// What a node has that a refused request must not change.
#[derive(Debug, PartialEq)]
struct Holdings {
    assets: usize,
    leases: usize,
    executions: usize,
    packages: usize,
    blobs: usize,
    tokens: usize,
    volumes: usize,
    schedules: usize,
    arrays: usize,
    services: usize,
    certificates: usize,
    records: usize,
    policies: usize,
}

#[track_caller]
fn holdings(node: &Node) -> Holdings {
    let count_at = |place: Place<'_>, path: &str| {
        let answer = send(place, "GET", path, Payload::None);
        answer.json().as_array().map(Vec::len).unwrap_or_else(|| panic!("{path}: {}", answer.body))
    };
    let count = |path: &str| count_at(node.into(), path);
    let trusted = |path: &str| count_at(Place::trustchain(node), path);
    Holdings {
        assets: count("/api/v1/assets"),
        leases: count("/api/v1/allocations"),
        executions: count("/api/v1/vm/executions"),
        packages: count("/api/v1/catalog/applications"),
        blobs: count("/api/v1/blobs"),
        tokens: count("/api/v1/tokens"),
        volumes: count("/api/v1/volumes"),
        schedules: count("/api/v1/schedules"),
        arrays: count("/api/v1/vm/arrays"),
        services: count("/api/v1/services"),
        certificates: trusted("/api/v1/certificates"),
        records: trusted("/api/v1/dns/records"),
        policies: trusted("/api/v1/rotation/policies"),
    }
}

/// Runs wrong requests against each service of a fresh node, and checks that it is well and as it was.
fn unharmed(requests: impl Fn(Place<'_>, &Document)) {
    let node = Node::start_with(&["--allow-unenforced"]);
    let before = holdings(&node);
    for place in [Place::from(&node), Place::trustchain(&node)] {
        requests(place, &document(place));
    }
    assert_eq!(holdings(&node), before);
    for place in [Place::from(&node), Place::trustchain(&node)] {
        let health = send(place, "GET", "/health", Payload::None).json();
        assert_eq!(health["services"][place.service], "healthy", "{health}");
    }
}

/// A right body of each operation that takes JSON, with every member, so that each can be made wrong.
fn right(operation: Operation<'_>) -> Value {
    let limits =
        json!({ "max_cpu": 10.0, "max_memory": "64MiB", "max_storage": "1MiB", "max_execution_time": 10 });
    let location = json!({ "address": "here", "region": "north" });
    match (operation.method, operation.path) {
        ("post", "/api/v1/assets") => json!({
            "type": "service", "name": "a service", "description": "does something", "privacy_level": "private",
            "specifications": { "a": 1 }, "location": location
        }),
        ("put", "/api/v1/assets/{id}") => json!({
            "name": "renamed", "description": "is something", "privacy_level": "private", "status": "available",
            "specifications": { "a": 1 }, "location": location
        }),
        ("post", "/api/v1/assets/vm") => json!({
            "name": "a vm", "description": "runs something", "privacy_level": "private", "specifications": {},
            "vm_config": {
                "runtime": "wasm-component", "entrypoint": "run", "environment": {}, "dependencies": [],
                "resource_limits": limits,
                "security_policy": {
                    "allow_network_access": false, "allow_file_system": false, "allowed_urls": [],
                    "trusted_domains": []
                }
            },
            "catalog_metadata": { "catalog_id": "pkg-none" }
        }),
        // What excludes each other is left out of one: the schema can't tell, and the other would be blamed.
        ("post", "/api/v1/allocations") => json!({
            "asset_id": "cpu", "amount": 1.0, "duration": 60,
            "requirements": {
                "cpu": 1.0, "cpu_mode": "limited", "cpu_burst_us": 1000, "memory": "64MiB", "memory_request": "32MiB",
                "pids": 16, "io": { "read_bps": 1000, "write_bps": 1000, "read_iops": 10, "write_iops": 10 },
                "storage": "16MiB", "gpus": 1,
                "gpu": { "model": "A", "min_memory": "1GiB", "uuids": ["GPU-1"], "mig": false, "shared_memory": "1GiB" }
            },
            "wait_s": 60, "priority": 50, "preemptible": true, "min_runtime_s": 60, "on_expiry": "freeze",
            "grace_s": 10, "warn_s": 10, "keep_storage": false
        }),
        ("patch", "/api/v1/allocations/{id}") => json!({
            "cpu": 1.0, "cpu_burst_us": 1000, "memory": "64MiB", "memory_request": "32MiB", "pids": 16,
            "io": { "read_bps": 1000, "write_bps": 1000, "read_iops": 10, "write_iops": 10 }, "storage": "16MiB",
            "force": false
        }),
        ("post", "/api/v1/allocations/{id}/renew") => json!({ "duration": 60 }),
        // Process 1 can't be attached, should an id ever be right.
        ("post", "/api/v1/allocations/{id}/attach") => json!({ "pid": 1 }),
        ("put", "/api/v1/quotas/{requester}") => json!({
            "cpu_millis": 1000, "memory_bytes": 1000, "storage_bytes": 1000, "gpus": 1, "leases": 1
        }),
        ("post", "/api/v1/tokens") => json!({ "name": "somebody", "role": "viewer" }),
        ("put", "/api/v1/catalog/applications/{id}/deprecation") => json!({ "reason": "use another" }),
        ("post", "/api/v1/catalog/pull") => json!({
            "reference": "localhost:1/a:1.0.0", "insecure": true, "name": "a", "version": "1.0.0",
            "credentials": { "username": "u", "password": "p" }
        }),
        ("post", "/api/v1/catalog/applications/{id}/push") => json!({
            "reference": "localhost:1/a:1.0.0", "insecure": true, "credentials": { "username": "u", "password": "p" }
        }),
        ("post", "/api/v1/catalog/applications/{id}/signatures") => {
            json!({ "payload": "{}", "signature": "AAAA" })
        }
        ("post", "/api/v1/catalog/install") => {
            json!({ "catalog_id": "pkg-none", "privacy_level": "private", "resource_limits": limits })
        }
        ("post", "/api/v1/vm/execute") => execution(),
        ("post", "/api/v1/vm/arrays") => json!({
            "execution": execution(), "items": [{ "a": 1 }], "matrix": { "b": [1, "x"] },
            "range": { "name": "c", "first": 1, "last": 9, "step": 2 }, "parallelism": 2, "max_failures": 3
        }),
        ("post", "/api/v1/schedules") => Value::Object(schedule()),
        ("patch", "/api/v1/schedules/{id}") => Value::Object(schedule()),
        ("post", "/api/v1/services") => json!({
            "name": "hello", "vm_asset_id": "vm-none", "allocation_id": "lease-none", "allocation_duration": 60,
            "concurrency": 2, "timeout": 10, "max_body": "1MiB",
            "folders": [{ "path": "/srv", "guest_path": "/data", "writable": false }],
            "network": [{ "host": "localhost", "port": 80 }]
        }),
        (method, path) => trustchain::right(method, path)
            .unwrap_or_else(|| panic!("{method} {path} takes JSON; add a right body of it here")),
    }
}

fn execution() -> Value {
    json!({
        "vm_asset_id": "vm-none", "operation": "run", "parameters": { "a": 1 }, "timeout": 10,
        "cpu_time_limit": 10, "requires_consensus": false, "allocation_duration": 60, "allocation_id": "lease-none",
        "inputs": [{ "name": "a", "digest": "0".repeat(64) }]
    })
}

fn schedule() -> Map<String, Value> {
    let all = json!({
        "name": "nightly", "execution": execution(), "at": "2030-01-02T03:04:05Z", "cron": "0 3 * * *",
        "time_zone": "Europe/Berlin", "enabled": false, "concurrency": "forbid", "catch_up": "skip",
        "starts_at": "2030-01-02T03:04:05Z", "ends_at": "2031-01-02T03:04:05Z", "history_limit": 5
    });
    all.as_object().cloned().unwrap_or_default()
}

/// The operations that take a JSON body, each with its schema and a right body.
fn taking_json(document: &Document) -> Vec<(Operation<'_>, &Value, Value)> {
    let taking = document.operations().into_iter().filter_map(|operation| {
        let schema = document.json_body(operation)?;
        let body = right(operation);
        let findings = schema::check(document.root(), schema, &body);
        assert!(
            findings.is_empty(),
            "the right body of {} {}: {findings:?}",
            operation.method,
            operation.path
        );
        Some((operation, schema, body))
    });
    taking.collect()
}

/// Where an operation is sent in these tests: the cpu asset is always there.
fn target(operation: Operation<'_>) -> (String, String) {
    (operation.method.to_uppercase(), operation.path_with(&["cpu", "x"]))
}

#[test]
fn a_member_that_the_schema_refuses_is_refused_by_name() {
    unharmed(|node, document| {
        let mut findings = Vec::new();
        let mut sent = 0;
        for (operation, schema, body) in taking_json(document) {
            let (method, path) = target(operation);
            for wrong in wrong::bodies(document.root(), schema, &body) {
                let what = format!("{method} {path}: `{}` {}", wrong.member, wrong.what);
                let answer = send(node, &method, &path, Payload::Json(&wrong.body));
                sent += 1;
                if !(400..500).contains(&answer.status) {
                    findings.push(format!("{what}: answered {} {}", answer.status, answer.body));
                    continue;
                }
                let said = problem(&answer, &what)["member"].as_str().unwrap_or_default().to_owned();
                if !said.starts_with(&wrong.member) {
                    findings.push(format!("{what}: blamed {said:?} ({})", answer.body));
                }
            }
        }
        println!("{sent} wrong bodies sent");
        assert!(findings.is_empty(), "{} findings\n  {}", findings.len(), findings.join("\n  "));
    });
}

#[test]
fn a_body_that_is_no_document_is_refused() {
    unharmed(|node, document| {
        for (operation, _, body) in taking_json(document) {
            let (method, path) = target(operation);
            let text = body.to_string();
            let deep = format!("{{\"specifications\":{}", "[".repeat(DEPTH));
            for (what, bytes) in [
                ("nothing", &b""[..]),
                ("half a document", &text.as_bytes()[..text.len() / 2]),
                ("more after it", format!("{text}x").as_bytes()),
                ("a list", b"[]"),
                ("null", b"null"),
                ("a text", b"\"x\""),
                ("NUL", b"\0"),
                ("not UTF-8", b"{\"\xff\xfe\":1}"),
                ("too deep", deep.as_bytes()),
                ("a member twice", format!("{},{}", &text[..text.len() - 1], &text[1..]).as_bytes()),
            ] {
                let answer = send(node, &method, &path, Payload::Bytes("application/json", bytes));
                let what = format!("{method} {path}: {what}");
                assert_eq!(refusal(&answer, &what)["status"], 400, "{what}");
            }
            let answer = send(node, &method, &path, Payload::Bytes("text/plain", text.as_bytes()));
            assert_eq!(refusal(&answer, "another type")["status"], 415, "{method} {path}");
        }
    });
}

#[test]
fn a_number_that_is_none_is_refused_by_name() {
    unharmed(|node, document| {
        for (operation, _, body) in taking_json(document) {
            let (method, path) = target(operation);
            for member in NUMBERS {
                if body.get(member).is_none() {
                    continue;
                }
                let mut marked = body.clone();
                marked[member] = json!("@");
                // The first two are JSON and no number that a machine holds; the others are no JSON.
                for number in ["1e400", "-1e400", "NaN", "Infinity", "-Infinity", "0x10", "1_000", "00"] {
                    let text = marked.to_string().replace("\"@\"", number);
                    let answer =
                        send(node, &method, &path, Payload::Bytes("application/json", text.as_bytes()));
                    let what = format!("{method} {path}: `{member}` is {number}");
                    let document = refusal(&answer, &what);
                    assert_eq!(document["status"], 400, "{what}: {document}");
                    assert!(document["member"] == member || !number.contains('e'), "{what}: {document}");
                }
            }
        }
    });
}

#[test]
fn a_huge_body_is_refused() {
    unharmed(|node, document| {
        for (operation, ..) in taking_json(document) {
            let (method, path) = target(operation);
            let body = json!({ "name": "x".repeat(HUGE) });
            let answer = send(node, &method, &path, Payload::Json(&body));
            assert_eq!(refusal(&answer, "a huge body")["status"], 413, "{method} {path}");
        }
        if node.service != "hypermesh" {
            return;
        }
        // Refused by the length that they claim, before a byte of them is sent.
        for (path, content) in [
            ("/api/v1/blobs", "application/octet-stream"),
            ("/api/v1/catalog/packages?name=a", "application/wasm"),
        ] {
            let mut head = head(node, "POST", path);
            head.extend([format!("content-type: {content}"), "content-length: 1099511627776".to_owned()]);
            let answer = claimed(node, &head);
            assert_eq!(refusal(&answer, path)["status"], 413, "{path}");
        }
    });
}

/// An exchange of a head that already says a length, and no body.
fn claimed(node: Place<'_>, head: &[String]) -> hypermesh_harness::Answer {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(node.address()).expect("the node listens");
    stream.set_read_timeout(Some(hypermesh_harness::PATIENCE)).expect("a time limit");
    let text = head.join("\r\n") + "\r\nconnection: close\r\n\r\n";
    stream.write_all(text.as_bytes()).expect("the head is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect("a status");
    let headers =
        lines.filter_map(|line| line.split_once(':').map(|(n, v)| (n.to_lowercase(), v.trim().to_owned())));
    hypermesh_harness::Answer { status, headers: headers.collect(), body: body.to_owned() }
}

#[test]
fn a_package_that_is_none_is_refused_with_its_reason() {
    unharmed(|node, _| {
        if node.service != "hypermesh" {
            return;
        }
        let module = b"\0asm\x01\0\0\0";
        for (what, bytes) in [("nothing", &b""[..]), ("noise", &[0xff; 4096]), ("a core module", module)] {
            let path = "/api/v1/catalog/packages?name=broken";
            let answer = send(node, "POST", path, Payload::Bytes("application/wasm", bytes));
            let document = refusal(&answer, what);
            assert_eq!(document["status"], 422, "{what}: {document}");
        }
    });
}

#[test]
fn a_parameter_that_the_schema_refuses_is_refused_by_name() {
    unharmed(|node, document| {
        let mut findings = Vec::new();
        for operation in document.operations().into_iter().filter(Operation::is_built) {
            let (method, path) = target(operation);
            let parameters = document.parameters(operation, "query");
            for (name, schema) in &parameters {
                let values = wrong::query_values(document.root(), schema);
                let mut queries: Vec<_> = values.iter().map(|value| format!("{name}={value}")).collect();
                queries.push(format!("{name}=1&{name}=1"));
                // A package needs its name, or its absence is what is refused.
                let needed = match *name {
                    "name" => "",
                    _ if path.ends_with("/packages") => "name=a&",
                    _ => trustchain::needed(&path, name),
                };
                for query in queries {
                    let answer = send(node, &method, &format!("{path}?{needed}{query}"), Payload::None);
                    // Where the path or body is refused first, which is not this test's matter, it is still a refusal.
                    let document = refusal(&answer, &query);
                    if document["status"] == 400 && document["member"] != **name {
                        findings.push(format!("{method} {path}?{query}: {document}"));
                    }
                }
            }
            if !parameters.is_empty() {
                for query in ["surplus=1", "%FF=%FE", "=&=", "&limit"] {
                    refusal(&send(node, &method, &format!("{path}?{query}"), Payload::None), query);
                }
            }
        }
        assert!(findings.is_empty(), "{} findings\n  {}", findings.len(), findings.join("\n  "));
    });
}

#[test]
fn an_id_that_names_nothing_is_not_found() {
    unharmed(|node, document| {
        let built = document.operations().into_iter().filter(|operation| operation.is_built());
        for operation in built.filter(|operation| operation.path.contains('{')) {
            let body = document.json_body(operation).map(|_| right(operation));
            let long = "x".repeat(3000);
            for id in STRANGE_IDS.iter().copied().chain([long.as_str()]) {
                let (method, path) = (operation.method.to_uppercase(), operation.path_with(&[id, id]));
                let payload = body.as_ref().map_or(Payload::None, Payload::Json);
                let answer = send(node, &method, &path, payload);
                let what = format!("{method} {path}");
                assert_eq!(refusal(&answer, &what)["status"], 404, "{what}: {}", answer.body);
            }
        }
    });
}

#[test]
fn a_write_without_the_token_is_refused() {
    unharmed(|node, document| {
        for operation in document.operations().into_iter().filter(Operation::is_secured) {
            let (method, path) = target(operation);
            for credentials in [None, Some("Bearer wrong"), Some("Basic YTpi"), Some("Bearer")] {
                let mut head = head(node, &method, &path);
                head.retain(|line| !line.starts_with("authorization"));
                head.extend(credentials.map(|value| format!("authorization: {value}")));
                let answer = exchange(node, &head, b"{}");
                assert_eq!(refusal(&answer, &path)["status"], 401, "{method} {path}: {credentials:?}");
                assert!(answer.header("www-authenticate").is_some(), "{method} {path}");
            }
        }
    });
}

#[test]
fn a_method_that_a_path_has_not_is_refused_and_the_others_are_named() {
    unharmed(|node, document| {
        for path in document.operations().iter().map(|operation| operation.path) {
            for method in ["PATCH", "DELETE", "PUT", "POST", "TRACE", "PROPFIND"] {
                if document.operation(method, path).is_some() {
                    continue;
                }
                let answer = send(node, method, &path.replace(['{', '}'], ""), Payload::None);
                let what = format!("{method} {path}");
                // `/api/v1/assets/vm` is also an id of `/api/v1/assets/{id}`, and so on.
                if answer.status == 404 {
                    continue;
                }
                assert_eq!(refusal(&answer, &what)["status"], 405, "{what}");
                assert!(answer.header("allow").is_some_and(|allow| !allow.is_empty()), "{what}");
            }
        }
    });
}
