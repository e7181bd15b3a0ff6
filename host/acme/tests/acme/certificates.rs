//! When a certificate is to be renewed, and which one an order replaces (RFC 9773).

use crate::client::{Client, document, identifiers, problem};
use crate::world::{BASE, World, renewal_name};
use hypermesh_acme::{Method, Post, Reply};
use serde_json::{Value, json};

async fn renewal(world: &World, name: &str) -> Reply {
    let post = Post { content_type: None, body: b"" };
    world.acme.respond(Method::Get, &format!("/renewal-info/{name}"), &post).await
}

#[tokio::test]
async fn anybody_learns_when_to_renew_a_certificate() {
    let world = World::new();
    let reply = renewal(&world, renewal_name(1).as_str().unwrap()).await;
    assert_eq!((reply.status, reply.retry_after), (200, Some(21_600)));
    let document = document(&reply);
    assert_eq!(document["suggestedWindow"]["start"], "1970-01-01T00:00:01.000Z");
    assert_eq!(document["explanationURL"], "https://acme.test/why");
    assert_eq!(renewal(&world, "AAAA.AAAA").await.status, 404);
    for name in ["", "x", "AAAA", "A=.A", "%2e%2e"] {
        assert_eq!(problem(&renewal(&world, name).await), "malformed", "{name}");
    }
}

async fn replacing(client: &Client, names: &[&str], replaces: Value) -> Reply {
    let payload = json!({"identifiers": identifiers(names), "replaces": replaces});
    client.post(&format!("{BASE}/new-order"), payload).await
}

#[tokio::test]
async fn a_certificate_is_replaced_by_one_order_that_may_succeed() {
    let world = World::new();
    let (client, other) = (Client::new(&world.acme).await, Client::new(&world.acme).await);
    world.certificate(&client, &["dns:a.test", "dns:b.test"]).await;
    let name = renewal_name(1);
    for (who, names, replaces, kind) in [
        (&other, ["dns:a.test"], name.clone(), "unauthorized"),
        (&client, ["dns:c.test"], name.clone(), "malformed"),
        (&client, ["dns:a.test"], renewal_name(99), "malformed"),
        (&client, ["dns:a.test"], json!("nonsense"), "malformed"),
        (&client, ["dns:a.test"], json!(7), "malformed"),
    ] {
        assert_eq!(problem(&replacing(who, &names, replaces).await), kind);
    }
    let reply = replacing(&client, &["dns:a.test"], name.clone()).await;
    assert_eq!((reply.status, &document(&reply)["replaces"]), (201, &name));
    let again = replacing(&client, &["dns:a.test"], name.clone()).await;
    assert_eq!((again.status, problem(&again).as_str()), (409, "alreadyReplaced"));
    // The first one fails, so another may.
    let authorization = document(&reply)["authorizations"][0].clone();
    client.post(authorization.as_str().unwrap(), json!({"status": "deactivated"})).await;
    assert_eq!(replacing(&client, &["dns:a.test"], name).await.status, 201);
}
