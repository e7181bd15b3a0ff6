//! Which version of a package is meant: `name`, `name@1.2.3` or `name@^1.2`.
//!
//! A whole version is no choice: exactly that one is given, deprecated or not. Of everything else the highest version
//! that matches is chosen, by the precedence of Semantic Versioning 2.0.0 (section 11), never a deprecated one, and a
//! pre-release only where the requirement names one or the caller asks for them. What an operator means is Cargo's
//! definition (the Cargo book, "Specifying dependencies"). Fails with what there is to choose from.

use crate::package::{MAX_PACKAGE_VERSION, Package, is_package_name};
use semver::{Comparator, Op, Version, VersionReq};
use std::fmt;
use thiserror::Error;

/// A package by name, and which of its versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageRequirement {
    /// The name.
    pub name: String,
    /// Which versions will do.
    versions: Versions,
    /// Whether a pre-release will do although the requirement names none.
    prereleases: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Versions {
    Any,
    Exactly(Version),
    Matching(VersionReq),
}

/// A text that is no requirement.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is no package requirement: {why}; write name, name@1.2.3 or name@^1.2")]
pub struct InvalidRequirement {
    /// What was given, cut to 80 characters.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

/// No package fits a requirement.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoMatch {
    /// There is none of the name.
    #[error("the catalog has no package `{name}`")]
    Unknown {
        /// The name.
        name: String,
    },
    /// There are others of the name.
    #[error("no version of the package fits `{requirement}`; there is {there}")]
    Version {
        /// What was wanted.
        requirement: String,
        /// What there is, newest first.
        there: String,
    },
}

impl PackageRequirement {
    /// Parses `name`, `name@VERSION` or `name@REQUIREMENT`.
    ///
    /// # Errors
    /// [`InvalidRequirement`].
    pub fn parse(text: &str) -> Result<Self, InvalidRequirement> {
        let wrong = |why| InvalidRequirement { text: text.chars().take(80).collect(), why };
        let (name, versions) = match text.split_once('@') {
            None => (text, Versions::Any),
            Some((_, given)) if given.len() > MAX_PACKAGE_VERSION => {
                return Err(wrong("what follows the @ is too long"));
            }
            Some((name, given)) => match (Version::parse(given), VersionReq::parse(given)) {
                (Ok(version), _) => (name, Versions::Exactly(version)),
                (Err(_), Ok(requirement)) => (name, Versions::Matching(requirement)),
                (Err(_), Err(_)) => return Err(wrong("what follows the @ is no version")),
            },
        };
        if is_package_name(name) {
            Ok(Self { name: name.to_owned(), versions, prereleases: false })
        } else {
            Err(wrong("the name is not of a-z, 0-9 and '-'"))
        }
    }

    /// Lets pre-releases do, too.
    #[must_use]
    pub fn with_prereleases(self, prereleases: bool) -> Self {
        Self { prereleases, ..self }
    }

    /// The package that is meant, of all that there are.
    ///
    /// # Errors
    /// [`NoMatch`].
    pub fn choose<'a>(&self, packages: &'a [Package]) -> Result<&'a Package, NoMatch> {
        let mut named: Vec<&Package> = packages.iter().filter(|p| p.name == self.name).collect();
        if named.is_empty() {
            return Err(NoMatch::Unknown { name: self.name.clone() });
        }
        named.sort_by(|a, b| a.list_order(b));
        let found = named.iter().find(|package| self.fits(package)).copied();
        found.ok_or_else(|| NoMatch::Version { requirement: self.to_string(), there: there(&named) })
    }

    fn fits(&self, package: &Package) -> bool {
        let version = package.semver();
        let may = |version: &Version| self.prereleases || version.pre.is_empty();
        match (&self.versions, version) {
            (Versions::Exactly(wanted), version) => version.as_ref() == Some(wanted),
            _ if package.deprecated.is_some() => false,
            // A record of an early build whose version is no semantic one.
            (Versions::Any, version) => version.as_ref().is_none_or(may),
            (Versions::Matching(_), None) => false,
            (Versions::Matching(wanted), Some(version)) => {
                wanted.matches(&version) || (self.prereleases && matches_prerelease(wanted, &version))
            }
        }
    }
}

impl fmt::Display for PackageRequirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.versions {
            Versions::Any => f.write_str(&self.name),
            Versions::Exactly(version) => write!(f, "{}@{version}", self.name),
            Versions::Matching(requirement) => write!(f, "{}@{requirement}", self.name),
        }
    }
}

/// Whether a pre-release lies within a requirement that names none: the release that it leads to does, and so does it
/// where the requirement has a lowest version.
fn matches_prerelease(wanted: &VersionReq, version: &Version) -> bool {
    let release = Version::new(version.major, version.minor, version.patch);
    wanted.matches(&release) && wanted.comparators.iter().all(|bound| not_below(bound, version))
}

/// `1.2.0-rc.1` is below `1.2.0`, so it does not do for `>1.2` or `^1.2.0`.
fn not_below(bound: &Comparator, version: &Version) -> bool {
    let lowest = Version {
        pre: bound.pre.clone(),
        ..Version::new(bound.major, bound.minor.unwrap_or(0), bound.patch.unwrap_or(0))
    };
    matches!(bound.op, Op::Less | Op::LessEq) || *version >= lowest
}

