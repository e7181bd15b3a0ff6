//! The table `[catalog]` of the configuration: how much it may hold, whose signatures packages need, which registries are
//! used.
//!
//! ```toml
//! [catalog]
//! signatures = "require"
//! trust = [{ prefix = "acme-", keys = ["/etc/hypermesh/acme.pub"] }]
//! registries = ["ghcr.io", "registry.example:5000"]
//! credentials = "/etc/hypermesh/docker-config.json"
//! ```
//!
//! Key files are read once, at start, and one that is no key is a configuration that makes no sense. Credentials are read
//! when they are used, so that they can be renewed under a running node.

use super::{ConfigError, Origin};
use hypermesh_mesh::{CatalogQuota, CatalogSettings};
use hypermesh_model::{Bytes, error_chain};
use hypermesh_registry::{PublicKey, RegistryAccess, SignatureMode, TrustPolicy, TrustRule};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::PathBuf;

/// The keys, as they stand in the list of all settings.
pub(super) const KEYS: [&str; 10] = [
    "catalog.max_packages",
    "catalog.max_bytes",
    "catalog.max_packages_per_requester",
    "catalog.max_bytes_per_requester",
    "catalog.signatures",
    "catalog.trust",
    "catalog.registries",
    "catalog.plain_http",
    "catalog.credentials",
    "catalog.certificates",
];

/// How the catalog is run, as configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CatalogConfig {
    /// Most packages.
    pub max_packages: u64,
    /// Most bytes of components, each counted once.
    pub max_bytes: Bytes,
    /// Most packages of one requester.
    pub max_packages_per_requester: u64,
    /// Most bytes of components of one requester.
    pub max_bytes_per_requester: Bytes,
    /// `off`, `verify` or `require`.
    pub signatures: String,
    /// Whose signatures count for what.
    pub trust: Vec<TrustConfig>,
    /// Only these registries; empty for any.
    pub registries: Vec<String>,
    /// Whether plain HTTP may be spoken to registries on other machines, where a request asks for it.
    pub plain_http: bool,
    /// Credentials of registries, a file as `docker login` writes it.
    pub credentials: Option<PathBuf>,
    /// Certificate authorities besides the system's, PEM.
    pub certificates: Option<PathBuf>,
}

/// Whose signatures count for names, or places, that begin so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustConfig {
    /// The beginning of a package's name, or of `registry/repository`; empty for all.
    #[serde(default)]
    pub prefix: String,
    /// Files with public keys, PEM. Any one of them will do.
    pub keys: Vec<PathBuf>,
}

impl Default for CatalogConfig {
    fn default() -> Self {
        let quota = CatalogQuota::default();
        Self {
            max_packages: quota.packages,
            max_bytes: quota.bytes,
            max_packages_per_requester: quota.requester_packages,
            max_bytes_per_requester: quota.requester_bytes,
            signatures: SignatureMode::Off.name().to_owned(),
            trust: Vec::new(),
            registries: Vec::new(),
            plain_http: false,
            credentials: None,
            certificates: None,
        }
    }
}

