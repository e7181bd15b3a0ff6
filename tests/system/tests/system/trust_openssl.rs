//! Certificates as OpenSSL judges them: chains, lists, status, logged timestamps; the proof of a key; the log's audit.

use hypermesh_harness::{Node, has_tool, skip, until};
use hypermesh_wire::trustchain::{
    CreateCertificate, IssuedCertificate, RevocationReason, RevokeCertificate, TrustLevel,
};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Skips the running test where OpenSSL's program is missing.
macro_rules! require_openssl {
    () => {
        if !has_tool("openssl") {
            skip!("openssl is not installed");
        }
    };
}
pub(crate) use require_openssl;

/// Runs `openssl` with nothing on its stdin.
pub(crate) fn openssl(arguments: &[&str]) -> Output {
    let mut command = Command::new("openssl");
    command.args(arguments).stdin(Stdio::null()).output().expect("openssl starts")
}

/// What it said on both streams.
pub(crate) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A certificate for a server of the zone.
pub(crate) fn issue(node: &Node, name: &str) -> IssuedCertificate {
    let wanted = CreateCertificate { subject: Some(format!("CN={name}")), ..CreateCertificate::default() };
    node.trustchain().create_certificate(&wanted).unwrap()
}

/// A text in a file.
fn written(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}

/// The certificate of the authority that signs, and its list, PEM.
fn authority(node: &Node) -> (String, String) {
    let client = node.trustchain();
    let all = client.authorities().unwrap();
    let signing =
        all.iter().find(|authority| authority.certificate.trust_level == TrustLevel::Intermediate).unwrap();
    let list = client.text(&format!("/crl/{}.pem", signing.certificate.id)).unwrap();
    (signing.certificate_pem.clone(), list)
}

#[test]
fn openssl_accepts_the_chain_the_list_and_the_status_of_every_key_type() {
    require_openssl!();
    let node = Node::start();
    let folder = tempfile::tempdir().unwrap();
    let root = node.root_file();
    for (kind, name) in [("ecdsa-p256", "a"), ("ecdsa-p384", "b"), ("ed25519", "c")] {
        let wanted = CreateCertificate {
            subject: Some(format!("CN={name}.hypermesh.network")),
            key_type: serde_json::from_value(json!(kind)).unwrap(),
            ..CreateCertificate::default()
        };
        let issued = node.trustchain().create_certificate(&wanted).unwrap();
        let (intermediate, list) = authority(&node);
        let leaf = written(folder.path(), "leaf.pem", &issued.certificate_pem);
        let above = written(folder.path(), "above.pem", &intermediate);
        let list = written(folder.path(), "list.pem", &list);
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        let verified = openssl(&[
            "verify",
            "-x509_strict",
            "-purpose",
            "sslserver",
            "-verify_hostname",
            &format!("{name}.hypermesh.network"),
            "-crl_check",
            "-CRLfile",
            &path(&list),
            "-CAfile",
            &path(&root),
            "-untrusted",
            &path(&above),
            &path(&leaf),
        ]);
        assert!(verified.status.success(), "{kind}: {}", said(&verified));
        let status = ocsp(&node, &above, &leaf);
        assert!(status.contains("Response verify OK") && status.contains(": good"), "{kind}: {status}");
    }
}

/// What `openssl ocsp` says of a certificate.
fn ocsp(node: &Node, issuer: &Path, leaf: &Path) -> String {
    let url = format!("http://{}/ocsp", node.address("trustchain"));
    said(&openssl(&[
        "ocsp",
        "-issuer",
        issuer.to_str().unwrap(),
        "-cert",
        leaf.to_str().unwrap(),
        "-url",
        &url,
        "-CAfile",
        node.root_file().to_str().unwrap(),
    ]))
}

#[test]
fn a_revoked_certificate_is_in_the_next_list_and_answer_and_stays_there_after_a_crash() {
    require_openssl!();
    let mut node = Node::start();
    let folder = tempfile::tempdir().unwrap();
    let issued = issue(&node, "gone.hypermesh.network");
    let reason = RevokeCertificate { reason: RevocationReason::KeyCompromise };
    node.trustchain().revoke_certificate(&issued.certificate.id, &reason).unwrap();
    for round in ["before", "after"] {
        let (intermediate, list) = authority(&node);
        let above = written(folder.path(), "above.pem", &intermediate);
        let leaf = written(folder.path(), "leaf.pem", &issued.certificate_pem);
        let list = written(folder.path(), "list.pem", &list);
        let shown = said(&openssl(&["crl", "-in", list.to_str().unwrap(), "-noout", "-text"]));
        let serial = issued.certificate.serial_number.to_uppercase();
        assert!(shown.contains(serial.trim_start_matches('0')), "{round}: {shown}");
        assert!(shown.contains("Key Compromise"), "{round}: {shown}");
        let status = ocsp(&node, &above, &leaf);
        assert!(status.contains(": revoked") && status.contains("keyCompromise"), "{round}: {status}");
        let refused = openssl(&[
            "verify",
            "-crl_check",
            "-CRLfile",
            list.to_str().unwrap(),
            "-CAfile",
            node.root_file().to_str().unwrap(),
            "-untrusted",
            above.to_str().unwrap(),
            leaf.to_str().unwrap(),
        ]);
        assert!(!refused.status.success() && said(&refused).contains("revoked"), "{}", said(&refused));
        if round == "before" {
            node.kill9();
            node.restart();
        }
    }
}

