//! A guest's project: where it is, in which language, for which world, and what it is called.
//!
//! Rust projects say it in `Cargo.toml` (`[package.metadata.hypermesh]` has the world), all others in `hypermesh.toml`.
//! The first folder upwards that has either is the project.

use super::tools::CARGO;
use anyhow::{Context as _, bail};
use clap::ValueEnum;
use hypermesh_componentize::Metadata;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a guest is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Template {
    /// Operations with parameters and a result
    Job,
    /// Judges claims, without any import
    Validator,
    /// Answers HTTP requests
    Http,
    /// A program with arguments and standard streams
    Command,
}

/// What a guest is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Language {
    Rust,
    Python,
    Javascript,
    C,
}

/// A project.
#[derive(Debug, Clone)]
pub(super) struct Project {
    /// Its folder.
    pub(super) root: PathBuf,
    /// What it is for.
    pub(super) world: Template,
    /// How it is built.
    pub(super) source: Source,
    /// Its name, as its author wrote it.
    pub(super) name: String,
    /// Its version.
    pub(super) version: String,
    /// What goes into the component.
    pub(super) metadata: Metadata,
}

/// How a project is built.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// By cargo: where it builds, and the program's name where there is no library.
    Rust { target: PathBuf, program: Option<String> },
    /// By componentize-py.
    Python { wit: PathBuf },
    /// By componentize-js.
    Javascript { wit: PathBuf },
    /// By clang.
    C { flags: Vec<String> },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    guest: Guest,
}

/// `[guest]` of `hypermesh.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Guest {
    name: String,
    version: String,
    language: Language,
    world: Template,
    description: Option<String>,
    authors: Option<String>,
    licenses: Option<String>,
    source: Option<String>,
    #[serde(default = "default_wit")]
    wit: PathBuf,
    #[serde(default)]
    flags: Vec<String>,
}

fn default_wit() -> PathBuf {
    "wit".into()
}

impl Project {
    /// The project in `folder`, or in the first above this one.
    ///
    /// # Errors
    /// Where there is none, or its file makes no sense.
    pub(super) fn find(folder: Option<&Path>) -> anyhow::Result<Self> {
        let here = match folder {
            Some(folder) => {
                folder.canonicalize().with_context(|| format!("no folder {}", folder.display()))?
            }
            None => std::env::current_dir().context("could not find out the folder here")?,
        };
        let upwards = if folder.is_some() { 1 } else { usize::MAX };
        for root in here.ancestors().take(upwards) {
            if root.join("hypermesh.toml").is_file() {
                return Self::from_file(root);
            }
            if root.join("Cargo.toml").is_file() {
                return Self::from_cargo(root);
            }
        }
        bail!(
            "no Cargo.toml or hypermesh.toml in {}\n  start a project: hypermesh guest new NAME",
            here.display()
        )
    }

    fn from_file(root: &Path) -> anyhow::Result<Self> {
        let file = root.join("hypermesh.toml");
        let what = || format!("{} makes no sense", file.display());
        let text = fs::read_to_string(&file).with_context(|| format!("could not read {}", file.display()))?;
        let guest = toml::from_str::<File>(&text).with_context(what)?.guest;
        let wit = root.join(&guest.wit);
        let source = match (guest.language, guest.world) {
            (Language::Python, Template::Job) => Source::Python { wit },
            (Language::Javascript, Template::Job) => Source::Javascript { wit },
            (Language::C, Template::Command) => Source::C { flags: guest.flags },
            (Language::Rust, _) => bail!("{}: a Rust project says its world in Cargo.toml", file.display()),
            (Language::Python | Language::Javascript | Language::C, _) => {
                bail!("{}: this language and world don't go together", file.display())
            }
        };
        let metadata = Metadata {
            description: guest.description,
            authors: guest.authors,
            licenses: guest.licenses,
            source: guest.source,
            ..Metadata::default()
        };
        Ok(Self {
            root: root.to_owned(),
            world: guest.world,
            source,
            name: guest.name,
            version: guest.version,
            metadata,
        })
    }

    fn from_cargo(root: &Path) -> anyhow::Result<Self> {
        let mut cargo = Command::new(CARGO.name);
        cargo.current_dir(root).args(["metadata", "--no-deps", "--format-version", "1"]);
        cargo.stdin(Stdio::null()).stderr(Stdio::inherit());
        let output = CARGO.run(&mut cargo)?;
        let metadata: Value = serde_json::from_slice(&output).context("could not read cargo's answer")?;
        Self::from_metadata(root, &metadata)
    }

