//! A validator: judges claims, alike on every node.
//!
//! The world has no imports at all; one that imports anything is refused at upload. The standard library imports what it
//! might need, so a validator is not what cargo alone gives: `hypermesh guest build` makes the imports trap and refuses
//! those that would make verdicts differ, such as the random seed of a `HashMap` (use a `BTreeMap`).

/// What a validator says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The claim holds.
    Valid,
    /// It does not. Says why, for people.
    Invalid(String),
}

/// A validator. Name the implementing type in [`export_validator!`](crate::export_validator).
///
/// ```
/// use hypermesh_guest::{Validator, Verdict};
///
/// /// Claims are a sum and its terms, one number a line.
/// struct Sums;
///
/// impl Validator for Sums {
///     fn validate(claim: &[u8]) -> Verdict {
///         let Ok(text) = std::str::from_utf8(claim) else { return Verdict::Invalid("not a text".into()) };
///         let numbers: Result<Vec<i64>, _> = text.lines().map(str::parse).collect();
///         match numbers.as_deref() {
///             Ok([sum, terms @ ..]) if terms.iter().sum::<i64>() == *sum => Verdict::Valid,
///             Ok(_) => Verdict::Invalid("the terms don't give the sum".into()),
///             Err(error) => Verdict::Invalid(format!("not a number: {error}")),
///         }
///     }
/// }
///
/// hypermesh_guest::export_validator!(Sums);
///
/// assert_eq!(Sums::validate(b"5\n2\n3"), Verdict::Valid);
/// assert!(matches!(Sums::validate(b"5\n2"), Verdict::Invalid(_)));
/// ```
pub trait Validator {
    /// Judges one claim. Must depend on nothing but its bytes; a trap or a limit counts as an abstention.
    fn validate(claim: &[u8]) -> Verdict;
}
