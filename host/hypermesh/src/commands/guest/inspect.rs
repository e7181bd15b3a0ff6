//! `guest inspect`: what a component is, what it may do here, what changed, and whether a node would admit it.
//!
//! Needs no node: the rules are this binary's, which are those of a node of the same version. Only `--against` a package asks
//! one. Names, versions and tools are what the file claims.

use crate::context::Context;
use crate::human;
use crate::job::package;
use crate::output::Style;
use crate::table::{Table, fields};
use anyhow::Context as _;
use clap::Args;
use hypermesh_componentize::{Form, Outline, outline};
use hypermesh_node::Admission;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// `guest inspect …`
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The component, a .wasm file
    file: PathBuf,
    /// Show what it imports more and less than another: a file, or a package of the catalog
    #[arg(long, value_name = "FILE.wasm|NAME")]
    against: Option<String>,
}

/// One import and what it means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Import {
    /// Its full name.
    import: String,
    /// What a guest can do with it here; `null` where this host's rules say nothing of it.
    meaning: Option<String>,
    /// Whether this host offers it; `null` as before.
    allowed: Option<bool>,
}

/// What differs from another component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Difference {
    /// What it was compared with.
    against: String,
    /// Interfaces that only this one imports.
    added: Vec<String>,
    /// Interfaces that only the other imports.
    removed: Vec<String>,
    /// Interfaces that both import, in other versions: `old → new`.
    changed: Vec<String>,
}

/// A tool that made the component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Tool {
    field: String,
    name: String,
    version: String,
}

/// What was found out about a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Inspection {
    file: PathBuf,
    size: u64,
    digest: String,
    /// `component` or `module`.
    form: &'static str,
    /// The world that its exports are of; `null` for none that a host here runs.
    world: Option<String>,
    name: Option<String>,
    version: Option<String>,
    description: Option<String>,
    authors: Option<String>,
    licenses: Option<String>,
    source: Option<String>,
    /// The SDK that it was written with.
    sdk: Option<String>,
    producers: Vec<Tool>,
    imports: Vec<Import>,
    exports: Vec<String>,
    admitted: bool,
    /// Why it would be refused.
    pub(super) refusals: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    difference: Option<Difference>,
}

/// Runs `guest inspect`.
pub(super) fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let mut inspection = Inspection::of_file(&arguments.file)?;
    if let Some(against) = &arguments.against {
        let other = imports_of(context, against)?;
        let own = inspection.imports.iter().map(|import| import.import.clone()).collect();
        inspection.difference = Some(difference(against, &other, &own));
    }
    context.output.show(&inspection, show)
}

fn imports_of(context: &Context, against: &str) -> anyhow::Result<BTreeSet<String>> {
    if package::is_file(against) {
        let bytes = fs::read(against).with_context(|| format!("could not read {against}"))?;
        return Ok(outline(&bytes).with_context(|| against.to_owned())?.imports.into_iter().collect());
    }
    let package = package::find(&context.client()?, against)?;
    Ok(package.capabilities.into_iter().map(|capability| capability.import).collect())
}

fn difference(against: &str, other: &BTreeSet<String>, own: &BTreeSet<String>) -> Difference {
    let by_name = |imports: &BTreeSet<String>| -> BTreeMap<String, String> {
        let split =
            |import: &String| (import.split('@').next().unwrap_or_default().to_owned(), import.clone());
        imports.iter().map(split).collect()
    };
    let (other, own) = (by_name(other), by_name(own));
    let only = |some: &BTreeMap<String, String>, not: &BTreeMap<String, String>| -> Vec<String> {
        some.iter().filter(|(name, _)| !not.contains_key(*name)).map(|(_, full)| full.clone()).collect()
    };
    let changed = own.iter().filter_map(|(name, new)| {
        let old = other.get(name).filter(|old| *old != new)?;
        Some(format!("{old} → {}", new.rsplit('@').next().unwrap_or_default()))
    });
    Difference {
        against: against.to_owned(),
        added: only(&own, &other),
        removed: only(&other, &own),
        changed: changed.collect(),
    }
}

impl Inspection {
    /// Looks at a file.
    ///
    /// # Errors
    /// Where it can't be read. One that is no WebAssembly is refused and not an error.
    pub(super) fn of_file(file: &Path) -> anyhow::Result<Self> {
        let bytes = fs::read(file).with_context(|| format!("could not read {}", file.display()))?;
        // Other files have no outline, and the rules of admission say what they are.
        let outline = outline(&bytes).unwrap_or_default();
        Ok(Self::new(file, &bytes, outline, hypermesh_node::inspect(&bytes)))
    }

