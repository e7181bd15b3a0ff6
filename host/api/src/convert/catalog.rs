//! The catalog: packages as applications, uploads, installations.

use super::{assets, check, time};
use crate::paging::{Page, check_after, page_from};
use crate::problem::{Draft, Kind};
use hypermesh_mesh::{NewPackage, default_limits};
use hypermesh_model::{
    self as model, Asset, MAX_PACKAGE_NAME, MAX_PACKAGE_VERSION, Package, PackageMetadata,
    PackageRequirement, PackageSignature, Version, is_package_name,
};
use hypermesh_registry::{Credentials, Pushed, Reach, Reference, Signature};
use hypermesh_wire::catalog::{
    ApplicationMetadata, ApplicationRequirements, ApplicationSignature, Capability, CatalogApplication,
    CatalogQuery, Deprecate, Deprecation, Operation, PullPackage, PushPackage, PushedPackage,
    RegistryCredentials, SignPackage, UploadQuery,
};
use std::cmp::Reverse;

/// Longest description of a package, in characters: it stands in one line of a list.
const MAX_LINE: usize = 256;
/// Longest filter, in characters.
const MAX_FILTER: usize = 64;
/// Largest of a version's three numbers: nine digits.
const MAX_VERSION_NUMBER: u64 = 999_999_999;
/// Longest text that is searched for, in characters.
const MAX_SEARCH: usize = 128;
/// Longest reference: a registry, a repository and a digest.
const MAX_REFERENCE: usize = 700;
/// Longest name at a registry, in characters.
const MAX_USERNAME: usize = 256;
/// Longest password or token, in characters: registries give signed documents as tokens.
const MAX_PASSWORD: usize = 8192;
/// Longest payload of a signature, in characters: cosign's are below 1000.
const MAX_PAYLOAD: usize = 4096;
/// Longest `after` of the list: a name, an @ and a version.
const MAX_AFTER: usize = MAX_PACKAGE_NAME + 1 + MAX_PACKAGE_VERSION;

/// What an uploaded component is called.
pub(crate) fn new(query: UploadQuery, signature: Option<String>) -> Result<NewPackage, Draft> {
    let name = query.name.map(|name| self::name("name", name)).transpose()?;
    let version = query.version.map(|text| version("version", &text)).transpose()?;
    let description = check::optional_text("description", query.description, 0, MAX_LINE)?;
    Ok(NewPackage { name, version, description, signature })
}

/// What is pulled, how, and what it is called here.
pub(crate) fn pull(body: PullPackage) -> Result<(Reference, Reach, NewPackage), Draft> {
    let PullPackage { reference, insecure, credentials, name, version } = body;
    let reference = self::reference(&reference)?;
    let about = new(UploadQuery { name, version, description: None }, None)?;
    Ok((reference, reach(insecure, credentials)?, about))
}

/// Where a package is pushed, and how.
pub(crate) fn push(body: PushPackage) -> Result<(Reference, Reach), Draft> {
    let PushPackage { reference, insecure, credentials } = body;
    Ok((self::reference(&reference)?, reach(insecure, credentials)?))
}

fn reference(text: &str) -> Result<Reference, Draft> {
    Reference::parse(text).map_err(|error| {
        // Of the schema's form, and yet no reference: it names no registry, or its grammar is narrower.
        let visible = text.bytes().all(|b| b.is_ascii_graphic());
        let is_formed = visible && text.len() <= MAX_REFERENCE && has_slash_within(text);
        let kind = if is_formed { Kind::Unprocessable } else { Kind::Invalid };
        Draft::new(kind, format!("`reference`: {error}")).about("reference")
    })
}

fn has_slash_within(text: &str) -> bool {
    text.len() >= 3 && text[1..text.len() - 1].contains('/')
}

fn reach(insecure: bool, credentials: Option<RegistryCredentials>) -> Result<Reach, Draft> {
    let credentials = credentials.map(|RegistryCredentials { username, password }| {
        let name = "credentials.username";
        let username = check::text(name, username, 1, MAX_USERNAME)?;
        if username.contains(':') {
            return Err(Draft::invalid(name, format!("`{name}` has a colon, which no name may have")));
        }
        let password = check::text("credentials.password", password, 0, MAX_PASSWORD)?;
        Ok(Credentials::new(username, password))
    });
    Ok(Reach { insecure, credentials: credentials.transpose()? })
}

