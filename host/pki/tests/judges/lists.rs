//! Revocation lists, and what verifies with them.

use crate::support::{Bench, DAY_S, has, hierarchy, key, order, said, serial};
use hypermesh_model::Timestamp;
use hypermesh_pki::{
    Authority, CrlContent, IssueError, KeyAlgorithm, Profile, RevocationReason, Revoked, crl_pem,
};

fn list(authority: &Authority, number: u64, entries: Vec<Revoked>) -> Vec<u8> {
    let now = Timestamp::now();
    let (this_update, next_update) = (now.minus_seconds(60), now.plus_seconds(DAY_S));
    authority.sign_crl(CrlContent { number, this_update, next_update, entries }).unwrap()
}

fn revoked(reason: RevocationReason) -> Revoked {
    Revoked { serial: serial(), at: Timestamp::now().minus_seconds(60), reason }
}

#[test]
fn openssl_finds_what_is_revoked_and_what_is_not() {
    if !has("openssl", "openssl_finds_what_is_revoked_and_what_is_not") {
        return;
    }
    for algorithm in [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Ed25519] {
        let bench = Bench::new();
        let hierarchy = hierarchy(algorithm);
        hierarchy.write(&bench);
        let certificates = [(), ()].map(|()| hierarchy.issue(&order(Profile::Server, key().public())));
        let mut entries: Vec<Revoked> = RevocationReason::ALL.into_iter().map(revoked).collect();
        let at = Timestamp::now().minus_seconds(60);
        let reason = RevocationReason::Superseded;
        entries.push(Revoked { serial: certificates[0].serial().unwrap(), at, reason });
        let lists = [list(&hierarchy.intermediate, 7, entries), list(&hierarchy.root, 1, vec![])];
        bench.write("int.crl.der", &lists[0]);
        bench.write("crls.pem", format!("{}{}", crl_pem(&lists[0]), crl_pem(&lists[1])));
        let text = bench.openssl(&[
            "crl",
            "-inform",
            "DER",
            "-in",
            "int.crl.der",
            "-noout",
            "-text",
            "-CAfile",
            "int.pem",
            "-verify",
        ]);
        assert!(
            text.contains("verify OK") && text.contains("X509v3 CRL Number: \n                7"),
            "{text}"
        );
        for name in
            ["Key Compromise", "CA Compromise", "Affiliation Changed", "Superseded", "Cessation Of Operation"]
        {
            assert!(text.contains(name), "{name}: {text}");
        }
        for (certificate, is_revoked) in certificates.iter().zip([true, false]) {
            bench.write("leaf.pem", certificate.pem());
            let check =
                ["verify", "-x509_strict", "-crl_check_all", "-CRLfile", "crls.pem", "-CAfile", "root.pem"];
            let output = bench.run("openssl", &[&check[..], &["-untrusted", "int.pem", "leaf.pem"]].concat());
            assert_eq!(output.status.success(), !is_revoked, "{}", said(&output));
            assert_eq!(said(&output).contains("certificate revoked"), is_revoked, "{}", said(&output));
        }
    }
}

#[test]
fn pkilint_and_certtool_find_nothing_in_lists() {
    let bench = Bench::new();
    let hierarchy = hierarchy(KeyAlgorithm::EcdsaP256);
    hierarchy.write(&bench);
    let entries = RevocationReason::ALL.into_iter().map(revoked).collect();
    bench.write("full.pem", crl_pem(&list(&hierarchy.intermediate, 2, entries)));
    bench.write("empty.pem", crl_pem(&list(&hierarchy.intermediate, 1, vec![])));
    for file in ["full.pem", "empty.pem"] {
        if has("lint_crl", "pkilint_and_certtool_find_nothing_in_lists (pkilint's part)") {
            let output = bench.run("lint_crl", &["lint", "-t", "CRL", "-p", "PKIX", "-s", "WARNING", file]);
            assert!(output.status.success(), "{file}: {}", said(&output));
        }
        if has("certtool", "pkilint_and_certtool_find_nothing_in_lists (certtool's part)") {
            let verify = ["--verify-crl", "--load-ca-certificate", "int.pem", "--infile", file];
            assert!(bench.must("certtool", &verify).contains("Verified"), "{file}");
        }
    }
}

#[test]
fn a_hundred_thousand_revocations_are_one_list_in_order() {
    let hierarchy = hierarchy(KeyAlgorithm::EcdsaP256);
    let entries: Vec<Revoked> = (0..100_000).map(|_| revoked(RevocationReason::KeyCompromise)).collect();
    let began = std::time::Instant::now();
    let der = list(&hierarchy.intermediate, 3, entries.clone());
    eprintln!("a list of {} revocations, {} bytes, took {:?}", entries.len(), der.len(), began.elapsed());
    let has_serial = |entry: &Revoked| der.windows(16).any(|window| window == entry.serial.as_bytes());
    assert!(has_serial(&entries[0]) && has_serial(&entries[99_999]));
    if has("openssl", "a_hundred_thousand_revocations_are_one_list_in_order (openssl's part)") {
        let bench = Bench::new();
        hierarchy.write(&bench);
        bench.write("crl.der", &der);
        let text = bench.openssl(&[
            "crl", "-inform", "DER", "-in", "crl.der", "-noout", "-text", "-CAfile", "int.pem", "-verify",
        ]);
        assert_eq!(text.matches("Serial Number:").count(), 100_000);
        let last = entries[99_999].serial.to_string().to_uppercase();
        assert!(text.contains("verify OK") && text.contains(&last));
    }
}

#[test]
fn a_list_that_ends_before_it_begins_is_refused() {
    let hierarchy = hierarchy(KeyAlgorithm::EcdsaP256);
    let now = Timestamp::now();
    let content = CrlContent { number: 1, this_update: now, next_update: now, entries: vec![] };
    assert!(matches!(hierarchy.root.sign_crl(content), Err(IssueError::Dates { .. })));
}
