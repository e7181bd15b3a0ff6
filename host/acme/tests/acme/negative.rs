//! Requests that must not be taken: forged, replayed, for another place, of another form.

use crate::client::{Client, JOSE, document, nonce, problem, send};
use crate::keys::{Key, encode};
use crate::world::{BASE, World};
use hypermesh_acme::{Method, Post, Reply};
use serde_json::{Value, json};

/// A client, and what it asks for; sent with a header and a body that were changed.
struct Case {
    client: Client,
    url: String,
}

impl Case {
    async fn new() -> Self {
        let world = World::new();
        Self { client: Client::new(&world.acme).await, url: format!("{BASE}/new-order") }
    }

    const PAYLOAD: &[u8] = br#"{"identifiers":[{"type":"dns","value":"a.test"}]}"#;

    async fn with_header(&self, change: impl FnOnce(&mut Value)) -> Reply {
        let mut header = self.client.header(&self.url).await;
        change(&mut header);
        self.send(&self.client.key.jws(&header, Self::PAYLOAD)).await
    }

    async fn with_body(&self, change: impl FnOnce(&mut Value)) -> Reply {
        let header = self.client.header(&self.url).await;
        let mut body = self.client.key.jws(&header, Self::PAYLOAD);
        change(&mut body);
        self.send(&body).await
    }

    /// With a header that is written as it is.
    async fn with_text(&self, header: &str) -> Reply {
        let (protected, payload) = (encode(header), encode(Self::PAYLOAD));
        let signature = encode(self.client.key.sign(format!("{protected}.{payload}").as_bytes()));
        self.send(&json!({"protected": protected, "payload": payload, "signature": signature})).await
    }

    async fn send(&self, body: &Value) -> Reply {
        send(&self.client.acme, &self.url, body.to_string().as_bytes()).await
    }

    /// Nothing came of it all: the account has no order.
    async fn nothing_happened(&self) {
        let orders = self.client.get(&format!("{}/orders", self.client.account)).await;
        assert_eq!(orders, json!({"orders": []}));
    }
}

#[track_caller]
fn refused(reply: &Reply, status: u16, kind: &str) {
    assert_eq!((reply.status, problem(reply).as_str()), (status, kind), "{}", document(reply));
}

#[tokio::test]
async fn a_forged_signature_is_refused() {
    let case = Case::new().await;
    let other = Key::p256();
    let header = case.client.header(&case.url).await;
    refused(&case.send(&other.jws(&header, Case::PAYLOAD)).await, 400, "malformed");
    let replaced = encode(Case::PAYLOAD.to_vec().iter().map(|byte| byte ^ 1).collect::<Vec<_>>());
    refused(&case.with_body(|body| body["payload"] = json!(replaced)).await, 400, "malformed");
    let payload = br#"{"identifiers":[{"type":"dns","value":"b.test"}]}"#;
    refused(&case.with_body(|body| body["payload"] = json!(encode(payload))).await, 400, "malformed");
    refused(&case.with_body(|body| body["signature"] = json!("")).await, 400, "malformed");
    refused(&case.with_body(|body| body["signature"] = json!(encode([0; 64]))).await, 400, "malformed");
    case.nothing_happened().await;
}

#[tokio::test]
async fn a_forged_signature_does_not_use_up_a_nonce() {
    let case = Case::new().await;
    let header = case.client.header(&case.url).await;
    refused(&case.send(&Key::p256().jws(&header, Case::PAYLOAD)).await, 400, "malformed");
    assert_eq!(case.send(&case.client.key.jws(&header, Case::PAYLOAD)).await.status, 201);
}

#[tokio::test]
async fn a_replayed_request_is_refused() {
    let case = Case::new().await;
    let header = case.client.header(&case.url).await;
    let body = case.client.key.jws(&header, Case::PAYLOAD);
    assert_eq!(case.send(&body).await.status, 201);
    let reply = case.send(&body).await;
    refused(&reply, 400, "badNonce");
    // What a client does then: once more, with the nonce of the refusal.
    let mut header = header;
    header["nonce"] = json!(reply.nonce.unwrap());
    assert_eq!(case.send(&case.client.key.jws(&header, Case::PAYLOAD)).await.status, 201);
}

#[tokio::test]
async fn a_nonce_that_was_not_given_out_is_refused() {
    let case = Case::new().await;
    for strange in [json!(""), json!("AAAA"), json!(encode([0; 40])), json!("not base64url!")] {
        refused(&case.with_header(|header| header["nonce"] = strange).await, 400, "badNonce");
    }
    refused(
        &case.with_header(|header| drop(header.as_object_mut().unwrap().remove("nonce"))).await,
        400,
        "badNonce",
    );
    refused(&case.with_header(|header| header["nonce"] = json!(7)).await, 400, "malformed");
    let foreign = nonce(&World::new().acme).await;
    refused(&case.with_header(|header| header["nonce"] = json!(foreign)).await, 400, "badNonce");
    case.nothing_happened().await;
}