#[test]
fn the_node_s_own_certificate_has_a_timestamp_of_the_log_that_openssl_calls_valid() {
    require_openssl!();
    let node = Node::start_with(&["--tls"]);
    let folder = tempfile::tempdir().unwrap();
    let key: String = node.trustchain().text("/log/key.pem").unwrap();
    let key: String = key.lines().filter(|line| !line.starts_with('-')).collect();
    let logs = format!("enabled_logs = own\n[own]\ndescription = own\nkey = {key}\n");
    let logs = written(folder.path(), "logs.cnf", &logs);
    let address = node.address("trustchain").to_string();
    // OpenSSL's clock ticks in seconds, so for the rest of its second a new timestamp is in the future.
    let text = until("the timestamp's second is over", || {
        let (root, logs) = (node.root_file(), logs.to_str().unwrap());
        let shown = openssl(&[
            "s_client",
            "-connect",
            &address,
            "-CAfile",
            root.to_str().unwrap(),
            "-verify_return_error",
            "-ct",
            "-ctlogfile",
            logs,
        ]);
        let text = said(&shown);
        (!text.contains("sct future timestamp")).then_some(text)
    });
    for expected in ["SCT validation status: valid", "Verify return code: 0 (ok)", "TLSv1.3"] {
        assert!(text.contains(expected), "no {expected}: {text}");
    }
}

#[test]
fn who_signs_a_challenge_with_the_certificate_s_key_is_authenticated_once() {
    require_openssl!();
    let node = Node::start();
    let folder = tempfile::tempdir().unwrap();
    let issued = issue(&node, "me.hypermesh.network");
    let key = written(folder.path(), "key.pem", issued.private_key_pem.as_deref().unwrap());
    let client = node.trustchain();
    let challenge: serde_json::Value =
        serde_json::from_str(&client.text("/auth/challenge").unwrap()).unwrap();
    let message = folder.path().join("message");
    let encoded = written(folder.path(), "message.b64", challenge["message"].as_str().unwrap());
    let decode = ["base64", "-d", "-A", "-in", encoded.to_str().unwrap(), "-out", message.to_str().unwrap()];
    assert!(openssl(&decode).status.success());
    let signature = folder.path().join("signature");
    let sign = [
        "dgst",
        "-sha256",
        "-sign",
        key.to_str().unwrap(),
        "-out",
        signature.to_str().unwrap(),
        message.to_str().unwrap(),
    ];
    assert!(openssl(&sign).status.success());
    let encoded = openssl(&["base64", "-A", "-in", signature.to_str().unwrap()]);
    let body = json!({
        "certificate": issued.certificate_pem, "nonce": challenge["nonce"],
        "signature": String::from_utf8(encoded.stdout).unwrap().trim()
    });
    let body = body.to_string();
    let post = || client.raw("POST", "/auth/certificate", Some(body.as_bytes())).unwrap();
    let first = post();
    let answer: serde_json::Value = serde_json::from_slice(&first.body).unwrap();
    assert_eq!(first.status, 200, "{answer}");
    assert_eq!((&answer["valid"], &answer["certificate_id"]), (&json!(true), &json!(issued.certificate.id)));
    assert!(answer["expiresAt"].is_string(), "{answer}");
    assert_eq!(post().status, 401, "a challenge is good for one attempt");
}

#[test]
fn an_audit_of_the_files_passes_and_finds_any_bit_that_was_turned() {
    let mut node = Node::start();
    for name in ["a", "b", "c"] {
        issue(&node, &format!("{name}.hypermesh.network"));
    }
    let sound = node.cli(&["log", "verify", "-o", "json"]);
    assert!(sound.status.success(), "{}", said(&sound));
    let report: serde_json::Value = serde_json::from_slice(&sound.stdout).unwrap();
    assert!(report["entries"].as_u64() >= Some(4), "{report}");
    node.stop();
    let entries = node.data_dir().join("trustchain/log/entries");
    let right = fs::read(&entries).unwrap();
    for at in [right.len() / 3, right.len() / 2, right.len() - 40] {
        let mut wrong = right.clone();
        wrong[at] ^= 1;
        fs::write(&entries, &wrong).unwrap();
        let found = node.cli(&["log", "verify", node.data_dir().to_str().unwrap()]);
        assert_eq!(found.status.code(), Some(1), "byte {at}: {}", said(&found));
    }
    fs::write(&entries, &right).unwrap();
    node.restart();
}
