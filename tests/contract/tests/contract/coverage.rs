//! Every operation of the document is used at least once and answers as it is documented; the contract's routes are
//! all there, and their objects have the contract's members.

use crate::depth;
use crate::exchange::{self, Payload};
use crate::later;
use crate::services;
use crate::session::{Session, document, has_shape};
use hypermesh_artifacts::{HASH_FILES, THUMBNAIL};
use hypermesh_harness::{Answer, Node};
use hypermesh_tests_contract::routes::{ADDED, CONTRACT, UNDOCUMENTED};
use hypermesh_tests_contract::shapes;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

/// Media type of a component.
const WASM: &str = "application/wasm";
/// Media type of a blob.
const BYTES: &str = "application/octet-stream";

/// A PNG of 2 × 2 pixels.
const PNG: &[u8] = &[
    0x89, 0x50, 0x4e, 0x47, 0xd, 0xa, 0x1a, 0xa, 0x0, 0x0, 0x0, 0xd, 0x49, 0x48, 0x44, 0x52, 0x0, 0x0, 0x0,
    0x2, 0x0, 0x0, 0x0, 0x2, 0x8, 0x2, 0x0, 0x0, 0x0, 0xfd, 0xd4, 0x9a, 0x73, 0x0, 0x0, 0x0, 0x10, 0x49,
    0x44, 0x41, 0x54, 0x78, 0x9c, 0x63, 0x38, 0x21, 0x67, 0x3, 0x44, 0xc, 0x10, 0xa, 0x0, 0x21, 0xf6, 0x4,
    0x89, 0x1e, 0x85, 0x3a, 0xee, 0x0, 0x0, 0x0, 0x0, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
];

/// A node that serves everything, whether or not the kernel enforces limits here.
fn node() -> Node {
    Node::start_with(&["--allow-unenforced"])
}

#[test]
fn every_route_of_the_contract_is_documented() {
    let node = node();
    let document = document(&node);
    let documented: BTreeSet<_> =
        document.operations().iter().map(|o| (o.method.to_uppercase(), o.path.to_owned())).collect();
    let promised = CONTRACT.iter().chain(&ADDED).filter(|(_, path)| !UNDOCUMENTED.contains(path));
    let promised: BTreeSet<_> =
        promised.map(|(method, path)| ((*method).to_owned(), (*path).to_owned())).collect();
    let missing: Vec<_> = promised.difference(&documented).collect();
    assert!(missing.is_empty(), "not documented: {missing:?}");
    let unpromised: Vec<_> = documented.difference(&promised).collect();
    assert!(unpromised.is_empty(), "documented, but neither in the contract nor added to it: {unpromised:?}");
    let page = exchange::send(&node, "GET", "/docs/", Payload::None);
    assert!(page.status == 200 && page.body.contains("swagger"), "{page:?}");
}

#[test]
fn every_operation_answers_as_documented() {
    let node = node();
    let mut session = Session::new(&node);
    system(&mut session, &node);
    assets(&mut session);
    allocations(&mut session);
    depth::leases(&mut session, &node);
    depth::access(&mut session);
    depth::volumes(&mut session, &node);
    blobs(&mut session);
    let package = catalog(&mut session);
    vm(&mut session, &package);
    executions(&mut session);
    later::arrays(&mut session);
    later::schedules(&mut session);
    services::all(&mut session, &node);
    events(&mut session, &node);
    unbuilt(&mut session);
    let unused = session.unused();
    assert!(unused.is_empty(), "never used: {unused:#?}");
}

fn system(session: &mut Session<'_>, node: &Node) {
    let none = Payload::None;
    session.shaped("GET /health", &[], none, 200, shapes::HEALTH);
    session.call("GET /livez", &[], none, 200);
    session.call("GET /readyz", &[], none, 200);
    session.call("GET /metrics", &[], none, 200);
    session.shaped("GET /api/v1/system/status", &[], none, 200, shapes::SYSTEM_STATUS);
    let all = session.call("GET /api/v1/nodes/health", &[], none, 200);
    has_shape("nodes/health", shapes::NODE_HEALTH, &all[0]);
    session.shaped("GET /api/v1/nodes/{id}/health", &[node.id()], none, 200, shapes::NODE_HEALTH);
    session.call("GET /api/v1/nodes/{id}/health", &["node-of-somebody-else"], none, 404);
    let topology = session.shaped("GET /api/v1/network/topology", &[], none, 200, shapes::TOPOLOGY);
    has_shape("topology", shapes::TOPOLOGY_NODE, &topology["nodes"][0]);
}

