//! Arrays: one operation over many parameters, so many at a time.
//!
//! ```text
//! running ──every index ended with a result──▶ completed
//!    ├──one ended otherwise, or it was stopped──▶ failed
//!    └──cancel──▶ cancelled
//! ```
//! The parameters of an index are computed from what was asked and never stored each by itself: a product of three
//! lists is some hundred bytes and may be thousands of indexes.

use crate::{ArrayId, ExecutionTemplate, Subject, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What differs from index to index; it goes before the template's parameter of the same name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Items {
    /// Each index with its own parameters.
    List {
        /// Those, by index.
        items: Vec<Map<String, Value>>,
    },
    /// Every combination of some values; the last name, by alphabet, varies fastest.
    Matrix {
        /// The values of each parameter.
        values: BTreeMap<String, Vec<Value>>,
    },
    /// Whole numbers for one parameter.
    Range {
        /// The parameter.
        name: String,
        /// The first number.
        first: i64,
        /// No number beyond this.
        last: i64,
        /// From one number to the next, at least 1.
        step: u64,
    },
}

impl Items {
    /// How many there are; `None` for more than a number holds.
    pub fn count(&self) -> Option<u64> {
        match self {
            Self::List { items } => u64::try_from(items.len()).ok(),
            Self::Matrix { values } if values.is_empty() => Some(0),
            Self::Matrix { values } => values
                .values()
                .try_fold(1_u64, |product, values| product.checked_mul(u64::try_from(values.len()).ok()?)),
            Self::Range { first, last, .. } if last < first => Some(0),
            Self::Range { first, last, step, .. } => last.abs_diff(*first).checked_div(*step)?.checked_add(1),
        }
    }

    /// The parameters of an index: `base`, and what differs. `None` beyond the last.
    pub fn parameters(&self, index: u64, base: &Map<String, Value>) -> Option<Map<String, Value>> {
        if index >= self.count()? {
            return None;
        }
        let mut parameters = base.clone();
        match self {
            Self::List { items } => {
                let own = items.get(usize::try_from(index).ok()?)?;
                parameters.extend(own.iter().map(|(name, value)| (name.clone(), value.clone())));
            }
            Self::Matrix { values } => {
                let mut rest = index;
                for (name, values) in values.iter().rev() {
                    let length = u64::try_from(values.len()).ok()?;
                    let chosen = values.get(usize::try_from(rest.checked_rem(length)?).ok()?)?;
                    parameters.insert(name.clone(), chosen.clone());
                    rest /= length;
                }
            }
            Self::Range { name, first, step, .. } => {
                let number = i128::from(*first) + i128::from(index) * i128::from(*step);
                parameters.insert(name.clone(), Value::from(i64::try_from(number).ok()?));
            }
        }
        Some(parameters)
    }
}

/// Where an array is in its life. See the module head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "drawn at the module's head")]
pub enum ArrayStatus {
    Running,
    Completed,
    Failed,
    Cancelled,
}

impl ArrayStatus {
    /// Whether nothing more will happen.
    pub fn is_final(self) -> bool {
        match self {
            Self::Running => false,
            Self::Completed | Self::Failed | Self::Cancelled => true,
        }
    }
}