/// A signature over a manifest.
pub(crate) fn signature(body: SignPackage) -> Result<Signature, Draft> {
    let SignPackage { payload, signature } = body;
    let length = payload.chars().count();
    if !(2..=MAX_PAYLOAD).contains(&length) {
        return Err(Draft::invalid("payload", format!("`payload` must have 2 to {MAX_PAYLOAD} characters")));
    }
    let is_base64 = |b: u8| b.is_ascii_alphanumeric() || b"+/=".contains(&b);
    let formed = (4..=2048).contains(&signature.len()) && signature.bytes().all(is_base64);
    let wrong = |kind| Draft::new(kind, "`signature` must be a signature in base64").about("signature");
    if !formed {
        return Err(wrong(Kind::Invalid));
    }
    Signature::from_text(&payload, &signature).ok_or_else(|| wrong(Kind::Unprocessable))
}

/// What was pushed.
pub(crate) fn pushed(given: &Pushed) -> PushedPackage {
    PushedPackage {
        reference: given.tagged.to_string(),
        digest: given.digest.to_string(),
        signatures: u32::try_from(given.signatures).unwrap_or(u32::MAX),
    }
}

fn name(member: &str, name: String) -> Result<String, Draft> {
    if is_package_name(&name) {
        return Ok(name);
    }
    let detail = format!("`{member}` must be 1 to 64 of a-z, 0-9 and '-', and begin with a letter or digit");
    Err(Draft::invalid(member, detail))
}

fn version(member: &str, text: &str) -> Result<Version, Draft> {
    let parsed = Version::parse(text).ok().filter(|_| text.len() <= MAX_PACKAGE_VERSION);
    let small = |v: &Version| v.major.max(v.minor).max(v.patch) <= MAX_VERSION_NUMBER;
    parsed.filter(small).ok_or_else(|| {
        let detail = format!("`{member}` must be a semantic version, e.g. 1.0.0 or 1.1.0-rc.1");
        Draft::invalid(member, detail)
    })
}

/// Which version is meant.
pub(crate) fn requirement(member: &str, text: &str, prerelease: bool) -> Result<PackageRequirement, Draft> {
    let parsed = PackageRequirement::parse(text).map_err(|error| {
        // Of the schema's form, and yet no requirement: its grammar is no pattern.
        let is_formed = text.split_once('@').is_some_and(|(name, rest)| {
            let fits = (1..=MAX_PACKAGE_VERSION).contains(&rest.chars().count());
            is_package_name(name) && fits && !rest.chars().any(char::is_control)
        });
        let kind = if is_formed { Kind::Unprocessable } else { Kind::Invalid };
        Draft::new(kind, format!("`{member}`: {error}")).about(member)
    })?;
    Ok(parsed.with_prereleases(prerelease))
}

/// Why a version is deprecated.
pub(crate) fn reason(body: Deprecate) -> Result<String, Draft> {
    check::text("reason", body.reason, 1, MAX_LINE)
}

/// A package as a caller sees it; `installed` is the vm that was installed last from it.
pub(crate) fn shown(package: Package, installed: Option<Asset>) -> CatalogApplication {
    CatalogApplication {
        id: package.id.into(),
        name: package.name,
        version: package.version,
        application_type: package.world.name().to_owned(),
        adapter: "wasm-component".to_owned(),
        status: status(&package.deprecated, installed.as_ref()).to_owned(),
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
        metadata: metadata(package.metadata),
        deprecated: package.deprecated.map(deprecation),
        signatures: package.signatures.into_iter().map(signed).collect(),
        manifest_digest: package.manifest.map(Into::into),
        origin: package.origin,
    }
}

fn status(deprecated: &Option<model::Deprecation>, installed: Option<&Asset>) -> &'static str {
    match (deprecated, installed) {
        (Some(_), _) => "deprecated",
        (None, Some(_)) => "installed",
        (None, None) => "available",
    }
}

fn metadata(given: PackageMetadata) -> ApplicationMetadata {
    let PackageMetadata { authors, licenses, source, homepage, revision } = given;
    ApplicationMetadata { authors, licenses, source, homepage, revision }
}

fn signed(given: PackageSignature) -> ApplicationSignature {
    ApplicationSignature { key_id: given.key_id, verified_at: time(given.verified_at) }
}

fn deprecation(given: model::Deprecation) -> Deprecation {
    Deprecation { reason: given.reason, by: given.by.0, at: time(given.at) }
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
        && matches(&query.name, &application.name)
        && query.q.as_deref().is_none_or(|text| contains(application, text))
}

