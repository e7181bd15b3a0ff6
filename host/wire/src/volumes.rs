//! Volumes: the folders of allocations, live ones and those that were kept.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A folder of bounded size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Volume {
    /// The allocation that it was made for.
    pub allocation_id: String,
    /// Where it is on the node's machine.
    pub path: String,
    /// The most that it can hold, bytes.
    pub size: u64,
    /// In use, bytes; `null` where that can't be read.
    pub used: Option<u64>,
    /// What bounds it: `project_quota` or `loop_image`.
    pub method: String,
    /// Whether its allocation has ended and it was kept.
    pub kept: bool,
}
