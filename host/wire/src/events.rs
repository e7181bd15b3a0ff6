//! Events: what changed, in one sequence per node (server-sent events).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// One event. On the stream, `id` is the sequence and `event` the kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Its number, from 1, without gaps on one node.
    pub sequence: u64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// What, e.g. `allocation_active`.
    pub kind: String,
    /// The id of what it is about.
    pub subject: String,
    /// What a listener needs to show it.
    #[schema(value_type = Object)]
    pub data: Value,
}

/// One event as the stream has it. OpenAPI 3.1 can't say that a body is a sequence of these; readers take it so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StreamEvent {
    /// The sequence; an event `gone` has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub id: Option<String>,
    /// The kind, or `gone`.
    pub event: String,
    /// An `Event` as JSON; of `gone`, the number of the oldest event that is kept.
    pub data: String,
}
