//! Assets: the node's hardware and what people register.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{IntoParams, ToSchema};

/// What an asset is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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

/// What can be registered by hand; hardware is measured, and a vm has its own route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the contract's")]
pub enum RegistrableAssetType {
    Service,
    Container,
    Application,
}

/// Whether an asset can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the contract's")]
pub enum AssetStatus {
    Available,
    Allocated,
    Busy,
    Maintenance,
    Offline,
}

/// What an owner may set; `allocated` and `busy` follow from leases and executions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the contract's")]
pub enum SettableAssetStatus {
    Available,
    Maintenance,
    Offline,
}

/// Who may see and use an asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the contract's")]
pub enum PrivacyLevel {
    Private,
    PrivateNetwork,
    P2p,
    PublicNetwork,
    FullPublic,
}

/// Where an asset is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Location {
    /// The node that has it.
    pub node_id: String,
    /// A network address, or any text that its owner gave.
    pub address: String,
    /// A region name; empty when none was given.
    pub region: String,
}

/// The mutable part of a location.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LocationInput {
    /// A network address, or any text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    pub address: Option<String>,
    /// A region name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 128, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    pub region: Option<String>,
}

/// How much there is and how much of it is held, in `unit`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AssetAllocation {
    /// All that can be leased.
    pub total_capacity: f64,
    /// Held by leases.
    pub allocated_capacity: f64,
    /// What a lease could still get now.
    pub available_capacity: f64,
    /// `percentage`, `GB`, `units`.
    pub unit: String,
}

/// Limits of a vm's executions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ResourceLimits {
    /// CPU share of the whole pool, percent.
    #[schema(exclusive_minimum = 0, maximum = 100)]
    pub max_cpu: f64,
    /// Memory of the worker process, e.g. `256MiB`.
    #[schema(
        pattern = r"^([1-9][0-9]{0,14} ?B|(0\.[0-9]{0,2}[1-9]|[1-9][0-9]{0,5}(\.[0-9]{1,3})?) ?(k|M|G|Ki|Mi|Gi)B|(0\.[0-9]{0,2}[1-9]|[1-9][0-9]{0,2}(\.[0-9]{1,3})?) ?(T|Ti)B)$"
    )]
    pub max_memory: String,
    /// Bytes that one execution may write to its outputs, e.g. `64MiB`.
    #[schema(
        pattern = r"^([1-9][0-9]{0,14} ?B|(0\.[0-9]{0,2}[1-9]|[1-9][0-9]{0,5}(\.[0-9]{1,3})?) ?(k|M|G|Ki|Mi|Gi)B|(0\.[0-9]{0,2}[1-9]|[1-9][0-9]{0,2}(\.[0-9]{1,3})?) ?(T|Ti)B)$"
    )]
    pub max_storage: String,
    /// Longest execution, seconds of wall time.
    #[serde(deserialize_with = "crate::lenient::whole")]
    #[schema(minimum = 1, maximum = 31_536_000)]
    pub max_execution_time: u64,
}

impl Default for ResourceLimits {
    fn default() -> Self {
        Self {
            max_cpu: 25.0,
            max_memory: "256MiB".into(),
            max_storage: "64MiB".into(),
            max_execution_time: 300,
        }
    }
}

/// The schema of a right that this build never grants.
fn only_false() -> Schema {
    let text = "This build does not grant it: only `false`.";
    ObjectBuilder::new().schema_type(Type::Boolean).enum_values(Some([false])).description(Some(text)).into()
}

/// The schema of a map that this build takes only empty.
fn no_members() -> Schema {
    let text = "A job has none; parameters are passed with each execution.";
    ObjectBuilder::new().schema_type(Type::Object).max_properties(Some(0)).description(Some(text)).into()
}

/// What a vm's guest may do. This build grants neither network nor the host's files; asking for them is refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SecurityPolicy {
    /// Whether the guest may open sockets.
    #[schema(schema_with = only_false)]
    pub allow_network_access: bool,
    /// Whether the guest may see the host's file system. Granted inputs need no such right.
    #[schema(schema_with = only_false)]
    pub allow_file_system: bool,
    /// URLs that it may open.
    #[schema(max_items = 0)]
    pub allowed_urls: Vec<String>,
    /// Domains that it may open.
    #[schema(max_items = 0)]
    pub trusted_domains: Vec<String>,
}

/// How a vm runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum Runtime {
    /// A WebAssembly component of one of the worlds in `wit/`.
    #[default]
    #[serde(rename = "wasm-component")]
    WasmComponent,
}

