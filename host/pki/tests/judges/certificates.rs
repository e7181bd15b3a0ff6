//! Certificates of every profile and algorithm, before every judge there is.

use crate::support::{Bench, DAY_S, Hierarchy, has, hierarchy, key, order, said, sct, urls};
use hypermesh_model::Timestamp;
use hypermesh_pki::{
    Authority, CaOrder, Certificate, DistinguishedName, IssueError, KeyAlgorithm, NameConstraints, Names,
    Order, Precertificate, PrivateKey, Profile, PublicKey, Purpose, Revocation, Subtree, explain, lint,
};

const ALL: [KeyAlgorithm; 3] = [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Ed25519];

#[test]
fn openssl_and_the_explanation_accept_every_profile() {
    let with_openssl = has("openssl", "openssl_and_the_explanation_accept_every_profile (openssl's part)");
    for algorithm in ALL {
        let hierarchy = hierarchy(algorithm);
        for (profile, purpose, wanted) in [
            (Profile::Server, "sslserver", Some(Purpose::Server)),
            (Profile::Client, "sslclient", Some(Purpose::Client)),
            (Profile::Node, "sslserver", Some(Purpose::Server)),
            (Profile::Node, "sslclient", Some(Purpose::Client)),
            (Profile::CodeSigning, "any", Some(Purpose::CodeSigning)),
        ] {
            let subject = PrivateKey::generate(algorithm).unwrap();
            let certificate = hierarchy.issue(&order(profile, subject.public()));
            assert_eq!(lint(&certificate), [], "{profile}");
            let told = explain(
                &certificate,
                &[hierarchy.intermediate.certificate().clone()],
                &[hierarchy.root.certificate().clone()],
                Timestamp::now(),
                wanted,
                certificate.names().dns().first().map(String::as_str),
                &|_| Revocation::Good,
            );
            assert!(told.valid, "{profile}: {:?}", told.errors().collect::<Vec<_>>());
            assert_eq!(told.warnings().count(), 0, "{profile}");
            if with_openssl {
                let bench = Bench::new();
                hierarchy.write(&bench);
                bench.write("leaf.pem", certificate.pem());
                let verify = ["verify", "-x509_strict", "-policy_check", "-purpose", purpose];
                bench.openssl(
                    &[&verify[..], &["-CAfile", "root.pem", "-untrusted", "int.pem", "leaf.pem"]].concat(),
                );
            }
        }
    }
}

