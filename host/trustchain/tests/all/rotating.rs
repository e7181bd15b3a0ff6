//! Rotation: by policy, on demand, in an emergency, and of the node's own certificate under its listeners.

use crate::{ZONE, open, server};
use hypermesh_model::{CertificateId, CertificateStatus, RotationStatus, RotationType};
use hypermesh_trustchain::{NewRotationPolicy, RotationRequest, TrustChain, TrustError};
use std::fs;
use std::time::Duration;
use tempfile::TempDir;

fn policy(certificate_id: &CertificateId, rotation_type: RotationType) -> NewRotationPolicy {
    NewRotationPolicy {
        certificate_id: certificate_id.clone(),
        rotation_type,
        interval_days: 90,
        warning_days: 7,
        grace_period_days: 30,
        enabled: true,
    }
}

fn request(certificate_id: &CertificateId, rotation_type: RotationType) -> RotationRequest {
    RotationRequest { certificate_id: certificate_id.clone(), rotation_type, key: None, by: "ann".to_owned() }
}

async fn issue(domain: &TrustChain) -> CertificateId {
    domain.issue(server(&format!("a.{ZONE}"))).await.unwrap().certificate.record.id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_follows_its_certificate_and_both_are_valid_for_the_grace_period() {
    let folder = TempDir::new().unwrap();
    let domain = open(folder.path()).await;
    let id = issue(&domain).await;
    let made = domain.create_rotation_policy(policy(&id, RotationType::Automatic)).await.unwrap();
    assert!(made.next_rotation.is_some());
    let twice = domain.create_rotation_policy(policy(&id, RotationType::Automatic)).await;
    assert!(matches!(twice, Err(TrustError::Conflict { .. })), "{twice:?}");
    let rotated = domain.rotate(request(&id, RotationType::Manual)).await.unwrap();
    let new = rotated.new.certificate.record.clone();
    assert_eq!(rotated.policy, Some(made.id.clone()));
    assert!(rotated.new.private_key_pem.is_some());
    assert_ne!(rotated.new.certificate.public_key_pem, rotated.old.public_key_pem);
    assert_eq!(rotated.old.status, CertificateStatus::Active);
    assert_eq!(rotated.rotation.status, RotationStatus::Overlap);
    let followed = domain.rotation_policy(&made.id).unwrap();
    assert_eq!((followed.certificate_id, followed.last_rotation.is_some()), (new.id.clone(), true));
    let history = domain.rotation_history(Some(&id));
    assert_eq!(history.len(), 1);
    assert_eq!(history[0].old_fingerprint, rotated.old.record.fingerprint);
    assert_eq!(history[0].new_fingerprint, Some(new.fingerprint));
    let wrong = NewRotationPolicy { interval_days: 0, ..policy(&new.id, RotationType::Automatic) };
    let error = domain.replace_rotation_policy(&made.id, wrong).await.unwrap_err();
    assert!(matches!(error, TrustError::Invalid { member, .. } if member == "interval_days"));
    domain.remove_rotation_policy(&made.id).await.unwrap();
    domain.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_policy_acts_at_once_and_leaves_the_new_key_in_its_folder() {
    let folder = TempDir::new().unwrap();
    let domain = open(folder.path()).await;
    let id = issue(&domain).await;
    let made = domain.create_rotation_policy(policy(&id, RotationType::Emergency)).await.unwrap();
    let mut events = domain.certificate(&id).unwrap();
    for _ in 0..300 {
        if events.status == CertificateStatus::Revoked {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        events = domain.certificate(&id).unwrap();
    }
    assert_eq!(events.status, CertificateStatus::Revoked);
    assert_eq!(events.revocation.unwrap().reason, "superseded");
    let managed = folder.path().join("trustchain/managed").join(made.id.as_str());
    let key = fs::read_to_string(managed.join("key.pem")).unwrap();
    let key = hypermesh_pki::PrivateKey::from_pkcs8_pem(&key).unwrap();
    let chain = fs::read_to_string(managed.join("fullchain.pem")).unwrap();
    let leaf = hypermesh_pki::Certificate::all_from_pem(&chain).unwrap().remove(0);
    assert_eq!(leaf.public_key(), key.public());
    let after = domain.rotation_policy(&made.id).unwrap();
    assert!(!after.enabled && after.certificate_id.as_str() == leaf.serial_hex());
    domain.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_s_own_certificate_is_replaced_and_listeners_are_told() {
    let folder = TempDir::new().unwrap();
    let domain = open(folder.path()).await;
    let mut listener = domain.identity();
    let old = listener.borrow_and_update().clone();
    let rotated = domain.rotate(request(&old.certificate_id, RotationType::Manual)).await.unwrap();
    assert!(rotated.new.private_key_pem.is_none(), "the node's key stays with the node");
    assert!(listener.has_changed().unwrap());
    let new = listener.borrow_and_update().clone();
    assert_eq!(new.certificate_id, rotated.new.certificate.record.id);
    assert_ne!(new.key_der, old.key_der);
    let own = domain.rotation_policies();
    assert_eq!((own.len(), &own[0].certificate_id), (1, &new.certificate_id));
    let refused = domain.remove_rotation_policy(&own[0].id).await;
    assert!(matches!(refused, Err(TrustError::Conflict { .. })));
    domain.stop().await.unwrap();
    drop(domain);
    let domain = open(folder.path()).await;
    assert_eq!(domain.identity().borrow().key_der, new.key_der);
    domain.stop().await.unwrap();
}