/// What a vm asset runs, and how.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VmConfig {
    /// How it runs.
    pub runtime: Runtime,
    /// The operation that runs when an execution names none; empty for none.
    #[schema(max_length = 128, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    pub entrypoint: String,
    /// Environment variables. A job has none; parameters are passed with each execution.
    #[schema(schema_with = no_members)]
    pub environment: Map<String, Value>,
    /// Catalog ids that it needs.
    #[schema(max_items = 0)]
    pub dependencies: Vec<String>,
    /// Limits of each execution.
    pub resource_limits: ResourceLimits,
    /// What the guest may do.
    pub security_policy: SecurityPolicy,
}

/// Which package of the catalog a vm runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CatalogMetadata {
    /// Its id in the catalog.
    pub catalog_id: String,
    /// Its version.
    pub version: String,
    /// Who uploaded it.
    pub author: String,
    /// What it does.
    pub description: String,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// How often it was installed here.
    pub download_count: u64,
    /// Nobody rates yet: `null`.
    pub rating: Option<f64>,
}

/// The part of `catalog_metadata` that a caller may give.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CatalogMetadataInput {
    /// The package to run.
    #[schema(pattern = "^[a-z0-9][a-z0-9._-]{0,63}$")]
    pub catalog_id: String,
}

/// An asset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Asset {
    /// Its id.
    pub id: String,
    /// What it is.
    #[serde(rename = "type")]
    pub asset_type: AssetType,
    /// A name for people.
    pub name: String,
    /// A description for people.
    pub description: String,
    /// Who registered it.
    pub owner: String,
    /// Whether it can be used.
    pub status: AssetStatus,
    /// Who may see it.
    pub privacy_level: PrivacyLevel,
    /// Where it is.
    pub location: Location,
    /// As read from the machine, or as given by its owner.
    #[schema(value_type = Object)]
    pub specifications: Map<String, Value>,
    /// How much there is.
    pub allocation: AssetAllocation,
    /// The address of a proxy to it, where there is one.
    pub proxy_address: Option<String>,
    /// When it was registered.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it last changed.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    /// For a vm.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(nullable = false)]
    pub vm_config: Option<VmConfig>,
    /// For a vm that runs a package of the catalog.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(nullable = false)]
    pub catalog_metadata: Option<CatalogMetadata>,
}

/// Filters of the asset list.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct AssetQuery {
    /// Only this type.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub asset_type: Option<AssetType>,
    /// Only this status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<AssetStatus>,
    /// Only this privacy level.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub privacy_level: Option<PrivacyLevel>,
    /// Only this owner's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(max_length = 128, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    pub owner: Option<String>,
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
    /// Only those after this id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(max_length = 64)]
    pub after: Option<String>,
}

/// Registers an asset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateAsset {
    /// What it is.
    #[serde(rename = "type")]
    pub asset_type: RegistrableAssetType,
    /// A name for people.
    #[schema(min_length = 1, max_length = 128, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    pub name: String,
    /// A description for people.
    #[serde(default, deserialize_with = "crate::lenient::null_is_default")]
    #[schema(max_length = 4096, nullable, pattern = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$")]
    pub description: String,
    /// Who may see it; `private` when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privacy_level: Option<PrivacyLevel>,
    /// Anything that its owner wants to say about it.
    #[serde(default, deserialize_with = "crate::lenient::null_is_default")]
    #[schema(value_type = Option<Object>)]
    pub specifications: Map<String, Value>,
    /// Where it is.
    #[serde(default, deserialize_with = "crate::lenient::null_is_default")]
    #[schema(value_type = Option<LocationInput>)]
    pub location: LocationInput,
}

/// Changes an asset. A member that is absent stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateAsset {
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 128, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    pub name: Option<String>,
    /// A description for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 4096, pattern = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$")]
    pub description: Option<String>,
    /// Who may see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privacy_level: Option<PrivacyLevel>,
    /// Whether it can be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<SettableAssetStatus>,
    /// Only of an asset that was registered by hand; measured ones are as measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub specifications: Option<Map<String, Value>>,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<LocationInput>,
}

/// Registers a vm asset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateVm {
    /// A name for people.
    #[schema(min_length = 1, max_length = 128, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    pub name: String,
    /// A description for people.
    #[serde(default, deserialize_with = "crate::lenient::null_is_default")]
    #[schema(max_length = 4096, nullable, pattern = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$")]
    pub description: String,
    /// Who may see it; `private` when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privacy_level: Option<PrivacyLevel>,
    /// Anything that its owner wants to say about it.
    #[serde(default, deserialize_with = "crate::lenient::null_is_default")]
    #[schema(value_type = Option<Object>)]
    pub specifications: Map<String, Value>,
    /// How it runs.
    #[serde(default, deserialize_with = "crate::lenient::null_is_default")]
    #[schema(value_type = Option<VmConfig>)]
    pub vm_config: VmConfig,
    /// Which package it runs. Without one, executions are refused until the asset is made anew with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalog_metadata: Option<CatalogMetadataInput>,
}

/// What an action that gives nothing else says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Message {
    /// What was done.
    pub message: String,
}
