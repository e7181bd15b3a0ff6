//! A client: keeps a nonce, signs, follows URLs.

use crate::keys::{CertificateKey, Key, encode};
use crate::{der, world::BASE};
use hypermesh_acme::{Acme, Method, Post, Reply};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

pub(crate) const JOSE: &str = "application/jose+json";

#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) acme: Acme,
    pub(crate) key: Arc<Key>,
    pub(crate) account: String,
}

/// A reply's body as a document.
pub(crate) fn document(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap()
}

/// The name of the problem that a reply is.
pub(crate) fn problem(reply: &Reply) -> String {
    assert_eq!(reply.content_type, Some("application/problem+json"), "{reply:?}");
    let document = document(reply);
    assert_eq!(document["status"], reply.status);
    assert!(!document["detail"].as_str().unwrap().is_empty());
    document["type"].as_str().unwrap().strip_prefix("urn:ietf:params:acme:error:").unwrap().to_owned()
}

pub(crate) async fn nonce(acme: &Acme) -> String {
    let reply = acme.respond(Method::Head, "/new-nonce", &Post { content_type: None, body: b"" }).await;
    assert_eq!((reply.status, reply.no_store), (200, true));
    reply.nonce.unwrap()
}

/// Sends a body to a URL.
pub(crate) async fn send(acme: &Acme, url: &str, body: &[u8]) -> Reply {
    let path = url.strip_prefix(BASE).unwrap();
    let reply = acme.respond(Method::Post, path, &Post { content_type: Some(JOSE), body }).await;
    assert!(reply.nonce.is_some(), "every answer has a nonce");
    assert!(reply.links.iter().any(|link| link.rel == "index" && link.url == format!("{BASE}/directory")));
    reply
}

impl Client {
    /// A client with an account.
    pub(crate) async fn new(acme: &Acme) -> Self {
        Self::with_key(acme, Key::p256()).await
    }

    pub(crate) async fn with_key(acme: &Acme, key: Key) -> Self {
        let (reply, client) = Self::register(acme, key, json!({"termsOfServiceAgreed": true})).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        client
    }

    /// Asks for an account, and what came of it.
    pub(crate) async fn register(acme: &Acme, key: Key, payload: Value) -> (Reply, Self) {
        let mut client = Self { acme: acme.clone(), key: Arc::new(key), account: String::new() };
        let reply = client.post_by_key(&format!("{BASE}/new-account"), &payload.to_string()).await;
        client.account = reply.location.clone().unwrap_or_default();
        (reply, client)
    }

    /// A header as it should be.
    pub(crate) async fn header(&self, url: &str) -> Value {
        json!({"alg": self.key.algorithm(), "nonce": nonce(&self.acme).await, "url": url, "kid": self.account})
    }

    pub(crate) async fn post_by_key(&self, url: &str, payload: &str) -> Reply {
        let nonce = nonce(&self.acme).await;
        let header = json!({"alg": self.key.algorithm(), "nonce": nonce, "url": url, "jwk": self.key.jwk()});
        send(&self.acme, url, self.key.jws(&header, payload.as_bytes()).to_string().as_bytes()).await
    }

    pub(crate) async fn post(&self, url: &str, payload: Value) -> Reply {
        self.post_text(url, &payload.to_string()).await
    }

    pub(crate) async fn post_text(&self, url: &str, payload: &str) -> Reply {
        let header = self.header(url).await;
        send(&self.acme, url, self.key.jws(&header, payload.as_bytes()).to_string().as_bytes()).await
    }

    /// POST-as-GET.
    pub(crate) async fn get(&self, url: &str) -> Value {
        let reply = self.post_text(url, "").await;
        assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
        document(&reply)
    }

    /// A new order for these names, `dns:` or `ip:` before each; with its URL as `url`.
    pub(crate) async fn order(&self, names: &[&str]) -> Value {
        let reply = self.try_order(names).await;
        assert_eq!(reply.status, 201, "{}", String::from_utf8_lossy(&reply.body));
        let mut order = document(&reply);
        order["url"] = json!(reply.location.unwrap());
        order
    }

    pub(crate) async fn try_order(&self, names: &[&str]) -> Reply {
        self.post(&format!("{BASE}/new-order"), json!({"identifiers": identifiers(names)})).await
    }

    /// The challenge of a kind in an authorization.
    pub(crate) async fn challenge(&self, authorization: &Value, kind: &str) -> Value {
        let authorization = self.get(authorization.as_str().unwrap()).await;
        let challenges = authorization["challenges"].as_array().unwrap();
        challenges.iter().find(|challenge| challenge["type"] == kind).unwrap().clone()
    }

    pub(crate) fn key_authorization(&self, challenge: &Value) -> String {
        format!("{}.{}", challenge["token"].as_str().unwrap(), self.key.thumbprint())
    }

    /// Says that a challenge is ready and waits until its authorization is decided.
    pub(crate) async fn prove(&self, authorization: &Value, challenge: &Value) -> Value {
        let reply = self.post(challenge["url"].as_str().unwrap(), json!({})).await;
        assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
        assert!(reply.links.iter().any(|link| link.rel == "up" && json!(link.url) == *authorization));
        for _ in 0..3000 {
            let shown = self.get(authorization.as_str().unwrap()).await;
            if shown["status"] != "pending" {
                return shown;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the authorization is never decided");
    }

    /// Finalizes an order with a request for these names.
    pub(crate) async fn finalize(&self, order: &Value, names: &[&str], key: &CertificateKey) -> Reply {
        let request =
            der::request(None, &key.spki(), &der::alternative_names(names), |bytes| key.sign(bytes));
        self.finalize_with(order, &request).await
    }

    pub(crate) async fn finalize_with(&self, order: &Value, request: &[u8]) -> Reply {
        self.post(order["finalize"].as_str().unwrap(), json!({"csr": encode(request)})).await
    }
}

pub(crate) fn identifiers(names: &[&str]) -> Value {
    let one = |name: &&str| {
        let (kind, value) = name.split_once(':').unwrap();
        json!({"type": kind, "value": value})
    };
    names.iter().map(one).collect()
}