#[test]
fn openssl_reads_the_fields_that_the_profile_decides() {
    if !has("openssl", "openssl_reads_the_fields_that_the_profile_decides") {
        return;
    }
    let bench = Bench::new();
    let hierarchy = hierarchy(KeyAlgorithm::EcdsaP256);
    let order = order(Profile::Node, key().public());
    let certificate = hierarchy.issue(&order);
    bench.write("leaf.pem", certificate.pem()).write("leaf.der", certificate.der());
    let text =
        bench.openssl(&["x509", "-in", "leaf.pem", "-noout", "-text", "-serial", "-fingerprint", "-sha256"]);
    for part in [
        "CA:FALSE",
        "X509v3 Key Usage: critical\n                Digital Signature\n",
        "TLS Web Server Authentication, TLS Web Client Authentication",
        "DNS:n7.mesh.example, URI:spiffe://mesh.example/node/7, IP Address:127.0.0.1",
        "URI:http://127.0.0.1:8444/crl/int.crl",
        "OCSP - URI:http://127.0.0.1:8444/ocsp",
        "CA Issuers - URI:http://127.0.0.1:8444/ca/int.cer",
        "CT Precertificate SCTs",
        &format!("serial={}", order.serial.to_string().to_uppercase()),
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let fingerprint = text.lines().last().unwrap().split('=').nth(1).unwrap().replace(':', "").to_lowercase();
    assert_eq!(certificate.fingerprint(), format!("SHA256:{fingerprint}"));
    bench.openssl(&["asn1parse", "-inform", "DER", "-in", "leaf.der"]);
    assert_eq!(Certificate::from_pem(&bench.text("leaf.pem")).unwrap(), certificate);
}

#[test]
fn what_is_logged_is_the_certificate_without_its_timestamps() {
    let hierarchy = hierarchy(KeyAlgorithm::EcdsaP256);
    let prepared =
        hierarchy.intermediate.prepare(&order(Profile::Server, key().public()), &urls("int")).unwrap();
    let (tbs, der) = (prepared.tbs.clone(), prepared.der.clone());
    assert_eq!(prepared.issuer_key_hash, hierarchy.intermediate.certificate().public_key().sha256());
    let precertificate = Certificate::from_der(&der).unwrap();
    assert!(precertificate.is_signed_by(hierarchy.intermediate.certificate().public_key()));
    let told = explain(
        &precertificate,
        &[hierarchy.intermediate.certificate().clone()],
        &[hierarchy.root.certificate().clone()],
        Timestamp::now(),
        None,
        None,
        &|_| Revocation::Good,
    );
    assert_eq!(told.errors().map(|rule| rule.name).collect::<Vec<_>>(), ["precertificate"]);
    assert!(matches!(
        hierarchy
            .intermediate
            .prepare(&order(Profile::Server, key().public()), &urls("int"))
            .unwrap()
            .finish(&[]),
        Err(IssueError::Timestamps)
    ));
    let certificate = prepared.finish(&[sct()]).unwrap();
    // Header and extensions' lengths differ; all else up to the last extension is the same bytes.
    let common = tbs.iter().rev().zip(certificate.tbs().iter().rev().skip(sct_extension(&certificate)));
    assert!(common.take_while(|(left, right)| left == right).count() > tbs.len() / 2);
    assert_eq!(certificate.serial_hex(), precertificate.serial_hex());
}

/// A timestamp of a log with this key (RFC 6962 §3.2), for what is prepared.
fn timestamp(log: &PrivateKey, prepared: &Precertificate) -> Vec<u8> {
    let at = u64::try_from(Timestamp::now().minus_seconds(60).as_millis()).unwrap().to_be_bytes();
    let length = u32::try_from(prepared.tbs.len()).unwrap().to_be_bytes();
    let signed =
        [&[0, 0][..], &at, &[0, 1], &prepared.issuer_key_hash, &length[1..], &prepared.tbs, &[0, 0]].concat();
    let signature = log.sign(&signed).unwrap();
    let length = u16::try_from(signature.len()).unwrap().to_be_bytes();
    [&[0][..], &log.public().sha256(), &at, &[0, 0, 4, 3], &length, &signature].concat()
}

#[test]
fn openssl_calls_an_embedded_timestamp_valid() {
    if !has("openssl", "openssl_calls_an_embedded_timestamp_valid") {
        return;
    }
    let (bench, hierarchy, log, key) = (Bench::new(), hierarchy(KeyAlgorithm::EcdsaP256), key(), key());
    hierarchy.write(&bench);
    let prepared =
        hierarchy.intermediate.prepare(&order(Profile::Server, key.public()), &urls("int")).unwrap();
    let sct = timestamp(&log, &prepared);
    bench
        .write("leaf.pem", prepared.finish(&[sct]).unwrap().pem())
        .write("key.pem", key.to_pkcs8_pem().as_bytes());
    let spki: String = log.public().pem().lines().filter(|line| !line.starts_with('-')).collect();
    bench.write("logs.cnf", format!("enabled_logs=ours\n[ours]\ndescription=ours\nkey={spki}\n"));
    let serve = [
        "s_server",
        "-accept",
        "127.0.0.1:0",
        "-cert",
        "leaf.pem",
        "-key",
        "key.pem",
        "-cert_chain",
        "int.pem",
    ];
    let (mut server, port) = bench.serve(&serve);
    let connect = format!("127.0.0.1:{port}");
    let ask = ["s_client", "-connect", &connect, "-CAfile", "root.pem", "-ct", "-ctlogfile", "logs.cnf"];
    let text = said(&bench.run("openssl", &[&ask[..], &["-verify_return_error"]].concat()));
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(text.contains("Verification: OK") && text.contains("SCT validation status: valid"), "{text}");
}

/// How many bytes the timestamps' extension has.
fn sct_extension(certificate: &Certificate) -> usize {
    let id = [0x06, 10, 0x2b, 6, 1, 4, 1, 0xd6, 0x79, 2, 4, 2];
    let tbs = certificate.tbs();
    let at = tbs.windows(id.len()).position(|window| window == id).unwrap();
    tbs.len() - (at - 2)
}

#[test]
fn a_certificate_without_a_subject_and_one_for_an_rsa_key_are_accepted() {
    let test = "a_certificate_without_a_subject_and_one_for_an_rsa_key_are_accepted";
    if !has("openssl", test) {
        return;
    }
    let (bench, hierarchy) = (Bench::new(), hierarchy(KeyAlgorithm::EcdsaP256));
    hierarchy.write(&bench);
    bench.openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "rsa.pem"]);
    let rsa = PublicKey::from_pem(&bench.openssl(&["pkey", "-in", "rsa.pem", "-pubout"])).unwrap();
    for key in [key().public().clone(), rsa] {
        let mut order = Order { subject: DistinguishedName::empty(), ..order(Profile::Server, &key) };
        order.names = Names::of_dns(["a.mesh.example"]).unwrap();
        let certificate = hierarchy.issue(&order);
        assert_eq!(lint(&certificate), []);
        bench.write("leaf.pem", certificate.pem());
        let verify = ["verify", "-x509_strict", "-CAfile", "root.pem", "-untrusted", "int.pem", "leaf.pem"];
        bench.openssl(&verify);
        if has("lint_pkix_cert", test) {
            bench.must("lint_pkix_cert", &["lint", "leaf.pem", "-s", "WARNING"]);
        }
    }
}

