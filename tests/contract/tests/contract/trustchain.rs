//! Port 8444: every operation of the document is used, answers as documented, and the objects have the contract's
//! members.

use crate::exchange::{self, Payload, Place};
use crate::session::{Session, document, has_shape};
use hypermesh_harness::Node;
use hypermesh_tests_contract::routes::{TRUSTCHAIN, TRUSTCHAIN_ADDED, UNDOCUMENTED};
use hypermesh_tests_contract::shapes;
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn node() -> Node {
    Node::start_with(&["--allow-unenforced"])
}

#[test]
fn every_route_of_trustchain_is_documented() {
    let node = node();
    let document = document(Place::trustchain(&node));
    let documented: BTreeSet<_> =
        document.operations().iter().map(|o| (o.method.to_uppercase(), o.path.to_owned())).collect();
    let promised =
        TRUSTCHAIN.iter().chain(&TRUSTCHAIN_ADDED).filter(|(_, path)| !UNDOCUMENTED.contains(path));
    let promised: BTreeSet<_> =
        promised.map(|(method, path)| ((*method).to_owned(), (*path).to_owned())).collect();
    let missing: Vec<_> = promised.difference(&documented).collect();
    assert!(missing.is_empty(), "not documented: {missing:?}");
    let unpromised: Vec<_> = documented.difference(&promised).collect();
    assert!(unpromised.is_empty(), "documented, but neither in the contract nor added to it: {unpromised:?}");
    let page = exchange::send(Place::trustchain(&node), "GET", "/docs/", Payload::None);
    assert!(page.status == 200 && page.body.contains("swagger"), "{page:?}");
}

#[test]
fn every_operation_of_trustchain_answers_as_documented() {
    let node = node();
    let mut session = Session::new(Place::trustchain(&node));
    system(&mut session);
    let id = certificates(&mut session);
    validation(&mut session, &id);
    authorities(&mut session);
    published(&mut session);
    log(&mut session, &id);
    dns(&mut session);
    rotation(&mut session, &id);
    authentication(&mut session, &id);
    let unused = session.unused();
    assert!(unused.is_empty(), "never used: {unused:#?}");
}

fn text(value: &Value, member: &str) -> String {
    value[member].as_str().unwrap_or_else(|| panic!("no {member} in {value}")).to_owned()
}

fn system(session: &mut Session<'_>) {
    let none = Payload::None;
    let health = session.shaped("GET /health", &[], none, 200, shapes::TRUSTCHAIN_HEALTH);
    assert_eq!((&health["services"]["ca"], &health["services"]["dns"]), (&json!(true), &json!(true)));
    session.call("GET /livez", &[], none, 200);
    session.call("GET /readyz", &[], none, 200);
    session.call("GET /metrics", &[], none, 200);
    let before = session.shaped("GET /stats", &[], none, 200, shapes::STATS);
    let after = session.call("GET /stats", &[], none, 200);
    assert!(after["requests_total"].as_u64() > before["requests_total"].as_u64(), "{before} {after}");
    assert!(after["active_connections"].as_u64() >= Some(1), "{after}");
    let status = session.shaped("GET /api/v1/status", &[], none, 200, shapes::STATUS);
    assert_eq!(status["configuration"]["tls_enabled"], false);
    assert!(text(&status["endpoints"], "acme").ends_with("/acme/directory"), "{status}");
}

