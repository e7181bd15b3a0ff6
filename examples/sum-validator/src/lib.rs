//! A HyperMesh validator: a claim is JSON with a sum and its terms, and holds if the terms give the sum.
//!
//! Every node must come to the same verdict, so a validator has no clock, no randomness and no files. A `HashMap` draws
//! its seed from randomness: use a `BTreeMap`.

use hypermesh_guest::{Validator, Verdict};
use serde::Deserialize;

/// The validator.
pub struct Guest;

hypermesh_guest::export_validator!(Guest);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Claim {
    sum: i64,
    terms: Vec<i64>,
}

impl Validator for Guest {
    fn validate(claim: &[u8]) -> Verdict {
        let Claim { sum, terms } = match serde_json::from_slice(claim) {
            Ok(claim) => claim,
            Err(error) => return Verdict::Invalid(format!("not a claim: {error}")),
        };
        match terms.iter().try_fold(0_i64, |sum, term| sum.checked_add(*term)) {
            Some(total) if total == sum => Verdict::Valid,
            Some(total) => Verdict::Invalid(format!("the terms give {total}")),
            None => Verdict::Invalid("the terms are too large".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_holds_if_the_terms_give_the_sum() {
        assert_eq!(Guest::validate(br#"{ "sum": 5, "terms": [2, 3] }"#), Verdict::Valid);
        for bad in [&br#"{ "sum": 5, "terms": [2] }"#[..], br#"{ "sum": 5 }"#, b"", b"\xff"] {
            assert!(matches!(Guest::validate(bad), Verdict::Invalid(_)));
        }
    }
}
