//! Resources from their making to their end.

use super::*;

#[tokio::test]
async fn an_asset_lives_from_post_to_delete() {
    let node = node().await;
    let body =
        json!({ "type": "service", "name": "wiki", "location": { "region": "eu" }, "privacy_level": null });
    let request = authorized("POST", "/api/v1/assets").header(header::CONTENT_TYPE, "application/json");
    let response = node.send(request.body(Body::from(body.to_string())).unwrap()).await;
    assert_eq!(response.status(), 201);
    let place = response.headers()[header::LOCATION].to_str().unwrap().to_owned();
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    let (status, asset) = node.call("GET", &place, None).await;
    assert!(status == 200 && asset["owner"] == "admin" && asset["location"]["region"] == "eu");
    let (status, problem) = node.call("PUT", &place, Some(json!({ "owner": "me" }))).await;
    assert!(status == 400 && problem["detail"] == "`owner` is read-only" && problem["member"] == "owner");
    let (status, asset) = node.call("PUT", &place, Some(json!({ "status": "offline" }))).await;
    assert!(status == 200 && asset["status"] == "offline" && asset["name"] == "wiki");
    assert_eq!(node.call("DELETE", &place, None).await.0, 200);
    assert_eq!(node.call("GET", &place, None).await.0, 404);
    assert_eq!(node.call("DELETE", "/api/v1/assets/cpu", None).await.0, 409);
}

#[tokio::test]
async fn a_list_is_paged_by_its_links() {
    let node = node().await;
    let (_, all) = node.call("GET", "/api/v1/assets", None).await;
    let (mut seen, mut path) = (Vec::new(), Some("/api/v1/assets?limit=1".to_owned()));
    while let Some(next) = path {
        let response = node.send(request("GET", &next).body(Body::empty()).unwrap()).await;
        let link = response.headers().get(header::LINK).map(|link| link.to_str().unwrap().to_owned());
        path = link.map(|link| link[1..link.find('>').unwrap()].to_owned());
        seen.extend(answer(response).await.1.as_array().cloned().unwrap());
    }
    let ids = |list: &[Value]| list.iter().map(|asset| asset["id"].clone()).collect::<Vec<_>>();
    assert!(seen.len() >= 2);
    assert_eq!(ids(&seen), ids(all.as_array().unwrap()));
    let (_, cpus) = node.call("GET", "/api/v1/assets?type=cpu", None).await;
    assert!(cpus.as_array().is_some_and(|list| list.len() == 1 && list[0]["id"] == "cpu"));
}

