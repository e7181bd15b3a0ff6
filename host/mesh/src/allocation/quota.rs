//! Quotas: how much one requester may hold at a time; and the shares by which the queue is fair.

use crate::Mesh;
use crate::error::MeshError;
use hypermesh_model::{EventKind, Subject};
use hypermesh_planner::{Held, Quota, Shares};
use hypermesh_store::{Batch, Record};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Most quotas: one a requester, and a machine has few.
const MAX_QUOTAS: usize = 1024;

/// A quota on disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct QuotaRecord {
    pub(crate) requester: Subject,
    pub(crate) quota: Quota,
}

impl Record for QuotaRecord {
    const TABLE: &'static str = "quotas";
    type Key = Subject;
    fn key(&self) -> Subject {
        self.requester.clone()
    }
}

/// What requesters have used, decayed, on disk: one record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ShareRecord {
    pub(crate) shares: Shares,
}

impl ShareRecord {
    pub(crate) const KEY: &'static str = "all";
}

impl Record for ShareRecord {
    const TABLE: &'static str = "shares";
    type Key = String;
    fn key(&self) -> String {
        Self::KEY.to_owned()
    }
}

/// A quota and what of it is used.
#[derive(Debug, Clone, PartialEq)]
pub struct QuotaView {
    /// Whose it is.
    pub requester: Subject,
    /// The limits; without any for a requester that has no quota.
    pub quota: Quota,
    /// What it holds now.
    pub used: Held,
}

impl Mesh {
    /// All quotas, by requester.
    pub fn quotas(&self) -> Vec<QuotaView> {
        self.ledger.quotas().into_iter().map(|(requester, quota)| self.viewed(requester, quota)).collect()
    }

    /// A requester's quota; an unlimited one when it has none.
    pub fn quota(&self, requester: &Subject) -> QuotaView {
        let quota = self.ledger.quotas().remove(requester).unwrap_or_default();
        self.viewed(requester.clone(), quota)
    }

    fn viewed(&self, requester: Subject, quota: Quota) -> QuotaView {
        let used = self.ledger.read(|book| book.held_by(&requester));
        QuotaView { requester, quota, used }
    }

    /// Sets a quota. What its requester holds already stays.
    ///
    /// # Errors
    /// [`MeshError::Busy`] at `MAX_QUOTAS`.
    pub async fn set_quota(&self, requester: Subject, quota: Quota) -> Result<QuotaView, MeshError> {
        let is_new = !self.tables.quotas.contains(&requester);
        if is_new && self.tables.quotas.len() >= MAX_QUOTAS {
            return Err(MeshError::Busy { detail: format!("{MAX_QUOTAS} quotas are set; remove some") });
        }
        let mut batch = Batch::new();
        batch.put(&self.tables.quotas, QuotaRecord { requester: requester.clone(), quota });
        batch.event(EventKind::QuotaChanged, &requester.0, json!({ "quota": quota }));
        self.commit(batch, "recording a quota").await?;
        self.ledger.set_quota(&requester, Some(quota));
        Ok(self.quota(&requester))
    }

    /// Removes a quota.
    ///
    /// # Errors
    /// [`MeshError::NotFound`].
    pub async fn remove_quota(&self, requester: &Subject) -> Result<(), MeshError> {
        if !self.tables.quotas.contains(requester) {
            return Err(MeshError::not_found("quota", &requester.0));
        }
        let mut batch = Batch::new();
        batch.delete(&self.tables.quotas, requester);
        batch.event(EventKind::QuotaChanged, &requester.0, json!({ "quota": null }));
        self.commit(batch, "removing a quota").await?;
        self.ledger.set_quota(requester, None);
        self.wake_life();
        Ok(())
    }
}
