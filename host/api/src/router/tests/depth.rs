//! Leases in depth over the real routes: plans, keys, waiting, changing, looking, quotas.

use super::*;

impl Node {
    /// Sends a JSON body with one header more; gives status, `etag` and body.
    async fn call_with(
        &self,
        (method, path): (&str, &str),
        (name, value): (&str, &str),
        body: Value,
    ) -> (StatusCode, Option<String>, Value) {
        let request = authorized(method, path).header(header::CONTENT_TYPE, "application/json");
        let request = request.header(name, value).body(Body::from(body.to_string())).unwrap();
        let response = self.send(request).await;
        let tag = response.headers().get(header::ETAG).map(|tag| tag.to_str().unwrap().to_owned());
        let (status, body) = answer(response).await;
        (status, tag, body)
    }
}

fn cpu(amount: f64) -> Value {
    json!({ "asset_id": "cpu", "amount": amount, "duration": 600 })
}

fn place(lease: &Value) -> String {
    format!("/api/v1/allocations/{}", lease["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_dry_run_makes_nothing_and_says_what_would_be() {
    let node = node().await;
    let dry = async |body: Value| node.call("POST", "/api/v1/allocations?dry_run=true", Some(body)).await;
    let (status, plan) = dry(cpu(50.0)).await;
    assert!(status == 200 && plan["fits"] == true && plan["resources"]["cpu_millis"].is_u64(), "{plan}");
    assert_eq!(node.call("GET", "/api/v1/allocations", None).await.1, json!([]));
    let (_, held) = node.call("POST", "/api/v1/allocations", Some(cpu(80.0))).await;
    let (status, plan) = dry(cpu(50.0)).await;
    assert!(status == 200 && plan["fits"] == false && plan["resources"].is_null(), "{plan}");
    assert!(plan["reasons"][0]["dimension"] == "cpu" && plan["fits_at"] == held["end_time"], "{plan}");
    assert_eq!(dry(json!({ "asset_id": "none", "amount": 1, "duration": 1 })).await.0, 404);
}

#[tokio::test]
async fn a_request_sent_twice_with_its_key_makes_one_lease() {
    let node = node().await;
    let ask = async |key: &str, body| {
        node.call_with(("POST", "/api/v1/allocations"), ("idempotency-key", key), body).await
    };
    let (status, tag, first) = ask("k", cpu(5.0)).await;
    assert!(status == 201 && tag.as_deref() == Some(&format!("\"{}\"", first["generation"])), "{first}");
    let (status, _, again) = ask("k", cpu(5.0)).await;
    assert!(status == 200 && again["id"] == first["id"], "{again}");
    let (status, _, problem) = ask("k", cpu(6.0)).await;
    assert!(status == 422 && problem["member"] == "idempotency-key", "{problem}");
    assert_eq!(problem["type"], "urn:hypermesh:problem:idempotency-mismatch");
    assert_eq!(ask("two words", cpu(5.0)).await.0, 400);
    let (_, all) = node.call("GET", "/api/v1/allocations", None).await;
    assert_eq!(all.as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn what_does_not_fit_may_wait_and_be_withdrawn() {
    let node = node().await;
    let (_, held) = node.call("POST", "/api/v1/allocations", Some(cpu(80.0))).await;
    let mut waits = cpu(50.0);
    waits["wait_s"] = json!(600);
    let (status, lease) = node.call("POST", "/api/v1/allocations", Some(waits)).await;
    assert!(status == 202 && lease["phase"] == "queued" && lease["status"] == "pending", "{lease}");
    assert!(lease["queue"]["position"] == 1 && lease["queue"]["wait_until"].is_string(), "{lease}");
    let (_, queue) = node.call("GET", "/api/v1/queue", None).await;
    assert_eq!((&queue[0]["allocation_id"], &queue[0]["position"]), (&lease["id"], &json!(1)));
    let (_, listed) = node.call("GET", "/api/v1/allocations?phase=queued", None).await;
    assert!(listed[0]["id"] == lease["id"] && listed[0]["queue"]["position"] == 1, "{listed}");
    assert_eq!(node.call("GET", &format!("{}/usage", place(&lease)), None).await.0, 409);
    let (status, answer) = node.call("POST", &format!("{}/release", place(&lease)), None).await;
    assert!(status == 200 && answer["message"].as_str().unwrap().contains("withdrawn"), "{answer}");
    assert_eq!(node.call("GET", "/api/v1/queue", None).await.1, json!([]));
    assert_eq!(node.call("GET", &place(&held), None).await.1["phase"], "active");
    let mut later = cpu(90.0);
    later["start_time"] = json!(hypermesh_model::Timestamp::now().plus_seconds(7200));
    let (status, lease) = node.call("POST", "/api/v1/allocations", Some(later)).await;
    assert!(status == 202 && lease["phase"] == "reserved", "{lease}");
}

#[tokio::test]
async fn a_change_is_for_the_generation_that_was_seen() {
    let node = node().await;
    let (_, lease) = node.call("POST", "/api/v1/allocations", Some(cpu(10.0))).await;
    let at = place(&lease);
    let seen = node.send(request("GET", &at).body(Body::empty()).unwrap()).await;
    let seen = seen.headers()[header::ETAG].to_str().unwrap().to_owned();
    let change = |tag: String, body| {
        let (node, at) = (&node, at.as_str());
        async move { node.call_with(("PATCH", at), ("if-match", &tag), body).await }
    };
    let (status, tag, lease) = change(seen.clone(), json!({ "cpu": 20 })).await;
    assert!(status == 200 && tag.is_some_and(|tag| tag != seen), "{lease}");
    let (status, _, problem) = change(seen, json!({ "cpu": 30 })).await;
    assert!(status == 412 && problem["reasons"][0]["generation"] == lease["generation"], "{problem}");
    assert_eq!(problem["type"], "urn:hypermesh:problem:precondition-failed");
    let (status, _, lease) = change("*".into(), json!({ "cpu": 30 })).await;
    assert_eq!(status, 200, "{lease}");
    assert_eq!(node.call("POST", "/api/v1/allocations", Some(cpu(60.0))).await.0, 201);
    let (status, _, problem) = change("*".into(), json!({ "cpu": 50 })).await;
    assert!(status == 409 && problem["reasons"][0]["dimension"] == "cpu", "{problem}");
    assert_eq!(change("*".into(), json!({})).await.0, 422);
    assert_eq!(change("x".into(), json!({ "cpu": 30 })).await.0, 400);
    let renew = async |duration: u64| {
        node.call("POST", &format!("{at}/renew"), Some(json!({ "duration": duration }))).await
    };
    let (status, renewed) = renew(3600).await;
    assert!(status == 200 && renewed["end_time"].as_str() > lease["end_time"].as_str(), "{renewed}");
    assert_eq!(renew(1).await.0, 409);
    assert_eq!(node.call("POST", &format!("{at}/attach"), Some(json!({ "pid": 1 }))).await.0, 409);
}

#[tokio::test]
async fn usage_is_read_once_or_followed_to_the_end() {
    let node = node().await;
    let (_, lease) = node.call("POST", "/api/v1/allocations", Some(cpu(10.0))).await;
    let at = format!("{}/usage", place(&lease));
    let (status, usage) = node.call("GET", &at, None).await;
    assert!(
        status == 200 && usage["allocation_id"] == lease["id"] && usage["cpu"]["cores"].is_null(),
        "{usage}"
    );
    assert_eq!(node.call("GET", &format!("{at}?interval=61"), None).await.0, 400);
    let follow = request("GET", &at).header(header::ACCEPT, "text/event-stream").body(Body::empty()).unwrap();
    let response = node.send(follow).await;
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
    let mut stream = response.into_body().into_data_stream();
    let first = String::from_utf8(stream.next().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(first.starts_with("event: usage\ndata: {"), "{first}");
    node.call("POST", &format!("{}/release", place(&lease)), None).await;
    let rest: Vec<_> = stream.map(|chunk| chunk.unwrap()).collect().await;
    let rest = String::from_utf8(rest.concat()).unwrap();
    assert!(rest.contains("event: ended\n") && rest.contains("\"phase\":\"completed\""), "{rest}");
    assert_eq!(node.call("GET", &at, None).await.0, 409);
}

#[tokio::test]
async fn a_quota_bounds_its_requester_and_nobody_else() {
    let node = node().await;
    let (_, made) =
        node.call("POST", "/api/v1/tokens", Some(json!({ "name": "ann", "role": "operator" }))).await;
    let ann = made["token"].as_str().unwrap();
    let (status, quota) = node.call("PUT", "/api/v1/quotas/ann", Some(json!({ "leases": 1 }))).await;
    assert!(status == 200 && quota["limits"]["leases"] == 1 && quota["used"]["leases"] == 0, "{quota}");
    assert_eq!(node.call_as(ann, "POST", "/api/v1/allocations", Some(cpu(5.0))).await.0, 201);
    let (status, problem) = node.call_as(ann, "POST", "/api/v1/allocations", Some(cpu(5.0))).await;
    assert!(status == 409 && problem["reasons"][0]["dimension"] == "quota_leases", "{problem}");
    assert_eq!(node.call("POST", "/api/v1/allocations", Some(cpu(5.0))).await.0, 201);
    let (_, quotas) = node.call("GET", "/api/v1/quotas", None).await;
    let of = |name: &str| quotas.as_array().unwrap().iter().find(|q| q["requester_id"] == name).cloned();
    assert_eq!(of("ann").unwrap()["used"]["leases"], 1);
    assert!(of("admin").unwrap()["limits"]["leases"].is_null());
    assert_eq!(node.call("GET", "/api/v1/quotas/nobody", None).await.0, 404);
    assert_eq!(node.call("PUT", "/api/v1/quotas/nobody", Some(json!({}))).await.0, 404);
    assert_eq!(node.call_as(ann, "PUT", "/api/v1/quotas/ann", Some(json!({}))).await.0, 403);
    assert_eq!(node.call("DELETE", "/api/v1/quotas/ann", None).await.0, 200);
    assert_eq!(node.call("DELETE", "/api/v1/quotas/ann", None).await.0, 404);
    assert_eq!(node.call_as(ann, "POST", "/api/v1/allocations", Some(cpu(5.0))).await.0, 201);
    assert_eq!(node.call("GET", "/api/v1/volumes", None).await, (StatusCode::OK, json!([])));
    assert_eq!(node.call("DELETE", "/api/v1/volumes/none", None).await.0, 404);
}
