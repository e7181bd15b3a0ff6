//! The table `[catalog]` of the configuration: how much it may hold.

use hypermesh_mesh::{CatalogQuota, CatalogSettings};
use hypermesh_model::Bytes;
use serde::Serialize;

/// The keys, as they stand in the list of all settings.
pub(super) const KEYS: [&str; 4] = [
    "catalog.max_packages",
    "catalog.max_bytes",
    "catalog.max_packages_per_requester",
    "catalog.max_bytes_per_requester",
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
}

impl Default for CatalogConfig {
    fn default() -> Self {
        let quota = CatalogQuota::default();
        Self {
            max_packages: quota.packages,
            max_bytes: quota.bytes,
            max_packages_per_requester: quota.requester_packages,
            max_bytes_per_requester: quota.requester_bytes,
        }
    }
}

impl CatalogConfig {
    /// Sets one key; the error says what would be right.
    pub(super) fn set(&mut self, key: &str, value: &toml::Value) -> Result<(), &'static str> {
        let count = || value.as_integer().and_then(|n| u64::try_from(n).ok()).ok_or("a number of packages");
        let size = || value.as_str().and_then(|text| Bytes::parse(text).ok()).ok_or("a size such as 8GiB");
        match key {
            "catalog.max_packages" => self.max_packages = count()?,
            "catalog.max_bytes" => self.max_bytes = size()?,
            "catalog.max_packages_per_requester" => self.max_packages_per_requester = count()?,
            _ => self.max_bytes_per_requester = size()?,
        }
        Ok(())
    }

    /// The value of a key, for people.
    pub(super) fn shown(&self, key: &str) -> String {
        match key {
            "catalog.max_packages" => self.max_packages.to_string(),
            "catalog.max_bytes" => self.max_bytes.to_string(),
            "catalog.max_packages_per_requester" => self.max_packages_per_requester.to_string(),
            _ => self.max_bytes_per_requester.to_string(),
        }
    }

    /// What the domain is told.
    pub(crate) fn settings(&self) -> CatalogSettings {
        CatalogSettings {
            quota: CatalogQuota {
                packages: self.max_packages,
                bytes: self.max_bytes,
                requester_packages: self.max_packages_per_requester,
                requester_bytes: self.max_bytes_per_requester,
            },
        }
    }
}

/// A value from the environment: a number and a truth read as such, a list is separated by commas.
pub(super) fn text_value(key: &str, value: &str) -> toml::Value {
    let text = || toml::Value::String(value.to_owned());
    match key {
        "catalog.max_packages" | "catalog.max_packages_per_requester" => {
            value.parse().map_or_else(|_| text(), toml::Value::Integer)
        }
        _ => text(),
    }
}
