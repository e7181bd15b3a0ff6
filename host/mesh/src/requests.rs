//! What callers ask of the domain, already parsed: the edge turns wire types into these.

use hypermesh_model::{
    AssetId, AssetStatus, AssetType, Bytes, CatalogId, CpuMode, GpuUuid, InputFile, IoLimits, LeaseId,
    LogLine, MilliCpu, PrivacyLevel, Terms, Timestamp, VmLimits,
};
use hypermesh_model::{ExecutionLimits, FolderGrant, HostGrant, Retries, Stdin};
use serde::Serialize;
use serde_json::{Map, Value};

/// Filters of the asset list; `None` matches all.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "each is the member of the asset that it filters")]
pub struct AssetFilter {
    pub asset_type: Option<AssetType>,
    pub status: Option<AssetStatus>,
    pub privacy_level: Option<PrivacyLevel>,
    pub owner: Option<String>,
}

/// An asset to register by hand. Not hardware, not a vm.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each is the member of the asset")]
pub struct NewAsset {
    pub asset_type: AssetType,
    pub name: String,
    pub description: String,
    pub privacy_level: PrivacyLevel,
    pub specifications: Map<String, Value>,
    pub address: Option<String>,
    pub region: Option<String>,
}

/// A change of an asset; `None` leaves a member as it is.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "each is the member of the asset")]
pub struct AssetChange {
    pub name: Option<String>,
    pub description: Option<String>,
    pub privacy_level: Option<PrivacyLevel>,
    pub status: Option<AssetStatus>,
    pub specifications: Option<Map<String, Value>>,
    pub address: Option<String>,
    pub region: Option<String>,
}

/// A vm asset to make.
#[derive(Debug, Clone)]
pub struct NewVm {
    /// A name for people.
    pub name: String,
    /// A description for people.
    pub description: String,
    /// Who may see it.
    pub privacy_level: PrivacyLevel,
    /// Anything that its owner wants to say about it.
    pub specifications: Map<String, Value>,
    /// The package that it runs.
    pub package: Option<CatalogId>,
    /// The operation that runs when a request names none; empty for none.
    pub entrypoint: String,
    /// Limits of each execution.
    pub limits: VmLimits,
    /// Contract members that are kept as given and shown again.
    pub declared: Map<String, Value>,
}

/// A lease to plan.
#[derive(Debug, Clone, Serialize)]
pub struct AllocationRequest {
    /// The asset.
    pub asset_id: AssetId,
    /// How much, in the asset's unit.
    pub amount: f64,
    /// For how long, seconds.
    pub duration_seconds: u64,
    /// Further dimensions.
    pub requirements: Requirements,
    /// How it is treated beside its resources.
    pub terms: Terms,
    /// When it is to begin; `None`: now.
    pub start: Option<Timestamp>,
    /// How long it may wait for room, seconds; `None`: what does not fit now is refused.
    pub wait_seconds: Option<u64>,
    /// The caller's key: the same request sent twice makes one lease.
    pub idempotency_key: Option<String>,
}

/// Further dimensions of a lease.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Requirements {
    /// CPU time.
    pub cpu: Option<CpuAmount>,
    /// How it is given; `None`: limited.
    pub cpu_mode: Option<CpuMode>,
    /// CPU time in microseconds that may be saved up.
    pub cpu_burst_us: Option<u64>,
    /// Memory, the hard limit.
    pub memory: Option<Bytes>,
    /// Memory that is kept for the lease; `None`: all of it.
    pub memory_request: Option<Bytes>,
    /// Processes and threads.
    pub pids: Option<u32>,
    /// Limits on the block device of the data folder.
    pub io: IoLimits,
    /// A folder of bounded size.
    pub storage: Option<Bytes>,
    /// How many GPUs; for a gpu asset its `amount` says so.
    pub gpus: Option<u32>,
    /// Which GPUs, and how.
    pub gpu: GpuSelection,
}

/// An amount of CPU time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub enum CpuAmount {
    /// Percent of the pool.
    Percent(f64),
    /// Thousandths of one logical CPU.
    Milli(MilliCpu),
}

/// Which GPUs, and how.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct GpuSelection {
    /// Only of this model, by the name that the driver gives, case-insensitive.
    pub model: Option<String>,
    /// Only with at least so much memory.
    pub min_memory: Option<Bytes>,
    /// Only these; empty for any.
    pub uuids: Vec<GpuUuid>,
    /// MIG instances in place of whole devices.
    pub mig: bool,
    /// Share each GPU in time, with so much of its memory: monitored, not enforced. `None`: exclusively.
    pub shared_memory: Option<Bytes>,
}

/// A change of a lease's size; `None` leaves a dimension as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Resize {
    /// CPU time.
    pub cpu: Option<CpuAmount>,
    /// CPU time in microseconds that may be saved up; 0 for none.
    pub cpu_burst_us: Option<u64>,
    /// Memory.
    pub memory: Option<Bytes>,
    /// Memory that is kept for the lease.
    pub memory_request: Option<Bytes>,
    /// Processes and threads.
    pub pids: Option<u32>,
    /// Limits on the block device of the data folder; members that are `None` stay.
    pub io: IoLimits,
    /// The folder.
    pub storage: Option<Bytes>,
    /// Shrink below what is in use: what does not fit is killed.
    pub force: bool,
}

/// An execution to start.
#[derive(Debug, Clone)]
pub struct ExecuteRequest {
    /// The vm asset.
    pub vm_asset_id: AssetId,
    /// The operation; empty means the vm's entrypoint.
    pub operation: String,
    /// Its parameters.
    pub parameters: Map<String, Value>,
    /// Wall-time limit, seconds.
    pub timeout_seconds: u64,
    /// CPU-time limit, seconds; `None` for none of its own.
    pub cpu_limit_seconds: Option<u64>,
    /// Whether the four proofs are wanted.
    pub requires_consensus: bool,
    /// Longest life of the lease made for it, seconds.
    pub allocation_seconds: u64,
    /// Run in this lease instead.
    pub lease: Option<LeaseId>,
    /// Files that are granted.
    pub inputs: Vec<InputFile>,
    /// Standard input.
    pub stdin: Stdin,
    /// Folders of the host that are granted.
    pub folders: Vec<FolderGrant>,
    /// Where it may connect to.
    pub network: Vec<HostGrant>,
    /// Limits below the vm's.
    pub limits: ExecutionLimits,
    /// Whether it is tried again.
    pub retries: Retries,
    /// How long a lease made for it may wait for room, seconds; `None` refuses at once.
    pub wait_seconds: Option<u64>,
    /// Its place among those that wait; higher is served first.
    pub priority: u8,
}

/// What an uploaded component is called.
#[derive(Debug, Clone)]
pub struct NewPackage {
    /// `a-z 0-9 -`.
    pub name: String,
    /// `major.minor.patch`.
    pub version: String,
    /// One line for people.
    pub description: String,
}

/// A page of a log.
#[derive(Debug, Clone)]
pub struct LogPage {
    /// Lines, oldest first.
    pub lines: Vec<LogLine>,
    /// Where to read on.
    pub next: u64,
    /// Whether no more lines will come.
    pub complete: bool,
    /// Lines dropped over the limit.
    pub dropped: u64,
}

/// What a cancel did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CancelOutcome {
    /// It was running; its processes are killed.
    Cancelled,
    /// It had ended before.
    AlreadyEnded {
        /// With which status, for people.
        status: &'static str,
    },
}