/// The start state, and a certificate's life up to its renewal; gives the id of one that stays.
fn certificates(session: &mut Session<'_>) -> String {
    let none = Payload::None;
    let all = session.call("GET /api/v1/certificates", &[], none, 200);
    let all = all.as_array().expect("a list");
    for level in ["root", "intermediate", "leaf"] {
        let of_level = all.iter().filter(|certificate| certificate["trust_level"] == level);
        assert_eq!(of_level.count(), 1, "{level}: the start state");
    }
    all.iter().for_each(|certificate| has_shape("a certificate", shapes::CERTIFICATE, certificate));

    let post = "POST /api/v1/certificates";
    let wanted = json!({ "subject": "CN=www.hypermesh.network", "validity_days": 30, "key_size": 256, "usage": ["server"] });
    let issued = session.shaped(post, &[], Payload::Json(&wanted), 201, shapes::CERTIFICATE);
    has_shape("issued", shapes::ISSUED, &issued);
    assert!(text(&issued, "private_key_pem").contains("PRIVATE KEY"), "{issued}");
    let id = text(&issued, "id");
    let one = "GET /api/v1/certificates/{id}";
    let shown = session.shaped(one, &[&id], none, 200, shapes::CERTIFICATE);
    assert!(shown["log_index"].is_u64() && shown.get("private_key_pem").is_none(), "{shown}");
    session.call(one, &[&format!("{id}.pem")], none, 200);
    session.call(one, &[&format!("{id}.der")], none, 200);
    session.call(one, &["cert-none"], none, 404);
    session.call("GET /api/v1/certificates/{id}/chain", &[&id], none, 200);
    let found =
        session.call("GET /api/v1/certificates?subject=WWW.&status=active&usage=server", &[], none, 200);
    assert_eq!(found.as_array().map(Vec::len), Some(1), "{found}");
    let page = session.call("GET /api/v1/certificates?limit=1", &[], none, 200);
    assert_eq!(page.as_array().map(Vec::len), Some(1));

    let elsewhere = json!({ "subject": "CN=www.elsewhere.example" });
    session.call(post, &[], Payload::Json(&elsewhere), 422);
    let broken =
        json!({ "csr": "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n" });
    assert_eq!(session.call(post, &[], Payload::Json(&broken), 422)["member"], "csr");
    session.call(post, &[], Payload::Json(&json!({})), 422);
    session.call(post, &[], Payload::Json(&json!({ "subject": 7 })), 400);

    let renew = "POST /api/v1/certificates/{id}/renew";
    let wanted = json!({ "key_type": "ecdsa-p384" });
    let renewed = session.shaped(renew, &[&id], Payload::Json(&wanted), 201, shapes::CERTIFICATE);
    assert_eq!(renewed["subject"], issued["subject"]);
    let old = text(&renewed, "id");
    let revoke = "POST /api/v1/certificates/{id}/revoke";
    let reason = json!({ "reason": "keyCompromise" });
    let answer = session.call(revoke, &[&old], Payload::Json(&reason), 200);
    assert_eq!(answer["certificate_id"], renewed["id"]);
    session.call(revoke, &[&old], Payload::Json(&reason), 409);
    session.call(revoke, &[&old], Payload::Json(&json!({ "reason": "boredom" })), 400);
    session.call(renew, &[&old], Payload::Json(&json!({})), 409);
    let revoked = session.call(one, &[&old], none, 200);
    assert_eq!(
        (&revoked["status"], &revoked["revocation_reason"]),
        (&json!("revoked"), &json!("keyCompromise"))
    );
    id
}

fn validation(session: &mut Session<'_>, id: &str) {
    let none = Payload::None;
    let post = "POST /api/v1/certificates/{id}/validate";
    let verdict = session.shaped(post, &[id], none, 200, shapes::VALIDATION);
    assert!(verdict["valid"] == true && verdict["consensus_proof"].is_null(), "{verdict}");
    assert_eq!(verdict["validation_path"].as_array().map(Vec::len), Some(3), "{verdict}");
    let query = "POST /api/v1/certificates/{id}/validate?purpose=server&host=other.hypermesh.network";
    let verdict = session.call(query, &[id], none, 200);
    assert!(
        verdict["valid"] == false && !verdict["errors"].as_array().unwrap_or(&vec![]).is_empty(),
        "{verdict}"
    );
    let pem = exchange::send(
        Place::trustchain(session.node()),
        "GET",
        &format!("/api/v1/certificates/{id}/chain"),
        none,
    );
    let posted = json!({ "certificate": pem.body, "purpose": "server", "host": "www.hypermesh.network" });
    let posting = "POST /api/v1/certificates/validate";
    let verdict = session.shaped(posting, &[], Payload::Json(&posted), 200, shapes::VALIDATION);
    assert_eq!(verdict["valid"], true, "{verdict}");
    session.call(posting, &[], Payload::Json(&json!({ "certificate": "none" })), 422);
}

fn authorities(session: &mut Session<'_>) {
    let none = Payload::None;
    let hierarchy = session.shaped("GET /api/v1/trust/hierarchy", &[], none, 200, shapes::HIERARCHY);
    has_shape("the root", shapes::CERTIFICATE, &hierarchy["root_ca"]);
    assert_eq!(hierarchy["intermediates"].as_array().map(Vec::len), Some(1), "{hierarchy}");
    assert_eq!(hierarchy["validation_chain"].as_array().map(Vec::len), Some(3), "{hierarchy}");
    session.call("GET /api/v1/trust/authorities", &[], none, 200);
    assert_eq!(session.call("GET /api/v1/trust/rollovers", &[], none, 200), json!([]));
    let rollovers = "POST /api/v1/trust/rollovers";
    let begun = session.call(rollovers, &[], none, 201);
    assert_eq!(begun["phase"], "prepared");
    session.call(rollovers, &[], none, 409);
    let id = text(&begun, "id");
    let advanced = session.call("POST /api/v1/trust/rollovers/{id}/advance", &[&id], none, 200);
    assert_eq!(advanced["phase"], "distributed");
    let given_up = session.call("POST /api/v1/trust/rollovers/{id}/abandon", &[&id], none, 200);
    assert_eq!(given_up["phase"], "abandoned");
    session.call("POST /api/v1/trust/rollovers/{id}/advance", &[&id], none, 409);
}

