//! Revocation: who may, for which reasons, and once.

use crate::client::{Client, problem};
use crate::keys::{CertificateKey, Key, encode};
use crate::world::{BASE, World};
use hypermesh_acme::{Reply, RevocationReason};
use serde_json::{Value, json};
use std::sync::Arc;

async fn revoke(client: &Client, der: &[u8], reason: Value) -> Reply {
    client
        .post(&format!("{BASE}/revoke-certificate"), json!({"certificate": encode(der), "reason": reason}))
        .await
}

async fn revoke_by_key(world: &World, key: Key, der: &[u8]) -> Reply {
    let client = Client { acme: world.acme.clone(), key: Arc::new(key), account: String::new() };
    client
        .post_by_key(&format!("{BASE}/revoke-certificate"), &json!({"certificate": encode(der)}).to_string())
        .await
}

#[tokio::test]
async fn the_account_that_ordered_a_certificate_revokes_it_once() {
    let world = World::new();
    let client = Client::new(&world.acme).await;
    let (der, _) = world.certificate(&client, &["dns:a.test"]).await;
    for reason in [json!(2), json!(6), json!(7), json!(8), json!(10), json!(-1), json!("1"), json!(1.5)] {
        assert_eq!(problem(&revoke(&client, &der, reason).await), "badRevocationReason");
    }
    assert!(world.authority.revoked.lock().unwrap().is_empty());
    let reply = revoke(&client, &der, json!(4)).await;
    assert_eq!((reply.status, reply.body.len()), (200, 0));
    assert_eq!(world.authority.revoked.lock().unwrap()[&der], RevocationReason::Superseded);
    assert_eq!(problem(&revoke(&client, &der, Value::Null).await), "alreadyRevoked");
}

#[tokio::test]
async fn a_certificates_own_key_revokes_it_and_no_other_key_does() {
    let world = World::new();
    let client = Client::new(&world.acme).await;
    let (der, key) = world.certificate(&client, &["dns:a.test"]).await;
    let reply = revoke_by_key(&world, Key::p256(), &der).await;
    assert_eq!((reply.status, problem(&reply).as_str()), (403, "unauthorized"));
    assert_eq!(revoke_by_key(&world, key.as_account_key(), &der).await.status, 200);
    assert_eq!(world.authority.revoked.lock().unwrap()[&der], RevocationReason::Unspecified);
}

#[tokio::test]
async fn an_account_that_controls_every_name_revokes_and_one_that_lacks_one_does_not() {
    let world = World::new();
    let (owner, other) = (Client::new(&world.acme).await, Client::new(&world.acme).await);
    let (der, _) = world.certificate(&owner, &["dns:a.test", "dns:*.b.test"]).await;
    assert_eq!(problem(&revoke(&other, &der, Value::Null).await), "unauthorized");
    world.ready(&other, &["dns:a.test", "dns:b.test"]).await;
    assert_eq!(
        problem(&revoke(&other, &der, Value::Null).await),
        "unauthorized",
        "a base is not what is below it"
    );
    world.ready(&other, &["dns:*.b.test"]).await;
    world.later(31 * 86_400);
    assert_eq!(problem(&revoke(&other, &der, Value::Null).await), "unauthorized", "the proofs are too old");
    world.ready(&other, &["dns:a.test", "dns:*.b.test"]).await;
    assert_eq!(revoke(&other, &der, Value::Null).await.status, 200);
}

#[tokio::test]
async fn what_is_no_certificate_of_ours_is_refused() {
    let world = World::new();
    let client = Client::new(&world.acme).await;
    let (der, key) = world.certificate(&client, &["dns:a.test"]).await;
    let trailing = [der.clone(), vec![0]].concat();
    for bytes in [&b""[..], b"x", &trailing, &der[..der.len() - 1]] {
        assert_eq!(problem(&revoke(&client, bytes, Value::Null).await), "malformed");
    }
    // Another certificate with the same key, of nobody known.
    let forged = World::new();
    let stranger = Client::new(&forged.acme).await;
    let (foreign, foreign_key) = forged.certificate(&stranger, &["dns:a.test"]).await;
    let reply = revoke_by_key(&world, foreign_key.as_account_key(), &foreign).await;
    assert_eq!((reply.status, problem(&reply).as_str()), (404, "malformed"));
    assert!(world.authority.revoked.lock().unwrap().is_empty());
    let _: CertificateKey = key;
}
