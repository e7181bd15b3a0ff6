//! The node's own certificate: what its TLS listeners present, replaced under them while they run.
//!
//! It names the node (SPIFFE id, DNS name, addresses), lives for a day, and is replaced at two thirds of it, or at the start
//! if the node has other names by now. Its key is made here, kept with the other keys, and replaced with every certificate.
//! Order: certificate, key on disk, row, then listeners are told. A crash before the row leaves a certificate that nobody
//! uses and a key that the next start removes.

use crate::TrustChain;
use crate::error::TrustError;
use crate::issue::{Made, make_key};
use crate::records::IdentityRecord;
use crate::requests::KeyKind;
use crate::settings::Settings;
use crate::views::Identity;
use hypermesh_model::{
    CertificateId, CertificateProfile, CertificateRecord, CertificateStatus, RotationPolicy,
    RotationPolicyId, RotationType, Timestamp,
};
use hypermesh_pki::{Certificate, DistinguishedName, Names, PrivateKey};
use hypermesh_store::Batch;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::watch;
use zeroize::Zeroizing;

fn key_name(id: &CertificateId) -> String {
    format!("node-{id}")
}

/// Who the node is.
pub(crate) fn names(settings: &Settings) -> Result<Names, TrustError> {
    let invalid = |e: hypermesh_pki::NameError| TrustError::invalid("node_name", e.to_string());
    let dns = vec![
        format!("{}.{}", settings.node_name, settings.zone),
        settings.zone.clone(),
        format!("trust.{}", settings.zone),
        format!("stoq.{}", settings.zone),
        "localhost".to_owned(),
    ];
    let mut addresses = settings.addresses.clone();
    addresses.extend([IpAddr::from([127, 0, 0, 1]), IpAddr::V6(std::net::Ipv6Addr::LOCALHOST)]);
    addresses.sort();
    addresses.dedup();
    let spiffe = format!("spiffe://{}/node/{}", settings.trust_domain, settings.node_id);
    Names::new(dns, addresses, vec![spiffe], Vec::new()).map_err(invalid)
}

/// Until the node has one, while it starts: nobody gets to see it.
pub(crate) fn none_yet() -> Result<Identity, TrustError> {
    Ok(Identity {
        certificate_id: CertificateId::parse("none")?,
        chain_der: Vec::new(),
        root_der: Vec::new(),
        key_der: Zeroizing::default(),
        valid_to: Timestamp::from_millis(0),
    })
}

impl TrustChain {
    /// The certificate of the last run, or a new one; and no keys of others that a crash left.
    pub(crate) async fn open_identity(&self) -> Result<(), TrustError> {
        let former = self.tables.identity.get(&IdentityRecord::KEY.to_owned());
        let identity = match self.kept_identity()? {
            Some(kept) => kept,
            None => {
                let (made, identity) = self.make_identity().await?;
                let mut batch = Batch::new();
                self.put_identity(&mut batch, &made.record.id);
                self.put_own_policy(&mut batch, &made.record, former.as_ref().map(|row| &row.certificate_id));
                self.commit(batch, "recording the node's certificate").await?;
                identity
            }
        };
        let own = key_name(&identity.certificate_id);
        self.identity.send_replace(Arc::new(identity));
        let fault = || TrustError::internal("removing keys that are not used");
        for name in self.keys.names("node-").map_err(fault())? {
            if name != own {
                self.keys.remove(&name).map_err(fault())?;
            }
        }
        Ok(())
    }

    /// The node's own certificate, and a notification when it is replaced.
    pub fn identity(&self) -> watch::Receiver<Arc<Identity>> {
        self.identity.subscribe()
    }

