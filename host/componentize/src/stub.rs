//! A core module without imports: each imported function becomes one that traps.
//!
//! A validator may import nothing, and a standard library imports what it might need, such as standard error for the
//! message of a panic. Imported functions come first in a module's index space, so functions of the same types, put before
//! its own, take their places: no other byte of the module changes, and its names still fit. What calls one traps, on
//! every node alike.

use crate::ComponentizeError;
use std::ops::Range;
use wasm_encoder::{Encode, RawSection};
use wasmparser::{BinaryReader, Encoding, Parser, Payload, TypeRef};

/// Ids of sections (WebAssembly core specification, 5.5.2).
const IMPORT: u8 = 2;
const FUNCTION: u8 = 3;
const CODE: u8 = 10;

/// A body of three bytes: no locals, `unreachable`, `end`.
const TRAP: &[u8] = &[3, 0x00, 0x00, 0x0b];

/// A module that imports nothing any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stubbed {
    /// The module.
    pub module: Vec<u8>,
    /// The functions that trap now, as `module#name`, in order.
    pub imports: Vec<String>,
}

/// Replaces each imported function of a core module by one that traps.
///
/// # Errors
/// [`ComponentizeError::NotAFunction`] for an imported memory, table, global or tag.
pub fn without_imports(module: &[u8]) -> Result<Stubbed, ComponentizeError> {
    let Sections { sections, types, imports } = Sections::read(module)?;
    if imports.is_empty() {
        return Ok(Stubbed { module: module.to_vec(), imports });
    }
    if !sections.iter().any(|(id, _)| *id == FUNCTION) {
        return Err(ComponentizeError::Empty);
    }
    let mut stubbed = wasm_encoder::Module::new();
    for (id, range) in sections {
        let content = &module[range];
        let changed = match id {
            IMPORT => continue,
            FUNCTION => prepend(content, types.iter().map(|index| leb128(*index)))?,
            CODE => prepend(content, types.iter().map(|_| TRAP.to_vec()))?,
            _ => content.to_vec(),
        };
        stubbed.section(&RawSection { id, data: &changed });
    }
    Ok(Stubbed { module: stubbed.finish(), imports })
}

/// A module's sections, and what it imports.
#[derive(Default)]
struct Sections {
    /// Ids and contents, in order.
    sections: Vec<(u8, Range<usize>)>,
    /// Types of the imported functions.
    types: Vec<u32>,
    /// Their names.
    imports: Vec<String>,
}

impl Sections {
    fn read(module: &[u8]) -> Result<Self, ComponentizeError> {
        let mut found = Self::default();
        for payload in Parser::new(0).parse_all(module) {
            let payload = payload?;
            if let Payload::Version { encoding: Encoding::Component, .. } = payload {
                return Err(ComponentizeError::WrongForm { found: "a component", wanted: "a core module" });
            }
            if let Some((id, range)) = payload.as_section() {
                found.sections.push((id, position(range.start)..position(range.end)));
            }
            if let Payload::ImportSection(section) = payload {
                for import in section.into_imports() {
                    found.add(import?)?;
                }
            }
        }
        Ok(found)
    }

    fn add(&mut self, import: wasmparser::Import<'_>) -> Result<(), ComponentizeError> {
        let (TypeRef::Func(index) | TypeRef::FuncExact(index)) = import.ty else {
            return Err(ComponentizeError::NotAFunction {
                module: import.module.to_owned(),
                name: import.name.to_owned(),
            });
        };
        self.types.push(index);
        self.imports.push(format!("{}#{}", import.module, import.name));
        Ok(())
    }
}

/// A vector (5.1.3: its length, then its elements) with further elements at its beginning.
fn prepend(
    content: &[u8],
    elements: impl ExactSizeIterator<Item = Vec<u8>>,
) -> Result<Vec<u8>, ComponentizeError> {
    let mut reader = BinaryReader::new(content, 0);
    let count = reader.read_var_u32()?;
    let added = u32::try_from(elements.len()).unwrap_or(u32::MAX);
    let mut changed = leb128(count.saturating_add(added));
    elements.for_each(|element| changed.extend(element));
    changed.extend_from_slice(&content[reader.current_position()..]);
    Ok(changed)
}

fn leb128(value: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    value.encode(&mut bytes);
    bytes
}

/// An offset in bytes that are in memory fits.
fn position(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
