//! Tokens and what their roles allow, over the real routes.

use super::*;

/// Makes a token and gives its secret.
async fn token(node: &Node, name: &str, role: &str) -> String {
    let (status, made) =
        node.call("POST", "/api/v1/tokens", Some(json!({ "name": name, "role": role }))).await;
    assert_eq!(status, 201, "{made}");
    made["token"].as_str().unwrap().to_owned()
}

/// Every writing operation of the document that this build has.
fn writes() -> Vec<(String, String)> {
    let document = serde_json::to_value(crate::openapi()).unwrap();
    let paths = document["paths"].as_object().unwrap().clone();
    let of = |(path, item): (String, Value)| {
        let methods = item.as_object().unwrap().clone().into_iter();
        let built = methods
            .filter(|(method, operation)| method != "get" && operation["responses"].get("501").is_none());
        built.map(|(method, _)| (method.to_uppercase(), path.clone())).collect::<Vec<_>>()
    };
    paths.into_iter().flat_map(of).collect()
}

#[tokio::test]
async fn a_token_lives_from_its_making_to_its_revocation_and_its_secret_is_seen_once() {
    let node = node().await;
    let secret = token(&node, "ann", "operator").await;
    assert_eq!(secret.len(), 64);
    let (status, problem) =
        node.call("POST", "/api/v1/tokens", Some(json!({ "name": "ann", "role": "admin" }))).await;
    assert!(status == 409 && problem["detail"].as_str().unwrap().contains("ann"), "{problem}");
    for taken in ["admin", "hypermesh"] {
        let (status, _) =
            node.call("POST", "/api/v1/tokens", Some(json!({ "name": taken, "role": "viewer" }))).await;
        assert_eq!(status, 409, "{taken}");
    }
    let (_, listed) = node.call("GET", "/api/v1/tokens", None).await;
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
    assert!(listed[0]["role"] == "operator" && !listed.to_string().contains(&secret), "{listed}");
    let register = |secret: String| {
        let body = json!({ "type": "service", "name": "wiki" });
        let node = &node;
        async move { node.call_as(&secret, "POST", "/api/v1/assets", Some(body)).await }
    };
    let (status, asset) = register(secret.clone()).await;
    assert!(status == 201 && asset["owner"] == "ann", "{asset}");
    assert_eq!(node.call("DELETE", "/api/v1/tokens/ann", None).await.0, 200);
    assert_eq!(node.call("DELETE", "/api/v1/tokens/ann", None).await.0, 404);
    assert_eq!(register(secret).await.0, 401);
}

#[tokio::test]
async fn a_viewer_is_refused_every_write_whatever_it_says() {
    let node = node().await;
    let viewer = token(&node, "vic", "viewer").await;
    for (method, path) in writes() {
        let path = path.replace(['{', '}'], "");
        let (status, problem) = node.call_as(&viewer, &method, &path, None).await;
        assert_eq!(status, 403, "{method} {path}: {problem}");
        assert_eq!(problem["type"], "urn:hypermesh:problem:forbidden", "{method} {path}");
    }
    assert_eq!(node.call_as(&viewer, "GET", "/api/v1/assets", None).await.0, 200);
}

#[tokio::test]
async fn an_operator_ends_what_it_holds_and_nothing_else() {
    let node = node().await;
    let (ann, bob) = (token(&node, "ann", "operator").await, token(&node, "bob", "operator").await);
    let body = json!({ "asset_id": "cpu", "amount": 5, "duration": 60 });
    let (status, lease) = node.call_as(&ann, "POST", "/api/v1/allocations", Some(body)).await;
    assert!(status == 201 && lease["requester_id"] == "ann", "{lease}");
    let release = format!("/api/v1/allocations/{}/release", lease["id"].as_str().unwrap());
    let (status, problem) = node.call_as(&bob, "POST", &release, None).await;
    assert!(status == 403 && problem["detail"].as_str().unwrap().contains("held by `ann`"), "{problem}");
    let run = json!({ "vm_asset_id": "vm", "operation": "", "parameters": {}, "allocation_id": lease["id"] });
    assert_eq!(node.call_as(&bob, "POST", "/api/v1/vm/execute", Some(run.clone())).await.0, 403);
    assert_eq!(node.call_as(&ann, "POST", "/api/v1/vm/execute", Some(run)).await.0, 404);
    assert_eq!(node.call_as(&ann, "POST", &release, None).await.0, 200);
    let rename = Some(json!({ "name": "mine" }));
    assert_eq!(node.call_as(&ann, "PUT", "/api/v1/assets/cpu", rename.clone()).await.0, 403);
    assert_eq!(node.call("PUT", "/api/v1/assets/cpu", rename).await.0, 200);
    let more = Some(json!({ "name": "eve", "role": "admin" }));
    assert_eq!(node.call_as(&ann, "POST", "/api/v1/tokens", more).await.0, 403);
    let gone = "/api/v1/allocations/nothing/release";
    assert_eq!(node.call_as(&bob, "POST", gone, None).await.0, 404);
}

#[tokio::test]
async fn an_administrator_s_token_is_as_good_as_the_node_s_own() {
    let node = node().await;
    let ann = token(&node, "ann", "operator").await;
    let root = token(&node, "root", "admin").await;
    let body = json!({ "asset_id": "cpu", "amount": 5, "duration": 60 });
    let (_, lease) = node.call_as(&ann, "POST", "/api/v1/allocations", Some(body)).await;
    let release = format!("/api/v1/allocations/{}/release", lease["id"].as_str().unwrap());
    assert_eq!(node.call_as(&root, "POST", &release, None).await.0, 200);
    assert_eq!(node.call_as(&root, "DELETE", "/api/v1/tokens/ann", None).await.0, 200);
}
