//! What an author says of a component, written into it.
//!
//! The names of the sections are those that the OCI artefact layout for WebAssembly reads: one custom section each at
//! the component's end, text in UTF-8. They change what a component is called and not what it does; its digest changes.

use crate::ComponentizeError;
use wasm_encoder::{ComponentSection, CustomSection};
use wasm_metadata::{AddMetadata, AddMetadataField};

/// What an author says of a component. What is `None` is left as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
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
    /// Tools that made it, with their versions.
    pub processed_by: Vec<(String, String)>,
}

/// Writes `metadata` into a component.
///
/// # Errors
/// [`ComponentizeError::Encode`] for bytes that are no WebAssembly.
pub fn describe(component: &[u8], metadata: &Metadata) -> Result<Vec<u8>, ComponentizeError> {
    let mut adding = AddMetadata::default();
    if let Some(name) = &metadata.name {
        adding.name = AddMetadataField::Set(name.clone());
    }
    adding.processed_by.clone_from(&metadata.processed_by);
    let mut described = adding.to_wasm(component).map_err(ComponentizeError::encoder)?;
    let sections = [
        ("version", &metadata.version),
        ("description", &metadata.description),
        ("authors", &metadata.authors),
        ("licenses", &metadata.licenses),
        ("source", &metadata.source),
    ];
    for (name, text) in sections {
        if let Some(text) = text {
            let section = CustomSection { name: name.into(), data: text.as_bytes().into() };
            section.append_to_component(&mut described);
        }
    }
    Ok(described)
}
