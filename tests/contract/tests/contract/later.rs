//! What schedules and arrays add: executions later, again and again, and over many parameters.

use crate::exchange::Payload;
use crate::session::{Session, has_shape};
use hypermesh_artifacts::MATRIX_MULTIPLY;
use hypermesh_tests_contract::shapes;
use serde_json::{Value, json};

/// A vm of the sample that multiplies matrices, small enough that several run at a time.
fn vm(session: &mut Session<'_>) -> Value {
    let none = Payload::None;
    let listed = session.call("GET /api/v1/catalog/applications", &[], none, 200);
    let all = listed.as_array().expect("a list");
    let known = all.iter().find(|package| package["name"] == MATRIX_MULTIPLY.name).cloned();
    let package = known.unwrap_or_else(|| {
        let upload = format!("POST /api/v1/catalog/packages?name={}", MATRIX_MULTIPLY.name);
        session.call(&upload, &[], Payload::Bytes("application/wasm", MATRIX_MULTIPLY.component), 201)
    });
    let install =
        json!({ "catalog_id": package["id"], "resource_limits": { "max_cpu": 10.0, "max_memory": "64MiB" } });
    session.call("POST /api/v1/catalog/install", &[], Payload::Json(&install), 201)["vm_asset"]["id"].clone()
}

fn multiply(vm: &Value) -> Value {
    json!({ "vm_asset_id": vm, "operation": "multiply", "parameters": { "size": 2 } })
}

fn id(value: &Value) -> String {
    value["id"].as_str().expect("an id").to_owned()
}

pub(crate) fn arrays(session: &mut Session<'_>) {
    let none = Payload::None;
    let post = "POST /api/v1/vm/arrays";
    let execution = multiply(&vm(session));
    let ask = json!({ "execution": execution, "matrix": { "seed": [1, 2, 3] }, "parallelism": 2, "max_failures": 1 });
    let begun = session.shaped(post, &[], Payload::Json(&ask), 201, shapes::ARRAY);
    assert_eq!((&begun["size"], &begun["parallelism"]), (&json!(3), &json!(2)));
    let array = id(&begun);
    let items = "GET /api/v1/vm/arrays/{id}/items";
    let mut after = json!(0);
    loop {
        let query = format!("{items}?order=ended&wait=30&limit=2&after={after}");
        let page = session.call(&query, &[&array], none, 200);
        after = page["next"].clone();
        if page["complete"] == true {
            break;
        }
    }
    assert_eq!(after, 3);
    let ended = session.shaped("GET /api/v1/vm/arrays/{id}", &[&array], none, 200, shapes::ARRAY);
    assert_eq!((&ended["status"], &ended["progress"]), (&json!("completed"), &json!(1.0)), "{ended}");
    let page = session.call(items, &[&array], none, 200);
    for (index, item) in page["items"].as_array().expect("a list").iter().enumerate() {
        has_shape("an index of an array", shapes::ARRAY_ITEM, item);
        assert_eq!((&item["index"], &item["parameters"]["seed"]), (&json!(index), &json!(index + 1)));
        assert!(item["output"].as_str().is_some_and(|output| output.contains("checksum")), "{item}");
    }
    let listed = session.call("GET /api/v1/vm/arrays?limit=1", &[], none, 200);
    assert_eq!(listed[0]["id"], begun["id"]);
    let cancel = "POST /api/v1/vm/arrays/{id}/cancel";
    let late = session.shaped(cancel, &[&array], none, 200, shapes::CANCELLED);
    assert_eq!(late["cancelled"], false);

    let nothing = json!({ "execution": multiply(&json!("vm-none")), "range": { "name": "seed", "first": 1, "last": 2 } });
    let missing = session.call(post, &[], Payload::Json(&nothing), 404);
    assert_eq!(missing["member"], "execution.vm_asset_id");
    for (wrong, member) in [
        (json!({ "execution": execution }), "items"),
        (json!({ "execution": execution, "items": [{}], "matrix": { "seed": [1] } }), "items"),
        (json!({ "execution": execution, "matrix": { "seed": [] } }), "matrix"),
        (json!({ "execution": execution, "range": { "name": "seed", "first": 1, "last": 10_001 } }), "range"),
    ] {
        let refused = session.call(post, &[], Payload::Json(&wrong), 422);
        assert_eq!(refused["member"], member, "{wrong}");
    }
}

pub(crate) fn schedules(session: &mut Session<'_>) {
    let none = Payload::None;
    let post = "POST /api/v1/schedules";
    let execution = multiply(&vm(session));
    let ask = json!({
        "name": "nightly", "execution": execution, "cron": "30 2 * * *", "time_zone": "UTC", "concurrency": "forbid",
        "catch_up": "skip", "history_limit": 3
    });
    let made = session.shaped(post, &[], Payload::Json(&ask), 201, shapes::SCHEDULE);
    assert_eq!((&made["state"], &made["execution"]["parameters"]["size"]), (&json!("active"), &json!(2)));
    assert!(made["next_at"].as_str().is_some_and(|next| next.contains("T02:30:00")), "{made}");
    let schedule = id(&made);
    let one = "GET /api/v1/schedules/{id}";
    assert_eq!(session.shaped(one, &[&schedule], none, 200, shapes::SCHEDULE), made);
    let listed = session.call("GET /api/v1/schedules?limit=10", &[], none, 200);
    assert_eq!(listed, json!([made]));

    let patch = "PATCH /api/v1/schedules/{id}";
    let pause = json!({ "enabled": false, "name": "never" });
    let paused = session.shaped(patch, &[&schedule], Payload::Json(&pause), 200, shapes::SCHEDULE);
    assert_eq!((&paused["state"], &paused["next_at"]), (&json!("paused"), &Value::Null));
    let once = json!({ "enabled": true, "at": "2100-01-02T03:04:05Z" });
    let changed = session.call(patch, &[&schedule], Payload::Json(&once), 200);
    assert_eq!((&changed["next_at"], &changed["cron"]), (&json!("2100-01-02T03:04:05Z"), &Value::Null));

    let run = session.shaped("POST /api/v1/schedules/{id}/run", &[&schedule], none, 201, shapes::RUN);
    assert_eq!((&run["manual"], &run["status"]), (&json!(true), &json!("running")), "{run}");
    let execution_id = run["execution_id"].as_str().expect("an execution");
    let ended = session.call("GET /api/v1/vm/executions/{id}?wait=30", &[execution_id], none, 200);
    assert_eq!(ended["status"], "completed");
    let runs = session.call("GET /api/v1/schedules/{id}/runs?limit=5", &[&schedule], none, 200);
    has_shape("a run", shapes::RUN, &runs[0]);

    for (wrong, member) in [
        (json!({ "name": "a", "execution": execution }), "at"),
        (json!({ "name": "a", "execution": execution, "at": "2001-02-03T04:05:06Z" }), "at"),
        (json!({ "name": "a", "execution": execution, "cron": "@never" }), "cron"),
        (
            json!({ "name": "a", "execution": execution, "cron": "@daily", "time_zone": "Moon/Tycho" }),
            "time_zone",
        ),
        (
            json!({ "name": "a", "execution": execution, "cron": "@daily", "at": "2100-01-02T03:04:05Z" }),
            "cron",
        ),
    ] {
        let refused = session.call(post, &[], Payload::Json(&wrong), 422);
        assert_eq!(refused["member"], member, "{wrong}");
    }
    session.shaped("DELETE /api/v1/schedules/{id}", &[&schedule], none, 200, shapes::MESSAGE);
    session.call(one, &[&schedule], none, 404);
}
