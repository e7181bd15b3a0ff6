//! What the domain stores beside the model's own nouns: what a node remembers of itself, and what waits.

use hypermesh_model::{LeaseId, NodeId, Timestamp};
use hypermesh_planner::Wanted;
use hypermesh_store::Record;
use serde::{Deserialize, Serialize};

/// What a node remembers of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeRecord {
    /// Its id, for ever.
    pub(crate) id: NodeId,
    /// When it first started.
    pub(crate) first_start: Timestamp,
    /// How long it has run in all, seconds, as of the last record.
    pub(crate) up_seconds: u64,
}

impl Record for NodeRecord {
    const TABLE: &'static str = "node";
    type Key = NodeId;
    fn key(&self) -> NodeId {
        self.id.clone()
    }
}

/// What a lease that waits for room wants, until it starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct WaitingRecord {
    /// The lease.
    pub(crate) lease: LeaseId,
    /// What it wants.
    pub(crate) wanted: Wanted,
}

impl Record for WaitingRecord {
    const TABLE: &'static str = "waiting";
    type Key = LeaseId;
    fn key(&self) -> LeaseId {
        self.lease.clone()
    }
}
