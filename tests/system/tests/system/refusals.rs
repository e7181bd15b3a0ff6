//! Bad input is refused with a document that names the member, and leaves nothing behind.

use hypermesh_harness::{Node, exchange};
use serde_json::{Value, json};

fn send(node: &Node, method: &str, path: &str, body: &str) -> (u16, Value) {
    let answer = node.client().raw(method, path, Some(body.as_bytes())).unwrap();
    let kind =
        answer.headers.iter().find(|(name, _)| name == "content-type").map(|(_, value)| value.as_str());
    assert_eq!(kind, Some("application/problem+json"), "{method} {path} {body}: {}", answer.status);
    (answer.status, serde_json::from_slice(&answer.body).unwrap())
}

/// A request that is refused: the status (422 for what is well-formed and doesn't fit here), and the member at fault.
type Case<'a> = (&'a str, Value, u16, &'a str);

fn allocations() -> Vec<Case<'static>> {
    let path = "/api/v1/allocations";
    let with = |member: &str, value: Value| {
        let mut body = json!({ "asset_id": "cpu", "amount": 5, "duration": 60, "requirements": {} });
        match member.split_once('.') {
            Some((outer, inner)) => body[outer][inner] = value,
            None => body[member] = value,
        }
        body
    };
    let long = "x".repeat(10_000);
    vec![
        (path, json!({ "amount": 5, "duration": 60 }), 400, "asset_id"),
        (path, json!({ "asset_id": "cpu", "duration": 60 }), 400, "amount"),
        (path, json!({ "asset_id": "cpu", "amount": 5 }), 400, "duration"),
        (path, with("asset_id", json!(long)), 400, "asset_id"),
        (path, with("asset_id", json!("../../etc")), 400, "asset_id"),
        (path, with("asset_id", json!("no-such-asset")), 404, "asset_id"),
        (path, with("amount", json!("NaN")), 400, "amount"),
        (path, with("amount", json!(null)), 400, "amount"),
        (path, with("amount", json!(-5)), 400, "amount"),
        (path, with("amount", json!(0)), 400, "amount"),
        (path, with("amount", json!(100.5)), 422, "amount"),
        (path, with("amount", json!(1e18)), 400, "amount"),
        (path, with("duration", json!(-1)), 400, "duration"),
        (path, with("duration", json!(0)), 400, "duration"),
        (path, with("duration", json!(1.5)), 400, "duration"),
        (path, with("duration", json!(u64::MAX)), 400, "duration"),
        (path, with("requirements.memory", json!("lots")), 400, "requirements.memory"),
        (path, with("requirements.memory", json!("-1MiB")), 400, "requirements.memory"),
        (path, with("requirements.memory", json!("1 B")), 422, "requirements.memory"),
        (path, with("requirements.memory", json!(long)), 400, "requirements.memory"),
        (path, with("requirements.cpu", json!(5)), 422, "requirements.cpu"),
        (path, with("requirements.pids", json!(-1)), 400, "requirements.pids"),
        (path, with("requirements.memry", json!("1GiB")), 400, "requirements.memry"),
        (path, with("wish", json!(1)), 400, "wish"),
    ]
}

fn others() -> Vec<Case<'static>> {
    let long = "n".repeat(10_000);
    let execute = |member: &str, value: Value| {
        let mut body = json!({ "vm_asset_id": "cpu", "operation": "hash", "parameters": {} });
        body[member] = value;
        body
    };
    let path = "/api/v1/vm/execute";
    let limits = |member: &str, value: Value| json!({ "name": "x", "vm_config": { "resource_limits": { member: value } } });
    let vm = "/api/v1/assets/vm";
    vec![
        ("/api/v1/assets", json!({ "type": "service", "name": long }), 400, "name"),
        ("/api/v1/assets", json!({ "type": "service", "name": "" }), 400, "name"),
        ("/api/v1/assets", json!({ "type": "toaster", "name": "x" }), 400, "type"),
        (
            "/api/v1/assets",
            json!({ "type": "service", "name": "x", "description": long }),
            400,
            "description",
        ),
        (vm, limits("max_cpu", json!(-1)), 400, "vm_config.resource_limits.max_cpu"),
        (vm, limits("max_memory", json!("huge")), 400, "vm_config.resource_limits.max_memory"),
        (vm, limits("max_execution_time", json!(0)), 400, "vm_config.resource_limits.max_execution_time"),
        ("/api/v1/catalog/install", json!({ "catalog_id": "nothing" }), 404, "catalog_id"),
        ("/api/v1/catalog/install", json!({ "catalog_id": long }), 400, "catalog_id"),
        (path, execute("vm_asset_id", json!("nothing")), 404, "vm_asset_id"),
        (path, execute("vm_asset_id", json!("cpu")), 422, "vm_asset_id"),
        (path, execute("timeout", json!(0)), 400, "timeout"),
        (path, execute("timeout", json!(-1)), 400, "timeout"),
        (path, execute("parameters", json!([])), 400, "parameters"),
        (path, execute("operation", json!(long)), 400, "operation"),
        (path, execute("allocation_duration", json!(0)), 400, "allocation_duration"),
        (path, execute("inputs", json!([{ "name": "a", "digest": "00" }])), 400, "inputs[0].digest"),
        (
            path,
            execute("inputs", json!(vec![json!({ "name": "a", "digest": "0".repeat(64) }); 257])),
            400,
            "inputs",
        ),
    ]
}

