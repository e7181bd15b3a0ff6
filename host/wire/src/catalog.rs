//! The catalog: packages and their installation as vm assets.

use crate::assets::{Asset, PrivacyLevel, ResourceLimits};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

/// What an application needs, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApplicationRequirements {
    /// CPU.
    pub cpu: String,
    /// Memory.
    pub memory: String,
    /// Storage.
    pub storage: String,
    /// Network.
    pub network: String,
}

/// One import of a component, and what it lets the guest do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Capability {
    /// The import's full name.
    pub import: String,
    /// What the guest can do with it here.
    pub meaning: String,
    /// Whether the host offers it.
    pub allowed: bool,
}

/// One operation of a package.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Operation {
    /// Its name.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// JSON Schema of its parameters.
    #[schema(value_type = Object)]
    pub parameters: Value,
}

/// An application in the catalog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CatalogApplication {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `job`, `validator`, `command` or `http`: the world that it targets.
    #[serde(rename = "type")]
    pub application_type: String,
    /// What runs it: `wasm-component`.
    pub adapter: String,
    /// `available`, or `installed` once a vm asset runs it.
    pub status: String,
    /// One line for people.
    pub description: String,
    /// What it needs.
    pub requirements: ApplicationRequirements,
    /// Catalog ids that it needs.
    pub dependencies: Vec<String>,
    /// Who uploaded it.
    pub author: String,
    /// How often it was installed here.
    pub downloads: u64,
    /// Nobody rates yet: `null`.
    pub rating: Option<f64>,
    /// Size of the component, for people.
    pub size: String,
    /// When it last changed.
    #[schema(value_type = String, format = DateTime)]
    pub last_updated: Timestamp,
    /// The vm asset that was installed last, where there is one.
    pub asset_id: Option<String>,
    /// Its privacy level, where there is one.
    pub privacy_level: Option<PrivacyLevel>,
    /// SHA-256 of the component.
    pub digest: String,
    /// Its imports.
    pub capabilities: Vec<Capability>,
    /// Its operations.
    pub operations: Vec<Operation>,
}

/// Filters of the catalog.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct CatalogQuery {
    /// Only this type.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    #[param(max_length = 64, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    pub application_type: Option<String>,
    /// Only this adapter.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(max_length = 64, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    pub adapter: Option<String>,
    /// Only this status.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(max_length = 64, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    pub status: Option<String>,
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
    /// Only those after this id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(max_length = 64)]
    pub after: Option<String>,
}

/// What an upload is called.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct UploadQuery {
    /// Its name: `a-z 0-9 -`.
    #[param(min_length = 1, max_length = 64, pattern = "^[a-z0-9][a-z0-9-]{0,63}$")]
    pub name: String,
    /// Its version; `0.1.0` when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(min_length = 1, max_length = 32, pattern = r"^[0-9]{1,6}\.[0-9]{1,6}\.[0-9]{1,6}$")]
    pub version: Option<String>,
    /// One line for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(max_length = 256, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    pub description: Option<String>,
}

/// Installs a package as a vm asset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Install {
    /// The package.
    #[schema(pattern = "^[a-z0-9][a-z0-9._-]{0,63}$")]
    pub catalog_id: String,
    /// Who may see the vm asset; `private` when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privacy_level: Option<PrivacyLevel>,
    /// Limits of its executions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_limits: Option<ResourceLimits>,
}

/// How the installation went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Installation {
    /// `completed`: the component was vetted and compiled when it was uploaded.
    pub status: String,
    /// Percent.
    pub progress: u32,
    /// What was done.
    pub logs: Vec<String>,
}

/// The answer to an installation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Installed {
    /// The vm asset.
    pub vm_asset: Asset,
    /// How it went.
    pub installation: Installation,
}

/// Free members, where the contract says `{}`.
pub type Free = Map<String, Value>;