fn published(session: &mut Session<'_>) {
    let none = Payload::None;
    let hierarchy = session.call("GET /api/v1/trust/hierarchy", &[], none, 200);
    let signing = text(&hierarchy["intermediates"][0], "id");
    for file in [format!("{signing}.crl"), format!("{signing}.pem")] {
        session.call("GET /crl/{file}", &[&file], none, 200);
    }
    session.call("GET /crl/{file}", &["none.crl"], none, 404);
    for file in ["root.pem", "bundle.pem", &format!("{signing}.crt"), &format!("{signing}.pem")] {
        session.call("GET /ca/{file}", &[file], none, 200);
    }
    session.call("GET /ca/{file}", &["none.crt"], none, 404);
    // What can't be read gets the answer that OCSP has for it.
    session.call("POST /ocsp", &[], Payload::Bytes("application/ocsp-request", b"\0"), 200);
    session.call("POST /ocsp", &[], Payload::Json(&json!({})), 415);
}

fn log(session: &mut Session<'_>, id: &str) {
    let none = Payload::None;
    session.call("GET /checkpoint", &[], none, 200);
    session.call("GET /log/key.pem", &[], none, 200);
    session.call("GET /ct/v1/get-roots", &[], none, 200);
    let head = session.call("GET /ct/v1/get-sth", &[], none, 200);
    let size = head["tree_size"].as_u64().expect("a size");
    assert!(size >= 3, "the node's own, one issued, one renewed: {head}");
    let consistency = format!("GET /ct/v1/get-sth-consistency?first=1&second={size}");
    session.call(&consistency, &[], none, 200);
    session.call("GET /ct/v1/get-sth-consistency?first=1&second=1000000", &[], none, 404);
    let entries = session.call("GET /ct/v1/get-entries?start=0&end=1000", &[], none, 200);
    assert_eq!(entries["entries"].as_array().map(Vec::len), usize::try_from(size).ok());
    session.call("GET /ct/v1/get-entries?start=1000000&end=1000001", &[], none, 404);
    let proof = session.call("GET /api/v1/certificates/{id}/inclusion", &[id], none, 200);
    let index = proof["leaf_index"].as_u64().expect("an index");
    let hash = text(&proof, "leaf_hash").replace('+', "%2B");
    let by_hash =
        session.call(&format!("GET /ct/v1/get-proof-by-hash?hash={hash}&tree_size={size}"), &[], none, 200);
    assert_eq!(by_hash["leaf_index"], index);
    let other = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    session.call(&format!("GET /ct/v1/get-proof-by-hash?hash={other}&tree_size={size}"), &[], none, 404);
    let both = format!("GET /ct/v1/get-entry-and-proof?leaf_index={index}&tree_size={size}");
    assert_eq!(session.call(&both, &[], none, 200)["audit_path"], by_hash["audit_path"]);
    let rebuilt = session.call("POST /api/v1/log/rebuild", &[], none, 200);
    assert_eq!(rebuilt["entries"], size, "{rebuilt}");
    session.call("GET /api/v1/certificates/{id}", &[id], none, 200);
}

