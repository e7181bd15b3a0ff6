//! TLS of the node: the command line trusts it by itself, older versions and plain HTTP are refused, client certificates
//! stand for their holders, and a new certificate comes without a connection being lost.

use crate::trust_openssl::{openssl, require_openssl, said};
use hypermesh_client::{Client, Trust};
use hypermesh_harness::{Node, exchange, has_tool, program, skip, until};
use hypermesh_wire::assets::{AssetQuery, CreateAsset};
use hypermesh_wire::tokens::{CreateToken, Role};
use hypermesh_wire::trustchain::{
    CertificateQuery, CreateCertificate, ExecuteRotation, RevocationReason, RevokeCertificate, Usage,
};
use serde_json::json;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// A node that speaks TLS.
fn node() -> Node {
    Node::start_with(&["--tls", "--allow-unenforced"])
}

fn service(name: &str) -> CreateAsset {
    serde_json::from_value(json!({ "type": "service", "name": name })).unwrap()
}

#[test]
fn the_command_line_finds_the_root_by_itself_and_refuses_another() {
    let node = node();
    assert!(node.url().starts_with("https://"), "{}", node.url());
    let shown = node.cli(&["status", "-o", "json"]);
    assert!(shown.status.success(), "{}", said(&shown));
    let listed = node.cli(&["cert", "list"]);
    assert!(listed.status.success(), "{}", said(&listed));
    let other = Node::start();
    let refused = node.cli(&["status", "--ca", other.root_file().to_str().unwrap()]);
    assert!(!refused.status.success(), "{}", said(&refused));
    let nobody =
        program().args(["status", "--server", node.url(), "--data-dir", "/nonexistent"]).output().unwrap();
    assert!(!nobody.status.success() && said(&nobody).contains("--ca"), "{}", said(&nobody));
}

#[test]
fn plain_http_and_old_tls_are_refused_but_lists_are_read_by_anybody() {
    let node = node();
    for service in ["hypermesh", "stoq", "trustchain"] {
        let plain = exchange(node.address(service), &["GET /health HTTP/1.1", "host: localhost"], b"");
        assert_eq!(plain.status, 426, "{service}: {plain:?}");
    }
    let signing = node.trustchain().hierarchy().unwrap().intermediates[0].id.clone();
    let head = format!("GET /crl/{signing}.pem HTTP/1.1");
    let list = exchange(node.address("trustchain"), &[&head, "host: localhost"], b"");
    assert!(list.status == 200 && list.body.contains("BEGIN X509 CRL"), "{list:?}");
    let root = exchange(node.address("trustchain"), &["GET /ca/root.pem HTTP/1.1", "host: localhost"], b"");
    assert_eq!(root.body, fs::read_to_string(node.root_file()).unwrap());
    require_openssl!();
    let address = node.address("hypermesh").to_string();
    let old = openssl(&["s_client", "-connect", &address, "-tls1_2"]);
    assert!(!old.status.success(), "{}", said(&old));
}

/// A client of port 8446 that has a certificate of this subject and no token.
fn certified(node: &Node, subject: &str) -> (Client, String) {
    let wanted = CreateCertificate {
        subject: Some(subject.to_owned()),
        usage: Some(vec![Usage::Client]),
        ..CreateCertificate::default()
    };
    let issued = node.trustchain().create_certificate(&wanted).unwrap();
    let trust = Trust {
        roots: fs::read_to_string(node.root_file()).unwrap(),
        identity: Some((issued.chain_pem, issued.private_key_pem.unwrap())),
    };
    (Client::trusting(node.url(), None, Some(&trust)).unwrap(), issued.certificate.id)
}

#[test]
fn a_client_certificate_may_do_what_the_token_of_its_name_may_until_it_is_revoked() {
    let node = node();
    node.client().create_token(&CreateToken { name: "ann".into(), role: Role::Operator }).unwrap();
    let (ann, id) = certified(&node, "CN=ann");
    let made = ann.create_asset(&service("wiki")).unwrap();
    assert_eq!(made.owner, "ann");
    let more = ann.create_token(&CreateToken { name: "eve".into(), role: Role::Admin }).unwrap_err();
    assert_eq!(more.status(), Some(403), "{more}");
    let (bob, _) = certified(&node, "CN=bob");
    assert_eq!(bob.create_asset(&service("x")).unwrap_err().status(), Some(403), "nobody gave bob a role");
    assert!(bob.assets(&AssetQuery::default()).is_ok());
    let reason = RevokeCertificate { reason: RevocationReason::Superseded };
    node.trustchain().revoke_certificate(&id, &reason).unwrap();
    assert_eq!(ann.create_asset(&service("x")).unwrap_err().status(), Some(401));
    let prefix = node.data_dir().join("ann");
    let written =
        node.cli(&["cert", "issue", "CN=ann", "--usage", "client", "--out", prefix.to_str().unwrap()]);
    assert!(written.status.success(), "{}", said(&written));
    let file = |ending: &str| format!("{}{ending}", prefix.display());
    let by_certificate = node
        .command(&["asset", "create", "--type", "service", "--name", "blog", "-o", "json"])
        .args(["--client-cert", &file(".pem"), "--client-key", &file(".key")])
        .output()
        .unwrap();
    let made: serde_json::Value = serde_json::from_slice(&by_certificate.stdout).unwrap();
    assert_eq!(made["owner"], "ann", "{}", said(&by_certificate));
}

