//! Which package is meant, and getting it into the catalog.

use crate::bar;
use crate::failure::Failure;
use crate::files::LocalFile;
use anyhow::Context;
use hypermesh_client::{Client, ClientError, Upload};
use hypermesh_model::Version;
use hypermesh_wire::catalog::{CatalogApplication, CatalogQuery, ResolveQuery, UploadQuery};
use std::path::Path;

/// Longest package name, as the contract has it.
const MAX_NAME: usize = 64;

/// Whether `text` means a file rather than a name of the catalog.
pub(crate) fn is_file(text: &str) -> bool {
    text.contains('/') || Path::new(text).extension().is_some_and(|extension| extension == "wasm")
}

/// A package by its id, by its name, or by a name and a requirement such as `name@^1.2`: then the highest version that
/// fits and is not deprecated.
///
/// # Errors
/// [`Failure::Usage`] for one that isn't there, with what is.
pub(crate) fn find(client: &Client, text: &str) -> anyhow::Result<CatalogApplication> {
    if !text.contains('@') {
        match client.application(text) {
            Err(error) if error.status() == Some(404) => {}
            found => return Ok(found?),
        }
    }
    let query = ResolveQuery { package: text.to_owned(), prerelease: false };
    match client.resolve(&query) {
        Err(ClientError::Problem(problem)) if [400, 404, 422].contains(&problem.status) => {
            let there = names(&client.applications(&CatalogQuery::default())?);
            Err(Failure::Usage(format!("{}; {there}", problem.detail)).into())
        }
        found => Ok(found?),
    }
}

fn names(applications: &[CatalogApplication]) -> String {
    let mut names: Vec<&str> = applications.iter().map(|application| application.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        "the catalog is empty".to_owned()
    } else {
        format!("the catalog has {}", names.join(", "))
    }
}

fn highest<'a>(applications: &'a [CatalogApplication], name: &str) -> Option<&'a CatalogApplication> {
    let named = applications.iter().filter(|application| application.name == name);
    named.max_by_key(|found| Version::parse(&found.version).ok())
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
    if let Some(found) = same.max_by_key(|application| about.name.as_ref() == Some(&application.name)) {
        return Ok((found.clone(), false));
    }
    let version = about.version.clone().or_else(|| next_version(&applications, about.name.as_deref()?));
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
    let name = about.name.clone().unwrap_or_else(|| file.name());
    let bar = bar::transfer(&name, file.length);
    let length = file.length;
    let mut progress = |sent| {
        bar.set_position(sent);
        if sent == length {
            // The rest of the time is the node's: it compiles.
            bar.set_prefix(format!("{}: vetting and compiling", crate::human::printable(&name)));
        }
    };
    let outcome =
        client.upload_package(about, Upload { reader: &mut file.file, length, progress: &mut progress });
    bar.finish_and_clear();
    outcome
}

/// The version after the highest of a name: the release that a pre-release leads to, else the next patch. `None` for a
/// new name.
fn next_version(applications: &[CatalogApplication], name: &str) -> Option<String> {
    let highest = Version::parse(&highest(applications, name)?.version).ok()?;
    let patch = highest.patch + u64::from(highest.pre.is_empty());
    Some(Version::new(highest.major, highest.minor, patch).to_string())
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
    fn the_next_version_is_above_the_highest() {
        let all = [
            application("p1", "a", "0.9.0", &[]),
            application("p2", "a", "0.10.0", &[]),
            application("p3", "b", "1.0.0-rc.1", &[]),
        ];
        assert_eq!(next_version(&all, "a").as_deref(), Some("0.10.1"));
        assert_eq!(next_version(&all, "b").as_deref(), Some("1.0.0"));
        assert_eq!(next_version(&all, "c"), None);
        assert_eq!(names(&all), "the catalog has a, b");
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
