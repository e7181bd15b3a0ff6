//! Issuing: what is given out, what is refused, what is found afterwards.

use crate::openssl::{openssl, said};
use crate::{ZONE, open, server};
use hypermesh_model::{CertificateProfile, CertificateStatus};
use hypermesh_trustchain::{
    CertificateFilter, IssueRequest, KeyKind, KeySource, RenewRequest, TrustError, ValidateRequest,
};
use std::collections::HashSet;
use std::fs;
use tempfile::TempDir;

#[tokio::test(flavor = "multi_thread")]
async fn openssl_accepts_what_is_issued_for_each_profile_and_key() {
    let folder = TempDir::new().unwrap();
    let domain = open(folder.path()).await;
    let (root, chain, leaf) = ("root.pem", "chain.pem", "leaf.pem");
    fs::write(folder.path().join(root), domain.root_pem()).unwrap();
    let host = format!("a.{ZONE}");
    let spiffe = format!("spiffe://{ZONE}/node/8");
    for (profile, names, purpose, kind) in [
        (CertificateProfile::Server, vec![host.clone()], "sslserver", KeyKind::P256),
        (CertificateProfile::Server, vec![host.clone()], "sslserver", KeyKind::P384),
        (CertificateProfile::Server, vec![host.clone()], "sslserver", KeyKind::Ed25519),
        (CertificateProfile::Client, vec![], "sslclient", KeyKind::P256),
        (CertificateProfile::Node, vec![host.clone(), spiffe], "sslserver", KeyKind::P256),
        (CertificateProfile::CodeSigning, vec![], "any", KeyKind::P256),
    ] {
        let subject = (profile != CertificateProfile::Server).then(|| "CN=Ann,O=Test".to_owned());
        let key = KeySource::Generate(kind);
        let request = IssueRequest { subject, names, profile, key, ..server("x") };
        let issued = domain.issue(request).await.unwrap();
        assert!(issued.private_key_pem.unwrap().starts_with("-----BEGIN PRIVATE KEY-----"));
        fs::write(folder.path().join(chain), &issued.chain_pem).unwrap();
        fs::write(folder.path().join(leaf), &issued.certificate_pem).unwrap();
        let arguments =
            ["verify", "-x509_strict", "-purpose", purpose, "-CAfile", root, "-untrusted", chain, leaf];
        let Some(output) = openssl("openssl_accepts_what_is_issued", folder.path(), &arguments) else {
            return;
        };
        assert!(output.status.success(), "{profile} {kind:?}: {}", said(&output));
    }
    domain.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_openssl_gets_its_names_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    let domain = open(folder.path()).await;
    let host = format!("b.{ZONE}");
    let names = format!("subjectAltName=DNS:{host}");
    let arguments = [
        "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "b.key", "-out", "b.csr", "-subj",
        "/CN=b", "-addext", &names,
    ];
    if openssl("a_request_of_openssl_gets_its_names", folder.path(), &arguments).is_none() {
        return;
    }
    let csr = fs::read_to_string(folder.path().join("b.csr")).unwrap();
    let request = IssueRequest { key: KeySource::Csr(csr), names: vec![], ..server("x") };
    let issued = domain.issue(request).await.unwrap();
    assert!(issued.private_key_pem.is_none());
    assert_eq!(issued.certificate.record.names, [format!("dns:{host}")]);
    assert_eq!(issued.certificate.record.key_algorithm, "RSA 2048");
    let ca = ["-addext", "basicConstraints=CA:TRUE"];
    let arguments: Vec<&str> =
        ["req", "-new", "-key", "b.key", "-out", "ca.csr", "-subj", "/CN=b"].into_iter().chain(ca).collect();
    openssl("a_request_of_openssl_gets_its_names", folder.path(), &arguments).unwrap();
    let csr = fs::read_to_string(folder.path().join("ca.csr")).unwrap();
    let before = domain.stats().log_entries;
    let refused = domain.issue(IssueRequest { key: KeySource::Csr(csr), ..server(&host) }).await;
    assert!(matches!(&refused, Err(TrustError::Invalid { member, .. }) if member == "csr"), "{refused:?}");
    assert_eq!(domain.stats().log_entries, before);
    domain.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_policy_does_not_allow_is_refused_and_not_logged() {
    let folder = TempDir::new().unwrap();
    let domain = open(folder.path()).await;
    let before = domain.stats().log_entries;
    let node = format!("spiffe://{ZONE}/node/1");
    let long = || IssueRequest { validity_seconds: Some(500 * 86_400), ..server(&format!("a.{ZONE}")) };
    let client = |names: Vec<String>| IssueRequest {
        subject: Some("CN=x".to_owned()),
        names,
        profile: CertificateProfile::Client,
        ..server("x")
    };
    for (request, wanted) in [
        (server("a.example.org"), "not in the zone"),
        (server(&format!("evil{ZONE}")), "not in the zone"),
        (server("203.0.113.9"), "no address of this node"),
        (server("a..b"), "no DNS name"),
        (client(vec![node]), "usage `node`"),
        (client(vec!["spiffe://other/x".to_owned()]), "trust domain"),
        (IssueRequest { names: vec![], ..server("x") }, "needs a DNS name"),
        (IssueRequest { subject: Some("CN=".to_owned()), ..server(ZONE) }, ""),
        (IssueRequest { key: KeySource::Csr("no".to_owned()), ..server(ZONE) }, "no certification request"),
        (long(), "issuer's time"),
    ] {
        let error = domain.issue(request.clone()).await.unwrap_err();
        assert!(
            matches!(error, TrustError::Invalid { .. } | TrustError::Refused { .. })
                && error.to_string().contains(wanted),
            "{request:?}: {error:?}"
        );
    }
    assert_eq!(domain.stats().log_entries, before);
    assert_eq!(domain.stats().issue_refused, 10);
    domain.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_callers_get_different_certificates_that_are_all_found() {
    const CALLERS: usize = 64;
    const EACH: usize = 8;
    let folder = TempDir::new().unwrap();
    let domain = open(folder.path()).await;
    let tasks: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let domain = domain.clone();
            tokio::spawn(async move {
                let mut made = Vec::new();
                for number in 0..EACH {
                    let issued = domain.issue(server(&format!("h{caller}-{number}.{ZONE}"))).await.unwrap();
                    let id = &issued.certificate.record.id;
                    // Found from the moment it is given out.
                    assert_eq!(domain.certificate_pem(id).unwrap(), issued.certificate_pem);
                    made.push(issued.certificate.record);
                }
                made
            })
        })
        .collect();
    let mut made = Vec::new();
    for task in tasks {
        made.extend(task.await.unwrap());
    }
    let ids: HashSet<_> = made.iter().map(|it| it.id.clone()).collect();
    let places: HashSet<_> = made.iter().map(|it| it.log_index).collect();
    assert_eq!((ids.len(), places.len()), (CALLERS * EACH, CALLERS * EACH));
    let statistics = domain.log().statistics();
    assert!(statistics.batches < statistics.appended, "syncs are shared: {statistics:?}");
    domain.stop().await.unwrap();
    drop(domain);
    let domain = open(folder.path()).await;
    for record in made {
        assert_eq!(domain.certificate(&record.id).unwrap().record, record);
    }
    domain.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_filtered_and_paged() {
    let folder = TempDir::new().unwrap();
    let domain = open(folder.path()).await;
    for number in 0..7 {
        domain.issue(server(&format!("h{number}.{ZONE}"))).await.unwrap();
    }
    let all = domain.certificates(&CertificateFilter::default(), None, 1000).unwrap();
    assert_eq!((all.items.len(), all.more), (10, false));
    let mut paged = Vec::new();
    let mut after = None;
    loop {
        let page = domain.certificates(&CertificateFilter::default(), after.as_ref(), 3).unwrap();
        after = page.items.last().map(|it| it.record.id.clone());
        paged.extend(page.items);
        if !page.more {
            break;
        }
    }
    assert_eq!(paged, all.items);
    let name = CertificateFilter { name: Some("h3.".to_owned()), ..CertificateFilter::default() };
    assert_eq!(domain.certificates(&name, None, 10).unwrap().items.len(), 1);
    let node = CertificateFilter { profile: Some(CertificateProfile::Node), ..CertificateFilter::default() };
    assert_eq!(domain.certificates(&node, None, 10).unwrap().items.len(), 1);
    let expired =
        CertificateFilter { status: Some(CertificateStatus::Expired), ..CertificateFilter::default() };
    assert!(domain.certificates(&expired, None, 10).unwrap().items.is_empty());
    assert!(domain.certificates(&name, None, 0).is_err());
    domain.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_in_the_log_and_can_be_renewed_with_its_key_or_another() {
    let folder = TempDir::new().unwrap();
    let domain = open(folder.path()).await;
    let issued = domain.issue(server(&format!("a.{ZONE}"))).await.unwrap();
    let id = issued.certificate.record.id.clone();
    let proof = domain.inclusion(&id).unwrap();
    assert_eq!(Some(proof.leaf_index), issued.certificate.record.log_index);
    hypermesh_ctlog::merkle::verify_inclusion(
        &proof.leaf_hash,
        proof.leaf_index,
        proof.tree_size,
        &proof.audit_path,
        &proof.root_hash,
    )
    .unwrap();
    let renew = |key| RenewRequest { key, validity_seconds: None, by: "test".to_owned() };
    let same = domain.renew(&id, renew(None)).await.unwrap();
    assert_eq!(same.certificate.public_key_pem, issued.certificate.public_key_pem);
    assert_ne!(same.certificate.record.id, id);
    let other = domain.renew(&id, renew(Some(KeySource::Generate(KeyKind::P256)))).await.unwrap();
    assert_ne!(other.certificate.public_key_pem, issued.certificate.public_key_pem);
    assert_eq!(other.certificate.record.names, issued.certificate.record.names);
    let posted = domain.validate_pem(&other.chain_pem, &ValidateRequest::default()).unwrap();
    assert!(posted.valid && posted.certificate_id == Some(other.certificate.record.id.clone()));
    let host = ValidateRequest { host: Some("b.mesh.test".to_owned()), ..ValidateRequest::default() };
    assert!(!domain.validate(&id, &host).unwrap().valid);
    domain.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_the_key_is_who_the_certificate_says() {
    let folder = TempDir::new().unwrap();
    let domain = open(folder.path()).await;
    let request = IssueRequest {
        subject: Some("CN=ann".to_owned()),
        names: vec![],
        profile: CertificateProfile::Client,
        ..server("x")
    };
    let issued = domain.issue(request).await.unwrap();
    let key = hypermesh_pki::PrivateKey::from_pkcs8_pem(&issued.private_key_pem.unwrap()).unwrap();
    let challenge = domain.challenge().unwrap();
    let signature = key.sign(&challenge.message).unwrap();
    let pem = &issued.certificate_pem;
    let peer = domain.authenticate(pem, &challenge.nonce, &signature).unwrap();
    assert_eq!(peer.subject, "CN=ann");
    let again = domain.authenticate(pem, &challenge.nonce, &signature);
    assert!(matches!(again, Err(TrustError::Unauthenticated { .. })), "{again:?}");
    let other = domain.challenge().unwrap();
    assert!(domain.authenticate(pem, &other.nonce, &signature).is_err());
    let id = issued.certificate.record.id.clone();
    let der = domain.certificate_der(&id).unwrap();
    assert_eq!(domain.identify(&der).unwrap().certificate_id, id);
    domain.revoke(&id, "affiliationChanged", "test").await.unwrap();
    assert!(domain.identify(&der).is_err());
    let server = domain.issue(server(&format!("s.{ZONE}"))).await.unwrap();
    let der = domain.certificate_der(&server.certificate.record.id).unwrap();
    assert!(domain.identify(&der).is_err(), "a server's certificate is no client's");
    domain.stop().await.unwrap();
}
