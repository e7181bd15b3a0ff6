//! Requests for certificates that are wrong, as OpenSSL makes them: each is refused with its reason, nothing is issued and
//! nothing is logged.

use crate::trust_openssl::{openssl, require_openssl, said};
use hypermesh_harness::{Node, has_tool, skip};
use hypermesh_wire::trustchain::CreateCertificate;
use std::fs;
use std::path::Path;

/// A request with this key, subject and extensions, PEM.
fn request(folder: &Path, key: &[&str], subject: &str, extensions: &str) -> String {
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let config = format!(
        "[req]\ndistinguished_name = dn\nreq_extensions = ext\nprompt = no\n[dn]\nCN = {subject}\n[ext]\n{extensions}\n"
    );
    fs::write(folder.join("req.cnf"), config).unwrap();
    let mut arguments = vec!["genpkey", "-out"];
    let (key_file, csr) = (path("own.key"), path("own.csr"));
    arguments.push(&key_file);
    arguments.extend(key);
    let made = openssl(&arguments);
    assert!(made.status.success(), "{}", said(&made));
    let config = path("req.cnf");
    let made = openssl(&["req", "-new", "-key", &key_file, "-config", &config, "-out", &csr]);
    assert!(made.status.success(), "{}", said(&made));
    fs::read_to_string(folder.join("own.csr")).unwrap()
}

const P256: [&str; 4] = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
const RSA: [&str; 4] = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
const WEAK: [&str; 4] = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"];

/// The same request with one bit of its signature turned.
fn forged(pem: &str) -> String {
    let mut lines: Vec<String> = pem.lines().map(str::to_owned).collect();
    let last = lines.len() - 2;
    let line = lines[last - 1].clone();
    let other = if line.ends_with('A') { 'B' } else { 'A' };
    lines[last - 1] = format!("{}{other}", &line[..line.len() - 1]);
    lines.join("\n") + "\n"
}

#[test]
fn a_wrong_request_is_refused_with_its_reason_and_leaves_nothing() {
    require_openssl!();
    let node = Node::start();
    let client = node.trustchain();
    let before =
        (client.log_head().unwrap().tree_size, client.certificates(&Default::default()).unwrap().len());
    let folder = tempfile::tempdir().unwrap();
    let name = "a.hypermesh.network";
    let good = request(folder.path(), &P256, name, &format!("subjectAltName = DNS:{name}"));
    let names = |count: usize| {
        let all: Vec<_> = (0..count).map(|index| format!("DNS:n{index}.hypermesh.network")).collect();
        format!("subjectAltName = {}", all.join(","))
    };
    let outside = "subjectAltName = DNS:www.example.com";
    let wrong = [
        ("an authority", request(folder.path(), &P256, name, "basicConstraints = CA:TRUE"), "CA"),
        ("a weak key", request(folder.path(), &WEAK, name, ""), "key"),
        ("10,000 names", request(folder.path(), &P256, name, &names(10_000)), "csr"),
        ("101 names", request(folder.path(), &P256, name, &names(101)), "names"),
        ("a name outside", request(folder.path(), &P256, "www.example.com", outside), "www.example.com"),
        ("a forged signature", forged(&good), "signature"),
        ("half a request", good[..good.len() / 2].to_owned(), "no certification request"),
        (
            "nothing",
            "-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n".to_owned(),
            "",
        ),
    ];
    for (what, csr, reason) in wrong {
        let wanted = CreateCertificate { csr: Some(csr), ..CreateCertificate::default() };
        let refused = client.create_certificate(&wanted).err().unwrap_or_else(|| panic!("{what} was issued"));
        let status = refused.status();
        assert!(matches!(status, Some(400 | 413 | 422)), "{what}: {refused}");
        let text = refused.to_string().to_lowercase();
        assert!(text.contains(&reason.to_lowercase()), "{what}: {text}");
    }
    let after =
        (client.log_head().unwrap().tree_size, client.certificates(&Default::default()).unwrap().len());
    assert_eq!(after, before, "something was issued or logged");
    // And what is right beside them is issued: RSA keys of 2048 bits too.
    for csr in [good, request(folder.path(), &RSA, name, &format!("subjectAltName = DNS:{name}"))] {
        let wanted = CreateCertificate { csr: Some(csr), ..CreateCertificate::default() };
        let issued = client.create_certificate(&wanted).unwrap();
        assert_eq!(issued.certificate.names, [format!("dns:{name}")]);
        assert!(issued.private_key_pem.is_none());
    }
}
