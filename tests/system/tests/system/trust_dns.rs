//! The zone as the usual clients see it: `dig`, `delv`, `nsupdate`.

use crate::trust_openssl::said;
use hypermesh_harness::{Node, Options, has_tool, skip};
use hypermesh_wire::trustchain::{CreateDnsRecord, DnsRecordType};
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

/// `SECRET-OF-32-BYTES-FOR-THE-TESTS` in base64.
const SECRET: &str = "U0VDUkVULU9GLTMyLUJZVEVTLUZPUi1USEUtVEVTVFM=";

/// The key as `nsupdate -y` and `dig -y` take it.
fn key() -> String {
    format!("hmac-sha256:update-key:{SECRET}")
}

/// Asks the node with `dig`, and gives what it prints.
fn dig(node: &Node, arguments: &[&str]) -> String {
    let server = node.dns();
    let at = format!("@{}", server.ip());
    let port = server.port().to_string();
    let mut all = vec![at.as_str(), "-p", &port, "+tries=3", "+time=5"];
    all.extend(arguments);
    said(&Command::new("dig").args(all).stdin(Stdio::null()).output().expect("dig starts"))
}

fn record(domain: &str, record_type: DnsRecordType, value: &str) -> CreateDnsRecord {
    CreateDnsRecord {
        domain: domain.to_owned(),
        record_type,
        value: value.to_owned(),
        ttl: None,
        priority: None,
        weight: None,
        port: None,
    }
}

#[test]
fn dig_sees_a_change_in_the_next_answer_and_after_a_crash() {
    if !has_tool("dig") {
        skip!("dig is not installed");
    }
    let mut node = Node::start();
    for name in ["hypermesh.network", "trust.hypermesh.network", "stoq.hypermesh.network"] {
        assert_eq!(dig(&node, &["+short", name, "A"]).trim(), "127.0.0.1", "the start state");
    }
    let serial = |node: &Node| -> u32 {
        let soa = dig(node, &["+short", "hypermesh.network", "SOA"]);
        soa.split_whitespace()
            .nth(2)
            .and_then(|serial| serial.parse().ok())
            .unwrap_or_else(|| panic!("{soa}"))
    };
    let before = serial(&node);
    let client = node.trustchain();
    client.create_dns_record(&record("new.hypermesh.network", DnsRecordType::A, "192.0.2.7")).unwrap();
    client.create_dns_record(&record("*.wild.hypermesh.network", DnsRecordType::Txt, "anything")).unwrap();
    assert_ne!(serial(&node), before);
    for transport in ["+notcp", "+tcp"] {
        assert_eq!(dig(&node, &["+short", transport, "new.hypermesh.network"]).trim(), "192.0.2.7");
    }
    assert_eq!(dig(&node, &["+short", "x.wild.hypermesh.network", "TXT"]).trim(), "\"anything\"");
    assert!(dig(&node, &["none.hypermesh.network"]).contains("NXDOMAIN"));
    assert!(dig(&node, &["example.com"]).contains("REFUSED"), "no recursion");
    let any = dig(&node, &["+notcp", "hypermesh.network", "ANY"]);
    assert!(any.contains("HINFO") || any.contains("ANSWER: 1"), "RFC 8482: {any}");
    node.kill9();
    node.restart();
    assert_eq!(dig(&node, &["+short", "new.hypermesh.network"]).trim(), "192.0.2.7");
}

