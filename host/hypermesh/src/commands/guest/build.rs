//! `guest build`: from sources to a component.
//!
//! Each language's own compiler makes WebAssembly; what is then missing is done here: a validator loses its imports, a C
//! program gets WASI's adapter, and every component gets its author's name, version and description.

use super::Place;
use super::project::{Project, Source, Template};
use super::tools::{CARGO, CLANG, COMPONENTIZE_PY, NODE};
use crate::context::Context;
use crate::human;
use crate::table::fields;
use anyhow::{Context as _, bail};
use hypermesh_componentize::{Adapter, Metadata, Stubbed, describe, encode, outline, without_imports};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What Rust is compiled for.
const TARGET: &str = "wasm32-wasip2";
/// What clang compiles for.
const C_TARGET: &str = "wasm32-wasi";
/// Flags that are the host's and would break a build for another target.
const NOT_FOR_GUESTS: [&str; 3] = ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"];
/// Interfaces that a validator's standard library names and doesn't need: what calls one was about to fail anyway.
const MAY_TRAP: [&str; 2] = ["wasi:io/", "wasi:cli/"];

/// A built component.
#[derive(Debug, Serialize)]
pub(super) struct Built {
    /// Where it is.
    pub(super) path: PathBuf,
    /// Bytes.
    pub(super) size: u64,
    /// SHA-256.
    pub(super) digest: String,
    /// What it was built for.
    pub(super) world: Template,
    /// How many interfaces it imports.
    pub(super) imports: usize,
}

/// Runs `guest build`.
pub(super) fn run(context: &Context, place: &Place) -> anyhow::Result<()> {
    let project = Project::find(place.project.as_deref())?;
    let built = build(&project)?;
    context.output.show(&built, |built, style| {
        fields(
            &[
                ("component", built.path.display().to_string()),
                ("size", human::bytes(Some(built.size))),
                ("sha256", built.digest.clone()),
                ("world", human::named(&built.world)),
                ("imports", built.imports.to_string()),
            ],
            style,
        )
    })
}

/// Builds a project's component.
///
/// # Errors
/// Where a tool is missing or fails, or the component would be refused for what it is built of.
pub(super) fn build(project: &Project) -> anyhow::Result<Built> {
    let (component, folder) = match &project.source {
        Source::Rust { target, program } => (rust(project, program.as_deref())?, target.join("hypermesh")),
        Source::Python { wit } => (python(project, wit)?, project.root.join("build")),
        Source::Javascript { wit } => (javascript(project, wit)?, project.root.join("build")),
        Source::C { flags } => (c(project, flags)?, project.root.join("build")),
    };
    let metadata = Metadata {
        name: Some(project.name.clone()),
        version: Some(project.version.clone()),
        processed_by: vec![("hypermesh".to_owned(), env!("CARGO_PKG_VERSION").to_owned())],
        ..project.metadata.clone()
    };
    let component = describe(&component, &metadata)?;
    let path = folder.join(format!("{}.wasm", project.name));
    let what = || format!("could not write {}", path.display());
    fs::create_dir_all(&folder).with_context(what)?;
    fs::write(&path, &component).with_context(what)?;
    Ok(Built {
        size: component.len() as u64,
        digest: sha256(&component),
        world: project.world,
        imports: outline(&component)?.imports.len(),
        path,
    })
}

/// SHA-256 in hexadecimal digits.
pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn rust(project: &Project, program: Option<&str>) -> anyhow::Result<Vec<u8>> {
    require_target(&project.root)?;
    let is_validator = project.world == Template::Validator;
    let mut cargo = cargo(&project.root);
    cargo.args([if is_validator { "rustc" } else { "build" }, "--release", "--target", TARGET]);
    cargo.arg("--message-format=json-render-diagnostics");
    match program {
        Some(name) => cargo.args(["--bin", name]),
        None => cargo.arg("--lib"),
    };
    if is_validator {
        // The linker would make it a component; its imports have to go before that.
        cargo.args(["--", "-C", "link-arg=--skip-wit-component"]);
    }
    let messages = CARGO.run(&mut cargo)?;
    let file = artefact(&messages, &project.root).context("cargo named no file that it built")?;
    let built = fs::read(&file).with_context(|| format!("could not read {}", file.display()))?;
    if is_validator { validator(&built) } else { Ok(built) }
}

/// cargo, without what was set for the host.
pub(super) fn cargo(root: &Path) -> Command {
    let mut cargo = Command::new(CARGO.name);
    cargo.current_dir(root);
    for name in NOT_FOR_GUESTS {
        cargo.env_remove(name);
    }
    cargo
}

/// Says in one line what cargo would say in a page of missing crates.
fn require_target(root: &Path) -> anyhow::Result<()> {
    let mut rustc = Command::new("rustc");
    rustc.current_dir(root).args(["--print", "target-libdir", "--target", TARGET]);
    let output = CARGO.output(rustc.stdin(Stdio::null()).stderr(Stdio::null()))?;
    let folder = String::from_utf8_lossy(&output.stdout);
    if output.status.success() && Path::new(folder.trim()).is_dir() {
        return Ok(());
    }
    bail!("Rust's target {TARGET} is not installed\n  rustup target add {TARGET}")
}

