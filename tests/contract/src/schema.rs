//! JSON Schema 2020-12, as much of it as the document uses.
//!
//! A keyword that is not known here is a finding and never ignored, so that nothing passes unchecked. Of formats only
//! `date-time` is checked, with the contract's rule on top: UTC, written with `Z`.

use crate::document::follow;
use jiff::Timestamp;
use regex::Regex;
use serde_json::{Map, Value};

/// Keywords that say something to people and nothing about values.
const ANNOTATIONS: [&str; 8] = [
    "title",
    "description",
    "default",
    "example",
    "examples",
    "deprecated",
    "contentMediaType",
    "contentEncoding",
];

/// Formats that describe what `type`, `minimum` and `maximum` check, or bytes of a file.
const DESCRIPTIVE_FORMATS: [&str; 6] = ["int32", "int64", "uint32", "uint64", "double", "binary"];

/// What is wrong with a value, as `path: why`. Empty when the schema takes it.
pub fn check(root: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut findings = Vec::new();
    Checker { root, findings: &mut findings }.check("$", schema, value);
    findings
}

/// Whether the schema takes a value.
pub fn takes(root: &Value, schema: &Value, value: &Value) -> bool {
    check(root, schema, value).is_empty()
}

struct Checker<'a> {
    root: &'a Value,
    findings: &'a mut Vec<String>,
}

impl Checker<'_> {
    fn check(&mut self, path: &str, schema: &Value, value: &Value) {
        let schema = match follow(self.root, schema) {
            Value::Object(keywords) => keywords,
            Value::Bool(true) => return,
            Value::Bool(false) => return self.wrong(path, "nothing is allowed here"),
            other @ (Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
                return self.wrong(path, format!("{other} is no schema"));
            }
        };
        for (keyword, argument) in schema {
            self.keyword(path, schema, (keyword, argument), value);
        }
    }

    fn wrong(&mut self, path: &str, why: impl std::fmt::Display) {
        self.findings.push(format!("{path}: {why}"));
    }

    fn require(&mut self, path: &str, fine: bool, why: impl FnOnce() -> String) {
        if !fine {
            self.wrong(path, why());
        }
    }

    fn keyword(
        &mut self,
        path: &str,
        schema: &Map<String, Value>,
        (keyword, argument): (&str, &Value),
        value: &Value,
    ) {
        match keyword {
            "type" => {
                self.require(path, has_type(argument, value), || format!("{value} is not of type {argument}"))
            }
            "enum" => {
                let found = argument.as_array().is_some_and(|values| values.contains(value));
                self.require(path, found, || format!("{value} is none of {argument}"));
            }
            "properties" => self.properties(path, argument, value),
            "required" => self.required(path, argument, value),
            "additionalProperties" => self.additional(path, schema, argument, value),
            "propertyNames" => {
                for name in value.as_object().into_iter().flatten().map(|(name, _)| name) {
                    self.check(path, argument, &Value::from(name.as_str()));
                }
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    self.check(&format!("{path}[{index}]"), argument, item);
                }
            }
            "oneOf" | "anyOf" => {
                let fitting = argument.as_array().into_iter().flatten();
                let fitting = fitting.filter(|schema| takes(self.root, schema, value)).count();
                let fine = if keyword == "oneOf" { fitting == 1 } else { fitting > 0 };
                self.require(path, fine, || format!("{value} fits {fitting} schemas of {keyword}"));
            }
            "allOf" => {
                for schema in argument.as_array().into_iter().flatten() {
                    self.check(path, schema, value);
                }
            }
            "pattern" => self.pattern(path, argument, value),
            "format" => self.format(path, argument, value),
            _ if ANNOTATIONS.contains(&keyword) => {}
            _ => match bound(keyword, value, argument) {
                Some(fine) => self.require(path, fine, || format!("{value} breaks {keyword} {argument}")),
                None => self.wrong(path, format!("the keyword {keyword} is not known here")),
            },
        }
    }

    fn properties(&mut self, path: &str, properties: &Value, value: &Value) {
        for (name, schema) in properties.as_object().into_iter().flatten() {
            if let Some(member) = value.get(name) {
                self.check(&format!("{path}.{name}"), schema, member);
            }
        }
    }

    fn required(&mut self, path: &str, names: &Value, value: &Value) {
        let Value::Object(members) = value else { return };
        for name in names.as_array().into_iter().flatten().filter_map(Value::as_str) {
            self.require(path, members.contains_key(name), || format!("`{name}` is missing"));
        }
    }

    fn additional(&mut self, path: &str, schema: &Map<String, Value>, rule: &Value, value: &Value) {
        let known =
            |name: &str| schema.get("properties").is_some_and(|properties| properties.get(name).is_some());
        for (name, member) in value.as_object().into_iter().flatten().filter(|(name, _)| !known(name)) {
            self.check(&format!("{path}.{name}"), rule, member);
        }
    }

    fn pattern(&mut self, path: &str, pattern: &Value, value: &Value) {
        let Some(text) = value.as_str() else { return };
        match Regex::new(pattern.as_str().unwrap_or_default()) {
            Ok(regex) => {
                self.require(path, regex.is_match(text), || format!("{value} does not match {pattern}"))
            }
            Err(error) => self.wrong(path, format!("the pattern {pattern} can't be read: {error}")),
        }
    }

    fn format(&mut self, path: &str, format: &Value, value: &Value) {
        match (format.as_str().unwrap_or_default(), value.as_str()) {
            ("date-time", Some(text)) => {
                self.require(path, is_time(text), || {
                    format!("{value} is no time in UTC as RFC 3339 writes it")
                });
            }
            (known, _) if known == "date-time" || DESCRIPTIVE_FORMATS.contains(&known) => {}
            _ => self.wrong(path, format!("the format {format} is not known here")),
        }
    }
}

