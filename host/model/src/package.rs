//! Packages: vetted WebAssembly components in the catalog.

use crate::{BlobDigest, Bytes, CatalogId, Subject, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The world that a component targets: of `wit/`, or one of WASI's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum World {
    /// `hypermesh:guest/job`: operation and parameters in, result out.
    Job,
    /// `hypermesh:guest/validator`: no imports at all.
    Validator,
    /// `wasi:cli/command`: a program with arguments, environment, standard streams and an exit code.
    Command,
    /// `wasi:http/proxy`: answers HTTP requests, an instance a request.
    Http,
}

impl World {
    /// Its name as it stands in the contract.
    pub fn name(self) -> &'static str {
        match self {
            Self::Job => "job",
            Self::Validator => "validator",
            Self::Command => "command",
            Self::Http => "http",
        }
    }
}

/// One import of a component, and what it lets the guest do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capability {
    /// The import's full name, e.g. `wasi:filesystem/types@0.2.6`.
    pub import: String,
    /// What the guest can do with it here, for people.
    pub meaning: String,
    /// Whether the host offers it. A component with one that it doesn't is refused.
    pub allowed: bool,
}

/// One operation that a job package offers, from its own `describe`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// Its name.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// JSON Schema of its parameters (`{}` when the guest gave none that parses).
    pub parameters: Value,
}

/// A package.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Package {
    /// Its id in the catalog.
    pub id: CatalogId,
    /// Its name, `a-z 0-9 -`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// One line for people.
    pub description: String,
    /// Who uploaded it.
    pub author: Subject,
    /// SHA-256 of the component.
    pub digest: BlobDigest,
    /// Size of the component.
    pub size: Bytes,
    /// Its world.
    pub world: World,
    /// Its imports.
    pub capabilities: Vec<Capability>,
    /// Its operations.
    pub operations: Vec<Operation>,
    /// How often it was installed here.
    pub downloads: u64,
    /// When it came.
    pub created_at: Timestamp,
}
