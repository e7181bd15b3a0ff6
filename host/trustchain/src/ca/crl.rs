//! Revocation lists: one an authority, signed afresh when something was revoked and when half of its time is over.
//!
//! Every revocation makes its authority's list stale; who asks for a stale list waits for a new one, and only one is
//! signed at a time. So a list that is served always has what was acknowledged before the question, and a thousand
//! revocations cost as many lists as somebody asks for, or one. The number is on disk before a list with it leaves.

use super::{Issuer, bootstrap};
use crate::TrustChain;
use crate::error::TrustError;
use crate::files::{read_if_there, write_whole};
use crate::records::CrlRecord;
use crate::views::Crl;
use hypermesh_model::{CertificateId, Timestamp, TrustLevel, error_chain};
use hypermesh_pki::{Authority, CrlContent, RevocationReason, Revoked, SerialNumber};
use hypermesh_store::Batch;
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

const HOUR: u64 = 3600;
/// How long an intermediate's list is good, seconds: a day, so that a client that keeps it learns of a revocation soon.
const GOOD_FOR: u64 = 24 * HOUR;
/// How long the root's list is good, seconds: half a year, since its key may be away.
const ROOT_GOOD_FOR: u64 = 180 * 24 * HOUR;

/// The newest lists, and what made them stale.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    current: Mutex<HashMap<CertificateId, Current>>,
    /// One list is signed at a time.
    signing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone, Default)]
struct Current {
    list: Option<Arc<Crl>>,
    /// Counts this authority's revocations since the start.
    revocations: u64,
    /// How many of them are in the list.
    signed: u64,
}

impl Lists {
    fn get(&self, id: &CertificateId) -> Current {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned().unwrap_or_default()
    }

    /// Something of this authority's was revoked.
    pub(crate) fn make_stale(&self, id: &CertificateId) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.entry(id.clone()).or_default().revocations += 1;
    }

    fn put(&self, id: &CertificateId, list: &Arc<Crl>, signed: u64) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = current.entry(id.clone()).or_default();
        entry.list = Some(Arc::clone(list));
        entry.signed = signed;
    }
}

/// Whether a list is to be replaced: half of its time is over.
fn is_old(list: &Crl, now: Timestamp) -> bool {
    let half = list.this_update.until(list.next_update).as_secs() / 2;
    now >= list.this_update.plus_seconds(half)
}

impl TrustChain {
    /// An authority's newest revocation list, with everything that was acknowledged before this call.
    ///
    /// # Errors
    /// [`TrustError::NotFound`]; [`TrustError::Conflict`] for the root without its key and without a list.
    pub async fn crl(&self, authority: &CertificateId) -> Result<Crl, TrustError> {
        let issuer = self.authority_issuer(authority)?;
        if let Some(list) = self.fresh(&issuer) {
            return Ok(Crl::clone(&list));
        }
        let _signing = self.lists.signing.lock().await;
        if let Some(list) = self.fresh(&issuer) {
            return Ok(Crl::clone(&list));
        }
        let domain = self.clone();
        let revocations = self.lists.get(authority).revocations;
        let list = tokio::task::spawn_blocking(move || domain.sign_list(&issuer))
            .await
            .map_err(TrustError::internal("waiting for a thread"))??;
        let list = Arc::new(list);
        self.lists.put(authority, &list, revocations);
        Ok(Crl::clone(&list))
    }

    fn fresh(&self, issuer: &Issuer) -> Option<Arc<Crl>> {
        let current = self.lists.get(&issuer.id);
        let list = current.list?;
        (current.signed == current.revocations && !is_old(&list, Timestamp::now())).then_some(list)
    }