fn there(newest_first: &[&Package]) -> String {
    const MOST: usize = 8;
    let mut texts: Vec<String> = newest_first
        .iter()
        .take(MOST)
        .map(|p| match p.deprecated {
            Some(_) => format!("{} (deprecated)", p.version),
            None => p.version.clone(),
        })
        .collect();
    if newest_first.len() > MOST {
        texts.push(format!("{} older", newest_first.len() - MOST));
    }
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BlobDigest, Bytes, CatalogId, Deprecation, PackageMetadata, Subject, Timestamp, World};
    use proptest::prelude::*;

    fn package(name: &str, version: &str, deprecated: bool) -> Package {
        let by = Subject("admin".into());
        Package {
            id: CatalogId::generate(),
            name: name.into(),
            version: version.into(),
            description: String::new(),
            author: by.clone(),
            digest: BlobDigest::from_bytes(&[0; 32]),
            size: Bytes(1),
            world: World::Job,
            capabilities: Vec::new(),
            operations: Vec::new(),
            downloads: 0,
            created_at: Timestamp::now(),
            metadata: PackageMetadata::default(),
            deprecated: deprecated.then(|| Deprecation { reason: "old".into(), by, at: Timestamp::now() }),
            signatures: Vec::new(),
            manifest: None,
            origin: None,
        }
    }

    fn chosen(packages: &[Package], text: &str) -> Result<String, String> {
        let requirement = PackageRequirement::parse(text).unwrap();
        requirement.choose(packages).map(|p| p.version.clone()).map_err(|e| e.to_string())
    }

    #[test]
    fn the_highest_version_that_fits_is_chosen() {
        let all = [
            package("a", "1.2.0", false),
            package("a", "1.10.0", false),
            package("a", "1.11.0", true),
            package("a", "2.0.0-rc.1", false),
            package("b", "9.0.0", false),
        ];
        assert_eq!(chosen(&all, "a").unwrap(), "1.10.0");
        assert_eq!(chosen(&all, "a@^1.2").unwrap(), "1.10.0");
        assert_eq!(chosen(&all, "a@~1.2").unwrap(), "1.2.0");
        assert_eq!(chosen(&all, "a@<1.10").unwrap(), "1.2.0");
        assert_eq!(chosen(&all, "a@1.2.0").unwrap(), "1.2.0");
        assert_eq!(chosen(&all, "a@1.11.0").unwrap(), "1.11.0", "a whole version is no choice");
        assert_eq!(chosen(&all, "a@>=2.0.0-rc.0").unwrap(), "2.0.0-rc.1");
        let error = chosen(&all, "a@^3").unwrap_err();
        assert!(error.contains("`a@^3`; there is 2.0.0-rc.1, 1.11.0 (deprecated), 1.10.0, 1.2.0"), "{error}");
        assert_eq!(chosen(&all, "c").unwrap_err(), "the catalog has no package `c`");
    }

    #[test]
    fn prereleases_are_chosen_when_asked_for() {
        let all = [package("a", "1.0.0", false), package("a", "1.1.0-beta.2", false)];
        let ask = |text: &str| {
            let wanted = PackageRequirement::parse(text).unwrap().with_prereleases(true);
            wanted.choose(&all).map(|p| p.version.clone()).ok()
        };
        assert_eq!(ask("a").as_deref(), Some("1.1.0-beta.2"));
        assert_eq!(ask("a@^1").as_deref(), Some("1.1.0-beta.2"));
        assert_eq!(ask("a@^1.1.0"), None, "it is below 1.1.0");
    }

    #[test]
    fn what_is_no_requirement_is_refused() {
        for bad in ["", "@1", "A@1", "a@", "a@y", "a@1.2.3.4", "a@^1@2", "a b", "../a", "a@01.2.3"] {
            assert!(PackageRequirement::parse(bad).is_err(), "{bad}");
        }
        assert!(PackageRequirement::parse(&format!("a@{}", "1".repeat(65))).is_err());
    }

    #[test]
    fn an_old_record_with_an_odd_version_is_the_last_choice() {
        let all = [package("a", "01.0.0", false), package("a", "0.1.0", false)];
        assert_eq!(chosen(&all, "a").unwrap(), "0.1.0");
        assert_eq!(chosen(&all[..1], "a").unwrap(), "01.0.0");
        assert!(chosen(&all[..1], "a@^1").is_err());
    }

    fn version() -> impl Strategy<Value = Version> {
        (0u64..4, 0u64..4, 0u64..4, proptest::option::of(0u64..3)).prop_map(|(major, minor, patch, pre)| {
            let text = pre.map_or_else(String::new, |n| format!("-rc.{n}"));
            Version::parse(&format!("{major}.{minor}.{patch}{text}")).unwrap()
        })
    }

    proptest! {
        #[test]
        fn what_is_chosen_fits_and_nothing_higher_does(
            versions in proptest::collection::vec((version(), any::<bool>()), 0..12),
            op in proptest::sample::select(vec!["^", "~", ">=", "<", "=", ""]),
            bound in version(),
        ) {
            let all: Vec<Package> =
                versions.iter().map(|(v, old)| package("a", &v.to_string(), *old)).collect();
            let text = format!("{op}{}.{}", bound.major, bound.minor);
            let wanted = VersionReq::parse(&text).unwrap();
            let may = |p: &&Package| p.deprecated.is_none() && wanted.matches(&p.semver().unwrap());
            let best = all.iter().filter(may).map(|p| p.semver().unwrap()).max();
            let chosen = PackageRequirement::parse(&format!("a@{text}")).unwrap().choose(&all).ok().cloned();
            prop_assert_eq!(chosen.map(|p| p.semver().unwrap()), best);
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,80}") {
            if let Ok(requirement) = PackageRequirement::parse(&text) {
                prop_assert_eq!(PackageRequirement::parse(&requirement.to_string()), Ok(requirement));
            }
        }

        #[test]
        fn any_name_of_a_component_gives_a_package_name(text in "\\PC{0,100}") {
            if let Some(name) = crate::package_name_of(&text) {
                prop_assert!(is_package_name(&name), "{}", name);
            }
        }
    }
}