/// Whether a text is a time as the contract wants it: RFC 3339, UTC, with `Z`.
pub fn is_time(text: &str) -> bool {
    text.ends_with('Z') && text.parse::<Timestamp>().is_ok()
}

fn has_type(types: &Value, value: &Value) -> bool {
    let is = |name: &Value| match name.as_str().unwrap_or_default() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    };
    types.as_array().map_or_else(|| is(types), |names| names.iter().any(is))
}

/// Whether a value keeps to a bound; `None` when the keyword is none. Bounds say nothing of values of other types.
#[expect(clippy::cast_precision_loss, reason = "lengths here are far below 2^53")]
fn bound(keyword: &str, value: &Value, limit: &Value) -> Option<bool> {
    let limit = limit.as_f64().unwrap_or(f64::NAN);
    let number = value.as_f64();
    let length = value.as_str().map(|text| text.chars().count() as f64);
    let items = value.as_array().map(|items| items.len() as f64);
    let members = value.as_object().map(|members| members.len() as f64);
    let (measured, fits): (Option<f64>, fn(f64, f64) -> bool) = match keyword {
        "minimum" => (number, |value, limit| value >= limit),
        "maximum" => (number, |value, limit| value <= limit),
        "exclusiveMinimum" => (number, |value, limit| value > limit),
        "exclusiveMaximum" => (number, |value, limit| value < limit),
        "minLength" => (length, |value, limit| value >= limit),
        "maxLength" => (length, |value, limit| value <= limit),
        "minItems" => (items, |value, limit| value >= limit),
        "maxItems" => (items, |value, limit| value <= limit),
        "minProperties" => (members, |value, limit| value >= limit),
        "maxProperties" => (members, |value, limit| value <= limit),
        _ => return None,
    };
    Some(measured.is_none_or(|measured| fits(measured, limit)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_keyword_takes_and_refuses() {
        let root =
            json!({ "components": { "schemas": { "Id": { "type": "string", "pattern": "^[a-z]+$" } } } });
        for (schema, good, bad) in [
            (json!({ "type": "integer" }), json!(1), json!(1.5)),
            (json!({ "type": ["string", "null"] }), json!(null), json!(1)),
            (json!({ "enum": ["a", "b"] }), json!("a"), json!("c")),
            (json!({ "$ref": "#/components/schemas/Id" }), json!("abc"), json!("A")),
            (json!({ "required": ["a"] }), json!({ "a": null }), json!({ "b": 1 })),
            (json!({ "properties": { "a": { "type": "string" } } }), json!({ "a": "x" }), json!({ "a": 1 })),
            (
                json!({ "properties": { "a": {} }, "additionalProperties": false }),
                json!({ "a": 1 }),
                json!({ "a": 1, "b": 1 }),
            ),
            (json!({ "propertyNames": { "maxLength": 1 } }), json!({ "a": 1 }), json!({ "ab": 1 })),
            (json!({ "items": { "type": "boolean" } }), json!([true]), json!([true, 1])),
            (json!({ "oneOf": [{ "type": "null" }, { "type": "string" }] }), json!("x"), json!(1)),
            (json!({ "oneOf": [{}, { "type": "string" }] }), json!(1), json!("x")),
            (json!({ "anyOf": [{ "type": "null" }, { "type": "string" }] }), json!("x"), json!(1)),
            (json!({ "allOf": [{ "minimum": 1 }, { "maximum": 2 }] }), json!(2), json!(3)),
            (json!({ "exclusiveMinimum": 0 }), json!(0.1), json!(0)),
            (json!({ "exclusiveMaximum": 0 }), json!(-1), json!(0)),
            (json!({ "minLength": 1, "maxLength": 2 }), json!("äö"), json!("")),
            (json!({ "minItems": 1, "maxItems": 1 }), json!([1]), json!([])),
            (json!({ "maxProperties": 0, "minProperties": 0 }), json!({}), json!({ "a": 1 })),
            (
                json!({ "format": "date-time" }),
                json!("2026-01-02T03:04:05.6Z"),
                json!("2026-01-02T03:04:05+01:00"),
            ),
        ] {
            assert_eq!(check(&root, &schema, &good), Vec::<String>::new(), "{schema}");
            assert!(!check(&root, &schema, &bad).is_empty(), "{schema} {bad}");
        }
    }

    #[test]
    fn what_is_not_known_is_found() {
        assert_eq!(
            check(&json!({}), &json!({ "if": {} }), &json!(1)),
            ["$: the keyword if is not known here"]
        );
        assert!(!takes(&json!({}), &json!({ "format": "email" }), &json!("a")));
        assert!(!takes(&json!({}), &json!({ "pattern": "(" }), &json!("a")));
        assert!(!takes(&json!({}), &json!(false), &json!("a")));
    }

    #[test]
    fn a_finding_names_the_place() {
        let schema =
            json!({ "properties": { "a": { "items": { "properties": { "b": { "type": "string" } } } } } });
        let findings = check(&json!({}), &schema, &json!({ "a": [{}, { "b": 7 }] }));
        assert_eq!(findings, [r#"$.a[1].b: 7 is not of type "string""#]);
    }
}
