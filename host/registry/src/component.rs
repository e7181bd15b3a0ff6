//! What a component says of itself: its name and version, who wrote it, what it imports and exports.
//!
//! Toolchains write it into custom sections that are named after what they hold (`wasm-metadata` of wasm-tools has the
//! same list); the name stands in `component-name`. Only the outermost level is read: what is nested speaks of parts.
//! Nothing is vouched for: every text is cut to a line of bounded length, and a text that is not UTF-8 counts as absent.
//! Fails for what is no component; whether one may run is decided elsewhere.

use hypermesh_model::PackageMetadata;
use serde::Serialize;
use thiserror::Error;
use wasmparser::{
    BinaryReaderError, ComponentName, ComponentNameSectionReader, CustomSectionReader, Encoding, KnownCustom,
    Parser, Payload,
};

/// Longest text that is taken over, in characters: a line of a list, and half of an SPDX expression's worst case.
const MAX_TEXT: usize = 256;
/// Most imports and exports that are told of, each: a component of a full WASI world has 30.
const MAX_NAMES: usize = 1024;

/// What a component says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ComponentFacts {
    /// Its name, as its toolchain wrote it.
    pub name: Option<String>,
    /// Its version, any text.
    pub version: Option<String>,
    /// What it does.
    pub description: Option<String>,
    /// The rest.
    pub metadata: PackageMetadata,
    /// Names of its imports.
    pub imports: Vec<String>,
    /// Names of its exports.
    pub exports: Vec<String>,
}

/// Why nothing can be read of it.
#[derive(Debug, Error)]
pub enum ComponentError {
    /// It is a core module.
    #[error("it is a core module, not a component")]
    Module,
    /// It is no WebAssembly, or broken.
    #[error("it is no WebAssembly component")]
    Malformed(#[source] BinaryReaderError),
}

/// Reads what a component says of itself. Code is skipped, not validated.
///
/// # Errors
/// [`ComponentError`].
#[expect(clippy::wildcard_enum_match_arm, reason = "of all sections only these say something")]
pub fn read_component(bytes: &[u8]) -> Result<ComponentFacts, ComponentError> {
    let mut facts = ComponentFacts::default();
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(ComponentError::Malformed)? {
            Payload::Version { encoding, .. } => {
                if depth == 0 && encoding == Encoding::Module {
                    return Err(ComponentError::Module);
                }
                depth += 1;
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(reader) if depth == 1 => {
                for import in reader {
                    push(&mut facts.imports, import.map_err(ComponentError::Malformed)?.name.name);
                }
            }
            Payload::ComponentExportSection(reader) if depth == 1 => {
                for export in reader {
                    push(&mut facts.exports, export.map_err(ComponentError::Malformed)?.name.name);
                }
            }
            Payload::CustomSection(section) if depth == 1 => custom(&mut facts, &section),
            _ => {}
        }
    }
    Ok(facts)
}

fn push(names: &mut Vec<String>, name: &str) {
    if names.len() < MAX_NAMES {
        names.push(name.to_owned());
    }
}

fn custom(facts: &mut ComponentFacts, section: &CustomSectionReader<'_>) {
    if let KnownCustom::ComponentName(names) = section.as_known() {
        facts.name = component_name(names).or(facts.name.take());
        return;
    }
    let ComponentFacts { version, description, metadata, .. } = facts;
    let PackageMetadata { authors, licenses, source, homepage, revision } = metadata;
    let place = match section.name() {
        "version" => version,
        "description" => description,
        "authors" => authors,
        "licenses" => licenses,
        "source" => source,
        "homepage" => homepage,
        "revision" => revision,
        _ => return,
    };
    *place = std::str::from_utf8(section.data()).ok().and_then(line);
}

fn component_name(names: ComponentNameSectionReader<'_>) -> Option<String> {
    names.into_iter().find_map(|name| match name {
        Ok(ComponentName::Component { name, .. }) => line(name),
        _ => None,
    })
}

/// One line without control characters, cut; `None` when nothing is left.
fn line(text: &str) -> Option<String> {
    let visible = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let cut: String = visible.take(MAX_TEXT).collect();
    let cut = cut.trim();
    (!cut.is_empty()).then(|| cut.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The preamble of a component (Component Model, Binary.md).
    const COMPONENT: [u8; 8] = [0, b'a', b's', b'm', 0x0d, 0, 1, 0];

    fn length(n: usize) -> Vec<u8> {
        let mut n = u32::try_from(n).unwrap();
        let mut bytes = Vec::new();
        loop {
            let byte = u8::try_from(n & 0x7f).unwrap();
            n >>= 7;
            if n == 0 {
                bytes.push(byte);
                return bytes;
            }
            bytes.push(byte | 0x80);
        }
    }

    fn section(name: &str, data: &[u8]) -> Vec<u8> {
        let body = [length(name.len()), name.as_bytes().to_vec(), data.to_vec()].concat();
        [vec![0], length(body.len()), body].concat()
    }

    fn component(sections: &[Vec<u8>]) -> Vec<u8> {
        [COMPONENT.to_vec(), sections.concat()].concat()
    }

    #[test]
    fn what_a_toolchain_wrote_is_read() {
        let name = [vec![0], length(6), length(5), b"jobs!".to_vec()].concat();
        let bytes = component(&[
            section("component-name", &name),
            section("version", b"1.2.3"),
            section("description", b"hashes\nfiles"),
            section("licenses", b"MIT"),
            section("authors", b"\xff\xfe"),
            section("other", b"x"),
        ]);
        let facts = read_component(&bytes).unwrap();
        assert_eq!(facts.name.as_deref(), Some("jobs!"));
        assert_eq!(facts.version.as_deref(), Some("1.2.3"));
        assert_eq!(facts.description.as_deref(), Some("hashes files"));
        assert_eq!(facts.metadata.licenses.as_deref(), Some("MIT"));
        assert_eq!(facts.metadata.authors, None, "no UTF-8");
    }

    #[test]
    fn nested_parts_do_not_speak_for_the_whole() {
        let inner = component(&[section("version", b"9.9.9")]);
        // Section 4 is a nested component.
        let nested = [vec![4], length(inner.len()), inner].concat();
        assert_eq!(read_component(&component(&[nested])).unwrap().version, None);
    }

    #[test]
    fn modules_and_noise_are_refused() {
        assert!(matches!(read_component(b"\0asm\x01\0\0\0"), Err(ComponentError::Module)));
        for bad in [&b""[..], b"\0asm", b"noise", &[0xff; 64]] {
            assert!(matches!(read_component(bad), Err(ComponentError::Malformed(_))), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(tail in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_component(&tail);
            let _ = read_component(&[COMPONENT.to_vec(), tail].concat());
        }
    }
}