/// The component among cargo's messages: the last file of this package that is WebAssembly.
fn artefact(messages: &[u8], root: &Path) -> Option<PathBuf> {
    let manifest = root.join("Cargo.toml");
    let lines = messages.split(|byte| *byte == b'\n').rev();
    lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok()).find_map(|message| {
        let is_ours = message["manifest_path"].as_str().is_some_and(|path| Path::new(path) == manifest);
        let files = message["filenames"].as_array().filter(|_| is_ours)?.iter();
        files
            .filter_map(Value::as_str)
            .map(PathBuf::from)
            .find(|file| file.extension().is_some_and(|e| e == "wasm"))
    })
}

/// A module without imports as a component.
fn validator(module: &[u8]) -> anyhow::Result<Vec<u8>> {
    let Stubbed { module, imports } = without_imports(module)?;
    let harmful: Vec<&str> = imports
        .iter()
        .filter(|import| !MAY_TRAP.iter().any(|prefix| import.starts_with(prefix)))
        .map(String::as_str)
        .collect();
    if !harmful.is_empty() {
        bail!(
            "a validator may import nothing, and this one uses {}\n  a HashMap draws its seed from randomness: use a \
             BTreeMap; clocks and files differ from node to node",
            harmful.join(", ")
        );
    }
    Ok(encode(&module, Adapter::None)?)
}

fn python(project: &Project, wit: &Path) -> anyhow::Result<Vec<u8>> {
    let own = project.root.join(".venv/bin").join(COMPONENTIZE_PY.name);
    let program = if own.is_file() { own } else { COMPONENTIZE_PY.name.into() };
    let output = scratch(project, "component.wasm")?;
    let mut command = Command::new(program);
    command.current_dir(&project.root).arg("-d").arg(wit).args(["-w", "job", "componentize"]);
    // Without stubs it would import sockets, which no host offers a guest.
    command.args(["--stub-wasi", "app", "-o"]).arg(&output);
    COMPONENTIZE_PY.talk(&mut command)?;
    take(&output)
}

fn javascript(project: &Project, wit: &Path) -> anyhow::Result<Vec<u8>> {
    if !project.root.join("node_modules/@bytecodealliance/componentize-js").is_dir() {
        bail!("@bytecodealliance/componentize-js is not installed\n  npm ci");
    }
    let output = scratch(project, "component.wasm")?;
    let mut command = Command::new(NODE.name);
    command.current_dir(&project.root).arg("build.mjs").arg(wit).arg(&output);
    NODE.talk(&mut command)?;
    take(&output)
}

fn c(project: &Project, flags: &[String]) -> anyhow::Result<Vec<u8>> {
    let folder = project.root.join("src");
    let entries = fs::read_dir(&folder).with_context(|| format!("could not read {}", folder.display()))?;
    let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let mut sources: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|e| e == "c")).collect();
    sources.sort();
    if sources.is_empty() {
        bail!("{} has no .c files", folder.display());
    }
    let output = scratch(project, "module.wasm")?;
    let mut clang = Command::new(CLANG.name);
    clang.current_dir(&project.root).arg(format!("--target={C_TARGET}"));
    clang.args(["-O2", "-Wall", "-Wextra", "-o"]).arg(&output).args(&sources).args(flags);
    if let Err(error) = CLANG.talk(&mut clang) {
        // Its own message names a file that isn't found, and not the package that has it.
        crate::say!("clang for {C_TARGET} takes more than clang: {}", CLANG.hint);
        return Err(error);
    }
    Ok(encode(&take(&output)?, Adapter::Preview1Command)?)
}

/// A file below the project's `build` for a tool to write.
fn scratch(project: &Project, name: &str) -> anyhow::Result<PathBuf> {
    let folder = project.root.join("build");
    fs::create_dir_all(&folder).with_context(|| format!("could not make {}", folder.display()))?;
    Ok(folder.join(name))
}

/// What a tool wrote; the file goes, since the component is written beside it.
fn take(file: &Path) -> anyhow::Result<Vec<u8>> {
    let what = || format!("could not read {}", file.display());
    let bytes = fs::read(file).with_context(what)?;
    fs::remove_file(file).with_context(what)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_webassembly_of_the_package_is_its_component() {
        let messages =
            br#"{"reason":"compiler-artifact","manifest_path":"/other/Cargo.toml","filenames":["/t/o.wasm"]}
{"reason":"compiler-artifact","manifest_path":"/p/Cargo.toml","filenames":["/t/p.rlib","/t/p.wasm"]}
{"reason":"compiler-artifact","manifest_path":"/other/Cargo.toml","filenames":["/t/q.wasm"]}
{"reason":"build-finished","success":true}
"#;
        assert_eq!(artefact(messages, Path::new("/p")), Some("/t/p.wasm".into()));
        assert_eq!(artefact(messages, Path::new("/x")), None);
        assert_eq!(artefact(b"nonsense", Path::new("/p")), None);
    }
}
