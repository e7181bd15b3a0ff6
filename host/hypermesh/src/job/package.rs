//! Which package is meant, and getting it into the catalog.

use crate::bar;
use crate::failure::Failure;
use crate::files::LocalFile;
use anyhow::Context;
use hypermesh_client::{Client, ClientError, Upload};
use hypermesh_wire::catalog::{CatalogApplication, CatalogQuery, UploadQuery};
use std::path::Path;

/// Longest package name, as the contract has it.
const MAX_NAME: usize = 64;

/// Whether `text` means a file rather than a name of the catalog.
pub(crate) fn is_file(text: &str) -> bool {
    text.contains('/') || Path::new(text).extension().is_some_and(|extension| extension == "wasm")
}

/// A package by its id, or by its name: then its highest version.
///
/// # Errors
/// [`Failure::Usage`] for one that isn't there, with the names that are.
pub(crate) fn find(client: &Client, text: &str) -> anyhow::Result<CatalogApplication> {
    let applications = client.applications(&CatalogQuery::default())?;
    if let Some(found) = choose(&applications, text) {
        return Ok(found.clone());
    }
    let mut names: Vec<&str> = applications.iter().map(|application| application.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let there =
        if names.is_empty() { "it is empty".to_owned() } else { format!("it has {}", names.join(", ")) };
    Err(Failure::Usage(format!("the catalog has no package `{text}`; {there}")).into())
}

fn choose<'a>(applications: &'a [CatalogApplication], text: &str) -> Option<&'a CatalogApplication> {
    let by_id = applications.iter().find(|application| application.id == text);
    by_id.or_else(|| highest(applications, text))
}

fn highest<'a>(applications: &'a [CatalogApplication], name: &str) -> Option<&'a CatalogApplication> {
    applications
        .iter()
        .filter(|application| application.name == name)
        .max_by_key(|found| version(&found.version))
}

/// The package with this component; uploads it if there is none.
///
/// Without a version it gets `0.1.0`, or the one after the highest of that name, so that an author can run one build
/// after the other.
///
/// # Errors
/// What the node says of the component.
pub(crate) fn ensure(
    client: &Client,
    file: &mut LocalFile,
    about: UploadQuery,
) -> anyhow::Result<(CatalogApplication, bool)> {
    let applications = client.applications(&CatalogQuery::default())?;
    let same = applications.iter().filter(|application| application.digest == file.digest);
    // The same component may stand there under several names: the wanted one is the right one.
    if let Some(found) = same.max_by_key(|application| application.name == about.name) {
        return Ok((found.clone(), false));
    }
    let version = about.version.clone().or_else(|| {
        let (major, minor, patch) = version(&highest(&applications, &about.name)?.version);
        Some(format!("{major}.{minor}.{}", patch + 1))
    });
    let about = UploadQuery { version, ..about };
    Ok((upload(client, file, &about).with_context(|| format!("uploading {}", file.path.display()))?, true))
}

/// Uploads a component under this name and version, showing how far it is.
///
/// # Errors
/// What the node says of it.
pub(crate) fn upload(
    client: &Client,
    file: &mut LocalFile,
    about: &UploadQuery,
) -> Result<CatalogApplication, ClientError> {
    let bar = bar::transfer(&about.name, file.length);
    let length = file.length;
    let mut progress = |sent| {
        bar.set_position(sent);
        if sent == length {
            // The rest of the time is the node's: it compiles.
            bar.set_prefix(format!("{}: vetting and compiling", crate::human::printable(&about.name)));
        }
    };
    let outcome =
        client.upload_package(about, Upload { reader: &mut file.file, length, progress: &mut progress });
    bar.finish_and_clear();
    outcome
}

/// Numbers of a version `a.b.c`; what isn't a number counts as 0.
fn version(text: &str) -> (u32, u32, u32) {
    let mut numbers = text.split('.').map(|part| part.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next(), next())
}