#[test]
fn certtool_accepts_the_chain() {
    if !has("certtool", "certtool_accepts_the_chain") {
        return;
    }
    for algorithm in ALL {
        let bench = Bench::new();
        let hierarchy = hierarchy(algorithm);
        hierarchy.write(&bench);
        for profile in Profile::ALL {
            let certificate = hierarchy.issue(&order(profile, key().public()));
            let chain = format!("{}{}", certificate.pem(), hierarchy.intermediate.certificate().pem());
            bench.write("chain.pem", chain);
            let text = bench.must(
                "certtool",
                &["--verify", "--load-ca-certificate", "root.pem", "--infile", "chain.pem"],
            );
            assert!(text.contains("The certificate is trusted"), "{profile}: {text}");
        }
    }
}

#[test]
fn pkilint_finds_nothing() {
    if !has("lint_pkix_cert", "pkilint_finds_nothing") {
        return;
    }
    let bench = Bench::new();
    let hierarchy = hierarchy(KeyAlgorithm::EcdsaP256);
    hierarchy.write(&bench);
    let mut files = vec!["root.pem".to_owned(), "int.pem".to_owned()];
    for profile in Profile::ALL {
        let file = format!("{profile}.pem");
        let mut order = order(profile, key().public());
        if profile == Profile::Server {
            // It takes a wildcard for no DNS name, which RFC 5280 leaves to applications.
            order.names = Names::of_dns(["a.mesh.example"]).unwrap();
        }
        bench.write(&file, hierarchy.issue(&order).pem());
        files.push(file);
    }
    for file in files {
        let text = said(&bench.run("lint_pkix_cert", &["lint", &file, "-s", "WARNING"]));
        // It knows the schemes of the web alone, and so takes a SPIFFE id for no URI.
        let known = |line: &&str| line.contains("pkix.invalid_uri_syntax") && line.contains("\"spiffe://");
        let found = text.lines().filter(|line| line.starts_with("    ") && !known(line));
        assert_eq!(found.collect::<Vec<_>>(), Vec::<&str>::new(), "{file}: {text}");
    }
}

