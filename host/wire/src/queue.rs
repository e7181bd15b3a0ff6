//! The queue: allocations that wait for room, in the order in which they get it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A waiting allocation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct QueueEntry {
    /// The allocation.
    pub allocation_id: String,
    /// Who waits.
    pub requester_id: String,
    /// 0 to 100; a higher one goes first.
    pub priority: u8,
    /// From 1, the next one.
    #[schema(minimum = 1)]
    pub position: u64,
    /// When it will begin if no lease is renewed; `null` where that can't be said.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub eta: Option<Timestamp>,
    /// When it gives up.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub wait_until: Option<Timestamp>,
    /// The requester's dominant share of the machine over time, decayed: who has less goes first.
    pub share: f64,
}
