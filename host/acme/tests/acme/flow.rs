//! From an account to a certificate, by each challenge.

use crate::client::{Client, document, problem};
use crate::keys::{CertificateKey, Key, encode, sha256};
use crate::servers::{self, Shown};
use crate::world::{BASE, World, der_of};
use hypermesh_acme::probe::Reach;
use hypermesh_acme::{Method, Post};
use serde_json::json;
use std::sync::{Arc, Mutex};

#[tokio::test]
async fn the_directory_leads_to_every_resource_without_a_signature() {
    let world = World::with(crate::world::NOTHING_LISTENS, |settings| {
        settings.terms_of_service = Some("https://acme.test/terms".into());
        settings.caa_identities = vec!["acme.test".into()];
    });
    let post = Post { content_type: None, body: b"" };
    let reply = world.acme.respond(Method::Get, "/directory", &post).await;
    let directory = document(&reply);
    for name in ["newNonce", "newAccount", "newOrder", "revokeCert", "keyChange", "renewalInfo"] {
        assert!(directory[name].as_str().unwrap().starts_with(BASE), "{name}");
    }
    assert_eq!(
        directory["meta"],
        json!({"termsOfService": "https://acme.test/terms", "caaIdentities": ["acme.test"], "externalAccountRequired": false})
    );
    let reply = world.acme.respond(Method::Get, "/new-nonce", &post).await;
    assert_eq!((reply.status, reply.nonce.is_some(), reply.body.len()), (204, true, 0));
    let reply = world.acme.respond(Method::Get, "/new-order", &post).await;
    assert_eq!((reply.status, problem(&reply).as_str()), (405, "malformed"));
    let reply = world.acme.respond(Method::Post, "/nothing", &post).await;
    assert_eq!(reply.status, 404);
}

#[tokio::test]
async fn every_kind_of_account_key_gets_a_certificate_by_http_01() {
    for key in Key::all() {
        let answers = Arc::new(Mutex::new(String::new()));
        let answer = Arc::clone(&answers);
        let port = servers::web(move |path| {
            assert!(path.starts_with("/.well-known/acme-challenge/"));
            let body = answer.lock().unwrap().clone();
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        })
        .await;
        let world = World::with(Reach::Loopback { http_port: port, tls_port: 9 }, |_| {});
        world.table.address("www.example.test", "127.0.0.1");
        let client = Client::with_key(&world.acme, key).await;
        let order = client.order(&["dns:WWW.example.test"]).await;
        assert_eq!(
            (&order["status"], &order["identifiers"][0]["value"]),
            (&json!("pending"), &json!("www.example.test"))
        );
        let authorization = &order["authorizations"][0];
        let challenge = client.challenge(authorization, "http-01").await;
        assert_eq!(challenge["status"], "pending");
        *answers.lock().unwrap() = client.key_authorization(&challenge) + "\n";
        let shown = client.prove(authorization, &challenge).await;
        assert_eq!(shown["status"], "valid", "{shown}");
        assert_eq!(shown["challenges"].as_array().unwrap().len(), 1, "only the one that was met is shown");
        assert!(shown["challenges"][0]["validated"].is_string());

        let key = CertificateKey::new();
        let reply = client.finalize(&order, &["dns:www.Example.test"], &key).await;
        let done = document(&reply);
        assert_eq!((reply.status, &done["status"]), (200, &json!("valid")), "{done}");
        assert_eq!(client.get(order["url"].as_str().unwrap()).await["certificate"], done["certificate"]);
        let reply = client.post_text(done["certificate"].as_str().unwrap(), "").await;
        assert_eq!(reply.content_type, Some("application/pem-certificate-chain"));
        let der = der_of(std::str::from_utf8(&reply.body).unwrap());
        assert!(world.authority.issued.lock().unwrap().contains(&der));
        assert!(der.windows(key.spki().len()).any(|window| window == key.spki()), "it has the request's key");
    }
}