#[tokio::test]
async fn a_request_that_is_addressed_elsewhere_is_refused_before_the_account_is_looked_up() {
    let case = Case::new().await;
    for url in [
        format!("{BASE}/new-account"),
        format!("{BASE}/new-order/"),
        format!("{BASE}/new-order?x"),
        "https://other.test/acme/new-order".into(),
        "/acme/new-order".into(),
        String::new(),
    ] {
        let reply = case.with_header(|header| {
            header["url"] = json!(url);
            header["kid"] = json!(format!("{BASE}/account/{}", encode([0; 16])));
        });
        refused(&reply.await, 403, "unauthorized");
    }
    refused(
        &case.with_header(|header| drop(header.as_object_mut().unwrap().remove("url"))).await,
        400,
        "malformed",
    );
    case.nothing_happened().await;
}

#[tokio::test]
async fn a_signer_is_a_key_or_an_account_and_the_right_one_of_them() {
    let case = Case::new().await;
    let jwk = case.client.key.jwk();
    refused(&case.with_header(|header| header["jwk"] = jwk.clone()).await, 400, "malformed");
    refused(
        &case.with_header(|header| drop(header.as_object_mut().unwrap().remove("kid"))).await,
        400,
        "malformed",
    );
    let reply = case.with_header(|header| {
        header.as_object_mut().unwrap().remove("kid");
        header["jwk"] = jwk;
    });
    refused(&reply.await, 400, "malformed");
    for id in [
        format!("{BASE}/account/{}", encode([0; 16])),
        format!("{BASE}/account/"),
        "account".into(),
        case.client.account.replace("acme.test", "other.test"),
        format!("{}/", case.client.account),
    ] {
        refused(&case.with_header(|header| header["kid"] = json!(id)).await, 400, "accountDoesNotExist");
    }
    let reply = case.client.post_text(&format!("{BASE}/new-account"), "{}").await;
    refused(&reply, 400, "malformed");
    case.nothing_happened().await;
}

