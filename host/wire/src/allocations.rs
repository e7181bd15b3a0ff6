//! Allocations: leases on a part of the machine.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

/// Where an allocation is in its life.
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

/// Further dimensions of the same lease, all or nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Requirements {
    /// CPU share of the whole pool, percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(exclusive_minimum = 0, maximum = 100)]
    pub cpu: Option<f64>,
    /// Memory, e.g. `256MiB`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(
        pattern = r"^([1-9][0-9]{0,14} ?B|(0\.[0-9]{0,2}[1-9]|[1-9][0-9]{0,5}(\.[0-9]{1,3})?) ?(k|M|G|Ki|Mi|Gi)B|(0\.[0-9]{0,2}[1-9]|[1-9][0-9]{0,2}(\.[0-9]{1,3})?) ?(T|Ti)B)$"
    )]
    pub memory: Option<String>,
    /// Processes and threads; 64 when not given.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::lenient::optional_whole"
    )]
    #[schema(minimum = 1, maximum = 4_194_304)]
    pub pids: Option<u32>,
    /// Whole GPUs.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::lenient::optional_whole"
    )]
    #[schema(minimum = 1, maximum = 64)]
    pub gpus: Option<u32>,
}

/// Asks for an allocation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateAllocation {
    /// The asset to lease a part of: a cpu, memory or gpu asset.
    #[schema(pattern = "^[a-z0-9][a-z0-9._-]{0,63}$")]
    pub asset_id: String,
    /// How much, in the asset's unit: percent of the pool, GB, or GPUs.
    #[schema(exclusive_minimum = 0, maximum = 1e9)]
    pub amount: f64,
    /// For how long, in seconds.
    #[serde(deserialize_with = "crate::lenient::whole")]
    #[schema(minimum = 1, maximum = 31_536_000)]
    pub duration: u64,
    /// Further dimensions of the same lease.
    #[serde(default, deserialize_with = "crate::lenient::null_is_default")]
    #[schema(value_type = Option<Requirements>)]
    pub requirements: Requirements,
}

/// What the lease holds in every dimension. `null`: not limited by this lease.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Resources {
    /// Thousandths of one logical CPU, a hard limit.
    pub cpu_millis: Option<u32>,
    /// Bytes, a hard limit, swap included.
    pub memory_bytes: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u32>,
    /// UUIDs of whole GPUs.
    pub gpus: Vec<String>,
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
    /// When it began.
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
}

/// Filters of the allocation list.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct AllocationQuery {
    /// Only of this asset.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(max_length = 64, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    pub asset_id: Option<String>,
    /// Only with this status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<AllocationStatus>,
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
    /// Only those after this id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(max_length = 64)]
    pub after: Option<String>,
}

/// Whether the kernel enforces a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EnforcementState {
    /// Written, read back, equal.
    Enforced,
    /// The kernel took it but gives no guarantee.
    BestEffort,
    /// The kernel can't hold it; the node watches it and acts when it is passed.
    Monitored,
    /// Not enforced; the reason says why.
    Unenforced,
}

/// One limit: what was asked, which file holds it, what the kernel said it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EnforcementEntry {
    /// `cpu`, `memory`, `swap`, `pids`, `gpu`.
    pub limit: String,
    /// Whether it is enforced.
    pub state: EnforcementState,
    /// What was asked, in the file's notation.
    pub requested: String,
    /// What the kernel holds.
    pub actual: Option<String>,
    /// The kernel file.
    pub file: Option<String>,
    /// Why it is not enforced.
    pub reason: Option<String>,
}

/// What the lease has used so far, as the kernel counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LeaseUsage {
    /// CPU time in seconds.
    pub cpu_time: Option<f64>,
    /// Memory now, bytes.
    pub memory_current: Option<u64>,
    /// Highest memory, bytes.
    pub memory_peak: Option<u64>,
    /// Processes now.
    pub processes: u64,
    /// Processes that the OOM killer ended.
    pub oom_kills: Option<u64>,
    /// Periods in which the CPU limit held it back.
    pub throttled_periods: Option<u64>,
}

/// The enforcement receipt of an allocation, read from the kernel now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Enforcement {
    /// The allocation.
    pub allocation_id: String,
    /// `v1`, `v2`, `hybrid` or `none`.
    pub cgroup_version: String,
    /// The cgroup directories.
    pub cgroups: Vec<String>,
    /// One entry a limit.
    pub entries: Vec<EnforcementEntry>,
    /// What was used; `null` once the allocation has ended.
    pub usage: Option<LeaseUsage>,
    /// When this was read.
    #[schema(value_type = String, format = DateTime)]
    pub read_at: Timestamp,
}