/// An intermediate of these limits below the hierarchy's root.
fn below(
    hierarchy: &Hierarchy,
    path_len: u8,
    constraints: Option<NameConstraints>,
) -> Result<Authority, IssueError> {
    let (key, now) = (key(), Timestamp::now());
    let order = CaOrder {
        subject: DistinguishedName::common("Below").unwrap(),
        key: key.public().clone(),
        serial: crate::support::serial(),
        not_before: now.minus_seconds(300),
        not_after: now.plus_seconds(300 * DAY_S),
        path_len,
        constraints,
        urls: None,
    };
    hierarchy.root.intermediate(&order, key)
}

#[test]
fn orders_that_can_not_be_are_refused_with_the_reason() {
    let hierarchy = hierarchy(KeyAlgorithm::EcdsaP256);
    let good = order(Profile::Server, key().public());
    let refused = |order: &Order| hierarchy.intermediate.prepare(order, &urls("int")).unwrap_err();
    let now = Timestamp::now();
    let dates = |from, until| Order { not_before: from, not_after: until, ..good.clone() };
    assert!(matches!(refused(&dates(now, now)), IssueError::Dates { .. }));
    assert!(matches!(refused(&dates(now.minus_seconds(9 * DAY_S), now)), IssueError::OutsideIssuer { .. }));
    let beyond = dates(now.plus_seconds(300 * DAY_S), now.plus_seconds(401 * DAY_S));
    assert!(matches!(refused(&beyond), IssueError::OutsideIssuer { .. }));
    assert!(matches!(refused(&dates(now, now.plus_seconds(399 * DAY_S))), IssueError::TooLong { .. }));
    let node = Order { not_after: now.plus_seconds(2 * DAY_S), ..order(Profile::Node, key().public()) };
    assert!(matches!(refused(&node), IssueError::TooLong { profile: Profile::Node, .. }));
    let nameless = Order { names: Names::default(), ..good.clone() };
    assert!(matches!(refused(&nameless), IssueError::Profile { .. }));
    let mut places = urls("int");
    places.ocsp = "https://127.0.0.1/ocsp".into();
    assert!(matches!(hierarchy.intermediate.prepare(&good, &places), Err(IssueError::Url(_))));
    let mismatched = Authority::from_parts(hierarchy.root.certificate().clone(), key());
    assert!(matches!(mismatched, Err(IssueError::NotTogether)));
    let leaf_key = key();
    let leaf = hierarchy.issue(&order(Profile::Server, leaf_key.public()));
    assert!(matches!(Authority::from_parts(leaf, leaf_key), Err(IssueError::NotACa)));
}

#[test]
fn a_ca_certifies_within_its_path_length_and_its_constraints() {
    let mut hierarchy = hierarchy(KeyAlgorithm::EcdsaP256);
    let dns = |name: &str| vec![Subtree::Dns(name.into())];
    let constraints = NameConstraints { permitted: dns("mesh.example"), excluded: dns("b.mesh.example") };
    hierarchy.intermediate = below(&hierarchy, 0, Some(constraints)).unwrap();
    let ordered = |names: &[&str]| {
        let names = Names::of_dns(names.iter().copied()).unwrap();
        Order { names, ..order(Profile::Server, key().public()) }
    };
    let certificate = hierarchy.issue(&ordered(&["a.mesh.example"]));
    for outside in ["a.example", "x.b.mesh.example"] {
        let refused = hierarchy.intermediate.prepare(&ordered(&["a.mesh.example", outside]), &urls("int"));
        assert!(matches!(refused, Err(IssueError::Constrained(_))), "{outside}");
    }
    let below = Hierarchy { root: hierarchy.intermediate.clone(), intermediate: hierarchy.root.clone() };
    assert!(matches!(self::below(&below, 0, None), Err(IssueError::PathLength(0))));
    if has("openssl", "a_ca_certifies_within_its_path_length_and_its_constraints (openssl's part)") {
        let bench = Bench::new();
        hierarchy.write(&bench);
        bench.write("leaf.pem", certificate.pem());
        bench.openssl(&[
            "verify",
            "-x509_strict",
            "-CAfile",
            "root.pem",
            "-untrusted",
            "int.pem",
            "leaf.pem",
        ]);
    }
}
