//! `guest new`: a whole small project that builds at once, wherever this binary runs.
//!
//! Templates are the repository's examples under another name. The SDK comes along in `vendor/`, since a binary alone has no
//! repository beside it; `--sdk` names a checkout instead. The lock file has the versions that this binary was tested with.

use super::embedded::{EXAMPLES, LOCK, SDK, WIT};
use super::project::{Language, Template};
use crate::context::Context;
use crate::failure::Failure;
use crate::human;
use crate::job::package::name_of;
use crate::table::fields;
use anyhow::{Context as _, bail};
use clap::Args;
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the SDK is written to, and its WIT beside it, since its bindings look for `../wit`.
const VENDORED_SDK: &str = "vendor/hypermesh-guest-sdk";
const VENDORED_WIT: &str = "vendor/wit";
/// Where examples have it.
const SDK_OF_EXAMPLES: &str = "../../guest-sdk";
const WIT_OF_EXAMPLES: &str = "../../wit";

/// The manifest of the vendored SDK: the repository's inherits from its workspace.
const SDK_MANIFEST: &str = concat!(
    "[package]\nname = \"hypermesh-guest-sdk\"\nversion = \"",
    env!("CARGO_PKG_VERSION"),
    "\"\nedition = \"2024\"\nlicense = \"Apache-2.0\"\npublish = false\n\n[lib]\nname = \"hypermesh_guest\"\n\n",
    "[dependencies]\nserde = { version = \"1\", features = [\"derive\"] }\nserde_json = \"1\"\nthiserror = \"2\"\n\n",
    "[target.'cfg(target_family = \"wasm\")'.dependencies]\n",
    "wit-bindgen = { version = \"=0.61.1\", default-features = false, features = [\"macros\", \"realloc\", \"std\"] }\n",
);

/// `guest new …`
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Its name, a-z, 0-9 and -: the folder's too, unless it is a path
    #[arg(value_name = "NAME|PATH")]
    path: PathBuf,
    /// What it is for
    #[arg(long, value_enum)]
    template: Option<Template>,
    /// What it is written in
    #[arg(long, value_enum, default_value = "rust")]
    language: Language,
    /// The SDK's folder in a checkout [default: the SDK is written into the project]
    #[arg(long, value_name = "DIR")]
    sdk: Option<PathBuf>,
}

/// What was written.
#[derive(Debug, Serialize)]
struct Written {
    path: PathBuf,
    name: String,
    template: Template,
    language: Language,
    files: Vec<String>,
}

/// Runs `guest new`.
pub(super) fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let name = arguments.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if name.is_empty()
        || name_of(&arguments.path) != name
        || !name.starts_with(|c: char| c.is_ascii_lowercase())
    {
        return Err(Failure::Usage(format!("{name:?} is no name: a-z, 0-9 and -, a letter first")).into());
    }
    let template = arguments.template.unwrap_or(match arguments.language {
        Language::Rust | Language::Python | Language::Javascript => Template::Job,
        Language::C => Template::Command,
    });
    let example = example(template, arguments.language)?;
    let sdk = arguments.sdk.as_deref().map(checkout).transpose()?;
    let files = files(example, &name, arguments.language, sdk.as_deref());
    write(&arguments.path, &files)?;
    let written = Written {
        path: arguments.path.clone(),
        name,
        template,
        language: arguments.language,
        files: files.into_iter().map(|(path, _)| path).collect(),
    };
    context.output.show(&written, |written, style| {
        let own =
            written.files.iter().filter(|file| !file.starts_with("vendor/") && !file.starts_with("wit/"));
        fields(
            &[
                ("project", written.path.display().to_string()),
                (
                    "template",
                    format!("{} in {}", human::named(&written.template), human::named(&written.language)),
                ),
                ("files", own.cloned().collect::<Vec<_>>().join("\n")),
            ],
            style,
        )
    })?;
    let folder = human::shell_word(&arguments.path);
    crate::say!("next: cd {folder} && hypermesh guest test{}", preparation(arguments.language));
    Ok(())
}

/// What has to be installed first, into the project.
fn preparation(language: Language) -> &'static str {
    match language {
        Language::Rust | Language::C => "",
        Language::Python => "   (first: python3 -m venv .venv && .venv/bin/pip install -r requirements.txt)",
        Language::Javascript => "   (first: npm ci)",
    }
}

/// The example that a template is.
fn example(template: Template, language: Language) -> Result<&'static str, Failure> {
    let offered = match (language, template) {
        (Language::Rust, Template::Job) => return Ok("word-count"),
        (Language::Rust, Template::Validator) => return Ok("sum-validator"),
        (Language::Rust, Template::Http) => return Ok("hello-http"),
        (Language::Rust, Template::Command) => return Ok("number-lines"),
        (Language::Python, Template::Job) => return Ok("word-count-python"),
        (Language::Javascript, Template::Job) => return Ok("word-count-javascript"),
        (Language::C, Template::Command) => return Ok("word-count-c"),
        (Language::Python | Language::Javascript, _) => "job",
        (Language::C, _) => "command",
    };
    Err(Failure::Usage(format!("{} has the template {offered}", human::named(&language))))
}