fn assets(session: &mut Session<'_>) {
    let none = Payload::None;
    let all = session.call("GET /api/v1/assets", &[], none, 200);
    let all = all.as_array().expect("a list");
    all.iter().for_each(|asset| has_shape("an asset", shapes::ASSET, asset));
    for kind in ["cpu", "memory", "storage"] {
        assert_eq!(all.iter().filter(|asset| asset["type"] == kind).count(), 1, "{kind}");
    }
    let cpu = session.call("GET /api/v1/assets?type=cpu", &[], none, 200);
    assert_eq!(
        (&cpu[0]["allocation"]["unit"], &cpu[0]["allocation"]["total_capacity"]),
        (&json!("percentage"), &json!(100.0))
    );
    for member in ["cores", "threads", "frequency", "architecture", "model", "numa_nodes"] {
        assert!(cpu[0]["specifications"].get(member).is_some(), "cpu: no {member}");
    }
    assert_eq!(session.call("GET /api/v1/assets?limit=1", &[], none, 200).as_array().map(Vec::len), Some(1));
    session.call("GET /api/v1/assets?type=house", &[], none, 400);

    let new = json!({ "type": "service", "name": "a service", "privacy_level": "p2p", "specifications": { "a": 1 } });
    let made = session.shaped("POST /api/v1/assets", &[], Payload::Json(&new), 201, shapes::ASSET);
    assert_eq!(
        (&made["name"], &made["privacy_level"], &made["specifications"]["a"]),
        (&json!("a service"), &json!("p2p"), &json!(1))
    );
    let id = made["id"].as_str().expect("an id");
    let change = json!({ "name": "renamed", "location": { "region": "north" } });
    let changed =
        session.shaped("PUT /api/v1/assets/{id}", &[id], Payload::Json(&change), 200, shapes::ASSET);
    assert_eq!((&changed["name"], &changed["location"]["region"]), (&json!("renamed"), &json!("north")));
    let read_only = json!({ "owner": "me" });
    let refused = session.call("PUT /api/v1/assets/{id}", &[id], Payload::Json(&read_only), 400);
    assert_eq!(refused["member"], "owner");
    assert_eq!(session.shaped("GET /api/v1/assets/{id}", &[id], none, 200, shapes::ASSET), changed);
    session.shaped("DELETE /api/v1/assets/{id}", &[id], none, 200, shapes::MESSAGE);
    session.call("GET /api/v1/assets/{id}", &[id], none, 404);
    session.call("DELETE /api/v1/assets/{id}", &["cpu"], none, 409);
}

fn allocations(session: &mut Session<'_>) {
    let none = Payload::None;
    let more = json!({ "memory": "64MiB", "pids": 16 });
    let ask =
        |amount: f64| json!({ "asset_id": "cpu", "amount": amount, "duration": 600, "requirements": more });
    let lease =
        session.shaped("POST /api/v1/allocations", &[], Payload::Json(&ask(10.0)), 201, shapes::ALLOCATION);
    assert_eq!(
        (&lease["status"], &lease["unit"], &lease["consensus_proofs"]),
        (&json!("active"), &json!("percentage"), &json!([]))
    );
    let id = lease["id"].as_str().expect("an id");
    let refused = session.call("POST /api/v1/allocations", &[], Payload::Json(&ask(100.0)), 409);
    assert_eq!(refused["reasons"].as_array().map(Vec::len), Some(1), "{refused}");
    let nowhere = json!({ "asset_id": "nothing-here", "amount": 1, "duration": 1 });
    let refused = session.call("POST /api/v1/allocations", &[], Payload::Json(&nowhere), 404);
    assert_eq!(refused["member"], "asset_id");

    let listed = session.call("GET /api/v1/allocations?asset_id=cpu&status=active", &[], none, 200);
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
    let shown = session.shaped("GET /api/v1/allocations/{id}", &[id], none, 200, shapes::ALLOCATION);
    has_shape("an allocation", shapes::ALLOCATION_IN_DEPTH, &shown);
    let receipt = session.call("GET /api/v1/allocations/{id}/enforcement", &[id], none, 200);
    assert!(receipt["entries"].as_array().is_some_and(|entries| entries.len() >= 3), "{receipt}");
    session.shaped("POST /api/v1/allocations/{id}/release", &[id], none, 200, shapes::MESSAGE);
    session.call("POST /api/v1/allocations/{id}/release", &[id], none, 409);
    let ended = session.call("GET /api/v1/allocations/{id}", &[id], none, 200);
    assert_ne!(ended["status"], "active");
}

