//! What a component says of itself, in custom sections: nothing of it is checked, and all of it is bounded.
//!
//! The names of the sections are those of the Wasm OCI annotations (`wasm-metadata`): `version`, `description`,
//! `authors`, `licenses`, `source`, `homepage`, `revision`, each holding text; and `producers` (tool conventions,
//! ProducersSection.md), which every core module within has, too.

use serde::{Deserialize, Serialize};
use wasmparser::{ComponentName, CustomSectionReader, KnownCustom, ProducersField};

/// The longest text, in bytes.
const MAX_TEXT_BYTES: usize = 1024;
/// The most languages, and tools.
const MAX_TOOLS: usize = 16;

/// What a component says of itself. `None` where it says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// Its name.
    pub name: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Who made it.
    pub authors: Option<String>,
    /// Its licences, an SPDX expression.
    pub licenses: Option<String>,
    /// Where its source is.
    pub source: Option<String>,
    /// Its home page.
    pub homepage: Option<String>,
    /// The revision of the source.
    pub revision: Option<String>,
    /// The languages that it was written in.
    pub languages: Vec<String>,
    /// What it was processed by, each with its version.
    pub processed_by: Vec<String>,
}

impl Metadata {
    /// Adds a custom section, of the outermost component or of something within. What doesn't parse is not there.
    pub(super) fn add(&mut self, section: &CustomSectionReader<'_>, outermost: bool) {
        // Other sections may be megabytes of debug information.
        match section.name() {
            "producers" => {
                if let KnownCustom::Producers(fields) = section.as_known() {
                    fields.into_iter().map_while(Result::ok).for_each(|field| self.add_producers(&field));
                }
            }
            "component-name" if outermost => {
                if let KnownCustom::ComponentName(names) = section.as_known() {
                    for name in names.into_iter().map_while(Result::ok) {
                        if let ComponentName::Component { name, .. } = name {
                            self.name = Some(text(name));
                        }
                    }
                }
            }
            name if outermost => {
                let slot = match name {
                    "version" => &mut self.version,
                    "description" => &mut self.description,
                    "authors" => &mut self.authors,
                    "licenses" => &mut self.licenses,
                    "source" => &mut self.source,
                    "homepage" => &mut self.homepage,
                    "revision" => &mut self.revision,
                    _ => return,
                };
                let bytes = section.data();
                *slot = Some(text(&String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_TEXT_BYTES)])));
            }
            _ => {}
        }
    }

    fn add_producers(&mut self, field: &ProducersField<'_>) {
        let tools = match field.name {
            "language" => &mut self.languages,
            "processed-by" => &mut self.processed_by,
            _ => return,
        };
        for value in field.values.clone().into_iter().map_while(Result::ok) {
            let tool = text(&format!("{} {}", value.name, value.version));
            let tool = tool.trim().to_owned();
            if tools.len() < MAX_TOOLS && !tools.contains(&tool) {
                tools.push(tool);
            }
        }
    }
}

/// A text as it may be shown: bounded, and without control characters, which terminals act on.
fn text(text: &str) -> String {
    printable(&text[..text.floor_char_boundary(MAX_TEXT_BYTES)])
}

/// A text without control characters.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
