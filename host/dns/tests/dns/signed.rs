//! DNSSEC, judged by delv: a validator with our key for its anchor.

use crate::lab::{Lab, SECRET, ZONE, has, name, text, zone};
use hypermesh_dns::{PublishedKey, Settings, ZoneKey};
use std::process::Command;
use std::sync::Arc;

struct Signed {
    lab: Lab,
    anchors: tempfile::TempDir,
}

impl Signed {
    fn new() -> Self {
        let (key, _) = ZoneKey::generate().unwrap();
        let key = Arc::new(key);
        let published = PublishedKey::new(&name("example.org"), &*key);
        let lines = ZONE.to_owned()
            + "secure IN NS ns.secure\nns.secure IN A 192.0.2.55\nsecure IN DS 12345 13 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n";
        let lab = Lab::with(zone(&lines), |settings: &mut Settings| settings.signer = Some(key));
        let anchors = tempfile::tempdir().unwrap();
        let dnskey = published.dnskey();
        let (flags, encoded) = dnskey.rsplit_once(' ').unwrap();
        let anchor = format!("trust-anchors {{ \"example.org.\" static-key {flags} \"{encoded}\"; }};\n");
        std::fs::write(anchors.path().join("anchors"), anchor).unwrap();
        Self { lab, anchors }
    }

