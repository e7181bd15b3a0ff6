//! Where everything is (RFC 8555, 7.1.1), and fresh nonces (7.2). The two resources that need no signature.

use super::{Acme, paths};
use crate::reply::Reply;
use serde_json::{Map, Value, json};

impl Acme {
    /// `GET` of the directory.
    pub fn directory(&self) -> Reply {
        let settings = &self.inner.settings;
        let mut meta = Map::new();
        if let Some(url) = &settings.terms_of_service {
            meta.insert("termsOfService".into(), json!(url));
        }
        if let Some(url) = &settings.website {
            meta.insert("website".into(), json!(url));
        }
        if !settings.caa_identities.is_empty() {
            meta.insert("caaIdentities".into(), json!(settings.caa_identities));
        }
        let required = settings.external.as_ref().is_some_and(|external| external.required);
        meta.insert("externalAccountRequired".into(), Value::Bool(required));
        let url = |path| self.urls().of(path);
        Reply::json(
            200,
            &json!({
                "newNonce": url(paths::NEW_NONCE),
                "newAccount": url(paths::NEW_ACCOUNT),
                "newOrder": url(paths::NEW_ORDER),
                "revokeCert": url(paths::REVOKE_CERTIFICATE),
                "keyChange": url(paths::KEY_CHANGE),
                "renewalInfo": url(paths::RENEWAL_INFO),
                "meta": meta,
            }),
        )
    }

    /// `HEAD` (200) or `GET` (204) of a new nonce.
    pub fn new_nonce(&self, is_head: bool) -> Reply {
        self.finish(Ok(Reply::empty(if is_head { 200 } else { 204 })))
    }
}
