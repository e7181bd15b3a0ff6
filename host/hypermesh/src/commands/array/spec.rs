//! What `--array` says: values for a parameter, numbers, or a file of JSON lines.

use crate::failure::Failure;
use anyhow::Context as _;
use hypermesh_wire::arrays::{ArrayRange, MAX_ARRAY_SIZE};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fs;

/// What differs from index to index.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Items {
    /// The parameters of each.
    List(Vec<Map<String, Value>>),
    /// Every combination of these.
    Matrix(BTreeMap<String, Vec<Value>>),
    /// Whole numbers.
    Range(ArrayRange),
}

/// Reads all that was said.
///
/// # Errors
/// [`Failure::Usage`].
pub(super) fn read(specs: &[String]) -> anyhow::Result<Items> {
    if let [only] = specs {
        return match only.split_once('=') {
            None => file(only).map(Items::List),
            Some((name, values)) => match range(name, values)? {
                Some(range) => Ok(Items::Range(range)),
                None => Ok(Items::Matrix(BTreeMap::from([(name.to_owned(), list(values)?)]))),
            },
        };
    }
    let mut values = BTreeMap::new();
    for spec in specs {
        let Some((name, text)) = spec.split_once('=') else {
            return Err(usage(format!("`{spec}` is a file; it can't be combined with other parameters")));
        };
        let own = match range(name, text)? {
            Some(range) => numbers(&range)?,
            None => list(text)?,
        };
        if values.insert(name.to_owned(), own).is_some() {
            return Err(usage(format!("`{name}` is given twice")));
        }
    }
    Ok(Items::Matrix(values))
}

fn usage(text: String) -> anyhow::Error {
    Failure::Usage(text).into()
}

/// `1..100` or `1..100:5`; `None` for anything else.
fn range(name: &str, text: &str) -> anyhow::Result<Option<ArrayRange>> {
    let Some((first, rest)) = text.split_once("..") else { return Ok(None) };
    let (last, step) = rest.split_once(':').unwrap_or((rest, "1"));
    let all = [first, last, step].map(|number| number.parse::<u64>().ok());
    let [Some(first), Some(last), Some(step)] = all else { return Ok(None) };
    if last < first || step == 0 {
        return Err(usage(format!("`{name}={text}` has no numbers: it is FIRST..LAST or FIRST..LAST:STEP")));
    }
    Ok(Some(ArrayRange { name: name.to_owned(), first, last, step }))
}

fn numbers(range: &ArrayRange) -> anyhow::Result<Vec<Value>> {
    let count = (range.last - range.first) / range.step + 1;
    if count > u64::from(MAX_ARRAY_SIZE) {
        return Err(usage(format!("`{}` has {count} numbers; {MAX_ARRAY_SIZE} can be", range.name)));
    }
    Ok((0..count).map(|n| Value::from(range.first + n * range.step)).collect())
}

/// `1,2,4`, or a JSON list for values with commas. Each is JSON where it reads as JSON, else text.
fn list(text: &str) -> anyhow::Result<Vec<Value>> {
    if let Ok(Value::Array(values)) = serde_json::from_str(text) {
        return if values.is_empty() { Err(usage("an empty list has no index".into())) } else { Ok(values) };
    }
    let value = |part: &str| serde_json::from_str(part).unwrap_or_else(|_| Value::String(part.to_owned()));
    Ok(text.split(',').map(value).collect())
}

/// A JSON object a line; empty lines are skipped.
fn file(path: &str) -> anyhow::Result<Vec<Map<String, Value>>> {
    let text = fs::read_to_string(path).with_context(|| format!("could not read {path}"))?;
    lines(&text).map_err(|(line, why)| usage(format!("{path}, line {line}: {why}")))
}

fn lines(text: &str) -> Result<Vec<Map<String, Value>>, (usize, String)> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    let all: Vec<_> = lines
        .map(|(number, line)| crate::parse::object(line).map_err(|why| (number, why)))
        .collect::<Result<_, _>>()?;
    if all.is_empty() { Err((1, "there is no JSON object".into())) } else { Ok(all) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn said(specs: &[&str]) -> anyhow::Result<Items> {
        read(&specs.iter().map(|spec| (*spec).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn values_are_json_where_they_can_be() {
        let values = |values| Items::Matrix(BTreeMap::from([("n".to_owned(), values)]));
        assert_eq!(
            said(&["n=1,2.5,a,true,"]).unwrap(),
            values(vec![json!(1), json!(2.5), json!("a"), json!(true), json!("")])
        );
        assert_eq!(said(&["n=[\"a,b\",[1]]"]).unwrap(), values(vec![json!("a,b"), json!([1])]));
        assert_eq!(said(&["n=a..b"]).unwrap(), values(vec![json!("a..b")]));
    }

    #[test]
    fn numbers_have_both_ends_and_a_step() {
        let range = |first, last, step| Items::Range(ArrayRange { name: "n".into(), first, last, step });
        assert_eq!(said(&["n=1..100"]).unwrap(), range(1, 100, 1));
        assert_eq!(said(&["n=0..10:5"]).unwrap(), range(0, 10, 5));
        let Items::Matrix(values) = said(&["n=0..10:5", "m=a,b"]).unwrap() else { panic!("no matrix") };
        assert_eq!((&values["n"], values["m"].len()), (&vec![json!(0), json!(5), json!(10)], 2));
    }

    #[test]
    fn what_can_not_be_meant_is_wrong_usage() {
        let code = |specs: &[&str]| crate::failure::exit_code(&said(specs).unwrap_err());
        for specs in [
            &["n=2..1"][..],
            &["n=1..2:0"],
            &["n=[]"],
            &["n=1", "n=2"],
            &["n=1", "file.jsonl"],
            &["n=1..20000", "m=1"],
        ] {
            assert_eq!(code(specs), 2, "{specs:?}");
        }
        assert_eq!(code(&["no-such-file.jsonl"]), 1);
    }

    #[test]
    fn a_file_has_an_object_a_line_and_says_where_it_has_not() {
        assert_eq!(lines("{\"a\":1}\n\n{}\n").unwrap().len(), 2);
        assert_eq!(lines("{}\n[1]\n").unwrap_err().0, 2);
        assert!(lines("\n").is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(a in "\\PC{0,20}", b in "[a-z]=[0-9.:,]{0,12}") {
            let _ = (said(&[&b]), said(&[&b, "m=1..3"]), list(&a), lines(&a));
        }
    }
}