#[test]
fn a_wrong_member_is_named_and_nothing_is_half_made() {
    let node = Node::start();
    let before = node.client().assets(&Default::default()).unwrap().len();
    for (path, body, status, member) in allocations().into_iter().chain(others()) {
        let text = body.to_string();
        let shown: String = text.chars().take(120).collect();
        let (answered, problem) = send(&node, "POST", path, &text);
        assert_eq!(answered, status, "{path} {shown}: {problem}");
        assert_eq!(problem["member"], member, "{path} {shown}: {problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty() && detail.len() < 2000));
    }
    nothing_is_half_made(&node, before);
}

fn nothing_is_half_made(node: &Node, assets: usize) {
    assert!(node.client().allocations(&Default::default()).unwrap().is_empty());
    assert!(node.client().executions(&Default::default()).unwrap().is_empty());
    assert_eq!(node.client().assets(&Default::default()).unwrap().len(), assets);
    assert!(node.groups().is_empty(), "{:?}", node.groups());
    let cpu = node.client().asset("cpu").unwrap().allocation;
    assert_eq!(cpu.allocated_capacity, 0.0);
}

#[test]
fn what_is_no_json_is_refused() {
    let node = Node::start();
    for body in [
        r#"{"asset_id":"cpu","amount":NaN,"duration":60}"#,
        r#"{"asset_id":"cpu","amount":1e999,"duration":60}"#,
        r#"{"asset_id":"cpu","amount":5,"duration":60"#,
        "",
        "[]",
        "null",
        "\u{0}",
        &"[".repeat(100_000),
    ] {
        let (status, problem) = send(&node, "POST", "/api/v1/allocations", body);
        assert_eq!(status, 400, "{problem}");
    }
    nothing_is_half_made(&node, node.client().assets(&Default::default()).unwrap().len());
}

#[test]
fn what_is_not_there_is_a_404() {
    let node = Node::start();
    let long = "a".repeat(5000);
    let authorization = format!("authorization: Bearer {}", node.token());
    for id in ["nothing", "..%2F..", "%00", "%FF", long.as_str()] {
        for (method, path) in [
            ("GET", format!("/api/v1/assets/{id}")),
            ("PUT", format!("/api/v1/assets/{id}")),
            ("DELETE", format!("/api/v1/assets/{id}")),
            ("GET", format!("/api/v1/allocations/{id}")),
            ("GET", format!("/api/v1/allocations/{id}/enforcement")),
            ("POST", format!("/api/v1/allocations/{id}/release")),
            ("GET", format!("/api/v1/vm/executions/{id}")),
            ("GET", format!("/api/v1/vm/executions/{id}/logs")),
            ("GET", format!("/api/v1/vm/executions/{id}/outputs/x")),
            ("POST", format!("/api/v1/vm/executions/{id}/cancel")),
            ("GET", format!("/api/v1/catalog/applications/{id}")),
            ("GET", format!("/api/v1/nodes/{id}/health")),
            ("GET", format!("/api/v1/blobs/{id}")),
        ] {
            let body = if method == "PUT" { "{}" } else { "" };
            let line = format!("{method} {path} HTTP/1.1");
            let head = [line.as_str(), "host: localhost", "content-type: application/json", &authorization];
            let answer = exchange(node.address("hypermesh"), &head, body.as_bytes());
            assert_eq!(answer.status, 404, "{method} {}: {}", &path[..path.len().min(80)], answer.body);
            assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        }
    }
}

#[test]
fn a_huge_body_is_refused_and_the_node_goes_on() {
    let node = Node::start();
    let authorization = format!("authorization: Bearer {}", node.token());
    let head = [
        "POST /api/v1/allocations HTTP/1.1",
        "host: localhost",
        "content-type: application/json",
        &authorization,
    ];
    let body = format!("{{\"asset_id\":\"{}\"}}", "x".repeat(2 << 20));
    let answer = exchange(node.address("hypermesh"), &head, body.as_bytes());
    assert_eq!(answer.status, 413, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    nothing_is_half_made(&node, node.client().assets(&Default::default()).unwrap().len());
}
