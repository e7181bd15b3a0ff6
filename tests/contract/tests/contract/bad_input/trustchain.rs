//! Right bodies of port 8444, so that each can be made wrong.

use serde_json::{Value, json};

/// A right body with every member, but those that exclude others: the schema can't tell, and the other would be blamed.
pub(super) fn right(method: &str, path: &str) -> Option<Value> {
    Some(match (method, path) {
        ("post", "/api/v1/certificates") => json!({
            "subject": "CN=a.elsewhere.example", "validity_days": 9, "key_size": 256, "usage": ["server"],
            "names": ["a.elsewhere.example"]
        }),
        ("post", "/api/v1/certificates/{id}/renew") => json!({ "key_type": "ed25519", "validity_days": 9 }),
        ("post", "/api/v1/certificates/{id}/revoke") => json!({ "reason": "superseded" }),
        ("post", "/api/v1/certificates/validate") => json!({
            "certificate": "no PEM", "chain": "no PEM", "roots": "no PEM", "purpose": "server", "host": "a.b",
            "at": "2030-01-02T03:04:05Z"
        }),
        ("post", "/api/v1/dns/records") => json!({
            "domain": "a.elsewhere.example", "record_type": "SRV", "value": "b.elsewhere.example", "ttl": 60,
            "priority": 1, "weight": 2, "port": 3
        }),
        ("put", "/api/v1/dns/records/{id}") => json!({
            "domain": "a.elsewhere.example", "record_type": "SRV", "value": "b.elsewhere.example", "ttl": 60,
            "priority": 1, "weight": 2, "port": 3
        }),
        ("post", "/api/v1/dns/resolve") => json!({ "domain": "a.elsewhere.example", "type": "A" }),
        ("post", "/api/v1/rotation/policies") => policy(),
        ("put", "/api/v1/rotation/policies/{id}") => policy(),
        ("post", "/api/v1/rotation/execute") => {
            json!({ "certificate_id": "cert-none", "rotation_type": "manual" })
        }
        ("post", "/auth/certificate") => {
            json!({ "certificate": "no PEM", "nonce": "none", "signature": "AAAA" })
        }
        _ => return None,
    })
}

fn policy() -> Value {
    json!({
        "certificate_id": "cert-none", "rotation_type": "automatic", "interval_days": 90, "warning_days": 7,
        "grace_period_days": 30, "enabled": true
    })
}

/// What a query needs beside this parameter, lest its absence is what is refused.
pub(super) fn needed(path: &str, name: &str) -> &'static str {
    match (path, name) {
        ("/ct/v1/get-sth-consistency", "first") => "second=1&",
        ("/ct/v1/get-sth-consistency", _) => "first=1&",
        ("/ct/v1/get-proof-by-hash", "hash") => "tree_size=1&",
        ("/ct/v1/get-proof-by-hash", _) => "hash=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=&",
        ("/ct/v1/get-entries", "start") => "end=1&",
        ("/ct/v1/get-entries", _) => "start=0&",
        ("/ct/v1/get-entry-and-proof", "leaf_index") => "tree_size=1&",
        ("/ct/v1/get-entry-and-proof", _) => "leaf_index=0&",
        _ => "",
    }
}
