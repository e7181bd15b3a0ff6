//! Wrong requests, made from what the document says is right.
//!
//! Every member of a body, at every depth, is replaced by values that its schema refuses, left out where it is required,
//! and joined by one that nobody knows. Whatever the schema refuses the node must refuse too, by name; where the two
//! disagree, one of them is wrong.

use crate::document::follow;
use crate::schema::takes;
use serde_json::{Value, json};

/// A text that no member takes: longer than the longest description.
const TOO_LONG: usize = 5000;

/// A body with one thing wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Wrong {
    /// The body.
    pub body: Value,
    /// The member that is at fault, as a problem document names it.
    pub member: String,
    /// What was done to it.
    pub what: String,
}

/// Values of all types, and the edges of each.
fn candidates() -> Vec<Value> {
    vec![
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(1e300),
        json!(-1e300),
        json!(u64::MAX),
        json!(""),
        json!("x"),
        json!("NaN"),
        json!("a\u{0}b"),
        json!("../../etc/passwd"),
        json!("x".repeat(TOO_LONG)),
        json!([]),
        json!([null]),
        json!({}),
        json!({ "surplus": 1 }),
    ]
}

/// Every wrong variant of a body that is right.
pub fn bodies(root: &Value, schema: &Value, right: &Value) -> Vec<Wrong> {
    let mut found = Vec::new();
    Walk { root, right, found: &mut found }.visit(schema, "", "");
    found
}

/// Texts that a query parameter of this schema refuses.
pub fn query_values(root: &Value, schema: &Value) -> Vec<String> {
    let texts = ["", "x", "-1", "0", "1.5", "99999999999999999999", "NaN", "null", "%00"];
    let long = "x".repeat(TOO_LONG);
    let read = |text: &str| match text.parse::<u64>() {
        Ok(number) if wants_number(root, schema) => json!(number),
        _ => json!(text.replace("%00", "\0")),
    };
    let all = texts.into_iter().chain([long.as_str()]);
    all.filter(|text| !takes(root, schema, &read(text))).map(str::to_owned).collect()
}

fn wants_number(root: &Value, schema: &Value) -> bool {
    let types = follow(root, schema)["type"].to_string();
    types.contains("integer") || types.contains("number")
}

struct Walk<'a> {
    root: &'a Value,
    right: &'a Value,
    found: &'a mut Vec<Wrong>,
}

impl Walk<'_> {
    /// Visits the object or list at `pointer`, which a problem document calls `name`.
    fn visit(&mut self, schema: &Value, pointer: &str, name: &str) {
        let schema = self.alternative(schema, pointer);
        let place = self.right.pointer(pointer).cloned().unwrap_or_default();
        for (member, of_member) in schema["properties"].as_object().into_iter().flatten() {
            let pointer = format!("{pointer}/{member}");
            let name = if name.is_empty() { member.clone() } else { format!("{name}.{member}") };
            for candidate in candidates().into_iter().filter(|value| !takes(self.root, of_member, value)) {
                let what = format!("is {}", shortened(&candidate));
                self.change(&pointer, &name, what, |object, key| {
                    drop(object.insert(key.to_owned(), candidate))
                });
            }
            if schema["required"].as_array().is_some_and(|names| names.iter().any(|other| other == member)) {
                self.change(&pointer, &name, "is missing".into(), |object, key| drop(object.remove(key)));
            }
            if place.get(member).is_some() {
                self.visit(of_member, &pointer, &name);
            }
        }
        if schema["additionalProperties"] == false {
            let surplus = if name.is_empty() { "surplus".to_owned() } else { format!("{name}.surplus") };
            self.change(&format!("{pointer}/surplus"), &surplus, "is not known".into(), |object, key| {
                object.insert(key.to_owned(), json!(1));
            });
        }
        if place.get(0).is_some() {
            self.visit(&schema["items"], &format!("{pointer}/0"), &format!("{name}[0]"));
        }
    }

    /// The schema that the right value keeps to, where there are several: mostly "null or this".
    fn alternative(&self, schema: &Value, pointer: &str) -> Value {
        let schema = follow(self.root, schema);
        let place = self.right.pointer(pointer).unwrap_or(&Value::Null);
        let alternatives = schema["oneOf"].as_array().into_iter().flatten();
        let chosen = alternatives.into_iter().find(|schema| takes(self.root, schema, place));
        chosen.map_or_else(|| schema.clone(), |chosen| follow(self.root, chosen).clone())
    }

    fn change(
        &mut self,
        pointer: &str,
        name: &str,
        what: String,
        how: impl FnOnce(&mut serde_json::Map<String, Value>, &str),
    ) {
        let Some((parent, key)) = pointer.rsplit_once('/') else { return };
        let mut body = self.right.clone();
        if let Some(Value::Object(object)) = body.pointer_mut(parent) {
            how(object, key);
            self.found.push(Wrong { body, member: name.to_owned(), what });
        }
    }
}

fn shortened(value: &Value) -> String {
    value.to_string().chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::check;

    #[test]
    fn every_wrong_body_is_wrong_and_differs_in_one_place() {
        let root = json!({ "components": { "schemas": { "Inner": {
            "type": "object", "additionalProperties": false, "properties": { "n": { "type": "integer", "minimum": 1 } }
        } } } });
        let schema = json!({
            "type": "object", "required": ["id"], "additionalProperties": false,
            "properties": {
                "id": { "type": "string", "pattern": "^[a-z]+$" },
                "free": { "type": "object" },
                "inner": { "oneOf": [{ "type": "null" }, { "$ref": "#/components/schemas/Inner" }] },
                "list": { "type": "array", "items": { "$ref": "#/components/schemas/Inner" } }
            }
        });
        let right = json!({ "id": "abc", "free": { "x": 1 }, "inner": { "n": 1 }, "list": [{ "n": 2 }] });
        assert!(takes(&root, &schema, &right));
        let wrong = bodies(&root, &schema, &right);
        for one in &wrong {
            assert!(!check(&root, &schema, &one.body).is_empty(), "{one:?}");
        }
        let has = |member: &str, what: &str| wrong.iter().any(|one| one.member == member && one.what == what);
        assert!(has("id", "is missing") && has("id", "is null") && has("surplus", "is not known"));
        assert!(
            has("inner.n", "is 0") && has("inner.surplus", "is not known") && has("list[0].n", r#"is """#)
        );
        assert!(!has("free.x", "is null") && !has("inner", "is null") && !has("id", r#"is "x""#));
    }

    #[test]
    fn only_what_a_parameter_refuses_is_sent() {
        let number = json!({ "type": ["integer", "null"], "minimum": 1 });
        assert!(query_values(&json!({}), &number).contains(&"0".to_owned()));
        let text = json!({ "type": "string", "maxLength": 64 });
        assert_eq!(query_values(&json!({}), &text), ["x".repeat(TOO_LONG)]);
    }
}
