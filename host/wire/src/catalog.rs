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

/// What a component says of itself. Nobody vouches for any of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApplicationMetadata {
    /// Who wrote it.
    #[serde(default)]
    pub authors: Option<String>,
    /// Its licences, an SPDX expression.
    #[serde(default)]
    pub licenses: Option<String>,
    /// Where its source is.
    #[serde(default)]
    pub source: Option<String>,
    /// Where to read about it.
    #[serde(default)]
    pub homepage: Option<String>,
    /// Which state of the source it was built from.
    #[serde(default)]
    pub revision: Option<String>,
}

/// That a version should not be chosen any more. It still runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Deprecation {
    /// Why, and what to use instead.
    pub reason: String,
    /// Who said so.
    pub by: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// A signature that was verified with a key that the node trusts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApplicationSignature {
    /// SHA-256 of the public key (its SubjectPublicKeyInfo), 64 hexadecimal digits.
    pub key_id: String,
    /// When it was verified.
    #[schema(value_type = String, format = DateTime)]
    pub verified_at: Timestamp,
}

/// An application in the catalog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CatalogApplication {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its version, by Semantic Versioning.
    pub version: String,
    /// `job`, `validator`, `command` or `http`: the world that it targets.
    #[serde(rename = "type")]
    pub application_type: String,
    /// What runs it: `wasm-component`.
    pub adapter: String,
    /// `available`, `installed` once a vm asset runs it, or `deprecated`.
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
    /// What the component says of itself.
    #[serde(default)]
    pub metadata: ApplicationMetadata,
    /// Set once it should not be chosen any more.
    #[serde(default)]
    pub deprecated: Option<Deprecation>,
    /// Who signed it, of those whom the node trusts.
    #[serde(default)]
    pub signatures: Vec<ApplicationSignature>,
    /// SHA-256 of its OCI manifest, 64 hexadecimal digits: what signatures are over.
    #[serde(default)]
    pub manifest_digest: Option<String>,
    /// The reference that it was pulled from.
    #[serde(default)]
    pub origin: Option<String>,
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
    /// Only this name: all its versions, newest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(max_length = 64, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    pub name: Option<String>,
    /// Only those with every word of this text in name, description, author, metadata or an operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(max_length = 128, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    pub q: Option<String>,
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
    /// Only those after this one, as `link` has it: `name@version`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(max_length = 129)]
    pub after: Option<String>,
}

/// What an upload is called. What is not given the component says itself, as far as it does.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct UploadQuery {
    /// Its name: `a-z 0-9 -`. Needed where the component does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(min_length = 1, max_length = 64, pattern = "^[a-z0-9][a-z0-9-]{0,63}$")]
    pub name: Option<String>,
    /// Its version, by Semantic Versioning; `0.1.0` when neither this nor the component says one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(
        max_length = 64,
        pattern = r"^(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})(-(0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)(\.(0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$"
    )]
    pub version: Option<String>,
    /// One line for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(max_length = 256, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    pub description: Option<String>,
}

/// Which version is meant.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ResolveQuery {
    /// A name, or a name and a requirement as Cargo has them: `hash-files`, `hash-files@^1.2`, `hash-files@1.2.3`.
    #[param(pattern = r"^[a-z0-9][a-z0-9-]{0,63}(@[^\x00-\x1f\x7f-\x9f]{1,64})?$")]
    pub package: String,
    /// Whether a pre-release will do although the requirement names none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub prerelease: bool,
}

/// Says that a version should not be chosen any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Deprecate {
    /// Why, and what to use instead.
    #[schema(min_length = 1, max_length = 256, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    pub reason: String,
}

/// Name and password, or token, for a registry.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegistryCredentials {
    /// The name.
    #[schema(min_length = 1, max_length = 256, pattern = r"^[^:\x00-\x1f\x7f-\x9f]*$")]
    pub username: String,
    /// The password or token. It is used once and not kept.
    #[schema(max_length = 8192, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    pub password: String,
}

impl std::fmt::Debug for RegistryCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RegistryCredentials(hidden)")
    }
}

/// Pulls a package from a registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PullPackage {
    /// What, e.g. `ghcr.io/acme/hash-files:1.2.0`. Without tag or digest: `latest`.
    #[schema(min_length = 3, max_length = 700, pattern = r"^[\x21-\x7e]+/[\x21-\x7e]+$")]
    pub reference: String,
    /// By plain HTTP. Only to registries on the node's own machine, unless its configuration allows more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub insecure: bool,
    /// In place of those of the node's file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<RegistryCredentials>,
    /// Its name here; from the manifest, the component or the repository when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 64, pattern = "^[a-z0-9][a-z0-9-]{0,63}$")]
    pub name: Option<String>,
    /// Its version here; from the manifest, the tag or the component when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(
        max_length = 64,
        pattern = r"^(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})(-(0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)(\.(0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$"
    )]
    pub version: Option<String>,
}

/// Pushes a package to a registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PushPackage {
    /// Where to, e.g. `ghcr.io/acme/hash-files`. Without a tag: the version.
    #[schema(min_length = 3, max_length = 700, pattern = r"^[\x21-\x7e]+/[\x21-\x7e]+$")]
    pub reference: String,
    /// By plain HTTP. Only to registries on the node's own machine, unless its configuration allows more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub insecure: bool,
    /// In place of those of the node's file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<RegistryCredentials>,
}

/// What was pushed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PushedPackage {
    /// Where it is, by tag.
    pub reference: String,
    /// Where it is, by the digest of its manifest.
    pub digest: String,
    /// How many signatures stand beside it.
    pub signatures: u32,
}

/// A signature over a package's manifest, as `cosign sign` makes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignPackage {
    /// What is signed, byte by byte: cosign's simple-signing document with the manifest's digest.
    #[schema(min_length = 2, max_length = 4096)]
    pub payload: String,
    /// The signature over it, in base64.
    #[schema(min_length = 4, max_length = 2048, pattern = "^[A-Za-z0-9+/]+={0,2}$")]
    pub signature: String,
}

/// Installs a package as a vm asset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Install {
    /// The package: its id, or a name and a requirement, e.g. `hash-files@^1.2`.
    #[schema(pattern = r"^[a-z0-9][a-z0-9._-]{0,63}(@[^\x00-\x1f\x7f-\x9f]{1,64})?$")]
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