fn blobs(session: &mut Session<'_>) {
    let none = Payload::None;
    let blob = session.call("POST /api/v1/blobs", &[], Payload::Bytes(BYTES, b"some bytes"), 201);
    let digest = blob["digest"].as_str().expect("a digest");
    assert_eq!(blob["size"], 10);
    assert_eq!(session.call("GET /api/v1/blobs/{digest}", &[digest], none, 200), blob);
    assert_eq!(session.call("GET /api/v1/blobs", &[], none, 200), json!([blob]));
    session.shaped("DELETE /api/v1/blobs/{digest}", &[digest], none, 200, shapes::MESSAGE);
    session.call("GET /api/v1/blobs/{digest}", &[digest], none, 404);
    session.call("POST /api/v1/blobs", &[], Payload::Json(&json!({})), 415);
}

/// Gives the id of a package in the catalog.
fn catalog(session: &mut Session<'_>) -> String {
    let none = Payload::None;
    let upload =
        format!("POST /api/v1/catalog/packages?name={}&version=1.2.3&description=hashes", HASH_FILES.name);
    let component = Payload::Bytes(WASM, HASH_FILES.component);
    let package = session.shaped(&upload, &[], component, 201, shapes::APPLICATION);
    assert_eq!((&package["version"], &package["status"]), (&json!("1.2.3"), &json!("available")));
    let refused =
        session.call("POST /api/v1/catalog/packages?name=broken", &[], Payload::Bytes(WASM, b"\0asm"), 422);
    assert!(refused["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
    let id = package["id"].as_str().expect("an id");
    session.shaped("GET /api/v1/catalog/applications/{id}", &[id], none, 200, shapes::APPLICATION);
    let listed = session.call("GET /api/v1/catalog/applications?status=available", &[], none, 200);
    assert_eq!(listed.as_array().map(Vec::len), Some(1));

    let wanted = format!("GET /api/v1/catalog/resolve?package={}@^1.2", HASH_FILES.name);
    let resolved = session.shaped(&wanted, &[], none, 200, shapes::APPLICATION);
    assert_eq!(resolved["id"], package["id"]);
    session.call("GET /api/v1/catalog/resolve?package=nobody@1", &[], none, 404);
    let old = json!({ "reason": "for this test" });
    let (put, delete) = (
        "PUT /api/v1/catalog/applications/{id}/deprecation",
        "DELETE /api/v1/catalog/applications/{id}/deprecation",
    );
    let deprecated = session.shaped(put, &[id], Payload::Json(&old), 200, shapes::APPLICATION);
    assert_eq!(
        (&deprecated["status"], &deprecated["deprecated"]["reason"]),
        (&json!("deprecated"), &json!("for this test"))
    );
    session.call(&wanted, &[], none, 404);
    session.shaped(delete, &[id], none, 200, shapes::APPLICATION);
    session.call(delete, &[id], none, 409);

    session.call("GET /api/v1/catalog/applications/{id}/export", &[id], none, 200);
    // Nothing listens there.
    let nowhere = json!({ "reference": "127.0.0.1:1/hash:1.0.0", "insecure": true });
    session.call("POST /api/v1/catalog/pull", &[], Payload::Json(&nowhere), 422);
    session.call("POST /api/v1/catalog/applications/{id}/push", &[id], Payload::Json(&nowhere), 422);
    let signature = json!({ "payload": "{}", "signature": "AAAA" });
    let sign = "POST /api/v1/catalog/applications/{id}/signatures";
    assert_eq!(session.call(sign, &[id], Payload::Json(&signature), 422)["member"], "payload");

    let limits =
        json!({ "max_cpu": 20.0, "max_memory": "128MiB", "max_storage": "1MiB", "max_execution_time": 30 });
    let install = json!({ "catalog_id": id, "privacy_level": "private", "resource_limits": limits });
    let installed =
        session.shaped("POST /api/v1/catalog/install", &[], Payload::Json(&install), 201, shapes::INSTALLED);
    for shape in [shapes::ASSET, shapes::VM, shapes::CATALOG_METADATA] {
        has_shape("install", shape, &installed["vm_asset"]);
    }
    assert_eq!(installed["vm_asset"]["vm_config"]["resource_limits"], limits);
    session.call(
        "POST /api/v1/catalog/install",
        &[],
        Payload::Json(&json!({ "catalog_id": "pkg-none" })),
        404,
    );
    let used = session.call("DELETE /api/v1/catalog/applications/{id}", &[id], none, 409);
    let vm = installed["vm_asset"]["id"].as_str().expect("an id");
    assert!(used["detail"].as_str().is_some_and(|detail| detail.contains(vm)), "{used}");
    let again = format!("POST /api/v1/catalog/packages?name={}&version=2.0.0-rc.1", HASH_FILES.name);
    let second = session.call(&again, &[], component, 201);
    let second = second["id"].as_str().expect("an id");
    session.shaped("DELETE /api/v1/catalog/applications/{id}", &[second], none, 200, shapes::MESSAGE);
    session.call("DELETE /api/v1/catalog/applications/{id}", &[second], none, 404);
    id.to_owned()
}

fn vm(session: &mut Session<'_>, package: &str) {
    let new = json!({ "name": "a vm", "vm_config": { "entrypoint": "hash" }, "catalog_metadata": { "catalog_id": package } });
    let made = session.shaped("POST /api/v1/assets/vm", &[], Payload::Json(&new), 201, shapes::ASSET);
    has_shape("vm", shapes::VM, &made);
    has_shape("vm", shapes::CATALOG_METADATA, &made);
    assert_eq!((&made["type"], &made["vm_config"]["entrypoint"]), (&json!("vm"), &json!("hash")));
    let network =
        json!({ "name": "a vm", "vm_config": { "security_policy": { "allow_network_access": true } } });
    let refused = session.call("POST /api/v1/assets/vm", &[], Payload::Json(&network), 422);
    assert_eq!(refused["member"], "vm_config.security_policy.allow_network_access");
}

fn executions(session: &mut Session<'_>) {
    let none = Payload::None;
    let upload = format!("POST /api/v1/catalog/packages?name={}", THUMBNAIL.name);
    let package = session.call(&upload, &[], Payload::Bytes(WASM, THUMBNAIL.component), 201);
    let install = json!({ "catalog_id": package["id"] });
    let vm =
        session.call("POST /api/v1/catalog/install", &[], Payload::Json(&install), 201)["vm_asset"]["id"]
            .clone();
    let picture = session.call("POST /api/v1/blobs", &[], Payload::Bytes(BYTES, PNG), 201);
    let ask = json!({
        "vm_asset_id": vm, "operation": "thumbnail",
        "parameters": { "max_width": 1, "max_height": 1, "format": "png" },
        "inputs": [{ "name": "picture.png", "digest": picture["digest"] }]
    });
    let begun =
        session.shaped("POST /api/v1/vm/execute?wait=30", &[], Payload::Json(&ask), 201, shapes::EXECUTION);
    let id = begun["id"].as_str().expect("an id");
    let ended = session.shaped("GET /api/v1/vm/executions/{id}?wait=30", &[id], none, 200, shapes::EXECUTION);
    assert_eq!((&ended["status"], &ended["cause"]), (&json!("completed"), &Value::Null), "{ended}");
    assert_eq!(
        (&ended["request"]["requires_consensus"], &ended["consensus_proofs"]),
        (&json!(true), &json!([]))
    );
    let file = ended["outputs"][0]["name"].as_str().expect("an output");
    session.call("GET /api/v1/vm/executions/{id}/outputs/{name}", &[id, file], none, 200);
    session.call("GET /api/v1/vm/executions/{id}/outputs/{name}", &[id, "no-such-file"], none, 404);
    let logs = session.call("GET /api/v1/vm/executions/{id}/logs?after=0&limit=100&wait=1", &[id], none, 200);
    assert!(
        logs["lines"].as_array().is_some_and(|lines| !lines.is_empty()) && logs["complete"] == true,
        "{logs}"
    );
    let line = first_event(session, session.node(), "/api/v1/vm/executions/{id}/logs/stream", &[id], &[]);
    has_shape("a line", "at t, level s, message s", &line);
    session.call("GET /api/v1/vm/executions/{id}/stdout", &[id], none, 409);
    session.call("PUT /api/v1/vm/executions/{id}/stdin", &[id], Payload::Bytes(BYTES, b"late"), 409);
    let listed = session.call("GET /api/v1/vm/executions?limit=10", &[], none, 200);
    assert_eq!(listed[0]["id"], ended["id"]);
    let late = session.shaped("POST /api/v1/vm/executions/{id}/cancel", &[id], none, 200, shapes::CANCELLED);
    assert!(late["cancelled"] == false && late["reason"].is_string(), "{late}");
    let nothing = json!({ "vm_asset_id": "vm-none", "operation": "", "parameters": {} });
    assert_eq!(
        session.call("POST /api/v1/vm/execute", &[], Payload::Json(&nothing), 404)["member"],
        "vm_asset_id"
    );
}

fn events(session: &mut Session<'_>, node: &Node) {
    let event = first_event(session, node, "/api/v1/events", &[], &["last-event-id: 0"]);
    assert_eq!(event["sequence"], 1);
    has_shape("an event", "sequence i, at t, kind s, subject s, data {}", &event);
}

/// The data of a stream's first event. A stream doesn't end by itself, so no more of it is read.
pub(crate) fn first_event(
    session: &mut Session<'_>,
    node: &Node,
    path: &str,
    values: &[&str],
    headers: &[&str],
) -> Value {
    let operation = session.document().operation("GET", path).expect("the stream is documented");
    let target = operation.path_with(values);
    let mut stream = TcpStream::connect(node.address("hypermesh")).expect("the node listens");
    stream.set_read_timeout(Some(hypermesh_harness::PATIENCE)).expect("a time limit");
    let mut head = exchange::head(node, "GET", &target);
    head.extend(headers.iter().map(|header| (*header).to_owned()).chain([String::new(), String::new()]));
    stream.write_all(head.join("\r\n").as_bytes()).expect("the request is sent");
    let mut lines = BufReader::new(stream).lines().map(|line| line.expect("the stream is text"));
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect("a status");
    let headers = lines.by_ref().take_while(|line| !line.is_empty());
    let headers =
        headers.filter_map(|line| line.split_once(':').map(|(n, v)| (n.to_lowercase(), v.trim().to_owned())));
    let answer = Answer { status, headers: headers.collect(), body: String::new() };
    assert_eq!(answer.status, 200);
    session.check("GET", path, &answer);
    let data = lines.find_map(|line| line.strip_prefix("data:").map(str::to_owned)).expect("an event");
    serde_json::from_str(&data).expect("an event is JSON")
}

/// Routes of later versions say that they aren't there, as documented.
fn unbuilt(session: &mut Session<'_>) {
    let routes: Vec<_> = session
        .document()
        .operations()
        .iter()
        .filter(|o| !o.is_built())
        .map(|o| format!("{} {}", o.method.to_uppercase(), o.path))
        .collect();
    for route in &routes {
        session.shaped(route, &["some-id"], Payload::None, 501, shapes::PROBLEM);
    }
    assert_eq!(routes.len(), 10);
}
