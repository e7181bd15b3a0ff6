//! Certificates that others made: OpenSSL's chains, explained.

use crate::support::{Bench, DAY_S, has};
use hypermesh_model::Timestamp;
use hypermesh_pki::{Certificate, Explanation, Purpose, Revocation, explain};

const EXTENSIONS: &str = "[ca]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n\
    subjectKeyIdentifier=hash\n\
    [leaf]\nbasicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n\
    subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\nsubjectAltName=DNS:a.example,otherName:1.2.3.4;UTF8:x\n\
    certificatePolicies=2.23.140.1.2.1\n";

/// A leaf with such a key and signature below a root of RSA, both by OpenSSL.
fn chain(bench: &Bench, bits: &str, digest: &str) -> (Certificate, Certificate) {
    bench.write("ext.cnf", EXTENSIONS);
    let sign = ["-days", "30", "-extfile", "ext.cnf", digest];
    for (name, bits) in [("root", "2048"), ("leaf", bits)] {
        let bits = format!("rsa_keygen_bits:{bits}");
        let (key, request, subject) = (format!("{name}.key"), format!("{name}.csr"), format!("/CN={name}"));
        bench.openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", &bits, "-out", &key]);
        bench.openssl(&["req", "-new", "-key", &key, "-subj", &subject, "-out", &request]);
    }
    let root =
        ["x509", "-req", "-in", "root.csr", "-signkey", "root.key", "-extensions", "ca", "-out", "root.pem"];
    bench.openssl(&[&root[..], &sign].concat());
    let leaf =
        ["x509", "-req", "-in", "leaf.csr", "-CA", "root.pem", "-CAkey", "root.key", "-extensions", "leaf"];
    bench.openssl(&[&leaf[..], &["-CAcreateserial", "-out", "leaf.pem"], &sign].concat());
    let read = |name: &str| Certificate::from_pem(&bench.text(name)).unwrap();
    (read("leaf.pem"), read("root.pem"))
}

fn told(leaf: &Certificate, root: &Certificate, at: Timestamp) -> Explanation {
    let roots = [root.clone()];
    explain(leaf, &[], &roots, at, Some(Purpose::Server), Some("A.example."), &|_| Revocation::Unknown)
}

fn broken(told: &Explanation) -> Vec<&'static str> {
    told.errors().map(|rule| rule.name).collect()
}

#[test]
fn a_foreign_chain_is_explained_and_weak_ones_are_not_trusted() {
    if !has("openssl", "a_foreign_chain_is_explained_and_weak_ones_are_not_trusted") {
        return;
    }
    // The keys take their time, and each begins when it is made.
    let (bench, now) = (Bench::new(), Timestamp::now().plus_seconds(3600));
    let (leaf, root) = chain(&bench, "2048", "-sha256");
    let right = told(&leaf, &root, now);
    assert_eq!(broken(&right), Vec::<&str>::new());
    let warned: Vec<_> = right.warnings().map(|rule| rule.name).collect();
    assert_eq!(warned, ["revocation", "common-name"]);
    assert_eq!(broken(&told(&leaf, &root, now.plus_seconds(31 * DAY_S))), ["time", "time"]);
    assert_eq!(broken(&told(&leaf, &leaf, now)), Vec::<&str>::new());
    let (weak, root) = chain(&bench, "1024", "-sha256");
    assert_eq!(broken(&told(&weak, &root, now)), ["key-strength"]);
    let (forgeable, root) = chain(&bench, "2048", "-sha1");
    assert_eq!(broken(&told(&forgeable, &root, now)), ["signature", "signature-algorithm"]);
}
