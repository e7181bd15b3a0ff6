//! The outline of a component, read without compiling: counts against limits, the names at its outer edge, and what it
//! says of itself.
//!
//! Reads each section's header and skips the code. Stops at the first limit, and keeps what it had read until then.

use super::instances::Instances;
use super::metadata::Metadata;
use crate::EngineError;
use wasmparser::{Encoding, FunctionBody, Parser, Payload};

/// The largest component, in bytes. A Python interpreter with its library has 18 MB.
const MAX_BYTES: u64 = 64 << 20;
/// Core modules in all. Toolchains make about five; a bundled interpreter with its extensions some forty.
const MAX_MODULES: u64 = 128;
/// How deep components and modules are nested. Toolchains nest two deep; composing adds one each time.
const MAX_DEPTH: u64 = 8;
/// Functions in all: what compiling takes is counted in these. A bundled interpreter has some 30 000.
const MAX_FUNCTIONS: u64 = 150_000;
/// The longest function body, in bytes: register allocation takes more than linear time.
const MAX_FUNCTION_BYTES: u64 = 1 << 20;
/// Local variables in all functions together: ten bytes can declare 50 000, and the compiler visits each.
const MAX_LOCALS: u64 = 8_000_000;
/// Types, imports, exports, aliases, instances, segments and the like in all. A bundled interpreter has some 20 000.
const MAX_ITEMS: u64 = 300_000;
/// Imports and exports of the outermost component, each.
const MAX_NAMES: u64 = 256;
/// The longest name of an import or export, in bytes: all of them are shown to people.
const MAX_NAME_BYTES: u64 = 256;
/// Component and instance types within types, in one section: an upper bound of how deep they are nested, which the
/// parser follows by recursion, some kilobytes of stack each (what the validator limits comes after it). Toolchains
/// nest three deep.
const MAX_NESTED_TYPES: u64 = 300;

/// What was counted and named.
#[derive(Debug, Default)]
pub(super) struct Structure {
    /// Names that the outermost component imports, in order.
    pub(super) imports: Vec<String>,
    /// Names that it exports, in order.
    pub(super) exports: Vec<String>,
    /// What it says of itself.
    pub(super) metadata: Metadata,
    depth: u64,
    modules: u64,
    functions: u64,
    locals: u64,
    items: u64,
    instances: Instances,
}

impl Structure {
    /// Reads the outline of a component, and why it ended before its end.
    pub(super) fn read(bytes: &[u8]) -> (Self, Option<EngineError>) {
        let mut structure = Self::default();
        let ended = structure.read_all(bytes).err();
        (structure, ended)
    }

    fn read_all(&mut self, bytes: &[u8]) -> Result<(), EngineError> {
        within("bytes", bytes.len() as u64, MAX_BYTES)?;
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload.map_err(EngineError::Malformed)?;
            self.count_items(&payload)?;
            if let Payload::ComponentTypeSection(section) = &payload {
                let section = bytes.get(section.range()).unwrap_or_default();
                within("types within types", nested_types(section), MAX_NESTED_TYPES)?;
            }
            self.instances.add(&payload)?;
            self.add(payload)?;
        }
        Ok(())
    }

    // Sections that are not counted here are the validator's matter, when it is compiled.
    #[expect(clippy::wildcard_enum_match_arm, reason = "a foreign enum of some forty sections")]
    fn add(&mut self, payload: Payload<'_>) -> Result<(), EngineError> {
        match payload {
            Payload::Version { encoding, .. } => {
                self.depth += 1;
                within("levels of nesting", self.depth, MAX_DEPTH)?;
                if encoding == Encoding::Module {
                    self.modules += 1;
                    within("core modules", self.modules, MAX_MODULES)?;
                }
            }
            Payload::End(_) => self.depth = self.depth.saturating_sub(1),
            Payload::CodeSectionStart { count, .. } => {
                self.functions += u64::from(count);
                within("functions", self.functions, MAX_FUNCTIONS)?;
            }
            Payload::CodeSectionEntry(body) => self.function(&body)?,
            Payload::ComponentImportSection(section) if self.depth == 1 => {
                for import in section {
                    push(&mut self.imports, import.map_err(EngineError::Malformed)?.name.name, "imports")?;
                }
            }
            Payload::ComponentExportSection(section) if self.depth == 1 => {
                for export in section {
                    push(&mut self.exports, export.map_err(EngineError::Malformed)?.name.name, "exports")?;
                }
            }
            Payload::CustomSection(section) => self.metadata.add(&section, self.depth == 1),
            _ => {}
        }
        Ok(())
    }

    fn function(&mut self, body: &FunctionBody<'_>) -> Result<(), EngineError> {
        within("bytes in one function", body.range().len() as u64, MAX_FUNCTION_BYTES)?;
        for locals in body.get_locals_reader().map_err(EngineError::Malformed)? {
            let (count, _) = locals.map_err(EngineError::Malformed)?;
            self.locals += u64::from(count);
            within("local variables", self.locals, MAX_LOCALS)?;
        }
        Ok(())
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "a foreign enum of some forty sections")]
    fn count_items(&mut self, payload: &Payload<'_>) -> Result<(), EngineError> {
        let count = match payload {
            Payload::TypeSection(section) => section.count(),
            Payload::ImportSection(section) => section.count(),
            Payload::TableSection(section) => section.count(),
            Payload::MemorySection(section) => section.count(),
            Payload::TagSection(section) => section.count(),
            Payload::GlobalSection(section) => section.count(),
            Payload::ExportSection(section) => section.count(),
            Payload::ElementSection(section) => section.count(),
            Payload::DataSection(section) => section.count(),
            Payload::InstanceSection(section) => section.count(),
            Payload::CoreTypeSection(section) => section.count(),
            Payload::ComponentInstanceSection(section) => section.count(),
            Payload::ComponentAliasSection(section) => section.count(),
            Payload::ComponentTypeSection(section) => section.count(),
            Payload::ComponentCanonicalSection(section) => section.count(),
            Payload::ComponentImportSection(section) => section.count(),
            Payload::ComponentExportSection(section) => section.count(),
            _ => 0,
        };
        self.items += u64::from(count);
        within("types, imports, exports and other items", self.items, MAX_ITEMS)
    }
}

/// How many component and instance types stand within the types of a section, or more: each is declared by the bytes
/// 0x01 and 0x41 or 0x42 (Component Model binary format, `componentdecl` and `instancedecl`), which other things may be.
fn nested_types(section: &[u8]) -> u64 {
    section.windows(2).filter(|pair| pair[0] == 1 && matches!(pair[1], 0x41 | 0x42)).count() as u64
}

fn push(names: &mut Vec<String>, name: &str, what: &'static str) -> Result<(), EngineError> {
    within(what, names.len() as u64 + 1, MAX_NAMES)?;
    within("bytes in one name", name.len() as u64, MAX_NAME_BYTES)?;
    names.push(super::metadata::printable(name));
    Ok(())
}

pub(super) fn within(what: &'static str, found: u64, limit: u64) -> Result<(), EngineError> {
    if found > limit { Err(EngineError::TooLarge { what, found, limit }) } else { Ok(()) }
}
