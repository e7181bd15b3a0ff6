//! The zone: what is changed by REST is in the next answer, survives a restart, and is refused when it can't be.

use crate::{ZONE, open, open_with, settings};
use hypermesh_trustchain::TsigKey;
use hypermesh_trustchain::{DnsFilter, DnsRecordChange, NewDnsRecord, TrustChain, TrustError};
use std::io::Write;
use std::process::{Command, Stdio};
use tempfile::TempDir;

fn record(domain: &str, record_type: &str, value: &str) -> NewDnsRecord {
    NewDnsRecord {
        domain: format!("{domain}.{ZONE}"),
        record_type: record_type.to_owned(),
        value: value.to_owned(),
        ttl: 300,
        priority: None,
        weight: None,
        port: None,
    }
}

async fn values(domain: &TrustChain, name: &str, record_type: &str) -> Vec<String> {
    let found = domain.resolve(&format!("{name}.{ZONE}"), record_type).await.unwrap();
    found.into_iter().map(|it| it.value).collect()
}

fn serial(domain: &TrustChain) -> u32 {
    let text = domain.export_zone();
    let line = text.lines().find(|line| line.contains("SOA")).unwrap();
    line.split_whitespace().nth(6).and_then(|word| word.parse().ok()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_in_the_next_answer_and_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let domain = open(folder.path()).await;
    assert_eq!(values(&domain, "trust", "A").await, ["192.0.2.7"]);
    let before = serial(&domain);
    let made = domain.create_dns_record(record("www", "A", "192.0.2.1")).await.unwrap();
    assert_eq!(serial(&domain), before + 1);
    let answer = domain.resolve(&format!("www.{ZONE}"), "A").await.unwrap();
    assert_eq!((answer[0].value.as_str(), &answer[0].id), ("192.0.2.1", &made.id));
    let change = DnsRecordChange { value: Some("192.0.2.2".to_owned()), ..DnsRecordChange::default() };
    domain.change_dns_record(&made.id, change).await.unwrap();
    assert_eq!(values(&domain, "www", "A").await, ["192.0.2.2"]);
    let change = DnsRecordChange {
        record_type: Some("CNAME".to_owned()),
        value: Some(format!("trust.{ZONE}")),
        ..DnsRecordChange::default()
    };
    domain.change_dns_record(&made.id, change).await.unwrap();
    assert_eq!(values(&domain, "www", "A").await.last().unwrap(), "192.0.2.7");
    let ttl = DnsRecordChange { ttl: Some(60), ..DnsRecordChange::default() };
    assert_eq!(domain.change_dns_record(&made.id, ttl).await.unwrap().ttl, 60);
    let (kept, at) = (domain.dns_record(&made.id).unwrap(), serial(&domain));
    domain.stop().await.unwrap();
    drop(domain);
    let domain = open(folder.path()).await;
    assert_eq!((domain.dns_record(&made.id).unwrap(), serial(&domain)), (kept, at));
    domain.remove_dns_record(&made.id).await.unwrap();
    assert!(values(&domain, "www", "A").await.is_empty());
    domain.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_t_be_is_refused_with_the_member_or_the_reason() {
    let folder = TempDir::new().unwrap();
    let domain = open(folder.path()).await;
    for (new, member) in [
        (record("a", "A", "300.1.1.1"), "value"),
        (record("a", "NOPE", "x"), "record_type"),
        (record("a..b", "A", "192.0.2.1"), "domain"),
        (record("a", "MX", "mail"), "priority"),
        (NewDnsRecord { ttl: u32::MAX, ..record("a", "A", "192.0.2.1") }, "ttl"),
        (record("a", "SOA", "a. b. 1 2 3 4 5"), "record_type"),
    ] {
        let error = domain.create_dns_record(new.clone()).await.unwrap_err();
        assert!(
            matches!(&error, TrustError::Invalid { member: it, .. } if it == member),
            "{new:?}: {error:?}"
        );
    }
    let foreign = NewDnsRecord { domain: "example.org".to_owned(), ..record("a", "A", "192.0.2.1") };
    assert!(matches!(domain.create_dns_record(foreign).await, Err(TrustError::Conflict { .. })));
    let beside = domain.create_dns_record(record("trust", "CNAME", "x.")).await.unwrap_err();
    assert!(beside.to_string().contains("CNAME"), "{beside}");
    domain.create_dns_record(record("a", "A", "192.0.2.1")).await.unwrap();
    let twice = domain.create_dns_record(record("A", "a", "192.0.2.1")).await;
    assert!(matches!(twice, Err(TrustError::Conflict { .. })));
    let filter = DnsFilter { record_type: Some("NS".to_owned()), ..DnsFilter::default() };
    let server = domain.dns_records(&filter).pop().unwrap();
    let last = domain.remove_dns_record(&server.id).await.unwrap_err();
    assert!(last.to_string().contains("NS"), "{last}");
    domain.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_file_is_taken_in_as_a_whole_or_not_at_all() {
    let folder = TempDir::new().unwrap();
    let domain = open(folder.path()).await;
    let text = "h1 300 IN A 192.0.2.11\nh2 300 IN MX 10 h1\nh3 300 IN TXT \"a b\"\n";
    assert_eq!(domain.import_zone(text).await.unwrap(), 3);
    assert_eq!(domain.import_zone(text).await.unwrap(), 0);
    assert_eq!(values(&domain, "h3", "TXT").await, ["a b"]);
    let count = domain.dns_records(&DnsFilter::default()).len();
    assert!(domain.import_zone("h4 300 IN A 192.0.2.12\nh5 300 IN A nonsense\n").await.is_err());
    assert!(domain.import_zone("h4 300 IN A 192.0.2.12\nh1 300 IN CNAME h2\n").await.is_err());
    assert_eq!(domain.dns_records(&DnsFilter::default()).len(), count);
    assert!(values(&domain, "h4", "A").await.is_empty());
    assert!(domain.dns_key().contains("DNSKEY") && domain.dns_ds().contains("DS"));
    domain.stop().await.unwrap();
}

/// What `nsupdate` says to these lines; `None`, said on stderr, where there is none.
fn nsupdate(domain: &TrustChain, secret: &str, lines: &str) -> Option<(bool, String)> {
    let address = domain.dns_addresses()[0];
    let key = format!("hmac-sha256:changer:{secret}");
    let child = Command::new("nsupdate")
        .args(["-y", &key])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            eprintln!("SKIPPED an_update_of_nsupdate_is_kept: nsupdate can't be run: {error}");
            return None;
        }
    };
    let script = format!("server {} {}\nzone {ZONE}\n{lines}send\n", address.ip(), address.port());
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Some((output.status.success(), crate::openssl::said(&output)))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_of_nsupdate_is_kept() {
    let folder = TempDir::new().unwrap();
    let mut settings = settings(folder.path());
    let secret = b"a secret of thirty-two bytes, ok".to_vec();
    settings.dns.keys.push(TsigKey {
        name: "changer".to_owned(),
        algorithm: "hmac-sha256".to_owned(),
        secret: secret.into(),
    });
    let right = "YSBzZWNyZXQgb2YgdGhpcnR5LXR3byBieXRlcywgb2s=";
    let domain = open_with(settings.clone()).await;
    let lines = format!(
        "update add _acme-challenge.{ZONE} 60 TXT \"token\"\nupdate add u.{ZONE} 60 A 192.0.2.3\n\
         update delete stoq.{ZONE} A\n"
    );
    let Some((done, text)) = nsupdate(&domain, right, &lines) else { return };
    assert!(done, "{text}");
    assert_eq!(values(&domain, "_acme-challenge", "TXT").await, ["token"]);
    assert!(values(&domain, "stoq", "A").await.is_empty());
    let (done, text) = nsupdate(&domain, "d3Jvbmc=", &format!("update delete u.{ZONE}\n")).unwrap();
    assert!(!done, "{text}");
    domain.stop().await.unwrap();
    drop(domain);
    let domain = open_with(settings).await;
    assert_eq!(values(&domain, "u", "A").await, ["192.0.2.3"]);
    let filter = DnsFilter { domain: Some(format!("stoq.{ZONE}")), ..DnsFilter::default() };
    assert_eq!(domain.dns_records(&filter).len(), 1);
    domain.stop().await.unwrap();
}