    /// From what `cargo metadata` says.
    fn from_metadata(root: &Path, metadata: &Value) -> anyhow::Result<Self> {
        let manifest = root.join("Cargo.toml");
        let packages = metadata["packages"].as_array().into_iter().flatten();
        let package = packages
            .into_iter()
            .find(|package| package["manifest_path"].as_str().is_some_and(|path| Path::new(path) == manifest))
            .with_context(|| format!("{} has no package", manifest.display()))?;
        let text = |name: &str| package[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let is = |target: &Value, kind: &str| {
            target["crate_types"].as_array().is_some_and(|kinds| kinds.iter().any(|k| k == kind))
        };
        let targets = package["targets"].as_array().map_or(&[][..], Vec::as_slice);
        let program = match targets.iter().any(|target| is(target, "cdylib")) {
            true => None,
            false => {
                let program = targets.iter().find(|target| is(target, "bin"));
                let name = program.and_then(|target| target["name"].as_str());
                Some(
                    name.context("the package has neither a `cdylib` nor a program; set crate-type")?
                        .to_owned(),
                )
            }
        };
        let world = match package["metadata"]["hypermesh"].get("world") {
            Some(world) => serde_json::from_value(world.clone())
                .with_context(|| format!("{}: package.metadata.hypermesh.world", manifest.display()))?,
            None if program.is_some() => Template::Command,
            None => Template::Job,
        };
        let authors = package["authors"].as_array().into_iter().flatten();
        let authors: Vec<&str> = authors.filter_map(Value::as_str).collect();
        let target = metadata["target_directory"].as_str().context("cargo named no target folder")?.into();
        Ok(Self {
            root: root.to_owned(),
            world,
            source: Source::Rust { target, program },
            name: text("name").context("the package has no name")?,
            version: text("version").context("the package has no version")?,
            metadata: Metadata {
                description: text("description"),
                authors: (!authors.is_empty()).then(|| authors.join(", ")),
                licenses: text("license"),
                source: text("repository"),
                ..Metadata::default()
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn cargo(targets: &Value, metadata: &Value) -> anyhow::Result<Project> {
        let package = json!({
            "manifest_path": "/p/Cargo.toml", "name": "p", "version": "1.2.3", "description": "", "license": "MIT",
            "authors": ["a", "b"], "targets": targets, "metadata": metadata,
        });
        Project::from_metadata(Path::new("/p"), &json!({ "packages": [package], "target_directory": "/t" }))
    }

    #[test]
    fn a_package_s_targets_and_metadata_say_what_it_is() {
        let library = json!([{ "crate_types": ["cdylib", "rlib"], "name": "p" }]);
        let program = json!([{ "crate_types": ["bin"], "name": "q" }]);
        let job = cargo(&library, &Value::Null).unwrap();
        assert_eq!((job.world, job.version.as_str()), (Template::Job, "1.2.3"));
        assert_eq!(job.metadata.authors.as_deref(), Some("a, b"));
        assert_eq!((job.metadata.description, job.metadata.licenses.as_deref()), (None, Some("MIT")));
        let command = cargo(&program, &Value::Null).unwrap();
        assert_eq!(command.world, Template::Command);
        assert!(matches!(command.source, Source::Rust { program: Some(name), .. } if name == "q"));
        let world = json!({ "hypermesh": { "world": "validator" } });
        assert_eq!(cargo(&library, &world).unwrap().world, Template::Validator);
        assert!(cargo(&library, &json!({ "hypermesh": { "world": "x" } })).is_err());
        assert!(cargo(&json!([{ "crate_types": ["rlib"], "name": "p" }]), &Value::Null).is_err());
    }

    #[test]
    fn other_languages_say_it_in_a_file_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let write = |text: &str| fs::write(folder.path().join("hypermesh.toml"), text).unwrap();
        write("[guest]\nname = 'w'\nversion = '0.1.0'\nlanguage = 'c'\nworld = 'command'\nflags = ['-lm']");
        let project = Project::find(Some(folder.path())).unwrap();
        assert!(matches!(&project.source, Source::C { flags } if flags == &["-lm"]));
        for wrong in
            ["", "[guest]\nname = 'w'", "[guest]\nname='w'\nversion='1.0.0'\nlanguage='c'\nworld='job'"]
        {
            write(wrong);
            assert!(Project::find(Some(folder.path())).is_err(), "{wrong}");
        }
    }
}