/// A package name made from a file's: `Word_Count.wasm` is `word-count`.
pub(crate) fn name_of(file: &Path) -> String {
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let mut name = String::new();
    for c in stem.chars() {
        let is_word = c.is_ascii_lowercase() || c.is_ascii_digit();
        if is_word && name.len() < MAX_NAME {
            name.push(c);
        } else if !name.is_empty() && !name.ends_with('-') && name.len() < MAX_NAME {
            name.push('-');
        }
    }
    let name = name.trim_end_matches('-');
    if name.is_empty() { "component".to_owned() } else { name.to_owned() }
}

/// The operation to run when none is named.
///
/// # Errors
/// [`Failure::Usage`] where there is a choice, with the operations to choose from.
pub(crate) fn only_operation(application: &CatalogApplication) -> Result<String, Failure> {
    match application.operations.as_slice() {
        [only] => Ok(only.name.clone()),
        [] => Err(Failure::Usage(format!("`{}` has no operation to run", application.name))),
        several => {
            let names: Vec<&str> = several.iter().map(|operation| operation.name.as_str()).collect();
            let names = names.join(", ");
            Err(Failure::Usage(format!(
                "`{}` has several operations; choose one by --operation: {names}",
                application.name
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn application(id: &str, name: &str, version: &str, operations: &[&str]) -> CatalogApplication {
        let operations: Vec<_> = operations
            .iter()
            .map(|name| json!({ "name": name, "description": "", "parameters": {} }))
            .collect();
        serde_json::from_value(json!({
            "id": id, "name": name, "version": version, "type": "job", "adapter": "wasm-component",
            "status": "available", "description": "", "dependencies": [], "author": "admin", "downloads": 0,
            "requirements": { "cpu": "", "memory": "", "storage": "", "network": "" }, "rating": null, "size": "1 B",
            "last_updated": "2026-01-02T03:04:05Z", "asset_id": null, "privacy_level": null, "digest": "",
            "capabilities": [], "operations": operations,
        }))
        .unwrap()
    }

    #[test]
    fn a_name_means_its_highest_version_and_an_id_itself() {
        let all = [
            application("p1", "a", "0.9.0", &[]),
            application("p2", "a", "0.10.0", &[]),
            application("a", "b", "1.0.0", &[]),
        ];
        assert_eq!(choose(&all, "a").unwrap().name, "b");
        assert_eq!(choose(&all[..2], "a").unwrap().id, "p2");
        assert_eq!(choose(&all, "p1").unwrap().version, "0.9.0");
        assert!(choose(&all, "c").is_none());
    }

    #[test]
    fn files_and_names_are_told_apart() {
        assert!(["x.wasm", "./x", "/a/b", "a/b.wasm"].iter().all(|text| is_file(text)));
        assert!(["hash-files", "x", "pkg_1"].iter().all(|text| !is_file(text)));
    }

    #[test]
    fn an_operation_is_only_guessed_where_there_is_one() {
        assert_eq!(only_operation(&application("p", "a", "1.0.0", &["hash"])).unwrap(), "hash");
        let error = only_operation(&application("p", "a", "1.0.0", &["x", "y"])).unwrap_err();
        assert!(error.to_string().ends_with("choose one by --operation: x, y"), "{error}");
        assert!(only_operation(&application("p", "a", "1.0.0", &[])).is_err());
    }

    #[test]
    fn a_file_name_becomes_a_package_name() {
        for (file, name) in
            [("a/Word_Count.wasm", "word-count"), ("__.wasm", "component"), ("x--y.wasm", "x-y")]
        {
            assert_eq!(name_of(Path::new(file)), name);
        }
    }

    proptest! {
        #[test]
        fn any_file_name_becomes_a_valid_package_name(file in "\\PC{0,100}") {
            let name = name_of(Path::new(&file));
            prop_assert!((1..=MAX_NAME).contains(&name.len()), "{}", name);
            prop_assert!(!name.starts_with('-'));
            prop_assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'));
        }
    }
}
