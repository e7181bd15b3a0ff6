//! The outline of a component, read without compiling: counts against limits, and the names at its outer edge.
//!
//! Reads each section's header and skips the code. Stops at the first limit.

use super::instances::Instances;
use crate::EngineError;
use wasmparser::{Encoding, Parser, Payload};

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
/// Imports and exports of the outermost component, each.
const MAX_NAMES: u64 = 256;
/// The longest name of an import or export, in bytes: all of them are shown to people.
const MAX_NAME_BYTES: u64 = 256;

/// What was counted and named.
#[derive(Debug, Default)]
pub(super) struct Structure {
    /// Names that the outermost component imports, in order.
    pub(super) imports: Vec<String>,
    /// Names that it exports, in order.
    pub(super) exports: Vec<String>,
    depth: u64,
    modules: u64,
    functions: u64,
    instances: Instances,
}

impl Structure {
    /// Reads the outline of a whole component.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, EngineError> {
        within("bytes", bytes.len() as u64, MAX_BYTES)?;
        let mut structure = Self::default();
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload.map_err(EngineError::Malformed)?;
            structure.instances.add(&payload)?;
            structure.add(payload)?;
        }
        Ok(structure)
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
            Payload::CodeSectionEntry(body) => {
                within("bytes in one function", body.range().len() as u64, MAX_FUNCTION_BYTES)?;
            }
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
            _ => {}
        }
        Ok(())
    }
}

fn push(names: &mut Vec<String>, name: &str, what: &'static str) -> Result<(), EngineError> {
    within(what, names.len() as u64 + 1, MAX_NAMES)?;
    within("bytes in one name", name.len() as u64, MAX_NAME_BYTES)?;
    names.push(name.to_owned());
    Ok(())
}

pub(super) fn within(what: &'static str, found: u64, limit: u64) -> Result<(), EngineError> {
    if found > limit { Err(EngineError::TooLarge { what, found, limit }) } else { Ok(()) }
}