#[test]
fn only_an_administrator_makes_certificates_of_clients() {
    let node = node();
    let token =
        node.client().create_token(&CreateToken { name: "ann".into(), role: Role::Operator }).unwrap();
    let trust = Trust { roots: fs::read_to_string(node.root_file()).unwrap(), identity: None };
    let ann = Client::trusting(node.service_url("trustchain"), Some(token.token), Some(&trust)).unwrap();
    let of = |usage, subject: &str| CreateCertificate {
        subject: Some(subject.to_owned()),
        usage: Some(vec![usage]),
        ..CreateCertificate::default()
    };
    assert!(ann.create_certificate(&of(Usage::Server, "CN=a.hypermesh.network")).is_ok());
    let refused = ann.create_certificate(&of(Usage::Client, "CN=admin")).unwrap_err();
    assert_eq!(refused.status(), Some(403), "{refused}");
}

#[test]
fn a_new_certificate_of_the_node_is_shown_without_a_connection_being_lost() {
    if !has_tool("openssl") {
        skip!("openssl is not installed");
    }
    let node = node();
    let serial = || {
        let address = node.address("hypermesh").to_string();
        let root = node.root_file();
        let shown = openssl(&[
            "s_client",
            "-connect",
            &address,
            "-CAfile",
            root.to_str().unwrap(),
            "-verify_return_error",
        ]);
        assert!(shown.status.success(), "{}", said(&shown));
        let text = said(&shown);
        let begin = text.find("-----BEGIN CERTIFICATE").expect("a certificate");
        let end = text.find("-----END CERTIFICATE").expect("its end");
        text[begin..end].to_owned()
    };
    let client = node.trustchain();
    let query = CertificateQuery { usage: Some(Usage::Node), ..CertificateQuery::default() };
    let own = client.certificates(&query).unwrap().pop().expect("the node's own");
    let before = serial();
    // One connection is held, and used before and after.
    let held = node.client().clone();
    held.health().unwrap();
    let rotated = client
        .rotate(&ExecuteRotation { certificate_id: own.id.clone(), rotation_type: None, csr: None })
        .unwrap();
    assert_ne!(rotated.new_certificate.certificate.id, own.id);
    assert_eq!(rotated.new_certificate.private_key_pem, None, "the node keeps its own key");
    held.health().unwrap();
    until("the new certificate is shown", || (serial() != before).then_some(()));
}

#[test]
fn connections_are_made_throughout_a_rollover_of_the_intermediate() {
    let node = node();
    let (stop, made) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let knock = || {
            while !stop.load(Ordering::Relaxed) {
                // A client of its own each time, so that nothing is resumed.
                let health = node.trustchain().text("/livez");
                assert!(health.is_ok(), "after {} connections: {health:?}", made.load(Ordering::Relaxed));
                made.fetch_add(1, Ordering::Relaxed);
            }
        };
        let knockers = [scope.spawn(knock), scope.spawn(knock)];
        let more = |count: usize| {
            let enough = made.load(Ordering::Relaxed) + count;
            let going = || knockers.iter().all(|knocker| !knocker.is_finished());
            until("more connections", || (made.load(Ordering::Relaxed) >= enough || !going()).then_some(()));
        };
        let client = node.trustchain();
        let own = || {
            let query = CertificateQuery { usage: Some(Usage::Node), ..CertificateQuery::default() };
            client.certificates(&query).unwrap().pop().expect("the node's own")
        };
        let before = own();
        let rollover = client.prepare_rollover().unwrap();
        for _ in ["distribute", "activate"] {
            more(10);
            client.change_rollover(&rollover.id, false).unwrap();
        }
        more(10);
        client
            .rotate(&ExecuteRotation { certificate_id: before.id.clone(), rotation_type: None, csr: None })
            .unwrap();
        more(30);
        let after = own();
        assert_ne!(after.issuer, before.issuer, "the new authority signed it");
        let issued = client.create_certificate(&CreateCertificate {
            subject: Some("CN=after.hypermesh.network".into()),
            ..CreateCertificate::default()
        });
        let issued = issued.unwrap();
        assert_eq!(issued.certificate.issuer, after.issuer);
        let verdict = client.validate_certificate(&issued.certificate.id, &Default::default()).unwrap();
        assert!(verdict.valid, "{verdict:?}");
        stop.store(true, Ordering::Relaxed);
    });
    assert!(made.load(Ordering::Relaxed) >= 60);
}

#[test]
fn an_address_that_others_reach_takes_tls_and_lets_only_known_callers_read() {
    let node = Node::start_with(&["--tls", "--allow-unenforced", "--listen-hypermesh", "0.0.0.0:0"]);
    // Loopback is this machine; from it reads stay open.
    assert!(node.client().assets(&AssetQuery::default()).is_ok());
    let Some(address) = outer_address() else {
        skip!("this machine has no other address than loopback's");
    };
    let url = format!("https://{address}:{}", node.address("hypermesh").port());
    let trust = Trust { roots: fs::read_to_string(node.root_file()).unwrap(), identity: None };
    let ask = |token: Option<String>| {
        let client = Client::trusting(&url, token, Some(&trust)).unwrap();
        client
            .assets(&AssetQuery::default())
            .map(|_| 200)
            .unwrap_or_else(|error| error.status().unwrap_or_else(|| panic!("{error:?}")))
    };
    assert_eq!(ask(None), 401);
    assert_eq!(ask(Some(node.token().to_owned())), 200);
}

/// The address from which this machine would call others.
fn outer_address() -> Option<std::net::IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_loopback())
}