#[tokio::test]
async fn an_allocation_lives_from_post_to_release() {
    let node = node().await;
    let ask = |body: Value| node.call("POST", "/api/v1/allocations", Some(body));
    let (status, problem) = ask(json!({ "asset_id": "none", "amount": 1, "duration": 60 })).await;
    assert!(status == 404 && problem["member"] == "asset_id");
    let (status, lease) =
        ask(json!({ "asset_id": "cpu", "amount": 25, "duration": 60, "requirements": null })).await;
    assert!(status == 201 && lease["status"] == "active" && lease["enforced"] == false, "{lease}");
    let (status, problem) = ask(json!({ "asset_id": "cpu", "amount": 100, "duration": 60 })).await;
    assert!(status == 409 && problem["reasons"][0]["dimension"] == "cpu", "{problem}");
    let place = format!("/api/v1/allocations/{}", lease["id"].as_str().unwrap());
    let (status, enforcement) = node.call("GET", &format!("{place}/enforcement"), None).await;
    assert!(status == 200 && enforcement["entries"][0]["state"] == "unenforced");
    assert_eq!(node.call("POST", &format!("{place}/release"), None).await.0, 200);
    assert_eq!(node.call("POST", &format!("{place}/release"), None).await.0, 409);
    let (_, ended) = node.call("GET", "/api/v1/allocations?status=completed&asset_id=cpu", None).await;
    assert_eq!(ended.as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_vm_shows_what_was_declared_and_runs_only_with_a_package() {
    let node = node().await;
    let config = json!({ "resource_limits": { "max_memory": "1.25GB" } });
    let (status, vm) =
        node.call("POST", "/api/v1/assets/vm", Some(json!({ "name": "vm", "vm_config": config }))).await;
    assert!(status == 201 && vm["vm_config"]["resource_limits"]["max_memory"] == "1.25GB", "{vm}");
    let asked = json!({ "vm_config": { "security_policy": { "allow_network_access": true } }, "name": "vm" });
    let (status, problem) = node.call("POST", "/api/v1/assets/vm", Some(asked)).await;
    assert!(status == 422 && problem["member"] == "vm_config.security_policy.allow_network_access");
    let asked = json!({ "name": "vm", "catalog_metadata": { "catalog_id": "pkg-none" } });
    let (status, problem) = node.call("POST", "/api/v1/assets/vm", Some(asked)).await;
    assert!(status == 404 && problem["member"] == "catalog_metadata.catalog_id");
    let run = json!({ "vm_asset_id": vm["id"], "operation": "", "parameters": {} });
    let (status, _) = node.call("POST", "/api/v1/vm/execute?wait=1", Some(run)).await;
    assert!(status.is_client_error());
}

#[tokio::test]
async fn a_blob_is_received_named_by_its_content_and_removed() {
    let node = node().await;
    let upload = |body: Body, kind: &'static str| {
        node.send(authorized("POST", "/api/v1/blobs").header(header::CONTENT_TYPE, kind).body(body).unwrap())
    };
    let (status, blob) = answer(upload(Body::from("abc"), "application/octet-stream").await).await;
    let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert!(status == 201 && blob == json!({ "digest": digest, "size": 3 }));
    assert_eq!(upload(Body::from("abc"), "text/plain").await.status(), 415);
    let breaks = futures_util::stream::iter([Ok("ab"), Err(std::io::Error::other("gone"))]);
    assert_eq!(upload(Body::from_stream(breaks), "application/octet-stream").await.status(), 400);
    let huge = authorized("POST", "/api/v1/blobs").header(header::CONTENT_LENGTH, (1_u64 << 31).to_string());
    let huge = huge.header(header::CONTENT_TYPE, "application/octet-stream").body(Body::empty()).unwrap();
    assert_eq!(node.send(huge).await.status(), 413);
    let place = format!("/api/v1/blobs/{digest}");
    assert_eq!(node.call("GET", "/api/v1/blobs", None).await.1, json!([blob]));
    assert_eq!(node.call("GET", &place, None).await.1, blob);
    assert_eq!(node.call("DELETE", &place, None).await.0, 200);
    assert_eq!(node.call("GET", &place, None).await.0, 404);
}

#[tokio::test]
async fn events_resume_and_say_when_some_are_gone() {
    let node = node().await;
    let follow = |id: &str| {
        node.send(request("GET", "/api/v1/events").header("last-event-id", id).body(Body::empty()).unwrap())
    };
    let first = chunks(follow("0").await, 1).await;
    assert!(first.contains("id: 1\n") && first.contains("event: node_started\n"), "{first}");
    let gone = chunks(follow("4711").await, 2).await;
    assert!(
        gone.contains("event: gone\n") && gone.contains("{\"oldest\":1}") && gone.contains("id: 1\n"),
        "{gone}"
    );
    assert_eq!(follow("x").await.status(), 400);
    let live = node.send(request("GET", "/api/v1/events").body(Body::empty()).unwrap()).await;
    node.call("POST", "/api/v1/assets", Some(json!({ "type": "service", "name": "a" }))).await;
    assert!(chunks(live, 1).await.contains("event: asset_registered\n"));
    let live = node.send(request("GET", "/api/v1/events").body(Body::empty()).unwrap()).await;
    node.closing.cancel();
    assert_eq!(chunks(live, usize::MAX).await, "");
}

#[tokio::test]
async fn the_node_says_how_it_is() {
    let node = node().await;
    let (status, health) = node.call("GET", "/health", None).await;
    assert!(
        status == 200 && health["services"]["trustchain"] == "not_built" && health["uptime_seconds"].is_u64()
    );
    let (_, nodes) = node.call("GET", "/api/v1/nodes/health", None).await;
    let id = nodes[0]["node_id"].as_str().unwrap().to_owned();
    assert_eq!(node.call("GET", &format!("/api/v1/nodes/{id}/health"), None).await.0, 200);
    let (_, topology) = node.call("GET", "/api/v1/network/topology", None).await;
    assert!(topology["nodes"][0]["id"] == id.as_str() && topology["connections"] == json!([]));
    let (_, numbers) = node.call("GET", "/api/v1/system/status", None).await;
    assert!(numbers["total_assets"].as_u64() >= Some(2) && numbers["consensus_health"].is_null());
    assert_eq!(node.call("GET", "/readyz", None).await.0, 200);
    node.closing.cancel();
    assert_eq!(node.call("GET", "/readyz", None).await.0, 503);
    let metrics = node.send(request("GET", "/metrics").body(Body::empty()).unwrap()).await;
    let text = axum::body::to_bytes(metrics.into_body(), 1 << 20).await.unwrap();
    assert!(String::from_utf8_lossy(&text).contains("route=\"/api/v1/nodes/{id}/health\""));
}
