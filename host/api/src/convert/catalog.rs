//! The catalog: packages as applications, uploads, installations.

use super::{assets, check, time};
use crate::problem::Draft;
use hypermesh_mesh::{NewPackage, default_limits};
use hypermesh_model::{self as model, Asset, Package};
use hypermesh_wire::catalog::{
    ApplicationRequirements, Capability, CatalogApplication, CatalogQuery, Operation, UploadQuery,
};

/// Longest name of a package.
const MAX_PACKAGE_NAME: usize = 64;
/// Longest description of a package, in characters: it stands in one line of a list.
const MAX_LINE: usize = 256;
/// Longest filter, in characters.
const MAX_FILTER: usize = 64;
/// Digits of each of a version's three numbers.
const MAX_VERSION_DIGITS: usize = 6;
/// The version of an upload that names none.
const FIRST_VERSION: &str = "0.1.0";

/// What an uploaded component is called.
pub(crate) fn new(query: UploadQuery) -> Result<NewPackage, Draft> {
    let version = query.version.unwrap_or_else(|| FIRST_VERSION.to_owned());
    if !is_name(&query.name) {
        let detail = "`name` must be 1 to 64 of a-z, 0-9 and '-', and begin with a letter or digit";
        return Err(Draft::invalid("name", detail));
    }
    if !is_version(&version) {
        return Err(Draft::invalid("version", "`version` must be three numbers, e.g. 1.0.0"));
    }
    let description = check::text("description", query.description.unwrap_or_default(), 0, MAX_LINE)?;
    Ok(NewPackage { name: query.name, version, description })
}

fn is_name(name: &str) -> bool {
    let ok = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=MAX_PACKAGE_NAME).contains(&name.len()) && name.chars().all(ok) && !name.starts_with('-')
}

fn is_version(version: &str) -> bool {
    let number =
        |n: &str| (1..=MAX_VERSION_DIGITS).contains(&n.len()) && n.bytes().all(|b| b.is_ascii_digit());
    version.split('.').count() == 3 && version.split('.').all(number)
}

/// A package as a caller sees it; `installed` is the vm that was installed last from it.
pub(crate) fn shown(package: Package, installed: Option<Asset>) -> CatalogApplication {
    CatalogApplication {
        id: package.id.into(),
        name: package.name,
        version: package.version,
        application_type: package.world.name().to_owned(),
        adapter: "wasm-component".to_owned(),
        status: if installed.is_some() { "installed" } else { "available" }.to_owned(),
        description: package.description,
        requirements: requirements(installed.as_ref()),
        dependencies: Vec::new(),
        author: package.author.0,
        downloads: package.downloads,
        rating: None,
        size: package.size.to_string(),
        last_updated: time(package.created_at),
        asset_id: installed.as_ref().map(|asset| asset.id.to_string()),
        privacy_level: installed.map(|asset| assets::shown_privacy(asset.privacy_level)),
        digest: package.digest.into(),
        capabilities: package.capabilities.into_iter().map(capability).collect(),
        operations: package.operations.into_iter().map(operation).collect(),
    }
}

/// What an execution gets: the limits of the installed vm, or those that an installation would give.
fn requirements(installed: Option<&Asset>) -> ApplicationRequirements {
    let limits =
        installed.and_then(|asset| Some(asset.vm.as_ref()?.limits.clone())).unwrap_or_else(default_limits);
    ApplicationRequirements {
        cpu: format!("{} %", limits.max_cpu_percent),
        memory: limits.max_memory.to_string(),
        storage: limits.max_storage.to_string(),
        network: "none".to_owned(),
    }
}

fn capability(given: model::Capability) -> Capability {
    Capability { import: given.import, meaning: given.meaning, allowed: given.allowed }
}

fn operation(given: model::Operation) -> Operation {
    Operation { name: given.name, description: given.description, parameters: given.parameters }
}

/// Whether an application is one of those that a query selects.
pub(crate) fn selects(query: &CatalogQuery, application: &CatalogApplication) -> bool {
    let matches = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
    matches(&query.application_type, &application.application_type)
        && matches(&query.adapter, &application.adapter)
        && matches(&query.status, &application.status)
}

/// Refuses filters that are too long.
pub(crate) fn check_query(query: &CatalogQuery) -> Result<(), Draft> {
    for (name, text) in
        [("type", &query.application_type), ("adapter", &query.adapter), ("status", &query.status)]
    {
        check::optional_text(name, text.clone(), 0, MAX_FILTER)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn upload(name: &str, version: &str) -> Result<NewPackage, Draft> {
        new(UploadQuery { name: name.into(), version: Some(version.into()), description: None })
    }

    #[test]
    fn names_and_versions_are_checked() {
        assert!(upload("hash-files", "1.20.3").is_ok());
        for bad in ["", "-a", "A", "a b", "é", "a/b", &"a".repeat(65)] {
            assert_eq!(upload(bad, "1.0.0").err().unwrap().member(), Some("name"), "{bad}");
        }
        for bad in ["", "1", "1.0", "1.0.0.0", "1.0.x", "1.0.0-a", "1..0", "1.0.1234567", "١.0.0"] {
            assert_eq!(upload("a", bad).err().unwrap().member(), Some("version"), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_the_schema_takes_is_taken(name in "[a-z0-9][a-z0-9-]{0,63}", version in r"[0-9]{1,6}\.[0-9]{1,6}\.[0-9]{1,6}") {
            prop_assert!(upload(&name, &version).is_ok());
        }
    }
}
