//! Chains with one thing wrong each: the explanation names the rule, and that one alone.

use super::cases::cases;
use super::*;
use crate::certificate::extensions::Extension;
use crate::der::oid;
use crate::forge::{Forge, Forged, key, now};
use crate::revocation::RevocationReason;
use std::process::Command;

pub(super) const HOST: &str = "a.mesh.example";

fn good(_: &Certificate) -> Revocation {
    Revocation::Good
}

/// Explains a chain, the certificate first, with its last as the only root.
fn told(chain: &[&Forged]) -> Explanation {
    let certificates: Vec<Certificate> = chain.iter().map(|it| it.certificate.clone()).collect();
    let (roots, others) = certificates.split_last().map(|(root, rest)| ([root.clone()], rest)).unwrap();
    explain(&certificates[0], others, &roots, now(), Some(Purpose::Server), Some(HOST), &good)
}

/// The rules that a chain breaks.
fn broken(chain: &[&Forged]) -> Vec<&'static str> {
    let told = told(chain);
    let names: Vec<_> = told.errors().map(|rule| rule.name).collect();
    assert_eq!(told.valid, names.is_empty());
    names
}

/// A chain without a fault.
pub(super) struct Chain {
    pub(super) root: Forged,
    pub(super) intermediate: Forge,
    pub(super) leaf: Forge,
}

fn chain() -> Chain {
    let root = Forge::ca("CN=Root", None).root();
    Chain { root, intermediate: Forge::ca("CN=Intermediate", Some(0)), leaf: Forge::server(HOST) }
}

#[test]
fn a_right_chain_keeps_every_rule_and_says_where_each_is_written() {
    let chain = chain();
    let intermediate = chain.intermediate.under(&chain.root);
    let leaf = chain.leaf.under(&intermediate);
    let told = told(&[&leaf, &intermediate, &chain.root]);
    assert!(told.valid, "{:?}", told.errors().collect::<Vec<_>>());
    assert_eq!(told.warnings().map(ToString::to_string).collect::<Vec<_>>(), Vec::<String>::new());
    assert_eq!(told.path.len(), 3);
    for name in [
        "trust-anchor",
        "policies",
        "signature",
        "issuer",
        "key-identifiers",
        "time",
        "revocation",
        "name-constraints",
        "basic-constraints",
        "path-length",
        "key-cert-sign",
        "extended-key-usage",
        "key-usage",
        "host-name",
        "serial-number",
        "key-strength",
        "criticality",
        "unknown-critical-extension",
    ] {
        let rule = told.rules.iter().find(|rule| rule.name == name).unwrap();
        assert!(rule.reference.contains('§'), "{name}");
    }
}

#[test]
fn a_chain_with_one_thing_wrong_breaks_that_rule_alone() {
    let chain = chain();
    for case in cases(&chain) {
        let intermediate = case.intermediate.under(&chain.root);
        let leaf = case.leaf.under(&intermediate);
        assert_eq!(broken(&[&leaf, &intermediate, &chain.root]), case.broken, "{}", case.what);
    }
}

#[test]
fn openssl_takes_the_chains_that_are_valid_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let write =
        |name: &str, it: &Forged| std::fs::write(folder.path().join(name), it.certificate.pem()).unwrap();
    let chain = chain();
    write("root", &chain.root);
    let at = (now().as_millis() / 1000).to_string();
    for case in cases(&chain) {
        let intermediate = case.intermediate.under(&chain.root);
        let leaf = case.leaf.under(&intermediate);
        write("intermediate", &intermediate);
        write("leaf", &leaf);
        let verify =
            ["verify", "-x509_strict", "-attime", &at, "-purpose", "sslserver", "-verify_hostname", HOST];
        let files = ["-CAfile", "root", "-untrusted", "intermediate", "leaf"];
        let command = Command::new("openssl").current_dir(folder.path()).args(verify).args(files).output();
        let Ok(output) = command else {
            eprintln!("SKIPPED openssl_takes_the_chains_that_are_valid_and_no_others: there is no openssl");
            return;
        };
        let expected = case.broken.is_empty() != case.openssl_differs;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.success(), expected, "{}: {said}", case.what);
    }
}

