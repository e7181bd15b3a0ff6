//! The rules of the tree that a machine can check: which crate may name which, how a file looks, what is licensed how.
//!
//! The rules are pure functions over what was read, so that each has a test that shows it biting; `tests/tidy.rs`
//! applies them to this repository. Formatting is rustfmt's, and what one crate does inside is clippy's. A broken rule
//! fails a test whose message is a list of `file:line: what to do`; a tree that can't be read panics with the reason,
//! because then nothing was checked.
#![forbid(unsafe_code)]

pub mod layers;
pub mod licences;
pub mod metadata;
pub mod sources;
pub mod tree;

/// Fails with every finding, one a line.
///
/// # Panics
/// When there is one.
pub fn assert_none(rule: &str, findings: &[String]) {
    assert!(findings.is_empty(), "{rule}: {} found\n  {}\n", findings.len(), findings.join("\n  "));
}
