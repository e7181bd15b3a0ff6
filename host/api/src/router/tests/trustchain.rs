//! Port 8444 as callers see it: who needs a token, what its kinds of answers are, and who may ask for what.

use super::*;
use crate::trustchain::state::{Listening, TrustState};
use axum::body::Bytes;
use hypermesh_trustchain::{AcmeSettings, DnsSettings, NamePolicy, TrustChain};
use std::time::Duration;

const BASE: &str = "http://127.0.0.1:8444";

/// The same node with TrustChain's router in place of HyperMesh's.
async fn trusted() -> (Node, TrustChain) {
    let mut node = node().await;
    let settings = hypermesh_trustchain::Settings {
        data_dir: node.folder.path().join("data"),
        zone: "hypermesh.network".into(),
        trust_domain: "hypermesh.network".into(),
        node_id: Mesh::identify(&node.store).unwrap(),
        node_name: "node".into(),
        addresses: vec!["127.0.0.1".parse().unwrap()],
        base_url: BASE.into(),
        issuer_url: BASE.into(),
        passphrase_file: None,
        names: NamePolicy::default(),
        log_window: Duration::from_millis(2),
        dns: DnsSettings {
            addresses: vec!["127.0.0.1:0".parse().unwrap()],
            forwarder: None,
            keys: Vec::new(),
            rate_limit: None,
        },
        acme: AcmeSettings {
            require_eab: false,
            eab_keys: Vec::new(),
            allow_loopback: true,
            http_port: 80,
            tls_port: 443,
            resolver: None,
        },
        distribute_for: Duration::from_secs(60),
    };
    let trust = TrustChain::open(settings, node.store.clone()).await.unwrap();
    let listening = Listening {
        address: "127.0.0.1:8444".parse().unwrap(),
        tls: false,
        base_url: BASE.into(),
        zone: "hypermesh.network".into(),
    };
    let state = TrustState::new(node.state.clone(), trust.clone(), listening, Traffic::default());
    node.router = trustchain_router(state);
    (node, trust)
}

async fn bytes(response: Response) -> Bytes {
    axum::body::to_bytes(response.into_body(), 16 << 20).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_documented_operation_is_served_and_every_write_asks_for_the_token() {
    let (node, _) = trusted().await;
    for (path, item) in &crate::trustchain_openapi().paths.paths {
        let methods =
            [("GET", &item.get), ("PUT", &item.put), ("POST", &item.post), ("DELETE", &item.delete)];
        for (method, operation) in methods.into_iter().filter_map(|(m, o)| Some((m, o.as_ref()?))) {
            let path = path.replace(['{', '}'], "");
            let bare = node.send(request(method, &path).body(Body::empty()).unwrap()).await;
            let asks = operation.security.is_some();
            assert_eq!(bare.status() == 401, asks, "{method} {path}: {}", bare.status());
            let (status, body) = node.call(method, &path, None).await;
            let documented = operation.responses.responses.contains_key(status.as_str());
            assert!(documented, "{method} {path}: {status} {body}");
            assert!(!body["detail"].as_str().unwrap_or_default().contains("at this path"), "{method} {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_has_servers_certified_and_changes_nothing_else() {
    let (node, _) = trusted().await;
    let (_, secret) = node.state.mesh.create_token("ann", hypermesh_mesh::Role::Operator).await.unwrap();
    let issue = |usage: &str, subject: &str| json!({ "subject": subject, "usage": [usage] });
    let path = "/api/v1/certificates";
    let (status, issued) =
        node.call_as(&secret, "POST", path, Some(issue("server", "CN=a.hypermesh.network"))).await;
    assert_eq!(status, 201, "{issued}");
    for usage in ["client", "node", "code-signing"] {
        let (status, refused) = node.call_as(&secret, "POST", path, Some(issue(usage, "CN=admin"))).await;
        assert_eq!(status, 403, "{usage}: {refused}");
    }
    let id = issued["id"].as_str().unwrap();
    let reason = Some(json!({ "reason": "superseded" }));
    assert_eq!(node.call_as(&secret, "POST", &format!("{path}/{id}/revoke"), reason).await.0, 403);
    let record = json!({ "domain": "b.hypermesh.network", "record_type": "A", "value": "192.0.2.1" });
    assert_eq!(node.call_as(&secret, "POST", "/api/v1/dns/records", Some(record)).await.0, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_documents_of_others_has_their_media_types() {
    let (node, trust) = trusted().await;
    let get = |path: String| node.send(request("GET", &path).body(Body::empty()).unwrap());
    let signing = trust.hierarchy().unwrap().intermediates[0].record.id.clone();
    for (path, media_type) in [
        (format!("/crl/{signing}.crl"), "application/pkix-crl"),
        (format!("/ca/{signing}.crt"), "application/pkix-cert"),
        ("/checkpoint".into(), "text/plain; charset=utf-8"),
        ("/acme/directory".into(), "application/json"),
        ("/tile/data/000.p/1".into(), "application/octet-stream"),
        ("/ocsp/AAAA".into(), "application/ocsp-response"),
    ] {
        let response = get(path.clone()).await;
        let (status, found) = (response.status(), response.headers().get(header::CONTENT_TYPE).cloned());
        assert_eq!((status, found.unwrap()), (StatusCode::OK, media_type.parse().unwrap()), "{path}");
        assert!(!bytes(response).await.is_empty(), "{path}");
    }
    let forged = request("POST", "/acme/new-account")
        .header(header::CONTENT_TYPE, "application/jose+json")
        .body(Body::from("{}"))
        .unwrap();
    let response = node.send(forged).await;
    assert!(response.headers().contains_key("replay-nonce"), "{response:?}");
    let (status, problem) = answer(response).await;
    assert_eq!(status, 400);
    assert_eq!(problem["type"], "urn:ietf:params:acme:error:malformed", "{problem}");
    for path in ["/tile/8/000", "/tile/../x", "/issuer/none"] {
        assert_eq!(get(path.into()).await.status(), 404, "{path}");
    }
}
