//! An OpenAPI 3.1 document: its operations, and the schemas of what they take and give.

use serde_json::Value;

/// Methods that a path item can have here; other members of it are not operations (OpenAPI 3.1, 4.8.9).
const METHODS: [&str; 5] = ["get", "put", "post", "delete", "patch"];

/// The served document.
#[derive(Debug, Clone)]
pub struct Document(Value);

/// One operation.
#[derive(Debug, Clone, Copy)]
pub struct Operation<'a> {
    /// In lower case, as in the document.
    pub method: &'a str,
    /// With `{…}` for parameters.
    pub path: &'a str,
    json: &'a Value,
}

impl Document {
    /// Wraps a document.
    ///
    /// # Panics
    /// When it isn't OpenAPI 3.1.
    pub fn new(json: Value) -> Self {
        let version = json["openapi"].as_str().unwrap_or_default();
        assert!(version.starts_with("3.1"), "the document is OpenAPI {version:?}, not 3.1");
        Self(json)
    }

    /// The whole document; references in it lead from here.
    pub fn root(&self) -> &Value {
        &self.0
    }

    /// Every operation, by path.
    pub fn operations(&self) -> Vec<Operation<'_>> {
        let paths = self.0["paths"].as_object().into_iter().flatten();
        let all = paths.flat_map(|(path, item)| {
            let members = item.as_object().into_iter().flatten();
            let found = members.filter(|(name, _)| METHODS.contains(&name.as_str()));
            found.map(move |(method, json)| Operation { method, path, json })
        });
        all.collect()
    }

    /// The operation of this method and path.
    pub fn operation(&self, method: &str, path: &str) -> Option<Operation<'_>> {
        let same = |operation: &Operation<'_>| {
            operation.method.eq_ignore_ascii_case(method) && operation.path == path
        };
        self.operations().into_iter().find(same)
    }

    /// What an operation says it answers with this status.
    pub fn response<'a>(&'a self, operation: Operation<'a>, status: u16) -> Option<&'a Value> {
        Some(self.follow(operation.json["responses"].get(status.to_string())?))
    }

    /// The schema of an operation's JSON body, if it takes one.
    pub fn json_body<'a>(&'a self, operation: Operation<'a>) -> Option<&'a Value> {
        let schema = operation.json.pointer("/requestBody/content/application~1json/schema")?;
        Some(self.follow(schema))
    }

    /// The parameters of an operation in `query`, `path` or `header`: name and schema.
    pub fn parameters<'a>(&'a self, operation: Operation<'a>, place: &str) -> Vec<(&'a str, &'a Value)> {
        let all = operation.json["parameters"].as_array().into_iter().flatten();
        let here = all.filter(|parameter| parameter["in"] == place);
        here.filter_map(|parameter| Some((parameter["name"].as_str()?, self.follow(&parameter["schema"]))))
            .collect()
    }

    /// What a reference leads to; the value itself when it is none.
    ///
    /// # Panics
    /// When it leads nowhere.
    pub fn follow<'a>(&'a self, value: &'a Value) -> &'a Value {
        follow(&self.0, value)
    }
}

impl Operation<'_> {
    /// The statuses that it documents.
    pub fn statuses(&self) -> Vec<u16> {
        let responses = self.json["responses"].as_object().into_iter().flatten();
        responses.filter_map(|(status, _)| status.parse().ok()).collect()
    }

    /// Whether it needs the token.
    pub fn is_secured(&self) -> bool {
        self.json["security"].as_array().is_some_and(|needs| !needs.is_empty())
    }

    /// Whether this build has it.
    pub fn is_built(&self) -> bool {
        !self.statuses().contains(&501)
    }

    /// The path with these values in place of its parameters, which must be percent-encoded already.
    pub fn path_with(&self, arguments: &[&str]) -> String {
        let mut arguments = arguments.iter();
        let part = |part: &str| match part.starts_with('{') {
            true => arguments.next().copied().unwrap_or("x").to_owned(),
            false => part.to_owned(),
        };
        self.path.split('/').map(part).collect::<Vec<_>>().join("/")
    }
}

/// What a reference in `root` leads to; the value itself when it is none.
///
/// # Panics
/// When it leads nowhere: the document is broken.
pub fn follow<'a>(root: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => {
            let target = reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
            follow(root, target.unwrap_or_else(|| panic!("the reference {reference} leads nowhere")))
        }
        None => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn document() -> Document {
        Document::new(json!({
            "openapi": "3.1.0",
            "paths": { "/a/{id}/{name}": { "summary": "a", "post": {
                "parameters": [
                    { "name": "id", "in": "path", "schema": { "type": "string" } },
                    { "name": "wait", "in": "query", "schema": { "$ref": "#/components/schemas/Wait" } }
                ],
                "requestBody": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Wait" } } } },
                "responses": { "200": { "description": "ok" }, "404": { "$ref": "#/components/responses/None" } },
                "security": [{ "bearer": [] }]
            } } },
            "components": {
                "schemas": { "Wait": { "type": "integer" } },
                "responses": { "None": { "description": "there is none" } }
            }
        }))
    }

    #[test]
    fn operations_are_found_with_what_they_refer_to() {
        let document = document();
        let operation = document.operation("POST", "/a/{id}/{name}").unwrap();
        assert_eq!(document.operations().len(), 1);
        assert!(operation.is_secured() && operation.is_built());
        assert_eq!(operation.statuses(), [200, 404]);
        assert_eq!(operation.path_with(&["x", "y%2F"]), "/a/x/y%2F");
        assert_eq!(document.response(operation, 404).unwrap()["description"], "there is none");
        assert!(document.response(operation, 500).is_none());
        assert_eq!(document.json_body(operation).unwrap()["type"], "integer");
        let (name, schema) = document.parameters(operation, "query")[0];
        assert_eq!((name, schema["type"].as_str()), ("wait", Some("integer")));
    }

    #[test]
    #[should_panic(expected = "leads nowhere")]
    fn a_broken_reference_is_a_broken_document() {
        document().follow(&json!({ "$ref": "#/components/schemas/Nothing" }));
    }
}
