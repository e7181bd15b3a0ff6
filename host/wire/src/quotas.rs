//! Quotas: how much one requester may hold at a time.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Most bytes of a quota: numbers up to 2^53 − 1 are exact in every language.
pub const MAX_QUOTA_BYTES: u64 = 9_007_199_254_740_991;
/// Most leases of a quota: far above what a node holds.
pub const MAX_QUOTA_LEASES: u32 = 1_000_000;

/// The most that a requester may hold. `null` or absent: not limited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct QuotaLimits {
    /// Thousandths of one logical CPU.
    #[serde(deserialize_with = "crate::lenient::optional_whole")]
    #[schema(minimum = 0, maximum = 4_096_000)]
    pub cpu_millis: Option<u32>,
    /// Memory, bytes.
    #[serde(deserialize_with = "crate::lenient::optional_whole")]
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_u64)]
    pub memory_bytes: Option<u64>,
    /// Storage, bytes.
    #[serde(deserialize_with = "crate::lenient::optional_whole")]
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_u64)]
    pub storage_bytes: Option<u64>,
    /// GPUs.
    #[serde(deserialize_with = "crate::lenient::optional_whole")]
    #[schema(minimum = 0, maximum = 64)]
    pub gpus: Option<u32>,
    /// Allocations.
    #[serde(deserialize_with = "crate::lenient::optional_whole")]
    #[schema(minimum = 0, maximum = 1_000_000)]
    pub leases: Option<u32>,
}

/// What a requester holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QuotaUse {
    /// Thousandths of one logical CPU.
    pub cpu_millis: u64,
    /// Memory, bytes.
    pub memory_bytes: u64,
    /// Storage, bytes.
    pub storage_bytes: u64,
    /// GPUs.
    pub gpus: u64,
    /// Allocations.
    pub leases: u64,
}

/// A requester's quota and what it holds of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Quota {
    /// Whose.
    pub requester_id: String,
    /// The most that it may hold.
    pub limits: QuotaLimits,
    /// What it holds.
    pub used: QuotaUse,
}