    /// The certificate and key of the last run, if they are still good for a third of their time and for these names.
    pub(crate) fn kept_identity(&self) -> Result<Option<Identity>, TrustError> {
        let Some(row) = self.tables.identity.get(&IdentityRecord::KEY.to_owned()) else { return Ok(None) };
        let Some(record) = self.index.get(&row.certificate_id) else { return Ok(None) };
        let now = Timestamp::now();
        let third = record.valid_from.until(record.valid_to).as_secs() / 3;
        let good = self.status_of(&record, now) == CertificateStatus::Active
            && now < record.valid_to.minus_seconds(third);
        if !good {
            return Ok(None);
        }
        let key =
            self.keys.load(&key_name(&record.id)).map_err(TrustError::internal("reading the node's key"))?;
        let certificate = self.read(&record)?;
        let same_names = *certificate.names() == names(&self.settings)?;
        let Some(key) = key.filter(|key| same_names && key.public() == certificate.public_key()) else {
            return Ok(None);
        };
        self.present(&record, &certificate, &key).map(Some)
    }

    /// What listeners need.
    fn present(
        &self,
        record: &CertificateRecord,
        certificate: &Certificate,
        key: &PrivateKey,
    ) -> Result<Identity, TrustError> {
        let ca = self.ca();
        let issuer =
            ca.get(&record.issuer_id).ok_or_else(|| TrustError::not_found("authority", &record.issuer_id))?;
        Ok(Identity {
            certificate_id: record.id.clone(),
            chain_der: vec![certificate.der().to_vec(), issuer.certificate.der().to_vec()],
            root_der: ca.root.certificate.der().to_vec(),
            key_der: Zeroizing::new(key.pkcs8_der().to_vec()),
            valid_to: record.valid_to,
        })
    }

    /// Issues a new certificate with a new key for the node, and keeps both. Listeners aren't told yet.
    pub(crate) async fn make_identity(&self) -> Result<(Made, Identity), TrustError> {
        let key = make_key(KeyKind::P256)?;
        let names = names(&self.settings)?;
        let subject = DistinguishedName::common(self.settings.node_id.as_str())
            .map_err(|e| TrustError::invalid("node_id", e.to_string()))?;
        let plan = self.dated(CertificateProfile::Node, subject, names, key.public().clone(), None);
        let made = self.make(plan).await?;
        let identity = self.present(&made.record, &made.certificate, &key)?;
        let (domain, id) = (self.clone(), made.record.id.clone());
        tokio::task::spawn_blocking(move || domain.keys.save(&key_name(&id), &key))
            .await
            .map_err(TrustError::internal("waiting for a thread"))?
            .map_err(TrustError::internal("keeping the node's key"))?;
        crate::failpoint::at("identity.saved");
        Ok((made, identity))
    }

    /// The row that says which certificate the node presents.
    pub(crate) fn put_identity(&self, batch: &mut Batch, id: &CertificateId) {
        let record = IdentityRecord { id: IdentityRecord::KEY.to_owned(), certificate_id: id.clone() };
        batch.put(&self.tables.identity, record);
    }

    /// Tells the listeners, and destroys the key before.
    pub(crate) fn switch_identity(&self, identity: Identity) -> Result<(), TrustError> {
        let old = self.identity.send_replace(Arc::new(identity));
        self.keys
            .remove(&key_name(&old.certificate_id))
            .map_err(TrustError::internal("removing the node's former key"))
    }

    /// Whether it is the node's own.
    pub(crate) fn is_own(&self, id: &CertificateId) -> bool {
        self.identity.borrow().certificate_id == *id
    }
}

/// The policy of the node's own certificate: each day, and by the rule for short lives at two thirds of it.
pub(crate) fn policy(id: &CertificateId, now: Timestamp) -> RotationPolicy {
    RotationPolicy {
        id: RotationPolicyId::generate(),
        certificate_id: id.clone(),
        rotation_type: RotationType::Automatic,
        interval_days: 1,
        warning_days: 0,
        grace_period_days: 1,
        enabled: true,
        last_rotation: None,
        next_rotation: None,
        warned_for: None,
        failures: 0,
        created_at: now,
    }
}
