//! Packages: vetted WebAssembly components in the catalog.

use crate::{BlobDigest, Bytes, CatalogId, Subject, Timestamp};
use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::cmp::{Ordering, Reverse};

/// Longest name of a package.
pub const MAX_PACKAGE_NAME: usize = 64;
/// Longest version of a package, in characters: a pre-release and a commit id fit.
pub const MAX_PACKAGE_VERSION: usize = 64;

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

/// What a component says of itself, in the custom sections that its toolchain wrote. Nobody vouches for any of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageMetadata {
    /// Who wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authors: Option<String>,
    /// Its licences, an SPDX expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licenses: Option<String>,
    /// Where its source is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Where to read about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub homepage: Option<String>,
    /// Which state of the source it was built from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
}

/// That a version should not be chosen any more. It still runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deprecation {
    /// Why, and what to use instead.
    pub reason: String,
    /// Who said so.
    pub by: Subject,
    /// When.
    pub at: Timestamp,
}

/// A signature of a package that was verified with a key that this node trusts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageSignature {
    /// SHA-256 of the public key (its SubjectPublicKeyInfo, RFC 5280), 64 hexadecimal digits.
    pub key_id: String,
    /// When it was verified.
    pub verified_at: Timestamp,
}

/// A package.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Package {
    /// Its id in the catalog.
    pub id: CatalogId,
    /// Its name, `a-z 0-9 -`.
    pub name: String,
    /// Its version, by Semantic Versioning 2.0.0. Records of the first builds may hold other numbers, such as `01.0.0`.
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
    /// What the component says of itself.
    #[serde(default)]
    pub metadata: PackageMetadata,
    /// Set once it should not be chosen any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<Deprecation>,
    /// Who signed it, as far as this node knows the keys.
    #[serde(default)]
    pub signatures: Vec<PackageSignature>,
    /// SHA-256 of its OCI manifest: what signatures are over, and what it has in registries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<BlobDigest>,
    /// The reference that it was pulled from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}

impl Package {
    /// Its version; `None` for one that an early build took and that is not by Semantic Versioning.
    pub fn semver(&self) -> Option<Version> {
        Version::parse(&self.version).ok()
    }

    /// The order of lists: by name, and of one name the newest version first.
    pub fn list_order(&self, other: &Self) -> Ordering {
        let key = |package: &Self| Reverse((package.semver(), package.version.clone()));
        self.name.cmp(&other.name).then_with(|| key(self).cmp(&key(other)))
    }
}

/// Whether a text can be the name of a package: 1 to [`MAX_PACKAGE_NAME`] of `a-z 0-9 -`, not beginning with `-`.
pub fn is_package_name(text: &str) -> bool {
    let ok = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=MAX_PACKAGE_NAME).contains(&text.len()) && text.chars().all(ok) && !text.starts_with('-')
}

/// The package name that a component's own name gives: `my_jobs:Word.Count.wasm` is `my-jobs-word-count`. `None` when
/// nothing is left of it.
pub fn package_name_of(text: &str) -> Option<String> {
    let stem = text.strip_suffix(".wasm").unwrap_or(text).to_ascii_lowercase();
    let mut name = String::new();
    for c in stem.chars() {
        if name.len() == MAX_PACKAGE_NAME {
            break;
        }
        if c.is_ascii_lowercase() || c.is_ascii_digit() {
            name.push(c);
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
    }
    let name = name.trim_end_matches('-');
    (!name.is_empty()).then(|| name.to_owned())
}
