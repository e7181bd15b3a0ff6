//! What leases in depth add: plans, keys, waiting, changing, looking, attaching; quotas, tokens, volumes.

use crate::coverage::first_event;
use crate::exchange::{self, Payload};
use crate::session::{Session, has_shape};
use hypermesh_harness::Node;
use hypermesh_tests_contract::shapes;
use serde_json::{Value, json};
use std::process::{Child, Command};

fn cpu(amount: f64) -> Value {
    json!({ "asset_id": "cpu", "amount": amount, "duration": 600 })
}

fn id(value: &Value) -> String {
    value["id"].as_str().expect("an id").to_owned()
}

/// Every route of a lease but those that `coverage` uses.
pub(crate) fn leases(session: &mut Session<'_>, node: &Node) {
    planned(session);
    changed(session, node);
    waiting(session);
}

fn planned(session: &mut Session<'_>) {
    let dry = "POST /api/v1/allocations?dry_run=true";
    let fits = session.shaped(dry, &[], Payload::Json(&cpu(50.0)), 200, shapes::PLAN);
    assert_eq!((&fits["fits"], &fits["reasons"]), (&json!(true), &json!([])));
    let mut much = cpu(100.0);
    much["requirements"] = json!({ "memory": "900TiB" });
    let short = session.shaped(dry, &[], Payload::Json(&much), 200, shapes::PLAN);
    assert!(short["fits"] == false && short["reasons"][0]["dimension"] == "memory", "{short}");
    assert_eq!(session.call("GET /api/v1/allocations?phase=active", &[], Payload::None, 200), json!([]));

    let post = "POST /api/v1/allocations";
    let key = &["idempotency-key: contract-1"][..];
    let made = session.call_with(post, &[], key, Payload::Json(&cpu(5.0)), 201);
    let again = session.call_with(post, &[], key, Payload::Json(&cpu(5.0)), 200);
    assert_eq!(made["id"], again["id"]);
    let other = session.call_with(post, &[], key, Payload::Json(&cpu(6.0)), 422);
    assert_eq!(other["member"], "idempotency-key");
    session.call_with(post, &[], &["idempotency-key: two words"], Payload::Json(&cpu(5.0)), 400);
    let release = "POST /api/v1/allocations/{id}/release";
    session.call_with(release, &[&id(&made)], &["if-match: \"999\""], Payload::None, 412);
    session.call(release, &[&id(&made)], Payload::None, 200);
}

fn changed(session: &mut Session<'_>, node: &Node) {
    let none = Payload::None;
    let mut ask = cpu(10.0);
    ask["requirements"] = json!({ "memory": "64MiB", "pids": 16 });
    let terms = json!({ "priority": 60, "on_expiry": "freeze", "grace_s": 20, "warn_s": 5 });
    ask.as_object_mut().expect("an object").extend(terms.as_object().expect("an object").clone());
    let lease = session.call("POST /api/v1/allocations", &[], Payload::Json(&ask), 201);
    has_shape("an allocation", shapes::ALLOCATION_IN_DEPTH, &lease);
    for (member, value) in terms.as_object().expect("an object") {
        assert_eq!(lease[member], *value, "{member}");
    }
    let id = id(&lease);
    let patch = "PATCH /api/v1/allocations/{id}";
    let larger = json!({ "memory": "96MiB", "cpu": 20.0 });
    let tag = format!("if-match: \"{}\"", lease["generation"]);
    let resized = session.call_with(patch, &[&id], &[&tag], Payload::Json(&larger), 200);
    assert_eq!(resized["resources"]["memory_bytes"], 96 << 20);
    let stale = session.call_with(patch, &[&id], &[&tag], Payload::Json(&larger), 412);
    assert_eq!(stale["reasons"][0]["generation"], resized["generation"]);
    session.call(patch, &[&id], Payload::Json(&json!({})), 422);
    session.call(patch, &[&id], Payload::Json(&json!({ "memory": "900TiB" })), 409);
    let renew = "POST /api/v1/allocations/{id}/renew";
    let renewed = session.call(renew, &[&id], Payload::Json(&json!({ "duration": 1200 })), 200);
    assert!(renewed["end_time"].as_str() > lease["end_time"].as_str());
    session.call(renew, &[&id], Payload::Json(&json!({ "duration": 1 })), 409);

    let usage = "GET /api/v1/allocations/{id}/usage";
    let read = session.shaped(usage, &[&id], none, 200, shapes::USAGE);
    assert_eq!(read["allocation_id"], lease["id"]);
    let path = "/api/v1/allocations/{id}/usage";
    let followed = first_event(session, node, path, &[&id], &["accept: text/event-stream"]);
    has_shape("a followed usage", shapes::USAGE, &followed);
    attached(session, node, &id);
    session.call("POST /api/v1/allocations/{id}/release", &[&id], none, 200);
    session.call(usage, &[&id], none, 409);
    session.call(patch, &[&id], Payload::Json(&larger), 409);
}

