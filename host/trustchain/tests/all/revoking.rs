//! Revocation: in the table, in the list that OpenSSL checks against, in OCSP's answer; after a restart too.

use crate::openssl::{openssl, said};
use crate::{ZONE, open, server};
use hypermesh_model::CertificateStatus;
use hypermesh_trustchain::{TrustChain, TrustError, ValidateRequest};
use std::fs;
use std::path::Path;
use std::process::Output;
use tempfile::TempDir;

const TEST: &str = "a_revocation_is_in_the_list_at_once_and_openssl_refuses";

/// `openssl verify` of a leaf with the lists of both authorities.
async fn verify(domain: &TrustChain, folder: &Path, chain: &str) -> Option<Output> {
    let authorities = domain.authorities().unwrap();
    let mut lists = String::new();
    for authority in &authorities {
        let list = domain.crl(&authority.certificate.record.id).await.unwrap();
        lists.push_str(&hypermesh_pki::crl_pem(&list.der));
    }
    fs::write(folder.join("lists.pem"), lists).unwrap();
    fs::write(folder.join("root.pem"), domain.root_pem()).unwrap();
    fs::write(folder.join("leaf.pem"), chain).unwrap();
    let arguments = [
        "verify",
        "-x509_strict",
        "-crl_check_all",
        "-CRLfile",
        "lists.pem",
        "-CAfile",
        "root.pem",
        "-untrusted",
        "leaf.pem",
        "leaf.pem",
    ];
    openssl(TEST, folder, &arguments)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_is_in_the_list_at_once_and_openssl_refuses() {
    let folder = TempDir::new().unwrap();
    let domain = open(folder.path()).await;
    let bad = domain.issue(server(&format!("bad.{ZONE}"))).await.unwrap();
    let good = domain.issue(server(&format!("good.{ZONE}"))).await.unwrap();
    let id = bad.certificate.record.id.clone();
    let Some(before) = verify(&domain, folder.path(), &bad.chain_pem).await else { return };
    assert!(before.status.success(), "{}", said(&before));
    let issuer = bad.certificate.record.issuer_id.clone();
    let first = domain.crl(&issuer).await.unwrap();
    assert_eq!(domain.crl(&issuer).await.unwrap(), first, "a list that is fresh is kept");

    let revoked = domain.revoke(&id, "keyCompromise", "ann").await.unwrap();
    assert_eq!(revoked.status, CertificateStatus::Revoked);
    assert!(domain.crl(&issuer).await.unwrap().number > first.number);
    let after = verify(&domain, folder.path(), &bad.chain_pem).await.unwrap();
    assert!(!after.status.success() && said(&after).contains("certificate revoked"), "{}", said(&after));
    let other = verify(&domain, folder.path(), &good.chain_pem).await.unwrap();
    assert!(other.status.success(), "{}", said(&other));
    assert!(!domain.validate(&id, &ValidateRequest::default()).unwrap().valid);

    for (id, reason, wanted) in [
        (&id, "keyCompromise", "revoked already"),
        (&good.certificate.record.id, "lost", "none of the reasons"),
    ] {
        let error = domain.revoke(id, reason, "ann").await.unwrap_err();
        assert!(error.to_string().contains(wanted), "{error}");
    }
    let root = domain.authorities().unwrap()[0].certificate.record.id.clone();
    assert!(matches!(domain.revoke(&root, "unspecified", "ann").await, Err(TrustError::Conflict { .. })));
    domain.stop().await.unwrap();
    drop(domain);

    let domain = open(folder.path()).await;
    assert_eq!(domain.certificate(&id).unwrap().status, CertificateStatus::Revoked);
    let again = verify(&domain, folder.path(), &bad.chain_pem).await.unwrap();
    assert!(said(&again).contains("certificate revoked"), "{}", said(&again));
    domain.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_understands_the_responder() {
    let folder = TempDir::new().unwrap();
    let domain = open(folder.path()).await;
    let issued = domain.issue(server(&format!("a.{ZONE}"))).await.unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("root.pem"), domain.root_pem()).unwrap();
    fs::write(at("leaf.pem"), &issued.certificate_pem).unwrap();
    let issuer = domain.certificate_pem(&issued.certificate.record.issuer_id).unwrap();
    fs::write(at("issuer.pem"), issuer).unwrap();
    let ask = ["ocsp", "-issuer", "issuer.pem", "-cert", "leaf.pem", "-no_nonce", "-reqout", "request.der"];
    if openssl("openssl_understands_the_responder", folder.path(), &ask).is_none() {
        return;
    }
    let request = fs::read(at("request.der")).unwrap();
    let read = [
        "ocsp",
        "-issuer",
        "issuer.pem",
        "-cert",
        "leaf.pem",
        "-reqin",
        "request.der",
        "-respin",
        "response.der",
        "-CAfile",
        "root.pem",
    ];
    for (revoke, wanted) in [(false, "leaf.pem: good"), (true, "leaf.pem: revoked")] {
        if revoke {
            domain.revoke(&issued.certificate.record.id, "superseded", "ann").await.unwrap();
        }
        fs::write(at("response.der"), domain.ocsp(&request)).unwrap();
        let output = openssl("", folder.path(), &read).unwrap();
        let text = said(&output);
        assert!(text.contains("Response verify OK") && text.contains(wanted), "{text}");
    }
    // Malformed: the unsigned answer that says so.
    assert_eq!(domain.ocsp(b"no request"), [0x30, 3, 0x0a, 1, 1]);
    domain.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_are_revoked_at_once_and_the_list_has_them_all() {
    const MANY: usize = 300;
    let folder = TempDir::new().unwrap();
    let domain = open(folder.path()).await;
    let mut tasks = Vec::new();
    for number in 0..MANY {
        let domain = domain.clone();
        tasks.push(tokio::spawn(async move { domain.issue(server(&format!("h{number}.{ZONE}"))).await }));
    }
    let mut ids = Vec::new();
    for task in tasks {
        ids.push(task.await.unwrap().unwrap().certificate.record.id);
    }
    domain.revoke_many(&ids, "cessationOfOperation", "ann").await.unwrap();
    let again = domain.revoke_many(&ids[..1], "superseded", "ann").await;
    assert!(matches!(again, Err(TrustError::Conflict { .. })));
    let issuer = domain.certificate(&ids[0]).unwrap().record.issuer_id;
    let list = domain.crl(&issuer).await.unwrap();
    fs::write(folder.path().join("list.der"), &list.der).unwrap();
    let read = ["crl", "-inform", "DER", "-in", "list.der", "-noout", "-text"];
    let Some(output) = openssl("many_are_revoked_at_once", folder.path(), &read) else { return };
    assert_eq!(said(&output).matches("Serial Number:").count(), MANY);
    assert_eq!(domain.stats().revocations, MANY as u64);
    domain.stop().await.unwrap();
}