fn dns(session: &mut Session<'_>) {
    let none = Payload::None;
    let records = "GET /api/v1/dns/records?domain=trust.hypermesh.network";
    let found = session.call(records, &[], none, 200);
    has_shape("a record of the start state", shapes::DNS_RECORD, &found[0]);
    assert_eq!(found[0]["value"], "127.0.0.1", "the node's real address");
    let post = "POST /api/v1/dns/records";
    let wanted = json!({ "domain": "new.hypermesh.network", "record_type": "A", "value": "192.0.2.7" });
    let made = session.shaped(post, &[], Payload::Json(&wanted), 201, shapes::DNS_RECORD);
    assert_eq!((&made["ttl"], &made["status"]), (&json!(300), &json!("active")));
    session.call(post, &[], Payload::Json(&wanted), 409);
    let wrong = json!({ "domain": "new.hypermesh.network", "record_type": "A", "value": "here" });
    assert_eq!(session.call(post, &[], Payload::Json(&wrong), 422)["member"], "value");
    let question = json!({ "domain": "new.hypermesh.network" });
    let resolve = "POST /api/v1/dns/resolve";
    let answer = session.call(resolve, &[], Payload::Json(&question), 200);
    assert_eq!(answer[0]["value"], "192.0.2.7", "{answer}");
    let id = text(&made, "id");
    let change = json!({ "value": "192.0.2.8", "ttl": 60 });
    let put = "PUT /api/v1/dns/records/{id}";
    let changed = session.shaped(put, &[&id], Payload::Json(&change), 200, shapes::DNS_RECORD);
    assert_eq!((&changed["value"], &changed["ttl"]), (&json!("192.0.2.8"), &json!(60)));
    assert_eq!(session.call(resolve, &[], Payload::Json(&question), 200)[0]["value"], "192.0.2.8");
    session.shaped("DELETE /api/v1/dns/records/{id}", &[&id], none, 200, shapes::MESSAGE);
    assert_eq!(session.call(resolve, &[], Payload::Json(&question), 200), json!([]));
    session.call("DELETE /api/v1/dns/records/{id}", &[&id], none, 404);
    session.call("GET /api/v1/dns/zone", &[], none, 200);
    session.call("GET /api/v1/dns/zone/file", &[], none, 200);
    let zone = b"$ORIGIN hypermesh.network.\nimported 300 IN A 192.0.2.9\n";
    let import = "POST /api/v1/dns/zone/file";
    assert_eq!(session.call(import, &[], Payload::Bytes("text/dns", zone), 200)["added"], 1);
    let refused = session.call(import, &[], Payload::Bytes("text/dns", b"nonsense\n"), 422);
    assert!(text(&refused, "detail").contains('1'), "the line is named: {refused}");
}

fn rotation(session: &mut Session<'_>, id: &str) {
    let none = Payload::None;
    let policies = "POST /api/v1/rotation/policies";
    let wanted = json!({ "certificate_id": id, "interval_days": 20, "grace_period_days": 1 });
    let made = session.shaped(policies, &[], Payload::Json(&wanted), 201, shapes::ROTATION_POLICY);
    assert_eq!((&made["rotation_type"], &made["warning_days"]), (&json!("automatic"), &json!(7)));
    session.call(policies, &[], Payload::Json(&json!({ "certificate_id": "cert-none" })), 404);
    let policy = text(&made, "id");
    let change = json!({ "enabled": false });
    let put = "PUT /api/v1/rotation/policies/{id}";
    let changed = session.shaped(put, &[&policy], Payload::Json(&change), 200, shapes::ROTATION_POLICY);
    assert_eq!((&changed["enabled"], &changed["interval_days"]), (&json!(false), &json!(20)));
    let all = session.call("GET /api/v1/rotation/policies", &[], none, 200);
    assert!(all.as_array().is_some_and(|all| all.iter().any(|one| one["id"] == made["id"])), "{all}");
    let execute = "POST /api/v1/rotation/execute";
    let rotated = session.call(execute, &[], Payload::Json(&json!({ "certificate_id": id })), 200);
    has_shape("the old one", shapes::CERTIFICATE, &rotated["old_certificate"]);
    has_shape("the new one", shapes::CERTIFICATE, &rotated["new_certificate"]);
    assert_ne!(rotated["old_certificate"]["public_key"], rotated["new_certificate"]["public_key"]);
    let history = format!("GET /api/v1/rotation/history?certificate_id={id}");
    let history = session.call(&history, &[], none, 200);
    has_shape("history", shapes::ROTATION, &history[0]);
    assert_eq!(history[0]["id"], rotated["rotation_id"]);
    session.shaped("DELETE /api/v1/rotation/policies/{id}", &[&policy], none, 200, shapes::MESSAGE);
    session.call("DELETE /api/v1/rotation/policies/{id}", &[&policy], none, 404);
}

/// Without a proof, and with a wrong one; `tests/system` signs a right one.
fn authentication(session: &mut Session<'_>, id: &str) {
    let none = Payload::None;
    let challenge = session.call("GET /auth/challenge", &[], none, 200);
    has_shape("a challenge", "nonce s, message s, expires_at t", &challenge);
    let path = format!("/api/v1/certificates/{id}.pem");
    let pem = exchange::send(Place::trustchain(session.node()), "GET", &path, none).body;
    let post = "POST /auth/certificate";
    session.call(post, &[], Payload::Json(&json!({ "certificate": pem })), 401);
    let forged = json!({ "certificate": pem, "nonce": challenge["nonce"], "signature": "AAAA" });
    session.call(post, &[], Payload::Json(&forged), 401);
}