/// A process of the test's own, ended with it.
struct Sleeper(Child);

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn attached(session: &mut Session<'_>, node: &Node, lease: &str) {
    let attach = "POST /api/v1/allocations/{id}/attach";
    let sleeper = Sleeper(Command::new("sleep").arg("600").spawn().expect("sleep starts"));
    let body = json!({ "pid": sleeper.0.id() });
    if node.unenforced().is_some() {
        session.call(attach, &[lease], Payload::Json(&body), 409);
        return;
    }
    let moved = session.shaped(attach, &[lease], Payload::Json(&body), 200, shapes::ATTACHED);
    assert!(moved["moved"].as_array().is_some_and(|groups| !groups.is_empty()), "{moved}");
    let gone = json!({ "pid": 4_194_304 });
    session.call(attach, &[lease], Payload::Json(&gone), 422);
}

fn waiting(session: &mut Session<'_>) {
    let none = Payload::None;
    let post = "POST /api/v1/allocations";
    let release = "POST /api/v1/allocations/{id}/release";
    let held = session.call(post, &[], Payload::Json(&cpu(80.0)), 201);
    let mut ask = cpu(80.0);
    ask["wait_s"] = json!(600);
    let waits = session.call(post, &[], Payload::Json(&ask), 202);
    assert_eq!((&waits["phase"], &waits["status"]), (&json!("queued"), &json!("pending")));
    let queue = session.call("GET /api/v1/queue", &[], none, 200);
    has_shape("a queue", shapes::QUEUE_ENTRY, &queue[0]);
    assert_eq!(queue[0]["allocation_id"], waits["id"]);
    let withdrawn = session.shaped(release, &[&id(&waits)], none, 200, shapes::MESSAGE);
    assert!(withdrawn["message"].as_str().is_some_and(|text| text.contains("withdrawn")), "{withdrawn}");
    session.call(release, &[&id(&held)], none, 200);
    let mut both = ask.clone();
    both["start_time"] = json!("2001-02-03T04:05:06Z");
    assert_eq!(session.call(post, &[], Payload::Json(&both), 422)["member"], "wait_s");
}

/// Tokens and quotas.
pub(crate) fn access(session: &mut Session<'_>) {
    let none = Payload::None;
    let ask = json!({ "name": "ann", "role": "operator" });
    let made = session.shaped("POST /api/v1/tokens", &[], Payload::Json(&ask), 201, shapes::TOKEN);
    assert_eq!(made["token"].as_str().map(str::len), Some(64));
    session.call("POST /api/v1/tokens", &[], Payload::Json(&ask), 409);
    let listed = session.call("GET /api/v1/tokens", &[], none, 200);
    has_shape("a token", shapes::TOKEN, &listed[0]);
    assert!(listed[0].get("token").is_none(), "{listed}");

    let limits = json!({ "cpu_millis": 100, "memory_bytes": null, "leases": 2 });
    let quota = "PUT /api/v1/quotas/{requester}";
    let set = session.shaped(quota, &["ann"], Payload::Json(&limits), 200, shapes::QUOTA);
    assert_eq!((&set["limits"]["leases"], &set["limits"]["gpus"]), (&json!(2), &Value::Null));
    assert_eq!(session.shaped("GET /api/v1/quotas/{requester}", &["ann"], none, 200, shapes::QUOTA), set);
    let all = session.call("GET /api/v1/quotas", &[], none, 200);
    assert!(all.as_array().is_some_and(|all| all.contains(&set)), "{all}");
    session.call(quota, &["nobody"], Payload::Json(&limits), 404);
    session.shaped("DELETE /api/v1/quotas/{requester}", &["ann"], none, 200, shapes::MESSAGE);
    session.shaped("DELETE /api/v1/tokens/{name}", &["ann"], none, 200, shapes::MESSAGE);
    session.call("DELETE /api/v1/tokens/{name}", &["ann"], none, 404);
}

/// Folders, where this machine can make one of bounded size.
pub(crate) fn volumes(session: &mut Session<'_>, node: &Node) {
    let none = Payload::None;
    let mut ask = cpu(5.0);
    ask["requirements"] = json!({ "storage": "16MiB" });
    ask["keep_storage"] = json!(true);
    let made = exchange::send(node, "POST", "/api/v1/allocations", Payload::Json(&ask));
    session.check("POST", "/api/v1/allocations", &made);
    if made.status != 201 {
        assert_eq!(made.status, 422, "{}", made.body);
        session.call("GET /api/v1/volumes", &[], none, 200);
        session.call("DELETE /api/v1/volumes/{id}", &["nothing"], none, 404);
        return;
    }
    let lease = id(&made.json());
    let live = session.call("GET /api/v1/volumes", &[], none, 200);
    has_shape("a volume", shapes::VOLUME, &live[0]);
    assert_eq!((&live[0]["allocation_id"], &live[0]["kept"]), (&json!(lease), &json!(false)));
    session.call("DELETE /api/v1/volumes/{id}", &[&lease], none, 409);
    session.call("POST /api/v1/allocations/{id}/release", &[&lease], none, 200);
    let kept = session.call("GET /api/v1/volumes", &[], none, 200);
    assert_eq!(kept[0]["kept"], true, "{kept}");
    session.shaped("DELETE /api/v1/volumes/{id}", &[&lease], none, 200, shapes::MESSAGE);
    assert_eq!(session.call("GET /api/v1/volumes", &[], none, 200), json!([]));
}