#[test]
fn a_ca_below_one_of_path_length_zero_is_one_too_many() {
    let chain = chain();
    let first = chain.intermediate.clone().under(&chain.root);
    let second = Forge::ca("CN=Second", None).under(&first);
    let leaf = chain.leaf.clone().under(&second);
    assert_eq!(broken(&[&leaf, &second, &first, &chain.root]), ["path-length"]);
    // A CA that renews its own key doesn't count (RFC 5280 §6.1.4 (l)).
    let renewed = chain.intermediate.clone().under(&first);
    let leaf = chain.leaf.clone().under(&renewed);
    assert_eq!(broken(&[&leaf, &renewed, &first, &chain.root]), Vec::<&str>::new());
}

#[test]
fn a_foreign_signature_and_an_unknown_issuer_are_found() {
    let chain = chain();
    let intermediate = chain.intermediate.clone().under(&chain.root);
    let forged = chain.leaf.clone().sign(&key(), intermediate.certificate.subject());
    assert_eq!(broken(&[&forged, &intermediate, &chain.root]), ["signature"]);
    let leaf = chain.leaf.clone().under(&intermediate);
    assert_eq!(broken(&[&leaf, &chain.root]), ["trust-anchor"]);
    let selfish = chain.leaf.clone().root();
    let told = told(&[&selfish, &chain.root]);
    let error = told.errors().next().unwrap();
    assert!(error.name == "trust-anchor" && error.detail.contains("self-signed"), "{error}");
    assert_eq!(told.path, [selfish.certificate]);
}

#[test]
fn revocation_counts_from_its_time_on_and_can_be_unknown() {
    let chain = chain();
    let intermediate = chain.intermediate.clone().under(&chain.root);
    let leaf = chain.leaf.clone().under(&intermediate);
    let (others, roots) = ([intermediate.certificate], [chain.root.certificate]);
    let verdict = |revocation: Revocation| {
        let revoked = |it: &Certificate| if it.is_ca() { Revocation::Good } else { revocation };
        let told = explain(&leaf.certificate, &others, &roots, now(), None, None, &revoked);
        let rule = told.rules.iter().rfind(|rule| rule.name == "revocation").unwrap();
        (rule.verdict, told.valid)
    };
    let at = |at| Revocation::Revoked { at, reason: RevocationReason::KeyCompromise };
    assert_eq!(verdict(at(now())), (Verdict::Fail, false));
    assert_eq!(verdict(at(now().plus_seconds(1))), (Verdict::Warn, true));
    assert_eq!(verdict(Revocation::Unknown), (Verdict::Unchecked, true));
}

#[test]
fn the_valid_one_of_several_paths_is_told() {
    // The intermediate is certified by two roots, one of which nobody trusts, and once more, expired.
    let chain = chain();
    let stranger = Forge::ca("CN=Root", None).root();
    let expired =
        Forge { not_after: now().minus_seconds(9), ..chain.intermediate.clone() }.under(&chain.root);
    let foreign = chain.intermediate.clone().under(&stranger);
    let right = chain.intermediate.clone().under(&chain.root);
    let leaf = chain.leaf.clone().under(&right);
    let path = told(&[&leaf, &expired, &foreign, &stranger, &right, &chain.root]);
    assert!(path.valid, "{:?}", path.errors().collect::<Vec<_>>());
    assert_eq!(path.path[1], right.certificate);
}

#[test]
fn many_certificates_of_one_name_end_the_search_and_not_the_node() {
    let root = Forge::ca("CN=Same", None).root();
    let mut others: Vec<Forged> = Vec::new();
    for _ in 0..30 {
        let next = Forge::ca("CN=Same", None);
        others.push(match others.last() {
            Some(last) => next.under(last),
            None => next.root(),
        });
    }
    let leaf = Forge::server(HOST).under(others.last().unwrap());
    let mut chain = vec![&leaf];
    chain.extend(&others);
    chain.push(&root);
    assert!(broken(&chain).contains(&"trust-anchor"));
}

#[test]
fn addresses_are_hosts_too() {
    let chain = chain();
    let names =
        crate::Names::new(vec![], vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()], vec![], vec![]);
    let names = Extension::new(oid::SUBJECT_ALT_NAME, false, |w| names.unwrap().write(w));
    let leaf = chain.leaf.clone().set(oid::SUBJECT_ALT_NAME, Some(names)).under(&chain.root);
    let root = [chain.root.certificate.clone()];
    for (host, valid) in
        [("127.0.0.1", true), ("::1", true), ("[::1]", true), ("127.0.0.2", false), (HOST, false)]
    {
        let told = explain(&leaf.certificate, &[], &root, now(), None, Some(host), &good);
        assert_eq!(told.valid, valid, "{host}");
    }
}
