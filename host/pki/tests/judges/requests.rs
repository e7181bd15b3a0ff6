//! Requests that `openssl req` makes, good and bad: what is taken from each, or why it is refused.

use crate::support::{Bench, has, hierarchy, order};
use hypermesh_pki::{Csr, CsrError, KeyAlgorithm, KeyError, NameError, Profile, PublicKeyAlgorithm};
use std::error::Error;

/// A request with these extensions, for a key made so.
fn request(bench: &Bench, key: &[&str], digest: &str, extensions: &[&str]) -> String {
    bench.openssl(&[&["genpkey", "-out", "key.pem"][..], key].concat());
    let mut arguments = vec!["req", "-new", "-key", "key.pem", "-subj", "/O=Mesh/CN=a.example", digest];
    for extension in extensions {
        arguments.extend(["-addext", extension]);
    }
    arguments.extend(["-out", "request.pem"]);
    bench.openssl(&arguments);
    bench.text("request.pem")
}

const P256: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
const NAMES: &str =
    "subjectAltName=DNS:A.example,DNS:*.b.example,IP:127.0.0.1,IP:::1,URI:spiffe://m/n,email:a@b.example";

#[test]
fn a_request_gives_key_subject_and_names_and_nothing_else() {
    if !has("openssl", "a_request_gives_key_subject_and_names_and_nothing_else") {
        return;
    }
    let bench = Bench::new();
    for (key, algorithm) in [
        (P256, PublicKeyAlgorithm::EcdsaP256),
        (&["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"][..], PublicKeyAlgorithm::EcdsaP384),
        (&["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"], PublicKeyAlgorithm::EcdsaP521),
        (&["-algorithm", "ED25519"], PublicKeyAlgorithm::Ed25519),
        (&["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], PublicKeyAlgorithm::Rsa { bits: 2048 }),
    ] {
        let text =
            request(&bench, key, "-sha256", &[NAMES, "extendedKeyUsage=codeSigning", "1.2.3.4=DER:0500"]);
        let csr = Csr::from_pem(&text).unwrap();
        assert_eq!(csr.key.algorithm(), algorithm);
        assert_eq!(csr.subject.to_string(), "CN=a.example,O=Mesh");
        assert_eq!(csr.names.dns(), ["a.example", "*.b.example"]);
        assert_eq!((csr.names.len(), csr.names.ips().len()), (6, 2));
        assert_eq!(csr.key.pem(), bench.openssl(&["req", "-in", "request.pem", "-noout", "-pubkey"]));
    }
}

#[test]
fn a_p256_key_in_a_request_signed_with_sha384_stays_what_it_is() {
    if !has("openssl", "a_p256_key_in_a_request_signed_with_sha384_stays_what_it_is") {
        return;
    }
    let bench = Bench::new();
    for digest in ["-sha256", "-sha384", "-sha512"] {
        let csr = Csr::from_pem(&request(&bench, P256, digest, &[])).unwrap();
        let hierarchy = hierarchy(KeyAlgorithm::EcdsaP256);
        let certificate = hierarchy.issue(&order(Profile::Server, &csr.key));
        bench.write("leaf.pem", certificate.pem());
        let public = bench.openssl(&["x509", "-in", "leaf.pem", "-noout", "-pubkey"]);
        assert_eq!(public, bench.openssl(&["pkey", "-in", "key.pem", "-pubout"]));
    }
}

#[test]
fn two_certificates_for_one_key_have_two_serials() {
    let hierarchy = hierarchy(KeyAlgorithm::EcdsaP256);
    let key = crate::support::key();
    let issue = || hierarchy.issue(&order(Profile::Server, key.public())).serial_hex();
    assert_ne!(issue(), issue());
}

#[test]
fn a_request_to_be_a_ca_is_refused() {
    if !has("openssl", "a_request_to_be_a_ca_is_refused") {
        return;
    }
    let bench = Bench::new();
    for extension in
        ["basicConstraints=critical,CA:TRUE", "keyUsage=keyCertSign", "keyUsage=digitalSignature,cRLSign"]
    {
        let refused = Csr::from_pem(&request(&bench, P256, "-sha256", &[extension]));
        assert!(matches!(refused, Err(CsrError::AsksForCa(_))), "{refused:?}");
    }
    assert!(Csr::from_pem(&request(&bench, P256, "-sha256", &["basicConstraints=CA:FALSE"])).is_ok());
}

#[test]
fn weak_and_strange_keys_are_refused() {
    if !has("openssl", "weak_and_strange_keys_are_refused") {
        return;
    }
    let bench = Bench::new();
    for key in [
        &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"][..],
        &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-pkeyopt", "rsa_keygen_pubexp:3"],
    ] {
        let refused = Csr::from_pem(&request(&bench, key, "-sha256", &[]));
        assert!(matches!(refused, Err(CsrError::Key(KeyError::Weak(_)))), "{refused:?}");
    }
    for curve in ["secp256k1", "P-192"] {
        let curve = format!("ec_paramgen_curve:{curve}");
        let refused =
            Csr::from_pem(&request(&bench, &["-algorithm", "EC", "-pkeyopt", &curve], "-sha256", &[]));
        assert!(matches!(refused, Err(CsrError::Key(KeyError::Algorithm(_)))), "{refused:?}");
    }
}

#[test]
fn a_forgeable_signature_is_refused() {
    if !has("openssl", "a_forgeable_signature_is_refused") {
        return;
    }
    let refused = Csr::from_pem(&request(&Bench::new(), P256, "-sha1", &[]));
    assert!(matches!(refused, Err(CsrError::Signature(_))), "{refused:?}");
}

#[test]
fn names_that_nobody_may_have_are_refused_with_the_reason() {
    if !has("openssl", "names_that_nobody_may_have_are_refused_with_the_reason") {
        return;
    }
    let bench = Bench::new();
    for (names, part) in [
        ("DNS:a_b.example", "letters, digits and hyphens"),
        ("DNS:*.example", "two labels"),
        ("DNS:1.2.3.4", "number"),
        ("email:a@@b", "mailbox"),
        ("URI:x", "URI"),
    ] {
        let refused = Csr::from_pem(&request(&bench, P256, "-sha256", &[&format!("subjectAltName={names}")]));
        let error = refused.unwrap_err();
        let source = error.source().unwrap().to_string();
        assert!(matches!(error, CsrError::Names(_)) && source.contains(part), "{names}: {source}");
    }
    let other = request(&bench, P256, "-sha256", &["subjectAltName=otherName:1.2.3.4;UTF8:x"]);
    assert_eq!(Csr::from_pem(&other), Err(CsrError::OtherNames(1)));
    let many: Vec<String> = (0..101).map(|number| format!("DNS:n{number}.example")).collect();
    let many = request(&bench, P256, "-sha256", &[&format!("subjectAltName={}", many.join(","))]);
    assert_eq!(Csr::from_pem(&many), Err(CsrError::Names(NameError::TooMany(101))));
}