/// Whether every word stands somewhere in what people read of it, in whatever case.
fn contains(application: &CatalogApplication, text: &str) -> bool {
    let CatalogApplication { name, description, author, metadata, operations, .. } = application;
    let ApplicationMetadata { authors, licenses, source, homepage, revision: _ } = metadata;
    let mut all = format!("{name}\n{description}\n{author}\n").to_lowercase();
    for part in [authors, licenses, source, homepage].into_iter().flatten() {
        all.push_str(&part.to_lowercase());
        all.push('\n');
    }
    for Operation { name, description, .. } in operations {
        all.push_str(&format!("{name}\n{description}\n").to_lowercase());
    }
    text.to_lowercase().split_whitespace().all(|word| all.contains(word))
}

/// A page of packages that are in the order of lists.
pub(crate) fn page_of(
    applications: Vec<CatalogApplication>,
    query: &CatalogQuery,
) -> Result<Page<CatalogApplication>, Draft> {
    check_after(query.after.as_deref(), MAX_AFTER)?;
    let first = query.after.as_deref().map_or(0, |after| {
        let (name, version) = after.split_once('@').unwrap_or((after, ""));
        let version = (Version::parse(version).ok(), version);
        applications.partition_point(|application| {
            let own = (Version::parse(&application.version).ok(), application.version.as_str());
            (application.name.as_str(), Reverse(own)) <= (name, Reverse(version.clone()))
        })
    });
    let cursor = |application: &CatalogApplication| format!("{}@{}", application.name, application.version);
    page_from(applications, first, query.limit, cursor)
}

/// Refuses filters that are too long.
pub(crate) fn check_query(query: &CatalogQuery) -> Result<(), Draft> {
    for (name, text) in
        [("type", &query.application_type), ("adapter", &query.adapter), ("status", &query.status)]
    {
        check::optional_text(name, text.clone(), 0, MAX_FILTER)?;
    }
    check::optional_text("name", query.name.clone(), 0, MAX_PACKAGE_NAME)?;
    check::optional_text("q", query.q.clone(), 0, MAX_SEARCH)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn upload(name: &str, version: &str) -> Result<NewPackage, Draft> {
        new(UploadQuery { name: Some(name.into()), version: Some(version.into()), description: None }, None)
    }

    #[test]
    fn names_and_versions_are_checked() {
        assert!(upload("hash-files", "1.20.3").is_ok() && upload("a", "1.0.0-rc.1+build.5").is_ok());
        for bad in ["", "-a", "A", "a b", "é", "a/b", &"a".repeat(65)] {
            assert_eq!(upload(bad, "1.0.0").err().unwrap().member(), Some("name"), "{bad}");
        }
        for bad in ["", "1", "1.0", "1.0.0.0", "1.0.x", "1.0.0-", "01.0.0", "1..0", "1.0.1234567890", "١.0.0"]
        {
            assert_eq!(upload("a", bad).err().unwrap().member(), Some("version"), "{bad}");
        }
    }

    #[test]
    fn a_reference_and_a_signature_are_blamed_by_name() {
        let pull = |text: &str| {
            let body = PullPackage {
                reference: text.into(),
                insecure: false,
                credentials: None,
                name: None,
                version: None,
            };
            pull(body).err().and_then(|draft| draft.member().map(str::to_owned))
        };
        assert_eq!(pull("ghcr.io/a/b:1"), None);
        for bad in ["", "x", "a/b", "é/a", "a.b/c d"] {
            assert_eq!(pull(bad).as_deref(), Some("reference"), "{bad}");
        }
        let sign = |payload: &str, text: &str| {
            let body = SignPackage { payload: payload.into(), signature: text.into() };
            signature(body).err().and_then(|draft| draft.member().map(str::to_owned))
        };
        assert_eq!(sign("{}", "AAAA"), None);
        assert_eq!(sign("", "AAAA").as_deref(), Some("payload"));
        for bad in ["A=A=", "", "AAA!"] {
            assert_eq!(sign("{}", bad).as_deref(), Some("signature"), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_the_schema_takes_is_taken(name in "[a-z0-9][a-z0-9-]{0,63}", version in r"(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})(-(0|[1-9][0-9]{0,3}|[0-9]{0,3}[A-Za-z-][0-9A-Za-z-]{0,3}))?(\+[0-9A-Za-z-]{1,4})?") {
            prop_assert!(upload(&name, &version).is_ok());
        }
    }
}