    fn new(file: &Path, bytes: &[u8], outline: Outline, admission: Admission) -> Self {
        let known: BTreeMap<_, _> =
            admission.capabilities.iter().map(|capability| (&capability.import, capability)).collect();
        let imports = outline.imports.iter().map(|import| {
            let known = known.get(import);
            Import {
                import: import.clone(),
                meaning: known.map(|capability| capability.meaning.clone()),
                allowed: known.map(|capability| capability.allowed),
            }
        });
        let world = admission.world.map(|world| human::named(&world)).or_else(|| world_of(&outline.exports));
        let producers = outline.producers.into_iter();
        Self {
            file: file.to_owned(),
            size: bytes.len() as u64,
            digest: super::build::sha256(bytes),
            form: match outline.form {
                Form::Component => "component",
                Form::Module => "module",
            },
            world,
            imports: imports.collect(),
            exports: outline.exports,
            name: outline.name,
            version: outline.version,
            description: outline.description,
            authors: outline.authors,
            licenses: outline.licenses,
            source: outline.source,
            sdk: outline.sdk,
            producers: producers.map(|p| Tool { field: p.field, name: p.name, version: p.version }).collect(),
            admitted: admission.refusals.is_empty(),
            refusals: admission.refusals,
            difference: None,
        }
    }
}

/// The world that exports are of, for a component that isn't admitted.
fn world_of(exports: &[String]) -> Option<String> {
    let worlds = [
        ("hypermesh:guest/handler@", "job"),
        ("hypermesh:guest/validation@", "validator"),
        ("wasi:http/incoming-handler@", "http"),
        ("wasi:cli/run@", "command"),
    ];
    let found = worlds.iter().find(|(export, _)| exports.iter().any(|name| name.starts_with(export)));
    found.map(|(_, world)| (*world).to_owned())
}

fn show(found: &Inspection, style: Style) -> String {
    let known = |text: &Option<String>| text.clone().unwrap_or_else(|| human::UNKNOWN.into());
    let producers =
        found.producers.iter().map(|tool| format!("{} {}", tool.name, tool.version).trim_end().to_owned());
    let admitted = match found.refusals.as_slice() {
        [] => style.good("yes"),
        reasons => {
            let reasons: Vec<String> = reasons.iter().map(|reason| human::printable(reason)).collect();
            format!("{}: {}", style.error("no"), reasons.join(&format!("\n{:13}", "")))
        }
    };
    let mut text = fields(
        &[
            ("file", found.file.display().to_string()),
            ("form", found.form.to_owned()),
            ("world", known(&found.world)),
            ("name", known(&found.name)),
            ("version", known(&found.version)),
            ("description", known(&found.description)),
            ("authors", known(&found.authors)),
            ("licenses", known(&found.licenses)),
            ("source", known(&found.source)),
            ("size", human::bytes(Some(found.size))),
            ("sha256", found.digest.clone()),
            ("sdk", known(&found.sdk)),
            ("made with", producers.collect::<Vec<_>>().join("\n")),
            ("exports", found.exports.join("\n")),
        ],
        style,
    );
    // By itself: `fields` takes colours for control characters.
    text.push_str(&format!("{}  {admitted}\n", style.faint("admitted   ")));
    text.push_str(&format!("\n{}\n", style.strong("imports")));
    let mut table = Table::new(&["IMPORT", "MAY", "OFFERED"]);
    for import in &found.imports {
        let offered = import.allowed.map(|allowed| if allowed { "yes" } else { "no" });
        table.row([
            import.import.clone(),
            known(&import.meaning),
            offered.unwrap_or(human::UNKNOWN).to_owned(),
        ]);
    }
    text.push_str(&table.render(style));
    if let Some(difference) = &found.difference {
        text.push_str(&show_difference(difference, style));
    }
    text
}

fn show_difference(difference: &Difference, style: Style) -> String {
    let heading = format!("against {}", human::printable(&difference.against));
    let mut text = format!("\n{}\n", style.strong(&heading));
    let lines = [("+", &difference.added), ("-", &difference.removed), ("~", &difference.changed)];
    for (sign, imports) in lines {
        for import in imports {
            text.push_str(&format!("{sign} {}\n", human::printable(import)));
        }
    }
    if lines.iter().all(|(_, imports)| imports.is_empty()) {
        text.push_str("the same imports\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_tells_new_rights_from_new_versions() {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let found =
            difference("old", &set(&["a:b/c@1.0.0", "a:b/d@1.0.0"]), &set(&["a:b/c@1.1.0", "a:b/e@1.0.0"]));
        assert_eq!(found.added, ["a:b/e@1.0.0"]);
        assert_eq!(found.removed, ["a:b/d@1.0.0"]);
        assert_eq!(found.changed, ["a:b/c@1.0.0 → 1.1.0"]);
        assert!(show_difference(&found, Style::PLAIN).contains("+ a:b/e@1.0.0\n- a:b/d@1.0.0\n~ a:b/c"));
    }

    #[test]
    fn what_is_no_component_is_shown_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.wasm");
        fs::write(&file, "hello").unwrap();
        let found = Inspection::of_file(&file).unwrap();
        assert!(!found.admitted && found.imports.is_empty());
        let text = show(&found, Style::PLAIN);
        assert!(text.contains("admitted     no: not a WebAssembly component"), "{text}");
        assert!(Inspection::of_file(Path::new("/nowhere")).is_err());
    }

    #[test]
    fn a_world_is_known_by_its_export() {
        for (export, world) in [
            ("wasi:cli/run@0.2.12", Some("command")),
            ("wasi:http/incoming-handler@0.2.0", Some("http")),
            ("x", None),
        ] {
            assert_eq!(world_of(&[export.to_owned()]).as_deref(), world);
        }
    }
}
