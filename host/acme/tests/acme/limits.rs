//! Limits, and identifiers that are refused.

use crate::client::{Client, document, identifiers, problem};
use crate::keys::Key;
use crate::world::{BASE, Endless, NOTHING_LISTENS, Table, World};
use hypermesh_acme::Reply;
use serde_json::{Value, json};
use std::sync::Arc;

#[tokio::test]
async fn every_identifier_that_is_refused_is_named() {
    let world = World::new();
    let client = Client::new(&world.acme).await;
    let reply = client.try_order(&["dns:a.forbidden", "dns:good.test", "dns:b.forbidden"]).await;
    let refusal = document(&reply);
    assert_eq!((reply.status, problem(&reply).as_str()), (400, "rejectedIdentifier"));
    let named: Vec<_> = refusal["subproblems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["identifier"]["value"].clone())
        .collect();
    assert_eq!(named, ["a.forbidden", "b.forbidden"]);
    assert_eq!(problem(&client.try_order(&["email:a@b.test"]).await), "unsupportedIdentifier");
    assert_eq!(problem(&client.try_order(&["email:a@b.test", "dns:a.forbidden"]).await), "compound");
    for name in
        ["dns:a_b.test", "dns:*.*.test", "dns:1.2.3.4", "dns:a..b", "dns:", "ip:1.2.3", "ip:example.test"]
    {
        assert_eq!(problem(&client.try_order(&[name]).await), "rejectedIdentifier", "{name}");
    }
}

#[tokio::test]
async fn an_order_has_a_hundred_identifiers_at_most_each_once() {
    let world = World::new();
    let client = Client::new(&world.acme).await;
    let names: Vec<String> = (0..101).map(|number| format!("dns:n{number}.test")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(problem(&client.try_order(&names).await), "malformed");
    assert_eq!(client.order(&names[..100]).await["authorizations"].as_array().unwrap().len(), 100);
    let order = client.order(&["dns:a.test", "dns:A.test", "ip:::1", "ip:0:0:0:0:0:0:0:1"]).await;
    assert_eq!(order["identifiers"], identifiers(&["dns:a.test", "ip:::1"]));
}

#[tokio::test]
async fn times_and_profiles_that_can_not_be_had_are_refused() {
    let world = World::new();
    let client = Client::new(&world.acme).await;
    let ask = async |name: &str, value: Value| -> Reply {
        let mut payload = json!({"identifiers": identifiers(&["dns:a.test"])});
        payload[name] = value;
        client.post(&format!("{BASE}/new-order"), payload).await
    };
    assert_eq!(problem(&ask("notBefore", json!("2027-01-20T00:00:00Z")).await), "malformed");
    assert_eq!(problem(&ask("notAfter", json!("2020-01-01T00:00:00Z")).await), "malformed");
    assert_eq!(problem(&ask("notAfter", json!("tomorrow")).await), "malformed");
    assert_eq!(problem(&ask("profile", json!("tlsserver")).await), "invalidProfile");
    let reply = ask("notAfter", json!("2028-01-01T00:00:00Z")).await;
    assert_eq!((reply.status, &document(&reply)["notAfter"]), (201, &json!("2028-01-01T00:00:00.000Z")));
}

#[tokio::test]
async fn accounts_and_open_orders_are_bounded() {
    let world = World::with(NOTHING_LISTENS, |settings| {
        (settings.limits.accounts, settings.limits.open_orders) = (2, 2);
    });
    let client = Client::new(&world.acme).await;
    Client::new(&world.acme).await;
    let (reply, _) = Client::register(&world.acme, Key::p256(), json!({})).await;
    assert_eq!((reply.status, problem(&reply).as_str()), (429, "rateLimited"));
    assert!(reply.retry_after.is_some());
    client.order(&["dns:a.test"]).await;
    world.certificate(&client, &["dns:b.test"]).await;
    client.order(&["dns:c.test"]).await;
    assert_eq!(problem(&client.try_order(&["dns:d.test"]).await), "rateLimited");
    world.later(8 * 86_400);
    client.order(&["dns:d.test"]).await;
}

#[tokio::test]
async fn validations_are_bounded_in_all_and_for_each_account() {
    let world = World::with_probe(Arc::new(Endless), Arc::new(Table::default()), |settings| {
        (settings.limits.validations, settings.limits.validations_of_account) = (3, 2);
    });
    let (one, two) = (Client::new(&world.acme).await, Client::new(&world.acme).await);
    let begin = async |client: &Client, name: &str| -> Reply {
        let order = client.order(&[name]).await;
        let challenge = client.challenge(&order["authorizations"][0], "http-01").await;
        client.post(challenge["url"].as_str().unwrap(), json!({})).await
    };
    for name in ["dns:a.test", "dns:b.test"] {
        let reply = begin(&one, name).await;
        assert_eq!((reply.status, &document(&reply)["status"]), (200, &json!("processing")));
        assert!(reply.retry_after.is_some());
    }
    assert_eq!(problem(&begin(&one, "dns:c.test").await), "rateLimited");
    assert_eq!(begin(&two, "dns:d.test").await.status, 200);
    assert_eq!(problem(&begin(&two, "dns:e.test").await), "rateLimited");
}

#[tokio::test]
async fn a_challenge_takes_an_empty_object_and_nothing_else() {
    let world = World::with_probe(Arc::new(Endless), Arc::new(Table::default()), |_| {});
    let client = Client::new(&world.acme).await;
    let order = client.order(&["dns:a.test"]).await;
    let challenge = client.challenge(&order["authorizations"][0], "dns-01").await;
    let url = challenge["url"].as_str().unwrap();
    for payload in ["null", "[]", "7", r#"{"keyAuthorization":"x"}"#] {
        assert_eq!(problem(&client.post_text(url, payload).await), "malformed", "{payload}");
    }
    assert_eq!(client.get(url).await["status"], "pending", "reading does not begin it");
    assert_eq!(document(&client.post(url, json!({})).await)["status"], "processing");
    assert_eq!(document(&client.post(url, json!({})).await)["status"], "processing");
    assert_eq!(client.post(&url.replace("dns-01", "dns-02"), json!({})).await.status, 404);
}
