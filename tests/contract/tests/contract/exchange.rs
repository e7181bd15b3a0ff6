//! Plain requests to a service of a node.

use hypermesh_harness::{Answer, Node};
use serde_json::Value;

/// Which service of which node is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) node: &'a Node,
    pub(crate) service: &'static str,
}

impl<'a> Place<'a> {
    /// Port 8444.
    pub(crate) fn trustchain(node: &'a Node) -> Self {
        Self { node, service: "trustchain" }
    }

    pub(crate) fn address(self) -> std::net::SocketAddr {
        self.node.address(self.service)
    }
}

impl<'a> From<&'a Node> for Place<'a> {
    /// Port 8446.
    fn from(node: &'a Node) -> Self {
        Self { node, service: "hypermesh" }
    }
}

/// What a request carries.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Payload<'a> {
    /// Nothing.
    None,
    /// A JSON document.
    Json(&'a Value),
    /// Bytes of a media type.
    Bytes(&'static str, &'a [u8]),
}

/// The head of a request that may write, without content type.
pub(crate) fn head<'a>(place: impl Into<Place<'a>>, method: &str, path: &str) -> Vec<String> {
    let place = place.into();
    let host = format!("host: {}", place.address());
    let token = format!("authorization: Bearer {}", place.node.token());
    vec![format!("{method} {path} HTTP/1.1"), host, token]
}

/// One exchange, with the token.
#[track_caller]
pub(crate) fn send<'a>(
    place: impl Into<Place<'a>>,
    method: &str,
    path: &str,
    payload: Payload<'_>,
) -> Answer {
    send_with(place, method, path, &[], payload)
}

/// The same with further headers.
#[track_caller]
pub(crate) fn send_with<'a>(
    place: impl Into<Place<'a>>,
    method: &str,
    path: &str,
    headers: &[&str],
    payload: Payload<'_>,
) -> Answer {
    let place = place.into();
    let mut head = head(place, method, path);
    head.extend(headers.iter().map(|header| (*header).to_owned()));
    let text;
    let (content, bytes) = match payload {
        Payload::None => (None, &[][..]),
        Payload::Json(value) => {
            text = value.to_string();
            (Some("application/json"), text.as_bytes())
        }
        Payload::Bytes(content, bytes) => (Some(content), bytes),
    };
    head.extend(content.map(|content| format!("content-type: {content}")));
    exchange(place, &head, bytes)
}

/// One exchange with exactly this head.
#[track_caller]
pub(crate) fn exchange<'a>(place: impl Into<Place<'a>>, head: &[String], body: &[u8]) -> Answer {
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    hypermesh_harness::exchange(place.into().address(), &head, body)
}

/// The media type of an answer, without parameters.
pub(crate) fn media_type(answer: &Answer) -> &str {
    answer.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default().trim()
}

/// Checks that an answer is a refusal as the contract has it, and gives the document.
#[track_caller]
pub(crate) fn refusal(answer: &Answer, what: &str) -> Value {
    assert!((400..500).contains(&answer.status), "{what}: answered {} {}", answer.status, answer.body);
    problem(answer, what)
}

/// Checks that an answer is a problem document, and gives it.
#[track_caller]
pub(crate) fn problem(answer: &Answer, what: &str) -> Value {
    assert_eq!(media_type(answer), "application/problem+json", "{what}: {}", answer.body);
    let document = answer.json();
    let findings =
        hypermesh_tests_contract::shapes::check(hypermesh_tests_contract::shapes::PROBLEM, &document);
    assert!(findings.is_empty(), "{what}: {findings:?} in {document}");
    assert_eq!(document["status"], answer.status, "{what}");
    document
}
