//! An outside monitor of the transparency log: certspotter, which reads every entry and computes the tree anew.

use crate::trust_openssl::{issue, openssl, said};
use hypermesh_harness::{Node, has_tool, skip, until};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Ended with the test.
struct Monitor(Child);

impl Drop for Monitor {
    fn drop(&mut self) {
        // Either may fail only because it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The log's id: the SHA-256 of its key, base64.
fn log_id(folder: &Path, key: &str) -> String {
    let (text, der) = (folder.join("key.b64"), folder.join("key.der"));
    fs::write(&text, key).unwrap();
    let decoded =
        openssl(&["base64", "-d", "-A", "-in", text.to_str().unwrap(), "-out", der.to_str().unwrap()]);
    assert!(decoded.status.success(), "{}", said(&decoded));
    let digest = folder.join("key.sha256");
    let out = digest.to_str().unwrap();
    assert!(openssl(&["dgst", "-sha256", "-binary", "-out", out, der.to_str().unwrap()]).status.success());
    String::from_utf8(openssl(&["base64", "-A", "-in", out]).stdout).unwrap().trim().to_owned()
}

/// What the monitor has come to: the size of the tree that it verified.
fn verified(folder: &Path) -> Option<u64> {
    let log = fs::read_dir(folder.join("state/logs")).ok()?.flatten().next()?;
    let state: Value = serde_json::from_slice(&fs::read(log.path().join("state.json")).ok()?).ok()?;
    let position = state["verified_position"]["size"].as_u64();
    position.or_else(|| state["verified_sth"]["tree_size"].as_u64())
}

#[test]
fn a_monitor_reads_the_whole_log_and_finds_what_it_watches_for() {
    if !has_tool("certspotter") || !has_tool("openssl") {
        skip!("certspotter or openssl is not installed");
    }
    let node = Node::start_with(&["--tls"]);
    for name in ["seen", "heard"] {
        issue(&node, &format!("{name}.hypermesh.network"));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let key: String = node.trustchain().text("/log/key.pem").unwrap();
    let key: String = key.lines().filter(|line| !line.starts_with('-')).collect();
    let log = json!({
        "description": "own", "log_id": log_id(folder.path(), &key), "key": key, "mmd": 86400,
        "url": format!("{}/", node.service_url("trustchain")),
        "state": { "usable": { "timestamp": "2020-01-01T00:00:00Z" } }
    });
    let list = json!({ "version": "1", "operators": [{ "name": "own", "email": [], "logs": [log] }] });
    fs::write(path("logs.json"), list.to_string()).unwrap();
    fs::write(path("watch"), ".hypermesh.network\n").unwrap();
    let child = Command::new("certspotter")
        .env("SSL_CERT_FILE", node.root_file())
        .args(["-logs", path("logs.json").to_str().unwrap(), "-watchlist", path("watch").to_str().unwrap()])
        .args(["-state_dir", path("state").to_str().unwrap(), "-stdout"])
        .stdin(Stdio::null())
        .stdout(fs::File::create(path("found")).unwrap())
        .stderr(fs::File::create(path("talk")).unwrap())
        .spawn()
        .expect("certspotter starts");
    let _monitor = Monitor(child);
    until("the monitor has seen both", || {
        let found = fs::read_to_string(path("found")).unwrap();
        let both = ["seen", "heard"].iter().all(|name| found.contains(&format!("{name}.hypermesh.network")));
        both.then_some(())
    });
    let size = node.trustchain().log_head().unwrap().tree_size;
    until("the monitor has verified the tree", || (verified(folder.path()) >= Some(size)).then_some(()));
    let talk = fs::read_to_string(path("talk")).unwrap();
    assert!(!talk.contains("error"), "{talk}");
}
