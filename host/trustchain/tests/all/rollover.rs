//! The intermediate's rollover: chains are valid at every step, for certificates of both, and a restart goes on.

use crate::{ZONE, open, server};
use hypermesh_model::{CertificateId, RolloverPhase};
use hypermesh_trustchain::{AuthorityState, TrustChain, TrustError, ValidateRequest};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

async fn issued_by(domain: &TrustChain, name: &str) -> (CertificateId, CertificateId) {
    let record = domain.issue(server(&format!("{name}.{ZONE}"))).await.unwrap().certificate.record;
    (record.id, record.issuer_id)
}

fn is_valid(domain: &TrustChain, id: &CertificateId) -> bool {
    domain.validate(id, &ValidateRequest::default()).unwrap().valid
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_issued_and_valid_throughout() {
    let folder = TempDir::new().unwrap();
    let domain = open(folder.path()).await;
    let over = Arc::new(AtomicBool::new(false));
    // Somebody issues and validates all the time.
    let customer = tokio::spawn({
        let (domain, over) = (domain.clone(), Arc::clone(&over));
        async move {
            let mut issuers = Vec::new();
            while !over.load(Ordering::Acquire) {
                let (id, issuer) = issued_by(&domain, &format!("c{}", issuers.len())).await;
                assert!(is_valid(&domain, &id));
                issuers.push(issuer);
            }
            issuers.dedup();
            issuers
        }
    });
    let (before, old) = issued_by(&domain, "before").await;
    let rollover = domain.prepare_rollover("ann").await.unwrap();
    assert!(matches!(domain.prepare_rollover("ann").await, Err(TrustError::Conflict { .. })));
    assert_eq!(rollover.from, old);
    let states = || domain.authorities().unwrap().into_iter().map(|it| it.state).skip(1).collect::<Vec<_>>();
    assert_eq!(states(), [AuthorityState::Active, AuthorityState::Prepared]);
    assert_eq!(domain.bundle_pem().matches("BEGIN CERTIFICATE").count(), 2);
    domain.advance_rollover(&rollover.id, "ann").await.unwrap();
    assert_eq!(domain.bundle_pem().matches("BEGIN CERTIFICATE").count(), 3);
    assert_eq!(issued_by(&domain, "still").await.1, old);
    domain.advance_rollover(&rollover.id, "ann").await.unwrap();
    assert_eq!(states(), [AuthorityState::Retiring, AuthorityState::Active]);
    let (after, new) = issued_by(&domain, "after").await;
    assert_eq!(new, rollover.to);
    assert!(is_valid(&domain, &before) && is_valid(&domain, &after));
    domain.crl(&old).await.unwrap();
    domain.crl(&new).await.unwrap();
    over.store(true, Ordering::Release);
    assert_eq!(customer.await.unwrap(), [old.clone(), new.clone()]);

    let early = domain.advance_rollover(&rollover.id, "ann").await.unwrap_err();
    assert!(early.to_string().contains("valid until"), "{early}");
    assert!(matches!(domain.abandon_rollover(&rollover.id, "ann").await, Err(TrustError::Conflict { .. })));
    domain.stop().await.unwrap();
    drop(domain);

    let domain = open(folder.path()).await;
    assert_eq!(domain.rollovers()[0].phase(), RolloverPhase::Activated);
    assert_eq!(issued_by(&domain, "restarted").await.1, new);
    assert!(is_valid(&domain, &before));
    domain.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_authority_s_key_goes_when_nothing_of_it_is_valid() {
    let folder = TempDir::new().unwrap();
    let domain = open(folder.path()).await;
    let old = domain.certificate(&domain.identity().borrow().certificate_id).unwrap().record;
    let rollover = domain.prepare_rollover("ann").await.unwrap();
    domain.advance_rollover(&rollover.id, "ann").await.unwrap();
    domain.advance_rollover(&rollover.id, "ann").await.unwrap();
    // The node's own was signed by the old one: it gets another, and the old one is taken back at once.
    domain
        .rotate(hypermesh_trustchain::RotationRequest {
            certificate_id: old.id,
            rotation_type: hypermesh_model::RotationType::Emergency,
            key: None,
            by: "ann".to_owned(),
        })
        .await
        .unwrap();
    let done = domain.advance_rollover(&rollover.id, "ann").await.unwrap();
    assert_eq!(done.phase(), RolloverPhase::Retired);
    let authorities = domain.authorities().unwrap();
    let gone = authorities.iter().find(|it| it.certificate.record.id == rollover.from).unwrap();
    assert_eq!((gone.state, gone.key_present), (AuthorityState::Retired, false));
    domain.stop().await.unwrap();
    drop(domain);
    let domain = open(folder.path()).await;
    assert_eq!(issued_by(&domain, "later").await.1, rollover.to);
    domain.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollover_can_be_given_up_before_it_signs() {
    let folder = TempDir::new().unwrap();
    let domain = open(folder.path()).await;
    let rollover = domain.prepare_rollover("ann").await.unwrap();
    domain.advance_rollover(&rollover.id, "ann").await.unwrap();
    let given_up = domain.abandon_rollover(&rollover.id, "ann").await.unwrap();
    assert_eq!(given_up.phase(), RolloverPhase::Abandoned);
    assert_eq!(issued_by(&domain, "a").await.1, rollover.from);
    domain.prepare_rollover("ann").await.unwrap();
    domain.stop().await.unwrap();
}