#[tokio::test]
async fn algorithms_that_do_not_sign_are_refused() {
    let case = Case::new().await;
    for algorithm in ["none", "HS256", "ES512", "PS256", "RS1", "es256", ""] {
        let reply = case.with_header(|header| header["alg"] = json!(algorithm)).await;
        refused(&reply, 400, "badSignatureAlgorithm");
        assert_eq!(document(&reply)["algorithms"], json!(["ES256", "ES384", "EdDSA", "RS256"]));
    }
    // One that is accepted, but not this key's.
    refused(&case.with_header(|header| header["alg"] = json!("RS256")).await, 400, "badSignatureAlgorithm");
    let unsigned = format!(r#"{{"alg":"none","url":"{}","kid":"{}"}}"#, case.url, case.client.account);
    refused(&case.with_text(&unsigned).await, 400, "badSignatureAlgorithm");
    case.nothing_happened().await;
}

#[tokio::test]
async fn only_the_content_type_of_jose_is_taken() {
    let case = Case::new().await;
    let header = case.client.header(&case.url).await;
    let body = case.client.key.jws(&header, Case::PAYLOAD).to_string();
    for kind in [
        None,
        Some("application/json"),
        Some("application/jose"),
        Some("application/jose+json; charset=utf-8"),
    ] {
        let post = Post { content_type: kind, body: body.as_bytes() };
        refused(&case.client.acme.respond(Method::Post, "/new-order", &post).await, 415, "malformed");
    }
    let post = Post { content_type: Some(JOSE), body: body.as_bytes() };
    assert_eq!(case.client.acme.respond(Method::Post, "/new-order", &post).await.status, 201);
}

#[tokio::test]
async fn json_that_says_a_thing_twice_is_refused() {
    let case = Case::new().await;
    let (url, id) = (&case.url, &case.client.account);
    let fresh = nonce(&case.client.acme).await;
    let header = format!(r#"{{"alg":"ES256","alg":"ES256","nonce":"{fresh}","url":"{url}","kid":"{id}"}}"#);
    refused(&case.with_text(&header).await, 400, "malformed");
    let header =
        format!(r#"{{"alg":"ES256","nonce":"{fresh}","url":"{url}","kid":"{id}","ki\u0064":"{id}"}}"#);
    refused(&case.with_text(&header).await, 400, "malformed");
    let header = case.client.header(url).await;
    let payload = br#"{"identifiers":[],"identifiers":[{"type":"dns","value":"a.test"}]}"#;
    refused(&case.send(&case.client.key.jws(&header, payload)).await, 400, "malformed");
    let header = case.client.header(url).await;
    let body = case.client.key.jws(&header, Case::PAYLOAD).to_string();
    let twice = body.replacen('{', r#"{"payload":"e30","#, 1);
    refused(&send(&case.client.acme, url, twice.as_bytes()).await, 400, "malformed");
    case.nothing_happened().await;
}

#[tokio::test]
async fn forms_other_than_one_flat_signature_are_refused() {
    let case = Case::new().await;
    refused(&case.with_body(|body| body["header"] = json!({"kid": "x"})).await, 400, "malformed");
    refused(&case.with_body(|body| body["signatures"] = json!([])).await, 400, "malformed");
    refused(&case.with_body(|body| body["extra"] = json!(1)).await, 400, "malformed");
    refused(&case.with_body(|body| *body = json!([body.clone()])).await, 400, "malformed");
    let general = |body: &mut Value| {
        let signature = json!({"protected": body["protected"], "signature": body["signature"]});
        *body = json!({"payload": body["payload"], "signatures": [signature]});
    };
    refused(&case.with_body(general).await, 400, "malformed");
    refused(&case.with_header(|header| header["crit"] = json!(["b64"])).await, 400, "malformed");
    refused(&case.with_header(|header| header["b64"] = json!(false)).await, 400, "malformed");
    for body in [&b""[..], b"{", b"null", b"{}", b"[]", b"\xff\xfe", b"e30.e30.AA"] {
        refused(&send(&case.client.acme, &case.url, body).await, 400, "malformed");
    }
    case.nothing_happened().await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_not_even_read() {
    let case = Case::new().await;
    let body = vec![b' '; (64 << 10) + 1];
    refused(&send(&case.client.acme, &case.url, &body).await, 413, "malformed");
    let deep = "[".repeat(60_000);
    refused(&send(&case.client.acme, &case.url, deep.as_bytes()).await, 400, "malformed");
}

#[tokio::test]
async fn payloads_of_the_wrong_kind_are_refused() {
    let case = Case::new().await;
    for payload in [
        "",
        "null",
        "[]",
        "7",
        "\"x\"",
        "{",
        "{}",
        r#"{"identifiers":{}}"#,
        r#"{"identifiers":[]}"#,
        r#"{"identifiers":[7]}"#,
        r#"{"identifiers":[{}]}"#,
        r#"{"identifiers":[{"type":"dns","value":7}]}"#,
    ] {
        refused(&case.client.post_text(&case.url, payload).await, 400, "malformed");
    }
    for url in ["account", "order", "authorization", "certificate"]
        .map(|noun| format!("{BASE}/{noun}/{}", encode([0; 16])))
    {
        let reply = case.client.post_text(&url, "").await;
        assert!([400, 403, 404].contains(&reply.status), "{url}: {}", reply.status);
    }
    // A resource that only is read takes no payload.
    let order = case.client.order(&["dns:a.test"]).await;
    refused(&case.client.post_text(order["url"].as_str().unwrap(), "{}").await, 400, "malformed");
}

#[tokio::test]
async fn keys_that_nobody_should_use_get_no_account() {
    let world = World::new();
    let key = Key::p256();
    let url = format!("{BASE}/new-account");
    let odd = |n: usize| encode(vec![0xff; n]);
    for jwk in [
        json!({"kty": "RSA", "n": odd(128), "e": "AQAB"}),
        json!({"kty": "RSA", "n": odd(256), "e": "AQ"}),
        json!({"kty": "oct", "k": "AAAA"}),
        json!({"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"}),
        json!({"kty": "EC", "crv": "secp256k1", "x": odd(32), "y": odd(32)}),
        json!({"kty": "OKP", "crv": "Ed25519", "x": odd(31)}),
        json!({}),
    ] {
        let header = json!({"alg": "ES256", "nonce": nonce(&world.acme).await, "url": url, "jwk": jwk});
        let body = key.jws(&header, b"{}").to_string();
        refused(&send(&world.acme, &url, body.as_bytes()).await, 400, "badPublicKey");
    }
    // Of a right form, but not on the curve.
    let jwk = json!({"kty": "EC", "crv": "P-256", "x": odd(32), "y": odd(32)});
    let header = json!({"alg": "ES256", "nonce": nonce(&world.acme).await, "url": url, "jwk": jwk});
    refused(&send(&world.acme, &url, key.jws(&header, b"{}").to_string().as_bytes()).await, 400, "malformed");
}
