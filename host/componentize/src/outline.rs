//! What a component says of itself: its outer names, and who made it.
//!
//! Read from headers and custom sections; code is skipped. All of it is what the file claims: a digest proves, a name
//! doesn't.

use crate::ComponentizeError;
use std::collections::BTreeSet;
use wasmparser::{ComponentName, CustomSectionReader, Encoding, KnownCustom, Parser, Payload};

/// The custom section in which an SDK says its name and version, e.g. `hypermesh-guest-sdk 0.1.0`.
pub const SDK_SECTION: &str = "hypermesh:sdk";
/// The longest text that is shown, in bytes.
const MAX_LINE: usize = 512;

/// What kind of WebAssembly a file is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Form {
    /// A component.
    Component,
    /// A core module.
    #[default]
    Module,
}

/// A tool or language that had a part in a component.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Producer {
    /// `language`, `processed-by` or `sdk`.
    pub field: String,
    /// Its name.
    pub name: String,
    /// Its version; may be empty.
    pub version: String,
}

/// What a component says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outline {
    /// Whether it is a component at all.
    pub form: Form,
    /// What it imports, in order.
    pub imports: Vec<String>,
    /// What it exports, in order.
    pub exports: Vec<String>,
    /// Its name.
    pub name: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// One line for people.
    pub description: Option<String>,
    /// Who wrote it.
    pub authors: Option<String>,
    /// An SPDX expression.
    pub licenses: Option<String>,
    /// URL of its sources.
    pub source: Option<String>,
    /// The HyperMesh SDK that it was written with, and its version.
    pub sdk: Option<String>,
    /// The languages and tools in it and its modules.
    pub producers: Vec<Producer>,
}

/// Reads a component, or a core module.
///
/// # Errors
/// [`ComponentizeError::Malformed`] for other bytes.
pub fn outline(bytes: &[u8]) -> Result<Outline, ComponentizeError> {
    let mut reading = Reading::default();
    for payload in Parser::new(0).parse_all(bytes) {
        reading.add(payload?)?;
    }
    let Reading { mut outline, producers, .. } = reading;
    outline.producers = producers.into_iter().collect();
    Ok(outline)
}

#[derive(Default)]
struct Reading {
    outline: Outline,
    producers: BTreeSet<Producer>,
    /// How many modules and components are open: 1 in the outermost.
    depth: usize,
}

impl Reading {
    #[expect(clippy::wildcard_enum_match_arm, reason = "a foreign enum of some forty sections")]
    fn add(&mut self, payload: Payload<'_>) -> Result<(), ComponentizeError> {
        let Outline { form, imports, exports, .. } = &mut self.outline;
        match payload {
            Payload::Version { encoding, .. } => {
                self.depth += 1;
                if self.depth == 1 && encoding == Encoding::Component {
                    *form = Form::Component;
                }
            }
            Payload::End(_) => self.depth = self.depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if self.depth == 1 => {
                for import in section {
                    imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if self.depth == 1 => {
                for export in section {
                    exports.push(export?.name.name.to_owned());
                }
            }
            Payload::ImportSection(section) if self.depth == 1 => {
                for import in section.into_imports() {
                    let import = import?;
                    imports.push(format!("{}#{}", import.module, import.name));
                }
            }
            Payload::ExportSection(section) if self.depth == 1 => {
                for export in section {
                    exports.push(export?.name.to_owned());
                }
            }
            Payload::CustomSection(section) => self.custom(&section),
            _ => {}
        }
        Ok(())
    }

    /// Custom sections mean nothing to what is run, so one that can't be read is left out.
    fn custom(&mut self, section: &CustomSectionReader<'_>) {
        let outermost = self.depth == 1;
        let outline = &mut self.outline;
        match section.name() {
            SDK_SECTION => outline.sdk = outline.sdk.take().or_else(|| line(section.data())),
            "producers" => self.producers(section),
            "component-name" if outermost => outline.name = component_name(section),
            "version" if outermost => outline.version = line(section.data()),
            "description" if outermost => outline.description = line(section.data()),
            "authors" if outermost => outline.authors = line(section.data()),
            "licenses" if outermost => outline.licenses = line(section.data()),
            "source" if outermost => outline.source = line(section.data()),
            _ => {}
        }
    }

    fn producers(&mut self, section: &CustomSectionReader<'_>) {
        let KnownCustom::Producers(fields) = section.as_known() else { return };
        for field in fields.into_iter().filter_map(Result::ok) {
            for value in field.values.into_iter().filter_map(Result::ok) {
                self.producers.insert(Producer {
                    field: field.name.to_owned(),
                    name: value.name.to_owned(),
                    version: value.version.to_owned(),
                });
            }
        }
    }
}

fn component_name(section: &CustomSectionReader<'_>) -> Option<String> {
    let KnownCustom::ComponentName(subsections) = section.as_known() else { return None };
    subsections.into_iter().filter_map(Result::ok).find_map(|subsection| {
        let ComponentName::Component { name, .. } = subsection else { return None };
        line(name.as_bytes())
    })
}

/// One line of text.
fn line(data: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(data).ok()?.trim();
    let is_line = !text.is_empty() && text.len() <= MAX_LINE && !text.contains(char::is_control);
    is_line.then(|| text.to_owned())
}