#[test]
fn delv_validates_what_there_is_and_what_there_is_not() {
    if !has_tool("delv") {
        skip!("delv is not installed");
    }
    let node = Node::start();
    let folder = tempfile::tempdir().unwrap();
    let zone = node.trustchain().zone().unwrap();
    // A record of the zone, of which an anchor takes the numbers and the key.
    let key = zone.dnskey.split("DNSKEY").last().unwrap_or_else(|| panic!("{zone:?}"));
    let parts: Vec<_> = key.split_whitespace().collect();
    let anchors = format!(
        "trust-anchors {{ \"{}.\" static-key {} {} {} \"{}\"; }};\n",
        zone.name,
        parts[0],
        parts[1],
        parts[2],
        parts[3..].concat()
    );
    let file = folder.path().join("anchors.conf");
    fs::write(&file, anchors).unwrap();
    let server = node.dns();
    for (name, kind) in [
        ("trust.hypermesh.network", "A"),
        ("trust.hypermesh.network", "MX"),
        ("nothing.hypermesh.network", "A"),
        ("hypermesh.network", "SOA"),
    ] {
        let asked = Command::new("delv")
            .args([&format!("@{}", server.ip()), "-p", &server.port().to_string()])
            .args(["-a", file.to_str().unwrap(), &format!("+root={}", zone.name), name, kind])
            .output()
            .expect("delv starts");
        let text = said(&asked);
        assert!(text.contains("fully validated"), "{name} {kind}: {text}");
    }
}

#[test]
fn nsupdate_changes_the_zone_with_its_key_and_nobody_does_without() {
    if !has_tool("nsupdate") || !has_tool("dig") {
        skip!("nsupdate or dig is not installed");
    }
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("tsig.keys");
    fs::write(&keys, format!("{}\n", key())).unwrap();
    let options = Options::default().environment("HYPERMESH_TRUSTCHAIN_TSIG_FILE", keys.to_str().unwrap());
    let node = Node::configured(options);
    let update = |key: Option<&str>, lines: &str| {
        let mut command = Command::new("nsupdate");
        command.args(key.map(|key| ["-y", key]).into_iter().flatten());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("nsupdate starts");
        let server = node.dns();
        let text =
            format!("server {} {}\nzone hypermesh.network\n{lines}\nsend\n", server.ip(), server.port());
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    let add = "update add dyn.hypermesh.network 60 A 192.0.2.9";
    assert!(!update(None, add).status.success());
    let wrong = key().replace("U0VD", "AAAA");
    assert!(!update(Some(&wrong), add).status.success());
    assert_eq!(dig(&node, &["+short", "dyn.hypermesh.network"]).trim(), "");
    let done = update(Some(&key()), add);
    assert!(done.status.success(), "{}", said(&done));
    assert_eq!(dig(&node, &["+short", "dyn.hypermesh.network"]).trim(), "192.0.2.9");
    let records = node.trustchain().dns_records(&Default::default()).unwrap();
    assert!(records.iter().any(|record| record.domain == "dyn.hypermesh.network"), "{records:?}");
    let missing =
        update(Some(&key()), "prereq yxdomain none.hypermesh.network\nupdate delete dyn.hypermesh.network A");
    assert!(!missing.status.success(), "{}", said(&missing));
    let transfer = dig(&node, &["-y", &key(), "hypermesh.network", "AXFR"]);
    assert!(transfer.contains("dyn.hypermesh.network"), "{transfer}");
    let refused = dig(&node, &["hypermesh.network", "AXFR"]);
    assert!(!refused.contains("dyn.hypermesh.network"), "{refused}");
}

#[test]
fn a_zone_file_goes_out_and_comes_in() {
    let node = Node::start();
    let client = node.trustchain();
    client.create_dns_record(&record("mail.hypermesh.network", DnsRecordType::A, "192.0.2.25")).unwrap();
    let exported = node.cli(&["dns", "export"]);
    let text = String::from_utf8(exported.stdout).unwrap();
    assert!(text.contains("SOA") && text.contains("192.0.2.25"), "{text}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("zone");
    fs::write(&file, "$ORIGIN hypermesh.network.\n$TTL 60\nnew MX 10 mail\n    IN TXT \"a b\"\n").unwrap();
    let imported = node.cli(&["dns", "import", file.to_str().unwrap()]);
    assert!(imported.status.success() && said(&imported).contains('2'), "{}", said(&imported));
    let resolved = node.cli(&["dns", "resolve", "new.hypermesh.network", "--type", "mx", "-o", "json"]);
    let found: serde_json::Value = serde_json::from_slice(&resolved.stdout).unwrap();
    assert_eq!(found[0]["priority"], 10, "{found}");
}
