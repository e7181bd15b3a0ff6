//! Updates by `nsupdate` and the like (RFC 2136): the server has checked them, here they are made durable.

use crate::{Inner, TrustChain};
use hypermesh_dns::{Change, Commit, RecordData, Refusal, Update, Updates};
use hypermesh_model::error_chain;
use std::sync::{Arc, OnceLock, Weak};

/// The way from the server to the domain, which is opened after the server was.
#[derive(Default)]
pub(crate) struct Gateway(OnceLock<Weak<Inner>>);

impl Gateway {
    /// From now on updates are taken.
    pub(crate) fn open(&self, domain: &TrustChain) {
        // Set once, by who made it.
        let _ = self.0.set(Arc::downgrade(&domain.0));
    }
}

impl Updates for Gateway {
    fn commit(&self, update: Update) -> Commit<'_> {
        let domain = self.0.get().and_then(Weak::upgrade).map(TrustChain);
        Box::pin(async move {
            let domain = domain.ok_or_else(|| Refusal::Failed("the node is starting or stopping".into()))?;
            domain.update_zone(update).await
        })
    }
}

impl TrustChain {
    async fn update_zone(&self, update: Update) -> Result<(), Refusal> {
        let _turn = self.dns.turn.lock().await;
        if self.dns.zones.current().serial() != update.base_serial {
            return Err(Refusal::Stale);
        }
        let soa = |change: &Change| matches!(change, Change::Add(record) if matches!(record.data, RecordData::Soa(_)));
        if update.changes.iter().any(soa) {
            return Err(Refusal::Denied("the SOA is kept by this server".into()));
        }
        let failed = |error: crate::TrustError| Refusal::Failed(error_chain(&error));
        let (batch, _) = self.dns.rows_of(&update.changes).map_err(failed)?;
        let key = update.key.text();
        self.commit_zone(&update.changes, batch, &key).await.map_err(failed)
    }
}