    fn delv(&self, question: &str) -> String {
        let port = self.lab.address().port().to_string();
        let mut command = Command::new("delv");
        command.args(["@127.0.0.1", "-p", &port, "-a"]).arg(self.anchors.path().join("anchors"));
        let output = command.arg("+root=example.org").args(question.split_whitespace()).output().unwrap();
        text(&output)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn delv_validates_what_is_there_and_what_is_not() {
    if !has("delv", "delv_validates_what_is_there_and_what_is_not") {
        return;
    }
    let signed = Signed::new();
    for (question, wanted) in [
        ("mail.example.org A", "fully validated"),
        ("mail.example.org AAAA", "fully validated"),
        ("example.org SOA", "fully validated"),
        ("example.org NS", "fully validated"),
        ("example.org MX", "fully validated"),
        ("example.org CAA", "fully validated"),
        ("example.org DNSKEY", "fully validated"),
        ("example.org CDS", "fully validated"),
        ("example.org CDNSKEY", "fully validated"),
        ("txt.example.org TXT", "fully validated"),
        ("_sip._tcp.example.org SRV", "fully validated"),
        ("_443._tcp.web.example.org TLSA", "fully validated"),
        ("www.example.org A", "fully validated"),
        ("chain.example.org A", "fully validated"),
        ("one.wild.example.org A", "fully validated"),
        ("x.alias.example.org A", "fully validated"),
        ("secure.example.org DS", "fully validated"),
        ("mail.example.org TXT", "negative response, fully validated"),
        ("empty.example.org A", "negative response, fully validated"),
        ("x.wild.example.org TXT", "negative response, fully validated"),
        ("nobody.example.org A", "negative response, fully validated"),
        ("a.b.c.nobody.example.org A", "negative response, fully validated"),
        ("child.example.org DS", "negative response, fully validated"),
        ("dangle.example.org A", "fully validated"),
    ] {
        for transport in ["+notcp", "+tcp"] {
            let output = signed.delv(&format!("{transport} {question}"));
            assert!(output.contains(&format!("; {wanted}")), "{question}: {output}");
        }
    }
    signed.lab.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_is_made_once_and_changes_are_signed_anew() {
    if !has("delv", "a_signature_is_made_once_and_changes_are_signed_anew") {
        return;
    }
    let signed = Signed::new();
    for question in ["mail.example.org A", "nobody.example.org A"] {
        signed.lab.dig(&format!("+dnssec {question}"));
        let made = signed.lab.server.stats().signatures;
        for _ in 0..3 {
            signed.lab.dig(&format!("+dnssec {question}"));
        }
        assert_eq!(signed.lab.server.stats().signatures, made, "{question}");
    }
    let record = hypermesh_dns::import("mail 300 IN A 192.0.2.26\n", &name("example.org")).unwrap().remove(0);
    signed.lab.zones.apply(&[hypermesh_dns::Change::Add(record)]).unwrap();
    let output = signed.delv("mail.example.org A");
    assert!(output.contains("; fully validated") && output.contains("192.0.2.26"), "{output}");
    signed.lab.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_says_nxname_and_the_code_follows_the_client() {
    if !has("dig", "a_denial_says_nxname_and_the_code_follows_the_client") {
        return;
    }
    let signed = Signed::new();
    let output = signed.lab.dig("+dnssec nobody.example.org A");
    assert!(output.contains("status: NOERROR"), "{output}");
    assert!(output.contains("NSEC\t\\000.nobody.example.org. RRSIG NSEC TYPE128"), "{output}");
    // dig doesn't send the flag "compact answers are welcome" (RFC 9824, 4).
    let mut question = vec![7, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    question.extend_from_slice(name("nobody.example.org").wire());
    question.extend_from_slice(&[0, 1, 0, 1, 0, 0, 41, 4, 208, 0, 0, 0xc0, 0, 0, 0]);
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(&question, signed.lab.address()).await.unwrap();
    let mut reply = vec![0; 1232];
    tokio::time::timeout(std::time::Duration::from_secs(10), socket.recv(&mut reply)).await.unwrap().unwrap();
    assert_eq!(reply[3] & 0xf, 3, "NXDOMAIN");
    let output = signed.lab.dig("nobody.example.org A");
    assert!(output.contains("status: NXDOMAIN") && !output.contains("RRSIG"), "{output}");
    let output = signed.lab.dig("+dnssec x.child.example.org A");
    assert!(output.contains("NSEC\t\\000.child.example.org. NS RRSIG NSEC"), "{output}");
    signed.lab.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_of_a_signed_zone_can_be_verified_as_a_whole() {
    if !has("dig", "a_transfer_of_a_signed_zone_can_be_verified_as_a_whole") {
        return;
    }
    let signed = Signed::new();
    let output = signed
        .lab
        .dig(&format!("-y hmac-sha256:all:{SECRET} +onesoa +nocomments +nocmd +nostats example.org AXFR"));
    let kinds =
        |kind: &str| output.lines().filter(|line| line.split_whitespace().nth(3) == Some(kind)).count();
    assert!(kinds("DNSKEY") == 1 && kinds("NSEC") > 10 && kinds("RRSIG") > kinds("NSEC"), "{output}");
    let verify = "dnssec-verify";
    if Command::new(verify).arg("-V").output().is_err() {
        eprintln!("SKIPPED the whole zone's verification: {verify} (Debian: bind9-utils) is not installed");
    } else {
        let file = signed.anchors.path().join("zone");
        let records: Vec<_> = output.lines().filter(|line| !line.contains("\tTSIG\t")).collect();
        std::fs::write(&file, records.join("\n") + "\n").unwrap();
        let said = Command::new(verify).args(["-z", "-o", "example.org"]).arg(&file).output().unwrap();
        assert!(said.status.success(), "{}\n{output}", text(&said));
    }
    signed.lab.server.stop().await;
}

/// A key that is out of reach.
struct Broken;

impl hypermesh_dns::ZoneSigner for Broken {
    fn sign(&self, _: &[u8]) -> Result<[u8; 64], hypermesh_dns::SignError> {
        Err(hypermesh_dns::SignError("the token was pulled out".into()))
    }

    fn public_key(&self) -> [u8; 64] {
        [7; 64]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_key_a_zone_is_served_to_those_who_do_not_validate() {
    if !has("dig", "without_its_key_a_zone_is_served_to_those_who_do_not_validate") {
        return;
    }
    let lab = Lab::with(zone(ZONE), |settings: &mut Settings| settings.signer = Some(Arc::new(Broken)));
    for question in ["mail.example.org A", "nobody.example.org A", "www.example.org A"] {
        assert!(lab.dig(&format!("+dnssec {question}")).contains("status: SERVFAIL"), "{question}");
    }
    assert!(lab.dig("mail.example.org A").contains("status: NOERROR"));
    lab.server.stop().await;
}
