//! Accounts: bound to others, found again, changed, given up; and what is another's.

use crate::client::{Client, document, nonce, problem, send};
use crate::keys::{Key, encode};
use crate::world::{BASE, NOTHING_LISTENS, World};
use aws_lc_rs::hmac;
use hypermesh_acme::{Acme, ExternalAccounts, Reply};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;

const NEW_ACCOUNT: &str = "https://acme.test:8444/acme/new-account";
const MAC_KEY: &[u8] = b"a key that both sides know, of 32 octets or more";

#[tokio::test]
async fn a_key_has_one_account_which_it_finds_again() {
    let world = World::new();
    let client = Client::new(&world.acme).await;
    let reply = client.post_by_key(NEW_ACCOUNT, r#"{"onlyReturnExisting":true}"#).await;
    assert_eq!((reply.status, reply.location.as_deref()), (200, Some(client.account.as_str())));
    let reply = client.post_by_key(NEW_ACCOUNT, r#"{"contact":["mailto:a@b.test"]}"#).await;
    assert_eq!((reply.status, document(&reply)["contact"].clone()), (200, json!([])));
    let (reply, _) = Client::register(&world.acme, Key::p256(), json!({"onlyReturnExisting": true})).await;
    assert_eq!((reply.status, problem(&reply).as_str()), (400, "accountDoesNotExist"));
}

#[tokio::test]
async fn two_requests_at_once_with_one_key_make_one_account() {
    let world = World::new();
    let client = Client { acme: world.acme.clone(), key: Arc::new(Key::p256()), account: String::new() };
    let [one, two] = [client.clone(), client.clone()];
    let (one, two) = tokio::join!(one.post_by_key(NEW_ACCOUNT, "{}"), two.post_by_key(NEW_ACCOUNT, "{}"));
    assert_eq!(one.location, two.location);
    assert!([one.status, two.status].contains(&201));
}

#[tokio::test]
async fn terms_of_service_must_be_agreed_to_where_there_are_any() {
    let world = World::with(NOTHING_LISTENS, |settings| settings.terms_of_service = Some("https://t".into()));
    for payload in [json!({}), json!({"termsOfServiceAgreed": false})] {
        let (reply, _) = Client::register(&world.acme, Key::p256(), payload).await;
        assert_eq!((reply.status, problem(&reply).as_str()), (403, "userActionRequired"));
    }
    let (reply, _) = Client::register(&world.acme, Key::p256(), json!({"termsOfServiceAgreed": "yes"})).await;
    assert_eq!(problem(&reply), "malformed");
    Client::new(&world.acme).await;
}

#[tokio::test]
async fn contacts_change_and_an_account_that_is_given_up_does_nothing_more() {
    let world = World::new();
    let client = Client::new(&world.acme).await;
    let reply = client.post(&client.account, json!({"contact": ["mailto:a@b.test"]})).await;
    assert_eq!((reply.status, document(&reply)["contact"].clone()), (200, json!(["mailto:a@b.test"])));
    assert_eq!(client.get(&client.account).await["contact"], json!(["mailto:a@b.test"]));
    assert_eq!(problem(&client.post(&client.account, json!({"status": "revoked"})).await), "malformed");
    let reply = client.post(&client.account, json!({"status": "deactivated"})).await;
    assert_eq!(document(&reply)["status"], "deactivated");
    for reply in [
        client.post_text(&client.account, "").await,
        client.try_order(&["dns:a.test"]).await,
        client.post_by_key(NEW_ACCOUNT, "{}").await,
    ] {
        assert_eq!((reply.status, problem(&reply).as_str()), (401, "unauthorized"));
    }
}

#[tokio::test]
async fn what_is_one_accounts_is_no_others() {
    let world = World::new();
    let (owner, other) = (Client::new(&world.acme).await, Client::new(&world.acme).await);
    let order = world.ready(&owner, &["dns:a.test"]).await;
    let key = crate::keys::CertificateKey::new();
    let challenge = owner.challenge(&order["authorizations"][0], "dns-01").await;
    let done = document(&owner.finalize(&order, &["dns:a.test"], &key).await);
    for (url, payload) in [
        (json!(owner.account), ""),
        (json!(owner.account), r#"{"status":"deactivated"}"#),
        (json!(format!("{}/orders", owner.account)), ""),
        (order["url"].clone(), ""),
        (order["authorizations"][0].clone(), ""),
        (order["authorizations"][0].clone(), r#"{"status":"deactivated"}"#),
        (challenge["url"].clone(), "{}"),
        (order["finalize"].clone(), r#"{"csr":""}"#),
        (done["certificate"].clone(), ""),
    ] {
        let reply = other.post_text(url.as_str().unwrap(), payload).await;
        assert_eq!((reply.status, problem(&reply).as_str()), (403, "unauthorized"), "{url}");
    }
}

#[tokio::test]
async fn orders_are_listed_in_pages() {
    let world = World::new();
    let client = Client::new(&world.acme).await;
    let mut made = Vec::new();
    for number in 0..60 {
        made.push(client.order(&[&format!("dns:n{number}.test")]).await["url"].clone());
    }
    let (mut url, mut listed, mut pages) = (format!("{}/orders", client.account), Vec::new(), 0);
    loop {
        let reply = client.post_text(&url, "").await;
        listed.extend(document(&reply)["orders"].as_array().unwrap().clone());
        pages += 1;
        let Some(next) = reply.links.iter().find(|link| link.rel == "next") else { break };
        url = next.url.clone();
    }
    let sorted = |mut urls: Vec<Value>| {
        urls.sort_by_key(ToString::to_string);
        urls
    };
    assert_eq!((pages, sorted(listed)), (2, sorted(made)));
    assert_eq!(
        problem(&client.post_text(&format!("{}/orders?cursor=x", client.account), "").await),
        "malformed"
    );
}

/// A binding of the client's key, whose parts are changed.
async fn bound(acme: &Acme, change: impl FnOnce(&mut Value, &mut Value), mac_key: &[u8]) -> Reply {
    let key = Key::p256();
    let (mut header, mut payload) = (json!({"alg": "HS256", "kid": "k1", "url": NEW_ACCOUNT}), key.jwk());
    change(&mut header, &mut payload);
    let (protected, payload) = (encode(header.to_string()), encode(payload.to_string()));
    let mac =
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, mac_key), format!("{protected}.{payload}").as_bytes());
    let binding = json!({"protected": protected, "payload": payload, "signature": encode(mac)});
    Client::register(acme, key, json!({"externalAccountBinding": binding})).await.0
}

fn external(required: bool) -> World {
    World::with(NOTHING_LISTENS, |settings| {
        let keys = Arc::new(HashMap::from([("k1".to_owned(), MAC_KEY.to_vec())]));
        settings.external = Some(ExternalAccounts { required, keys });
    })
}

#[tokio::test]
async fn an_account_is_bound_to_one_elsewhere_by_a_key_that_both_know() {
    let world = external(true);
    assert_eq!(bound(&world.acme, |_, _| {}, MAC_KEY).await.status, 201);
    let (reply, _) = Client::register(&world.acme, Key::p256(), json!({})).await;
    assert_eq!((reply.status, problem(&reply).as_str()), (403, "externalAccountRequired"));
    assert_eq!(document(&world.acme.directory())["meta"]["externalAccountRequired"], json!(true));
    // Where none is required one may be given, and where none is possible it is not ignored.
    let (reply, _) = Client::register(&external(false).acme, Key::p256(), json!({})).await;
    assert_eq!(reply.status, 201);
    assert_eq!(problem(&bound(&World::new().acme, |_, _| {}, MAC_KEY).await), "malformed");
}

#[tokio::test]
async fn a_binding_that_does_not_bind_is_refused() {
    let world = external(true);
    let changes: [fn(&mut Value, &mut Value); 8] = [
        |header, _| header["alg"] = json!("none"),
        |header, _| header["alg"] = json!("HS512"),
        |header, _| header["kid"] = json!("k2"),
        |header, _| header["nonce"] = json!("AAAA"),
        |header, _| header["url"] = json!("https://acme.test:8444/acme/new-order"),
        |_, payload| *payload = Key::p256().jwk(),
        |_, payload| *payload = json!("x"),
        |header, payload| {
            header.as_object_mut().unwrap().remove("kid");
            header["jwk"] = payload.clone();
        },
    ];
    for change in changes {
        let reply = bound(&world.acme, change, MAC_KEY).await;
        assert_eq!((reply.status, problem(&reply).as_str()), (403, "unauthorized"), "{}", document(&reply));
    }
    assert_eq!(problem(&bound(&world.acme, |_, _| {}, b"another key").await), "unauthorized");
    let (reply, _) = Client::register(&world.acme, Key::p256(), json!({"externalAccountBinding": 7})).await;
    assert_eq!(problem(&reply), "malformed");
}

/// Asks for another key; the inner request may differ from what it should be.
async fn rolled(client: &Client, new: &Key, change: impl FnOnce(&mut Value, &mut Value)) -> Reply {
    let url = format!("{BASE}/key-change");
    let mut header = json!({"alg": new.algorithm(), "jwk": new.jwk(), "url": url});
    let mut content = json!({"account": client.account, "oldKey": client.key.jwk()});
    change(&mut header, &mut content);
    let inner = new.jws(&header, content.to_string().as_bytes());
    client.post(&url, inner).await
}

#[tokio::test]
async fn an_account_gets_another_key_and_the_old_one_signs_no_more() {
    let world = World::new();
    let mut client = Client::new(&world.acme).await;
    let new = Key::p256();
    let reply = rolled(&client, &new, |_, _| {}).await;
    assert_eq!((reply.status, reply.location.as_deref()), (200, Some(client.account.as_str())));
    assert_eq!(problem(&client.post_text(&client.account, "").await), "malformed");
    let (reply, _) = Client::register(&world.acme, Key::p256(), json!({})).await;
    assert_eq!(reply.status, 201);
    client.key = Arc::new(new);
    assert_eq!(client.get(&client.account).await["status"], "valid");
    // Back again: the old key is nobody's.
    assert_eq!(rolled(&client, &Key::p256(), |_, _| {}).await.status, 200);
}

#[tokio::test]
async fn a_key_change_that_is_not_asked_for_by_both_keys_is_refused() {
    let world = World::new();
    let (client, other) = (Client::new(&world.acme).await, Client::new(&world.acme).await);
    let changes: [fn(&mut Value, &mut Value); 6] = [
        |header, _| header["nonce"] = json!("AAAA"),
        |header, _| header["url"] = json!("https://acme.test:8444/acme/new-order"),
        |header, _| header["jwk"] = Key::p256().jwk(),
        |_, content| content["account"] = json!("https://acme.test:8444/acme/account/x"),
        |_, content| content["oldKey"] = Key::p256().jwk(),
        |_, content| *content = json!([]),
    ];
    for change in changes {
        let reply = rolled(&client, &Key::p256(), change).await;
        assert_eq!((reply.status, problem(&reply).as_str()), (400, "malformed"));
    }
    let reply = rolled(&client, &other.key, |_, _| {}).await;
    assert_eq!((reply.status, reply.location.as_deref()), (409, Some(other.account.as_str())));
    assert_eq!(rolled(&client, &client.key, |_, _| {}).await.status, 409);
    // The outer request names an account, whose key it must be signed with.
    let url = format!("{BASE}/key-change");
    let header =
        json!({"alg": "ES256", "nonce": nonce(&world.acme).await, "url": url, "jwk": client.key.jwk()});
    let reply = send(&world.acme, &url, client.key.jws(&header, b"{}").to_string().as_bytes()).await;
    assert_eq!(problem(&reply), "malformed");
    assert_eq!(client.get(&client.account).await["status"], "valid");
}
