//! The routes of services, and those behind which guests answer.

use crate::coverage::first_event;
use crate::exchange::Payload;
use crate::session::{Session, has_shape};
use hypermesh_artifacts::HELLO_HTTP;
use hypermesh_harness::Node;
use hypermesh_tests_contract::shapes;
use serde_json::json;

/// Uses every route once.
pub(crate) fn all(session: &mut Session<'_>, node: &Node) {
    let none = Payload::None;
    let upload = format!("POST /api/v1/catalog/packages?name={}", HELLO_HTTP.name);
    let package = session.call(&upload, &[], Payload::Bytes("application/wasm", HELLO_HTTP.component), 201);
    assert_eq!(package["type"], "http");
    let install = json!({ "catalog_id": package["id"] });
    let installed = session.call("POST /api/v1/catalog/install", &[], Payload::Json(&install), 201);
    let ask = json!({ "name": "hello", "vm_asset_id": installed["vm_asset"]["id"], "concurrency": 2 });
    let made = session.shaped("POST /api/v1/services", &[], Payload::Json(&ask), 201, shapes::SERVICE);
    assert_eq!((&made["path"], &made["status"]), (&json!("/guests/hello/"), &json!("serving")));
    session.call("POST /api/v1/services", &[], Payload::Json(&ask), 409);
    let nowhere = json!({ "name": "other", "vm_asset_id": "vm-none" });
    let refused = session.call("POST /api/v1/services", &[], Payload::Json(&nowhere), 404);
    assert_eq!(refused["member"], "vm_asset_id");

    let listed = session.call("GET /api/v1/services?limit=1", &[], none, 200);
    has_shape("a service", shapes::SERVICE, &listed[0]);
    session.shaped("GET /api/v1/services/{name}", &["hello"], none, 200, shapes::SERVICE);
    session.call("GET /api/v1/services/{name}", &["other"], none, 404);
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
        session.call(&format!("{method} /guests/{{name}}/{{path}}"), &["hello", "echo"], none, 200);
        session.call(&format!("{method} /guests/{{name}}/{{path}}"), &["other", "echo"], none, 404);
    }
    session.call("GET /guests/{name}/{path}", &["hello", "panic"], none, 502);
    let logs = session.call("GET /api/v1/services/{name}/logs?wait=20", &["hello"], none, 200);
    assert!(logs["lines"].as_array().is_some_and(|lines| !lines.is_empty()), "{logs}");
    assert_eq!((&logs["complete"], &logs["dropped_log_lines"]), (&json!(false), &json!(0)));
    let line =
        first_event(session, node, "/api/v1/services/{name}/logs/stream", &["hello"], &["last-event-id: 0"]);
    has_shape("a line", "at t, level s, message s", &line);
    session.shaped("DELETE /api/v1/services/{name}", &["hello"], none, 200, shapes::MESSAGE);
    session.call("DELETE /api/v1/services/{name}", &["hello"], none, 404);
}
