//! A conversation with a node in which every answer is checked against the node's own document, and what was used of
//! the document is counted.

use crate::exchange::{self, Payload, Place, media_type};
use hypermesh_harness::{Answer, Node};
use hypermesh_tests_contract::document::Document;
use hypermesh_tests_contract::{schema, shapes};
use serde_json::Value;
use std::collections::BTreeSet;

/// A node, its document, and what of it was used.
pub(crate) struct Session<'a> {
    place: Place<'a>,
    document: Document,
    used: BTreeSet<(String, String)>,
    statuses: BTreeSet<(String, String, u16)>,
}

/// The document that a service of a node serves.
#[track_caller]
pub(crate) fn document<'a>(place: impl Into<Place<'a>>) -> Document {
    let answer = exchange::send(place, "GET", "/openapi.json", Payload::None);
    assert_eq!((answer.status, media_type(&answer)), (200, "application/json"));
    Document::new(answer.json())
}

impl<'a> Session<'a> {
    pub(crate) fn new(place: impl Into<Place<'a>>) -> Self {
        let place = place.into();
        Self { place, document: document(place), used: BTreeSet::new(), statuses: BTreeSet::new() }
    }

    /// The node that is asked.
    pub(crate) fn node(&self) -> &'a Node {
        self.place.node
    }

    pub(crate) fn document(&self) -> &Document {
        &self.document
    }

    /// Uses `METHOD /path/{id}?query`, with these values for the parameters of the path, and gives the answer's JSON.
    ///
    /// Panics when the status is another, or the answer isn't as the document says.
    #[track_caller]
    pub(crate) fn call(
        &mut self,
        operation: &str,
        values: &[&str],
        payload: Payload<'_>,
        status: u16,
    ) -> Value {
        self.call_with(operation, values, &[], payload, status)
    }

    /// The same with further headers.
    #[track_caller]
    pub(crate) fn call_with(
        &mut self,
        operation: &str,
        values: &[&str],
        headers: &[&str],
        payload: Payload<'_>,
        status: u16,
    ) -> Value {
        let (method, target) = operation.split_once(' ').expect("a method and a path");
        let (path, query) =
            target.split_once('?').map_or((target, String::new()), |(p, q)| (p, format!("?{q}")));
        let known =
            self.document.operation(method, path).unwrap_or_else(|| panic!("{operation} is not documented"));
        let target = known.path_with(values) + &query;
        let answer = exchange::send_with(self.place, method, &target, headers, payload);
        assert_eq!(answer.status, status, "{operation}: {}", answer.body);
        self.check(method, path, &answer);
        answer.json()
    }

    /// The same, and checks the answer against a shape of the contract.
    #[track_caller]
    pub(crate) fn shaped(
        &mut self,
        operation: &str,
        values: &[&str],
        payload: Payload<'_>,
        status: u16,
        shape: &str,
    ) -> Value {
        let value = self.call(operation, values, payload, status);
        has_shape(operation, shape, &value);
        value
    }

    /// Checks an answer against the document, and counts it.
    #[track_caller]
    pub(crate) fn check(&mut self, method: &str, path: &str, answer: &Answer) {
        let what = format!("{method} {path} {}", answer.status);
        let operation =
            self.document.operation(method, path).unwrap_or_else(|| panic!("{what} is not documented"));
        let response = self.document.response(operation, answer.status);
        let response =
            response.unwrap_or_else(|| panic!("{what}: this status is not documented; {}", answer.body));
        assert!(answer.header("x-request-id").is_some_and(|id| !id.is_empty()), "{what}: no x-request-id");
        for (name, _) in response["headers"].as_object().into_iter().flatten() {
            assert!(answer.header(name).is_some(), "{what}: no {name}");
        }
        if let Some(content) = response["content"].as_object() {
            let media = content.get(media_type(answer));
            let media = media.unwrap_or_else(|| panic!("{what}: {} is not documented", media_type(answer)));
            if media_type(answer).ends_with("json") {
                let findings = schema::check(self.document.root(), &media["schema"], &answer.json());
                assert!(findings.is_empty(), "{what}: {findings:#?}");
            }
        }
        self.used.insert((method.to_lowercase(), path.to_owned()));
        self.statuses.insert((method.to_lowercase(), path.to_owned(), answer.status));
    }

    /// Operations of the document that were not used; prints how many were.
    pub(crate) fn unused(&self) -> Vec<String> {
        let all = self.document.operations();
        let statuses: usize = all.iter().map(|operation| operation.statuses().len()).sum();
        eprintln!(
            "{} of {} operations used, {} of {statuses} documented answers seen",
            self.used.len(),
            all.len(),
            self.statuses.len()
        );
        let used = |method: &str, path: &str| self.used.contains(&(method.to_owned(), path.to_owned()));
        let unused = all.iter().filter(|operation| !used(operation.method, operation.path));
        unused.map(|operation| format!("{} {}", operation.method, operation.path)).collect()
    }
}

#[track_caller]
pub(crate) fn has_shape(what: &str, shape: &str, value: &Value) {
    let findings = shapes::check(shape, value);
    assert!(findings.is_empty(), "{what}: {findings:#?} in {value}");
}