impl CatalogConfig {
    /// Sets one key; the error says what would be right.
    pub(super) fn set(&mut self, key: &str, value: &toml::Value) -> Result<(), &'static str> {
        let count = || value.as_integer().and_then(|n| u64::try_from(n).ok()).ok_or("a number of packages");
        let size = || value.as_str().and_then(|text| Bytes::parse(text).ok()).ok_or("a size such as 8GiB");
        let path = || {
            let absolute = value.as_str().filter(|path| path.starts_with('/'));
            absolute.map(PathBuf::from).ok_or("an absolute path")
        };
        match key {
            "catalog.max_packages" => self.max_packages = count()?,
            "catalog.max_bytes" => self.max_bytes = size()?,
            "catalog.max_packages_per_requester" => self.max_packages_per_requester = count()?,
            "catalog.max_bytes_per_requester" => self.max_bytes_per_requester = size()?,
            "catalog.signatures" => {
                let mode = value.as_str().and_then(SignatureMode::of_name);
                self.signatures = mode.ok_or("`off`, `verify` or `require`")?.name().to_owned();
            }
            "catalog.trust" => {
                let expected = "a list of { prefix = \"…\", keys = [\"/…\"] }";
                self.trust = value.clone().try_into().map_err(|_| expected)?;
            }
            "catalog.registries" => {
                let names = value.as_array().map(|all| all.iter().map(|v| v.as_str().map(str::to_owned)));
                let names = names.and_then(Iterator::collect::<Option<Vec<_>>>);
                self.registries = names.ok_or("a list of registries such as ghcr.io")?;
            }
            "catalog.plain_http" => self.plain_http = value.as_bool().ok_or("true or false")?,
            "catalog.credentials" => self.credentials = Some(path()?),
            _ => self.certificates = Some(path()?),
        }
        Ok(())
    }

    /// The value of a key, for people.
    pub(super) fn shown(&self, key: &str) -> String {
        let path = |path: &Option<PathBuf>| match path {
            Some(path) => path.display().to_string(),
            None => "(none)".into(),
        };
        match key {
            "catalog.max_packages" => self.max_packages.to_string(),
            "catalog.max_bytes" => self.max_bytes.to_string(),
            "catalog.max_packages_per_requester" => self.max_packages_per_requester.to_string(),
            "catalog.max_bytes_per_requester" => self.max_bytes_per_requester.to_string(),
            "catalog.signatures" => self.signatures.clone(),
            "catalog.trust" => {
                let rule = |rule: &TrustConfig| {
                    let keys: Vec<_> = rule.keys.iter().map(|key| key.display().to_string()).collect();
                    format!("{:?}: {}", rule.prefix, keys.join(" "))
                };
                self.trust.iter().map(rule).collect::<Vec<_>>().join(", ")
            }
            "catalog.registries" if self.registries.is_empty() => "(any)".into(),
            "catalog.registries" => self.registries.join(", "),
            "catalog.plain_http" => self.plain_http.to_string(),
            "catalog.credentials" => path(&self.credentials),
            _ => path(&self.certificates),
        }
    }

    /// What the domain is told; reads the keys.
    ///
    /// # Errors
    /// [`ConfigError::Key`] for a file that is no public key.
    pub(crate) fn settings(&self) -> Result<CatalogSettings, ConfigError> {
        let rule = |rule: &TrustConfig| {
            let keys = rule.keys.iter().map(read_key).collect::<Result<_, _>>()?;
            Ok(TrustRule { prefix: rule.prefix.clone(), keys })
        };
        Ok(CatalogSettings {
            quota: CatalogQuota {
                packages: self.max_packages,
                bytes: self.max_bytes,
                requester_packages: self.max_packages_per_requester,
                requester_bytes: self.max_bytes_per_requester,
            },
            trust: TrustPolicy {
                mode: SignatureMode::of_name(&self.signatures).unwrap_or(SignatureMode::Require),
                rules: self.trust.iter().map(rule).collect::<Result<_, ConfigError>>()?,
            },
            registries: RegistryAccess {
                allowed: self.registries.clone(),
                plain_http: self.plain_http,
                credentials: self.credentials.clone(),
                certificates: self.certificates.clone(),
            },
        })
    }
}

fn read_key(path: &PathBuf) -> Result<PublicKey, ConfigError> {
    let wrong = |why: String| ConfigError::Key { path: path.clone(), why };
    let pem = fs::read(path).map_err(|error| wrong(error.to_string()))?;
    PublicKey::from_pem(&pem).map_err(|error| wrong(error_chain(&error)))
}

/// A value from the environment: numbers and truths read as such, a list is separated by commas.
pub(super) fn text_value(key: &str, value: &str, origin: &Origin) -> Result<toml::Value, ConfigError> {
    let text = || toml::Value::String(value.to_owned());
    Ok(match key {
        "catalog.max_packages" | "catalog.max_packages_per_requester" => {
            value.parse().map_or_else(|_| text(), toml::Value::Integer)
        }
        "catalog.plain_http" => value.parse().map_or_else(|_| text(), toml::Value::Boolean),
        "catalog.registries" => {
            toml::Value::Array(value.split(',').map(|v| toml::Value::String(v.trim().to_owned())).collect())
        }
        "catalog.trust" => {
            let expected = "a TOML list such as [{ prefix = \"a-\", keys = [\"/k.pub\"] }]";
            let table: Result<toml::Table, _> = toml::from_str(&format!("trust = {value}"));
            let parsed = table.ok().and_then(|mut table| table.remove("trust"));
            parsed.ok_or_else(|| ConfigError::Value {
                key: "catalog.trust",
                value: value.to_owned(),
                origin: origin.clone(),
                expected,
            })?
        }
        _ => text(),
    })
}
