//! Assets: what a node has and what can be leased or run.

use crate::{AssetId, NodeId, Subject, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What an asset is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the contract's")]
pub enum AssetType {
    Cpu,
    Gpu,
    Memory,
    Storage,
    Network,
    Service,
    Container,
    Vm,
    Application,
}

impl AssetType {
    /// Whether only the node itself registers such assets, by measuring.
    pub fn is_measured(self) -> bool {
        match self {
            Self::Cpu | Self::Gpu | Self::Memory | Self::Storage | Self::Network => true,
            Self::Service | Self::Container | Self::Vm | Self::Application => false,
        }
    }
}

/// Whether an asset can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the contract's")]
pub enum AssetStatus {
    Available,
    Allocated,
    Busy,
    Maintenance,
    Offline,
}

/// Who may see and use an asset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the contract's")]
pub enum PrivacyLevel {
    #[default]
    Private,
    PrivateNetwork,
    P2p,
    PublicNetwork,
    FullPublic,
}

/// Where an asset is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// The node that has it.
    pub node_id: NodeId,
    /// A network address or any text that its owner gave.
    pub address: String,
    /// A region name that its owner gave; empty when none was.
    pub region: String,
}

/// How much there is, in the asset's unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Capacity {
    /// All that can be leased.
    pub total: f64,
    /// Held by pending and active leases.
    pub allocated: f64,
    /// `total - allocated`, less what others hold where that is measured.
    pub available: f64,
    /// `percentage`, `GB`, `units`.
    pub unit: String,
}

/// An asset as the mesh knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asset {
    /// Its id.
    pub id: AssetId,
    /// What it is.
    pub asset_type: AssetType,
    /// A name for people.
    pub name: String,
    /// A description for people.
    pub description: String,
    /// Who registered it.
    pub owner: Subject,
    /// Whether it can be used.
    pub status: AssetStatus,
    /// Who may see it.
    pub privacy_level: PrivacyLevel,
    /// Where it is.
    pub location: Location,
    /// As read from the machine, or as given by its owner.
    pub specifications: Map<String, Value>,
    /// How much there is. Filled from the ledger when read; not stored.
    pub capacity: Capacity,
    /// For a vm asset: what runs and within which limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vm: Option<VmSpec>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// What a vm asset runs and within which limits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VmSpec {
    /// Catalog id of the package, once one is bound. Without one an execution is refused.
    pub package: Option<crate::CatalogId>,
    /// The operation that runs when a request names none.
    pub entrypoint: String,
    /// Limits of each execution.
    pub limits: VmLimits,
    /// The contract's `vm_config` and `catalog_metadata` members that the node keeps as given and shows again.
    pub declared: Map<String, Value>,
}

/// Limits of each execution of a vm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VmLimits {
    /// CPU share of the whole pool in percent, (0, 100].
    pub max_cpu_percent: f64,
    /// Memory of the worker process, guest memory included.
    pub max_memory: crate::Bytes,
    /// Bytes that one execution may write to its outputs.
    pub max_storage: crate::Bytes,
    /// Longest execution, wall time in seconds.
    pub max_execution_seconds: u64,
}