#[tokio::test]
async fn a_wildcard_is_proven_by_dns_01_alone_and_its_base_apart_from_it() {
    let world = World::new();
    let client = Client::new(&world.acme).await;
    let order = client.order(&["dns:*.example.test", "dns:example.test"]).await;
    let below = client.get(order["authorizations"][0].as_str().unwrap()).await;
    assert_eq!((&below["identifier"]["value"], &below["wildcard"]), (&json!("example.test"), &json!(true)));
    let kinds: Vec<_> =
        below["challenges"].as_array().unwrap().iter().map(|one| one["type"].clone()).collect();
    assert_eq!(kinds, ["dns-01"]);
    let base = client.get(order["authorizations"][1].as_str().unwrap()).await;
    assert_eq!((base.get("wildcard"), base["challenges"].as_array().unwrap().len()), (None, 3));
    world.prove_all(&client, &order).await;
    let reply =
        client.finalize(&order, &["dns:example.test", "dns:*.example.test"], &CertificateKey::new()).await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn names_and_addresses_are_proven_by_tls_alpn_01() {
    for only_tls12 in [false, true] {
        let cell = Arc::new(Mutex::new(None));
        let port = servers::tls(Arc::clone(&cell)).await;
        let world = World::with(Reach::Loopback { http_port: 9, tls_port: port }, |_| {});
        world.table.address("tls.example.test", "127.0.0.1");
        let client = Client::new(&world.acme).await;
        let order = client.order(&["dns:tls.example.test", "ip:127.0.0.1"]).await;
        for (authorization, name) in
            order["authorizations"].as_array().unwrap().iter().zip(["dns:tls.example.test", "ip:127.0.0.1"])
        {
            let challenge = client.challenge(authorization, "tls-alpn-01").await;
            *cell.lock().unwrap() = Some(Shown {
                names: vec![name.into()],
                key_authorization: client.key_authorization(&challenge),
                critical: true,
                protocol: b"acme-tls/1",
                only_tls12,
            });
            let shown = client.prove(authorization, &challenge).await;
            assert_eq!(shown["status"], "valid", "{shown}");
        }
        let names = ["ip:127.0.0.1", "dns:tls.example.test"];
        assert_eq!(client.finalize(&order, &names, &CertificateKey::new()).await.status, 200);
    }
}

#[tokio::test]
async fn an_order_is_lost_with_one_of_its_authorizations_and_says_why() {
    let world = World::new();
    let client = Client::new(&world.acme).await;
    let order = client.order(&["dns:a.test", "dns:b.test"]).await;
    for authorization in order["authorizations"].as_array().unwrap() {
        let challenge = client.challenge(authorization, "dns-01").await;
        let shown = client.prove(authorization, &challenge).await;
        assert_eq!(shown["status"], "invalid");
        assert_eq!(shown["challenges"][0]["error"]["type"], "urn:ietf:params:acme:error:incorrectResponse");
    }
    let shown = client.get(order["url"].as_str().unwrap()).await;
    assert_eq!(shown["status"], "invalid");
    assert_eq!(shown["error"]["subproblems"].as_array().unwrap().len(), 2, "{shown}");
    let reply = client.finalize(&order, &["dns:a.test", "dns:b.test"], &CertificateKey::new()).await;
    assert_eq!((reply.status, problem(&reply).as_str()), (403, "orderNotReady"));
}

#[tokio::test]
async fn an_authorization_that_is_given_up_or_too_old_proves_nothing() {
    let world = World::new();
    let client = Client::new(&world.acme).await;
    let order = world.ready(&client, &["dns:a.test"]).await;
    let authorization = order["authorizations"][0].as_str().unwrap();
    assert_eq!(client.post(authorization, json!({"status": "valid"})).await.status, 400);
    let reply = client.post(authorization, json!({"status": "deactivated"})).await;
    assert_eq!(document(&reply)["status"], "deactivated");
    assert_eq!(client.post(authorization, json!({"status": "deactivated"})).await.status, 400);
    assert_eq!(client.get(order["url"].as_str().unwrap()).await["status"], "invalid");

    let order = client.order(&["dns:b.test"]).await;
    world.later(8 * 86_400);
    assert_eq!(client.get(order["url"].as_str().unwrap()).await["status"], "invalid");
    let authorization = order["authorizations"][0].as_str().unwrap();
    assert_eq!(client.get(authorization).await["status"], "invalid");
    // 2 orders and one authorization; the other is valid for longer, though given up.
    assert_eq!(world.acme.sweep().await.unwrap(), 3);
    assert_eq!(client.post_text(order["url"].as_str().unwrap(), "").await.status, 404);
}

#[tokio::test]
async fn records_of_a_name_are_compared_with_the_digest() {
    let world = World::new();
    let client = Client::new(&world.acme).await;
    let order = client.order(&["dns:a.test"]).await;
    let challenge = client.challenge(&order["authorizations"][0], "dns-01").await;
    // Among others, and not the bare key authorization.
    world.table.text("_acme-challenge.a.test", "v=spf1 -all".into());
    world
        .table
        .text("_acme-challenge.a.test", encode(sha256(client.key_authorization(&challenge).as_bytes())));
    assert_eq!(client.prove(&order["authorizations"][0], &challenge).await["status"], "valid");

    let order = client.order(&["dns:b.test"]).await;
    let challenge = client.challenge(&order["authorizations"][0], "dns-01").await;
    world.table.text("_acme-challenge.b.test", client.key_authorization(&challenge));
    assert_eq!(client.prove(&order["authorizations"][0], &challenge).await["status"], "invalid");
}
