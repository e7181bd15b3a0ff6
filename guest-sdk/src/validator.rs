//! A validator: judges claims, alike on every node.
//!
//! The world has no imports at all, so build validators for a target whose standard library needs none
//! (`wasm32-unknown-unknown`, then `wasm-tools component new`); one that imports anything is refused at upload.

/// What a validator says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The claim holds.
    Valid,
    /// It does not. Says why, for people.
    Invalid(String),
}

/// A validator. Name the implementing type in [`export_validator!`](crate::export_validator).
pub trait Validator {
    /// Judges one claim. Must depend on nothing but its bytes; a trap or a limit counts as an abstention.
    fn validate(claim: &[u8]) -> Verdict;
}
