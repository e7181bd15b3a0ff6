//! How an allocation looks: where it is in its life, what it holds, on which terms.

use super::create::IoLimits;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Where an allocation is in its life, in the contract's five states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the contract's")]
pub enum AllocationStatus {
    Pending,
    Active,
    Completed,
    Cancelled,
    Failed,
}

/// Where an allocation is in its life, exactly. `queued` and `reserved` are the status `pending`, `frozen` is `active`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Waits for room; holds nothing.
    Queued,
    /// Room is kept for it from its start on.
    Reserved,
    /// Recorded, not yet applied.
    Pending,
    /// The kernel holds its limits.
    Active,
    /// Its time is over and its processes are stopped; it can still be renewed.
    Frozen,
    /// Released or expired.
    Completed,
    /// Given up before it was applied.
    Cancelled,
    /// It ended otherwise; `end_reason` says why.
    Failed,
}

impl Phase {
    /// Whether nothing more will happen.
    pub fn is_final(self) -> bool {
        match self {
            Self::Completed | Self::Cancelled | Self::Failed => true,
            Self::Queued | Self::Reserved | Self::Pending | Self::Active | Self::Frozen => false,
        }
    }
}

/// How CPU time is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CpuMode {
    /// At least this much when others want the CPU too, more while nobody does.
    Shared,
    /// Never more than this.
    Limited,
    /// Whole cores that no other lease runs on.
    Pinned,
}

/// What happens when an allocation's time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnExpiry {
    /// What runs in it is killed at once.
    Kill,
    /// What runs in it is stopped for the grace time, in which a renewal lets it go on; then it is killed.
    Freeze,
}

/// What the lease holds in every dimension. `null`: not limited by this lease.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Resources {
    /// Thousandths of one logical CPU; `cpu_mode` says how.
    pub cpu_millis: Option<u32>,
    /// How CPU time is given; `null` where none is leased.
    pub cpu_mode: Option<CpuMode>,
    /// CPU time in microseconds that may be saved up.
    pub cpu_burst_us: Option<u64>,
    /// The logical CPUs of a pinned lease.
    pub cpus: Vec<u32>,
    /// The memory nodes (NUMA) of a pinned lease; empty for all.
    pub mems: Vec<u32>,
    /// Bytes, a hard limit, swap included.
    pub memory_bytes: Option<u64>,
    /// Bytes that are kept for it; `null`: all of `memory_bytes`.
    pub memory_request_bytes: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u32>,
    /// Limits on the block device of the data folder.
    pub io: Option<IoLimits>,
    /// Bytes that its folder can hold.
    pub storage_bytes: Option<u64>,
    /// Its folder, once it is there.
    pub storage_path: Option<String>,
    /// UUIDs of GPUs and MIG instances, held exclusively unless `gpu_memory_bytes` is there.
    pub gpus: Vec<String>,
    /// Bytes of each GPU's memory, of a lease that shares them in time.
    pub gpu_memory_bytes: Option<u64>,
}

/// Where a waiting allocation stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QueuePlace {
    /// From 1, the next one.
    #[schema(minimum = 1)]
    pub position: u64,
    /// When it will begin if no lease is renewed; `null` where that can't be said.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub eta: Option<Timestamp>,
    /// When it gives up.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub wait_until: Option<Timestamp>,
}

/// One of the four proofs. None is made until validators are configured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Proof {
    /// Which one: space, stake, work, time.
    #[serde(rename = "type")]
    pub proof_type: ProofType,
    /// Its content.
    #[schema(value_type = Object)]
    pub data: Map<String, Value>,
    /// When it was checked.
    #[schema(value_type = String, format = DateTime)]
    pub validated_at: Timestamp,
    /// Who checked it.
    pub validator: String,
    /// The checker's signature.
    pub signature: String,
    /// The verdict.
    pub valid: bool,
}

/// The four proofs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum ProofType {
    /// Space: WHERE.
    PoSp,
    /// Stake: WHO.
    PoSt,
    /// Work: WHAT.
    PoWk,
    /// Time: WHEN.
    PoTm,
}

/// An allocation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Allocation {
    /// Its id.
    pub id: String,
    /// The asset that was asked for.
    pub asset_id: String,
    /// Who holds it.
    pub requester_id: String,
    /// How much of the asset.
    pub amount: f64,
    /// The asset's unit.
    pub unit: String,
    /// Length in seconds.
    pub duration: u64,
    /// When it began, or will begin.
    #[schema(value_type = String, format = DateTime)]
    pub start_time: Timestamp,
    /// When it ends or ended.
    #[schema(value_type = String, format = DateTime)]
    pub end_time: Timestamp,
    /// Where it is in its life.
    pub status: AllocationStatus,
    /// Empty until validators are configured.
    pub consensus_proofs: Vec<Proof>,
    /// The address of a proxy to it, where there is one.
    pub proxy_address: Option<String>,
    /// What it holds in every dimension.
    pub resources: Resources,
    /// Whether the kernel enforces every limit of it; once it has ended, whether it did.
    pub enforced: bool,
    /// Why it ended or was refused.
    pub end_reason: Option<String>,
    /// Where it is in its life, exactly.
    pub phase: Phase,
    /// Grows with every change; the `etag` of its representation, for `if-match`.
    pub generation: u64,
    /// 0 to 100; a higher one goes first.
    pub priority: u8,
    /// Whether a lease of a higher priority may end it.
    pub preemptible: bool,
    /// How long it is safe from that, in seconds.
    pub min_runtime_s: u64,
    /// What happens when its time is over.
    pub on_expiry: OnExpiry,
    /// How long it stays frozen before it is killed, in seconds; 0 with `kill`.
    pub grace_s: u64,
    /// How long before its end the warning comes, in seconds; 0 for none.
    pub warn_s: u64,
    /// Whether its folder is kept when it ends.
    pub keep_storage: bool,
    /// Until when it stays frozen; `null` unless it is.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub frozen_until: Option<Timestamp>,
    /// Where it stands in the queue; `null` unless it waits.
    pub queue: Option<QueuePlace>,
}
