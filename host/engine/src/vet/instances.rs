//! How many instances a component comes to, each counted as often as it is made.
//!
//! The compiler lays a component out flat. Where a component holds a hundred instances of one that holds a hundred of
//! another, a few bytes a level become a hundred times as much: four kilobytes took more than 4 GiB to compile. So the
//! outline is multiplied out here first, in time linear in its length.
//!
//! A component that is handed over as a value (imported by another one, or taken from an instance) can't be followed
//! without its types. No toolchain makes such, and none is accepted. What is malformed beyond counting is the validator's
//! matter.

use super::structure::within;
use crate::EngineError;
use wasmparser::{
    ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind, ComponentTypeRef,
    Encoding, Instance, Payload,
};

/// Instances of components and core modules together. A bundled interpreter with its extensions makes some hundred; an
/// execution makes at most 512 of core modules.
const MAX_INSTANCES: u64 = 1024;

/// What is between a header and its end.
#[derive(Debug)]
enum Level {
    Module,
    Component {
        /// Instances that one instance of this comes to, as far as was read.
        instances: u64,
        /// The same of each component that this one can name, by index.
        components: Vec<u64>,
    },
}

/// Counts while an outline is read.
#[derive(Debug, Default)]
pub(super) struct Instances {
    levels: Vec<Level>,
}

impl Instances {
    /// Takes the next piece of the outline.
    #[expect(clippy::wildcard_enum_match_arm, reason = "a foreign enum of some forty sections")]
    pub(super) fn add(&mut self, payload: &Payload<'_>) -> Result<(), EngineError> {
        match payload {
            Payload::Version { encoding: Encoding::Module, .. } => self.levels.push(Level::Module),
            Payload::Version { encoding: Encoding::Component, .. } => {
                self.levels.push(Level::Component { instances: 0, components: Vec::new() });
            }
            Payload::End(_) => {
                if let Some(Level::Component { instances, .. }) = self.levels.pop() {
                    self.name(instances);
                }
            }
            Payload::InstanceSection(section) => {
                for instance in section.clone() {
                    match instance.map_err(EngineError::Malformed)? {
                        Instance::Instantiate { .. } => self.make(1)?,
                        Instance::FromExports(_) => {}
                    }
                }
            }
            Payload::ComponentInstanceSection(section) => {
                for instance in section.clone() {
                    match instance.map_err(EngineError::Malformed)? {
                        ComponentInstance::Instantiate { component_index, .. } => {
                            self.make(self.of(0, component_index).saturating_add(1))?;
                        }
                        ComponentInstance::FromExports(_) => {}
                    }
                }
            }
            Payload::ComponentAliasSection(section) => {
                for alias in section.clone() {
                    self.alias(&alias.map_err(EngineError::Malformed)?)?;
                }
            }
            Payload::ComponentImportSection(section) => {
                for import in section.clone() {
                    if matches!(import.map_err(EngineError::Malformed)?.ty, ComponentTypeRef::Component(_)) {
                        return handed_over();
                    }
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section.clone() {
                    let export = export.map_err(EngineError::Malformed)?;
                    // An export is a new name of what it exports.
                    if export.kind == ComponentExternalKind::Component {
                        self.name(self.of(0, export.index));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn alias(&mut self, alias: &ComponentAlias<'_>) -> Result<(), EngineError> {
        match alias {
            ComponentAlias::InstanceExport { kind: ComponentExternalKind::Component, .. } => handed_over(),
            ComponentAlias::Outer { kind: ComponentOuterAliasKind::Component, count, index } => {
                self.name(self.of(*count, *index));
                Ok(())
            }
            ComponentAlias::InstanceExport { .. }
            | ComponentAlias::CoreInstanceExport { .. }
            | ComponentAlias::Outer { .. } => Ok(()),
        }
    }

    /// What a component comes to that is named `outward` levels further out. One that isn't there comes to nothing.
    fn of(&self, outward: u32, index: u32) -> u64 {
        let (outward, index) = (usize::try_from(outward).ok(), usize::try_from(index).ok());
        let level = outward.and_then(|outward| self.levels.iter().rev().nth(outward));
        match (level, index) {
            (Some(Level::Component { components, .. }), Some(index)) => {
                components.get(index).copied().unwrap_or(0)
            }
            (Some(Level::Component { .. } | Level::Module) | None, _) => 0,
        }
    }

    /// Gives a component the next index of the level that is being read.
    fn name(&mut self, instances: u64) {
        if let Some(Level::Component { components, .. }) = self.levels.last_mut() {
            components.push(instances);
        }
    }

    /// Counts instances that the level being read makes.
    fn make(&mut self, more: u64) -> Result<(), EngineError> {
        if let Some(Level::Component { instances, .. }) = self.levels.last_mut() {
            *instances = instances.saturating_add(more);
            within("instances", *instances, MAX_INSTANCES)?;
        }
        Ok(())
    }
}

fn handed_over() -> Result<(), EngineError> {
    within("components that are handed over as values", 1, 0)
}

#[cfg(test)]
mod tests {
    use crate::{EngineError, vet};

    /// Why it is refused before it is asked for its world, which none of these has.
    fn refusal(text: &str) -> Option<String> {
        let error = vet(&wat::parse_str(text).unwrap()).unwrap_err();
        (!matches!(error, EngineError::MissingExport { .. })).then(|| error.to_string())
    }

    fn laughs(width: usize, levels: usize) -> String {
        let mut text = "(component $c0 (core module $m) (core instance (instantiate $m)))".to_owned();
        for level in 1..=levels {
            let many = "(instance (instantiate $p))".repeat(width);
            let before = level - 1;
            text += &format!("(component $c{level} (alias outer 1 $c{before} (component $p)) {many})");
        }
        format!("(component {text} (instance (instantiate $c{levels})))")
    }

    #[test]
    fn instances_are_counted_as_often_as_they_are_made() {
        // One of each level, and what is below it.
        assert_eq!(refusal(&laughs(10, 2)), None);
        assert!(refusal(&laughs(10, 3)).unwrap().contains("instances; at most 1024"));
        assert!(refusal(&laughs(300, 3)).is_some() && refusal(&laughs(1000, 7)).is_some());
        let many = |count| {
            format!("(component (core module $m) {})", "(core instance (instantiate $m))".repeat(count))
        };
        assert_eq!((refusal(&many(1024)), refusal(&many(1025)).is_some()), (None, true));
    }

    #[test]
    fn a_component_that_is_made_nowhere_costs_nothing_and_another_name_costs_the_same() {
        let twenty = "(core instance (instantiate $m))".repeat(20);
        let unused = format!("(component {})", format!("(component (core module $m) {twenty})").repeat(100));
        assert_eq!(refusal(&unused), None);
        let exported = format!(
            "(component (component $a (core module $m) {})
               (export $b \"b\" (component $a)) (instance (instantiate $b)) (instance (instantiate $b)))",
            "(core instance (instantiate $m))".repeat(600)
        );
        assert!(refusal(&exported).unwrap().contains("1202 instances"), "{:?}", refusal(&exported));
    }

    #[test]
    fn a_component_that_is_handed_over_is_not_followed_and_so_refused() {
        for text in [
            "(component (component (import \"c\" (component)) (instance (instantiate 0))))",
            "(component (component $a (component $b) (export \"b\" (component $b)))
               (instance $i (instantiate $a)) (alias export $i \"b\" (component)))",
        ] {
            assert!(refusal(text).unwrap().contains("handed over"), "{text}");
        }
    }
}