/// The folder of a checkout's SDK as a path that holds in any project.
fn checkout(folder: &Path) -> anyhow::Result<PathBuf> {
    if !folder.join("Cargo.toml").is_file() {
        bail!("{} holds no crate", folder.display());
    }
    Ok(folder.canonicalize()?)
}

/// Every file of the new project: path and text.
fn files(example: &str, name: &str, language: Language, sdk: Option<&Path>) -> Vec<(String, String)> {
    let sdk_path = sdk.map_or_else(|| VENDORED_SDK.to_owned(), |sdk| sdk.display().to_string());
    let adapted = |text: &str| {
        text.replace(SDK_OF_EXAMPLES, &sdk_path).replace(WIT_OF_EXAMPLES, "wit").replace(example, name)
    };
    let of_example = EXAMPLES.iter().filter_map(|(path, text)| {
        let path = path.strip_prefix(example)?.strip_prefix('/')?;
        Some((path.to_owned(), adapted(text)))
    });
    let mut files: Vec<_> = of_example.collect();
    let uses_sdk =
        files.iter().any(|(path, text)| path == "Cargo.toml" && text.contains("hypermesh-guest-sdk"));
    let copied = |below: &str, table: &[(&str, &str)]| -> Vec<(String, String)> {
        table.iter().map(|(path, text)| (format!("{below}/{path}"), (*text).to_owned())).collect()
    };
    match language {
        Language::Rust => {
            files.push(("Cargo.lock".to_owned(), LOCK.to_owned()));
            if uses_sdk && sdk.is_none() {
                files.push((format!("{VENDORED_SDK}/Cargo.toml"), SDK_MANIFEST.to_owned()));
                files.extend(copied(VENDORED_SDK, SDK));
                files.extend(copied(VENDORED_WIT, WIT));
            }
        }
        Language::Python | Language::Javascript => files.extend(copied("wit", WIT)),
        Language::C => {}
    }
    files
}

fn write(root: &Path, files: &[(String, String)]) -> anyhow::Result<()> {
    if root.exists() {
        bail!("{} is there already", root.display());
    }
    for (path, text) in files {
        let path = root.join(path);
        let what = || format!("could not write {}", path.display());
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(what)?;
        }
        fs::write(&path, text).with_context(what)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    type Made = (Template, Language, Vec<(String, String)>);

    fn all() -> Vec<Made> {
        let mut all = Vec::new();
        for template in Template::value_variants() {
            for language in Language::value_variants() {
                if let Ok(example) = example(*template, *language) {
                    all.push((*template, *language, files(example, "my-guest", *language, None)));
                }
            }
        }
        all
    }

    #[test]
    fn each_template_is_a_project_of_its_name_with_everything_that_it_needs() {
        assert_eq!(all().len(), 7);
        for (template, language, files) in all() {
            let text =
                |wanted: &str| files.iter().find(|(path, _)| path == wanted).map(|(_, text)| text.as_str());
            let manifest = if language == Language::Rust { "Cargo.toml" } else { "hypermesh.toml" };
            assert!(text(manifest).unwrap().contains("name = \"my-guest\""), "{template:?} {language:?}");
            assert!(text("README.md").unwrap().starts_with("# my-guest\n"), "{template:?} {language:?}");
            assert!(text(".gitignore").is_some(), "{template:?} {language:?}");
            for (path, text) in &files {
                assert!(!text.contains("../../"), "{path} leads out of the project");
            }
            let has_sdk = files.iter().any(|(path, _)| path == "vendor/wit/world.wit");
            let wants_sdk = text(manifest).unwrap().contains(VENDORED_SDK);
            assert_eq!(has_sdk, wants_sdk, "{template:?} {language:?}");
        }
    }

    /// The repository's manifests, of which the vendored SDK's is a copy without inheritance.
    #[test]
    fn the_vendored_sdk_asks_for_the_versions_of_the_repository() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let workspace: toml::Table = fs::read_to_string(root.join("Cargo.toml")).unwrap().parse().unwrap();
        let sdk: toml::Table =
            fs::read_to_string(root.join("guest-sdk/Cargo.toml")).unwrap().parse().unwrap();
        let vendored: toml::Table = SDK_MANIFEST.parse().unwrap();
        let wasm =
            |table: &toml::Table| table["target"]["cfg(target_family = \"wasm\")"]["dependencies"].clone();
        for (ours, theirs) in
            [(&sdk["dependencies"], &vendored["dependencies"]), (&wasm(&sdk), &wasm(&vendored))]
        {
            let (ours, theirs) = (ours.as_table().unwrap(), theirs.as_table().unwrap());
            assert!(ours.keys().eq(theirs.keys()), "{ours:?} {theirs:?}");
            for (name, wanted) in theirs {
                assert_eq!(&workspace["workspace"]["dependencies"][name], wanted, "{name}");
            }
        }
        assert_eq!(sdk["lib"], vendored["lib"]);
    }

    #[test]
    fn nothing_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        assert!(write(folder.path(), &[]).unwrap_err().to_string().ends_with("is there already"));
        let new = folder.path().join("x");
        write(&new, &[("a/b".to_owned(), "c".to_owned())]).unwrap();
        assert_eq!(fs::read_to_string(new.join("a/b")).unwrap(), "c");
    }
}