/// An array of executions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Array {
    /// Its id.
    pub id: ArrayId,
    /// Whose it is, and who its executions are asked by.
    pub requester: Subject,
    /// What all indexes have in common.
    pub template: ExecutionTemplate,
    /// What differs.
    pub items: Items,
    /// How many indexes it has.
    pub size: u32,
    /// At most so many executions that have not ended.
    pub parallelism: u32,
    /// After so many failures nothing more is started; `None`: everything is tried.
    pub max_failures: Option<u32>,
    /// Where it is in its life.
    pub status: ArrayStatus,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Who cancelled it.
    pub cancelled_by: Option<Subject>,
    /// Why it was stopped before all was tried.
    pub reason: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn object(value: Value) -> Map<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    fn all(items: &Items, base: Value) -> Vec<Value> {
        let base = object(base);
        (0..).map_while(|index| items.parameters(index, &base)).map(Value::Object).collect()
    }

    #[test]
    fn a_list_goes_before_what_all_have_in_common() {
        let items = Items::List { items: vec![object(json!({ "n": 1 })), object(json!({ "m": 2 }))] };
        assert_eq!(all(&items, json!({ "n": 0 })), [json!({ "n": 1 }), json!({ "n": 0, "m": 2 })]);
    }

    #[test]
    fn a_matrix_is_every_combination_and_the_last_name_varies_fastest() {
        let values = [("size", vec![json!(1), json!(2)]), ("mode", vec![json!("a"), json!("b"), json!("c")])];
        let values = values.into_iter().map(|(name, values)| (name.to_owned(), values)).collect();
        let items = Items::Matrix { values };
        assert_eq!(items.count(), Some(6));
        let all = all(&items, json!({}));
        assert_eq!(
            all[..3],
            [
                json!({ "mode": "a", "size": 1 }),
                json!({ "mode": "a", "size": 2 }),
                json!({ "mode": "b", "size": 1 })
            ]
        );
        assert_eq!(all.len(), 6);
    }

    #[test]
    fn a_range_has_both_ends_and_steps() {
        let range = |first, last, step| all(&Items::Range { name: "n".into(), first, last, step }, json!({}));
        assert_eq!(range(1, 3, 1), [json!({ "n": 1 }), json!({ "n": 2 }), json!({ "n": 3 })]);
        assert_eq!(range(-5, 6, 10), [json!({ "n": -5 }), json!({ "n": 5 })]);
        assert!(range(3, 1, 1).is_empty());
    }

    #[test]
    fn what_no_number_holds_is_said_and_nothing_divides_by_nothing() {
        let many = vec![json!(0); 10_000];
        let values = (0..8).map(|n| (n.to_string(), many.clone())).collect();
        assert_eq!(Items::Matrix { values }.count(), None);
        assert_eq!(Items::Matrix { values: BTreeMap::new() }.count(), Some(0));
        let empty = Items::Matrix { values: BTreeMap::from([("n".to_owned(), vec![])]) };
        assert_eq!((empty.count(), empty.parameters(0, &Map::new())), (Some(0), None));
        let all = Items::Range { name: "n".into(), first: i64::MIN, last: i64::MAX, step: 1 };
        assert_eq!(all.count(), None);
        assert_eq!(Items::Range { name: "n".into(), first: 0, last: 1, step: 0 }.count(), None);
    }

    proptest! {
        #[test]
        fn every_index_of_a_range_lies_in_it(first in -50i64..50, length in 0i64..60, step in 1u64..9) {
            let items = Items::Range { name: "n".into(), first, last: first + length, step };
            let numbers: Vec<i64> = all(&items, json!({})).iter().filter_map(|p| p["n"].as_i64()).collect();
            prop_assert_eq!(numbers.len() as u64, items.count().unwrap());
            prop_assert!(numbers.windows(2).all(|pair| pair[1].abs_diff(pair[0]) == step && pair[1] > pair[0]));
            prop_assert!(numbers.iter().all(|n| (first..=first + length).contains(n)));
            prop_assert!(numbers.last().is_some_and(|n| (first + length).abs_diff(*n) < step));
        }

        #[test]
        fn every_combination_of_a_matrix_comes_once(lengths in proptest::collection::vec(1usize..5, 1..4)) {
            let values = lengths.iter().enumerate()
                .map(|(name, length)| (name.to_string(), (0..*length).map(|n| json!(n)).collect())).collect();
            let items = Items::Matrix { values };
            let all: std::collections::BTreeSet<String> = all(&items, json!({})).iter().map(Value::to_string).collect();
            prop_assert_eq!(all.len(), lengths.iter().product::<usize>());
        }
    }
}