    fn sign_list(&self, issuer: &Issuer) -> Result<Crl, TrustError> {
        let key = match issuer.level {
            TrustLevel::Root => bootstrap::root_authority(&self.keys, issuer),
            TrustLevel::Intermediate | TrustLevel::Leaf => issuer.authority.clone().ok_or_else(|| {
                TrustError::conflict(format!("the authority {} is retired: its key is gone", issuer.id))
            }),
        };
        let path = self.files.crl(&issuer.id);
        match key {
            Ok(key) => {
                let list = self.sign_with(issuer, &key)?;
                write_whole(&path, &list.der).map_err(TrustError::internal("keeping a list"))?;
                Ok(list)
            }
            Err(refused) => {
                let der = read_if_there(&path).map_err(TrustError::internal("reading a list"))?;
                let Some((der, record)) = der.zip(self.tables.crls.get(&issuer.id)) else {
                    return Err(refused);
                };
                tracing::warn!(authority = %issuer.id, why = error_chain(&refused), "serving the last list");
                let CrlRecord { number, this_update, next_update, .. } = record;
                Ok(Crl { der, number, this_update, next_update })
            }
        }
    }

    fn sign_with(&self, issuer: &Issuer, key: &Authority) -> Result<Crl, TrustError> {
        let this_update = Timestamp::now();
        let good_for = match issuer.level {
            TrustLevel::Root => ROOT_GOOD_FOR,
            TrustLevel::Intermediate | TrustLevel::Leaf => GOOD_FOR,
        };
        let next_update = this_update.plus_seconds(good_for);
        let last = self.tables.crls.get(&issuer.id).map_or(0, |record| record.number);
        // The clock's seconds, so that a database that was lost doesn't let it begin again.
        let clock = u64::try_from(this_update.as_millis() / 1000).unwrap_or(0);
        let number = clock.max(last + 1);
        let mut entries = Vec::new();
        self.tables.revocations.filter(|row| {
            if row.0.issuer_id == issuer.id && row.0.valid_to >= this_update {
                entries.extend(entry(&row.0));
            }
            false
        });
        let mut batch = Batch::new();
        batch.put(&self.tables.crls, CrlRecord { id: issuer.id.clone(), number, this_update, next_update });
        self.store.commit_blocking(batch).map_err(TrustError::internal("recording a list's number"))?;
        let der = key
            .sign_crl(CrlContent { number, this_update, next_update, entries })
            .map_err(TrustError::internal("signing a list"))?;
        self.counters.crl_signed.fetch_add(1, Ordering::Relaxed);
        Ok(Crl { der, number, this_update, next_update })
    }

    /// Replaces every list that is stale or half through its time.
    pub(crate) async fn refresh_lists(&self) {
        let now = Timestamp::now();
        for issuer in self.ca().all() {
            let retired = issuer.state == crate::AuthorityState::Retired;
            if retired || issuer.certificate.not_after() < now || self.fresh(issuer).is_some() {
                continue;
            }
            if let Err(error) = self.crl(&issuer.id).await {
                tracing::warn!(authority = %issuer.id, error = error_chain(&error), "no new revocation list");
            }
        }
    }
}

fn entry(revocation: &hypermesh_model::Revocation) -> Option<Revoked> {
    let serial: SerialNumber = revocation.certificate_id.as_str().parse().ok()?;
    let reason: RevocationReason = revocation.reason.parse().unwrap_or_default();
    Some(Revoked { serial, at: revocation.at, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_replaced_at_half_of_its_time() {
        let from = Timestamp::from_millis(0);
        let list = Crl { der: vec![], number: 1, this_update: from, next_update: from.plus_seconds(100) };
        assert!(!is_old(&list, from.plus_seconds(49)) && is_old(&list, from.plus_seconds(50)));
    }

    #[test]
    fn what_is_revoked_meanwhile_makes_a_list_stale_again() {
        let lists = Lists::default();
        let id = CertificateId::parse("01").unwrap();
        lists.make_stale(&id);
        let seen = lists.get(&id).revocations;
        lists.make_stale(&id);
        let at = Timestamp::from_millis(0);
        lists.put(&id, &Arc::new(Crl { der: vec![], number: 1, this_update: at, next_update: at }), seen);
        let current = lists.get(&id);
        assert_ne!(current.signed, current.revocations);
    }
}
