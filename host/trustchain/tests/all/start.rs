//! The first start, and what a second one finds.

use crate::{ZONE, open, server, settings};
use hypermesh_model::{CertificateStatus, TrustLevel};
use hypermesh_store::Store;
use hypermesh_trustchain::{AuthorityState, CertificateFilter, DnsFilter, TrustChain, ValidateRequest};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_makes_what_the_contract_says_and_a_second_finds_it() {
    let folder = TempDir::new().unwrap();
    let first = open(folder.path()).await;
    let page = first.certificates(&CertificateFilter::default(), None, 100).unwrap();
    let levels: Vec<_> = page.items.iter().map(|it| it.record.trust_level).collect();
    assert_eq!(levels, [TrustLevel::Root, TrustLevel::Intermediate, TrustLevel::Leaf]);
    assert!(page.items.iter().all(|it| it.status == CertificateStatus::Active));
    let own = first.identity().borrow().clone();
    assert_eq!(own.certificate_id, page.items[2].record.id);
    assert!(page.items[2].record.names.contains(&format!("uri:spiffe://{ZONE}/node/node-7")));
    let validation = first.validate(&own.certificate_id, &ValidateRequest::default()).unwrap();
    assert!(validation.valid, "{:?}", validation.rules);
    assert_eq!(validation.path.len(), 3);

    let records = first.dns_records(&DnsFilter::default());
    for host in [ZONE.to_owned(), format!("trust.{ZONE}"), format!("stoq.{ZONE}")] {
        for (record_type, value) in [("A", "192.0.2.7"), ("AAAA", "2001:db8::7")] {
            let there = |it: &&hypermesh_model::DnsRecord| it.domain == host && it.record_type == record_type;
            assert_eq!(records.iter().find(there).unwrap().value, value);
        }
    }
    assert_eq!(first.rotation_policies()[0].certificate_id, own.certificate_id);
    first.stop().await.unwrap();
    drop(first);

    let second = open(folder.path()).await;
    let again = second.certificates(&CertificateFilter::default(), None, 100).unwrap();
    assert_eq!(again, page);
    assert_eq!(second.identity().borrow().key_der, own.key_der);
    assert_eq!(second.dns_records(&DnsFilter::default()), records);
    second.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn private_keys_are_encrypted_and_for_the_owner_alone() {
    let folder = TempDir::new().unwrap();
    let domain = open(folder.path()).await;
    let keys = folder.path().join("trustchain/keys");
    assert_eq!(fs::metadata(&keys).unwrap().permissions().mode() & 0o777, 0o700);
    let mut count = 0;
    for entry in fs::read_dir(&keys).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{path:?}");
        if path.extension().is_some_and(|end| end == "pem") {
            count += 1;
            assert!(fs::read_to_string(&path).unwrap().starts_with("-----BEGIN ENCRYPTED PRIVATE KEY"));
        }
    }
    // Root, intermediate, log, zone, node.
    assert_eq!(count, 5);
    assert!(domain.passphrase_is_beside_the_keys());
    domain.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_root_s_key_everything_goes_on_but_what_takes_it() {
    let folder = TempDir::new().unwrap();
    let domain = open(folder.path()).await;
    let root = domain.authorities().unwrap().remove(0);
    domain.crl(&root.certificate.record.id).await.unwrap();
    domain.stop().await.unwrap();
    drop(domain);
    let name = format!("root-{}.pem", root.certificate.record.id);
    fs::rename(folder.path().join("trustchain/keys").join(&name), folder.path().join("away.pem")).unwrap();

    let domain = open(folder.path()).await;
    assert!(!domain.authorities().unwrap()[0].key_present);
    domain.issue(server(&format!("a.{ZONE}"))).await.unwrap();
    let refused = domain.prepare_rollover("test").await.unwrap_err().to_string();
    assert!(refused.contains("the root's key"), "{refused}");
    assert_eq!(domain.crl(&root.certificate.record.id).await.unwrap().der.first(), Some(&0x30));
    domain.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_lost_is_made_again_from_the_log_with_its_revocations() {
    let folder = TempDir::new().unwrap();
    let domain = open(folder.path()).await;
    let kept = domain.issue(server(&format!("a.{ZONE}"))).await.unwrap();
    let revoked = domain.issue(server(&format!("b.{ZONE}"))).await.unwrap();
    let id = revoked.certificate.record.id.clone();
    domain.revoke(&id, "keyCompromise", "test").await.unwrap();
    let before = domain.certificates(&CertificateFilter::default(), None, 100).unwrap();
    let number = domain.crl(&revoked.certificate.record.issuer_id).await.unwrap().number;
    domain.stop().await.unwrap();
    drop(domain);
    for name in ["node.sqlite", "node.sqlite-wal", "node.sqlite-shm"] {
        let _ = fs::remove_file(folder.path().join(name));
    }

    let domain = open(folder.path()).await;
    let after = domain.certificates(&CertificateFilter::default(), None, 100).unwrap();
    let find = |page: &hypermesh_trustchain::CertificatePage, id| {
        page.items.iter().find(|it| it.record.id == id).cloned()
    };
    for certificate in &before.items {
        let again = find(&after, certificate.record.id.clone()).unwrap();
        assert_eq!(again.record.fingerprint, certificate.record.fingerprint);
        assert_eq!(
            (again.status, again.record.log_index),
            (certificate.status, certificate.record.log_index)
        );
    }
    assert_eq!(domain.certificate_pem(&kept.certificate.record.id).unwrap(), kept.certificate_pem);
    assert_eq!(domain.certificate(&id).unwrap().revocation.unwrap().reason, "keyCompromise");
    assert!(domain.crl(&revoked.certificate.record.issuer_id).await.unwrap().number >= number);
    assert!(domain.authorities().unwrap().iter().all(|it| it.state == AuthorityState::Active));
    domain.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_index_is_made_again_while_the_node_runs() {
    let folder = TempDir::new().unwrap();
    let domain = open(folder.path()).await;
    for number in 0..5 {
        domain.issue(server(&format!("h{number}.{ZONE}"))).await.unwrap();
    }
    let before = domain.certificates(&CertificateFilter::default(), None, 100).unwrap();
    let rebuilt = domain.rebuild().await.unwrap();
    assert_eq!((rebuilt.entries, rebuilt.signed_again), (6, 0));
    assert_eq!(domain.certificates(&CertificateFilter::default(), None, 100).unwrap(), before);
    domain.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_can_t_be_are_said() {
    let folder = TempDir::new().unwrap();
    let mut wrong = settings(folder.path());
    wrong.zone = "a..b".to_owned();
    let store = Store::open(&folder.path().join("node.sqlite")).unwrap();
    assert!(TrustChain::open(wrong, store).await.is_err());
}
