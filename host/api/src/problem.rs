//! The one place where errors become answers: RFC 9457 problem documents.
//!
//! Handlers and extractors return a [`Draft`]; `edge` renders it with the path and the request's id. What the domain calls
//! an internal fault becomes an opaque 500: its chain goes into the log under that id, never to the caller.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hypermesh_mesh::{MeshError, Shortage};
use hypermesh_model::error_chain;
use hypermesh_trustchain::TrustError;
use hypermesh_wire::problem::Problem;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::error::Error as StdError;
use std::sync::Arc;

/// The media type of RFC 9457.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// Seconds after which a caller may try again: queues here empty within a second or not soon.
const RETRY_AFTER_SECONDS: &str = "1";

/// What kind of problem it is. A script can rely on its name; the text is for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Invalid,
    Unauthorized,
    Forbidden,
    /// The token's role, or that somebody else holds it.
    ForbiddenRole,
    NotFound,
    MethodNotAllowed,
    Timeout,
    Conflict,
    NotEnoughCapacity,
    PreconditionFailed,
    TooLarge,
    UnsupportedMediaType,
    Misdirected,
    Unprocessable,
    /// An idempotency key stands for another request.
    KeyReused,
    Internal,
    NotBuilt,
    Unavailable,
    /// A guest gave no answer.
    GuestFailed,
    /// A guest took too long.
    GuestTimeout,
    /// An answer that a layer below made by itself.
    Other(StatusCode),
}

impl Kind {
    /// Every kind but [`Kind::Other`].
    #[cfg(test)]
    pub(crate) const ALL: [Self; 20] = [
        Self::Invalid,
        Self::Unauthorized,
        Self::Forbidden,
        Self::ForbiddenRole,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Timeout,
        Self::Conflict,
        Self::NotEnoughCapacity,
        Self::PreconditionFailed,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::Misdirected,
        Self::Unprocessable,
        Self::KeyReused,
        Self::Internal,
        Self::NotBuilt,
        Self::Unavailable,
        Self::GuestFailed,
        Self::GuestTimeout,
    ];

    /// The status, and the name and title of the kind.
    pub(crate) fn parts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Invalid => (StatusCode::BAD_REQUEST, "invalid-request", "The request is not valid"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized", "A valid token is needed"),
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden-origin", "This origin may not write"),
            Self::ForbiddenRole => (StatusCode::FORBIDDEN, "forbidden", "The token does not allow it"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "There is no such thing"),
            Self::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "The resource has no such method")
            }
            Self::Timeout => (StatusCode::REQUEST_TIMEOUT, "request-timeout", "The request came too slowly"),
            Self::Conflict => (StatusCode::CONFLICT, "conflict", "The state does not allow it now"),
            Self::NotEnoughCapacity => {
                (StatusCode::CONFLICT, "not-enough-capacity", "There is not enough capacity")
            }
            Self::PreconditionFailed => {
                (StatusCode::PRECONDITION_FAILED, "precondition-failed", "It was changed meanwhile")
            }
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The request is too large"),
            Self::UnsupportedMediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "The body is of a type that is not taken here",
            ),
            Self::Misdirected => (
                StatusCode::MISDIRECTED_REQUEST,
                "misdirected",
                "This node does not answer to that host name",
            ),
            Self::Unprocessable => {
                (StatusCode::UNPROCESSABLE_ENTITY, "unprocessable", "It is understood but can't be done")
            }
            Self::KeyReused => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency-mismatch",
                "The key stands for another request",
            ),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "The node failed"),
            Self::NotBuilt => (StatusCode::NOT_IMPLEMENTED, "not-built", "This build does not have it"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "The node can't do it now"),
            Self::GuestFailed => (StatusCode::BAD_GATEWAY, "guest-failed", "The guest gave no answer"),
            Self::GuestTimeout => (StatusCode::GATEWAY_TIMEOUT, "guest-timeout", "The guest took too long"),
            Self::Other(status) => (status, "about:blank", status.canonical_reason().unwrap_or("Error")),
        }
    }
}

/// A problem before it is known which request it belongs to.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    kind: Kind,
    detail: String,
    member: Option<String>,
    reasons: Vec<Value>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Draft {
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), member: None, reasons: Vec::new(), source: None }
    }

    /// A 400 that names the member, parameter or header.
    pub(crate) fn invalid(member: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, detail).about(&member.into())
    }

    /// A 404.
    pub(crate) fn not_found(noun: &str, id: &str) -> Self {
        Self::new(Kind::NotFound, format!("there is no {noun} `{}`", cut(id)))
    }

    /// A 500: `doing` and the source are for the log only.
    pub(crate) fn internal(doing: &'static str, source: impl StdError + Send + Sync + 'static) -> Self {
        MeshError::Internal { doing, source: Box::new(source) }.into()
    }

    /// For an answer without a body that a layer below made: axum's 404 and 405, and the like.
    pub(crate) fn of_status(status: StatusCode, method: &str) -> Self {
        if status == StatusCode::NOT_FOUND {
            Self::new(Kind::NotFound, "there is nothing at this path; see /docs for what there is")
        } else if status == StatusCode::METHOD_NOT_ALLOWED {
            let detail = format!("{} can't be used here; see the `allow` header for what can", cut(method));
            Self::new(Kind::MethodNotAllowed, detail)
        } else if status.is_server_error() {
            Self::new(Kind::Internal, OPAQUE)
        } else {
            Self::new(Kind::Other(status), "the request could not be read")
        }
    }

    /// Names the member that holds the id of something that isn't there.
    #[must_use]
    pub(crate) fn naming(mut self, member: &str) -> Self {
        if self.kind == Kind::NotFound && self.member.is_none() {
            self.member = Some(member.to_owned());
        }
        self
    }

    /// Names the member as a part of another one.
    #[must_use]
    pub(crate) fn within(mut self, outer: &str) -> Self {
        self.member = self.member.map(|member| format!("{outer}.{member}"));
        self
    }

    /// Names the member that it is about.
    #[must_use]
    pub(crate) fn about(self, member: &str) -> Self {
        Self { member: Some(member.to_owned()), ..self }
    }

    /// The member that it names.
    pub(crate) fn member(&self) -> Option<&str> {
        self.member.as_deref()
    }

    /// The document and its headers. What is not for the caller is logged here.
    pub(crate) fn render(self, instance: &str, request_id: &str) -> Response {
        let (status, name, title) = self.kind.parts();
        if let Some(source) = &self.source {
            tracing::error!(request_id, instance, error = error_chain(source.as_ref()), "a request failed");
        }
        let own = !matches!(self.kind, Kind::Other(_));
        let problem_type = if own { format!("urn:hypermesh:problem:{name}") } else { name.to_owned() };
        let problem = Problem {
            problem_type,
            title: title.to_owned(),
            status: status.as_u16(),
            detail: self.detail,
            instance: instance.to_owned(),
            timestamp: Timestamp::now(),
            request_id: request_id.to_owned(),
            member: self.member,
            reasons: self.reasons,
        };
        let body = json!(problem).to_string();
        let mut response = (status, [(header::CONTENT_TYPE, PROBLEM_JSON)], body).into_response();
        if let Some((name, value)) = extra_header(self.kind) {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

fn extra_header(kind: Kind) -> Option<(HeaderName, &'static str)> {
    match kind {
        Kind::Unauthorized => Some((header::WWW_AUTHENTICATE, "Bearer realm=\"hypermesh\"")),
        Kind::Unavailable => Some((header::RETRY_AFTER, RETRY_AFTER_SECONDS)),
        Kind::Invalid
        | Kind::Forbidden
        | Kind::ForbiddenRole
        | Kind::NotFound
        | Kind::MethodNotAllowed
        | Kind::Timeout
        | Kind::Conflict
        | Kind::NotEnoughCapacity
        | Kind::PreconditionFailed
        | Kind::TooLarge
        | Kind::UnsupportedMediaType
        | Kind::Misdirected
        | Kind::Unprocessable
        | Kind::KeyReused
        | Kind::Internal
        | Kind::NotBuilt
        | Kind::GuestFailed
        | Kind::GuestTimeout
        | Kind::Other(_) => None,
    }
}

const OPAQUE: &str = "the node failed to answer; its log says why under this request_id";

/// Longest echo of what a caller sent, in characters.
const MAX_ECHO: usize = 80;

fn cut(text: &str) -> String {
    text.chars().take(MAX_ECHO).collect()
}

impl From<MeshError> for Draft {
    fn from(error: MeshError) -> Self {
        let text = error.to_string();
        match error {
            MeshError::NotFound { noun, id } => Self::not_found(noun, &id),
            MeshError::Missing { detail } => Self::new(Kind::NotFound, detail),
            MeshError::Invalid { member, detail } => Self::invalid(member, detail),
            MeshError::Unfit { member, detail } => Self::new(Kind::Unprocessable, detail).about(&member),
            MeshError::Conflict { detail } => Self::new(Kind::Conflict, detail),
            MeshError::Precondition { actual, .. } => {
                let reasons = vec![json!({ "generation": actual })];
                Self { reasons, ..Self::new(Kind::PreconditionFailed, text).about("if-match") }
            }
            MeshError::KeyReused { .. } => Self::new(Kind::KeyReused, text).about("idempotency-key"),
            MeshError::Forbidden { detail } => Self::new(Kind::ForbiddenRole, detail),
            MeshError::Refused { shortages } => {
                let detail = shortages.iter().map(short).collect::<Vec<_>>().join("; ");
                let detail = format!("not enough capacity: {detail}");
                let reasons = shortages.iter().map(|shortage| json!(shortage)).collect();
                Self { reasons, ..Self::new(Kind::NotEnoughCapacity, detail) }
            }
            MeshError::Unprocessable { detail, reasons } => {
                let reasons = reasons.into_iter().map(|reason| json!({ "reason": reason })).collect();
                Self { reasons, ..Self::new(Kind::Unprocessable, detail) }
            }
            MeshError::TooLarge { .. } => Self::new(Kind::TooLarge, text),
            MeshError::Busy { detail } => Self::new(Kind::Unavailable, detail),
            internal @ MeshError::Internal { .. } => {
                Self { source: Some(Arc::new(internal)), ..Self::new(Kind::Internal, OPAQUE) }
            }
        }
    }
}

impl From<TrustError> for Draft {
    fn from(error: TrustError) -> Self {
        match error {
            TrustError::NotFound { noun, id } => Self::not_found(noun, &id),
            // The form was checked; what the domain finds wrong is what was meant.
            TrustError::Invalid { member, detail } => Self::new(Kind::Unprocessable, detail).about(&member),
            TrustError::Refused { detail, reasons } => {
                let reasons = reasons.into_iter().map(|reason| json!({ "reason": reason })).collect();
                Self { reasons, ..Self::new(Kind::Unprocessable, detail) }
            }
            TrustError::Conflict { detail } => Self::new(Kind::Conflict, detail),
            TrustError::Unauthenticated { detail } => Self::new(Kind::Unauthorized, detail),
            TrustError::Busy { detail } => Self::new(Kind::Unavailable, detail),
            internal @ TrustError::Internal { .. } => {
                Self { source: Some(Arc::new(internal)), ..Self::new(Kind::Internal, OPAQUE) }
            }
        }
    }
}

/// One dimension in words.
fn short(shortage: &Shortage) -> String {
    let Shortage { dimension, requested, available, unit, fits_at: _, detail } = shortage;
    let detail = detail.as_ref().map_or_else(String::new, |detail| format!(" ({detail})"));
    format!("{dimension}: asked for {requested} {unit}, {available} free{detail}")
}

impl IntoResponse for Draft {
    /// Carries the draft to `edge`, which knows the request.
    fn into_response(self) -> Response {
        let mut response = self.kind.parts().0.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    fn document(draft: Draft) -> (StatusCode, Value) {
        let response = draft.render("/api/v1/x", "req-1");
        let status = response.status();
        assert_eq!(response.headers()[header::CONTENT_TYPE], PROBLEM_JSON);
        let body = futures_util::FutureExt::now_or_never(axum::body::to_bytes(response.into_body(), 1 << 20));
        (status, serde_json::from_slice(&body.unwrap().unwrap()).unwrap())
    }

    #[test]
    fn an_internal_fault_is_opaque() {
        let source = Box::new(io::Error::other("disk /dev/sda1 is on fire"));
        let (status, body) = document(MeshError::Internal { doing: "writing the ledger", source }.into());
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        let text = body.to_string();
        assert!(!text.contains("fire") && !text.contains("ledger"), "{text}");
        assert_eq!(body["request_id"], "req-1");
    }

    #[test]
    fn a_refusal_says_every_number() {
        let shortage = |dimension: &'static str, unit: &'static str| Shortage {
            dimension,
            requested: 80.0,
            available: 25.0,
            unit,
            fits_at: None,
            detail: None,
        };
        let shortages = vec![shortage("cpu", "percentage"), shortage("memory", "GB")];
        let (status, body) = document(MeshError::Refused { shortages }.into());
        assert_eq!(status, StatusCode::CONFLICT);
        assert_eq!(body["type"], "urn:hypermesh:problem:not-enough-capacity");
        assert_eq!(body["reasons"].as_array().map(Vec::len), Some(2));
        assert!(body["detail"].as_str().is_some_and(|d| d.contains("memory: asked for 80 GB, 25 free")));
    }

    #[test]
    fn every_document_has_the_contracts_members() {
        for kind in Kind::ALL {
            let (status, body) = document(Draft::new(kind, "why"));
            assert_eq!(body["status"], status.as_u16());
            for member in ["type", "title", "detail", "instance", "timestamp"] {
                assert!(body[member].is_string(), "{kind:?} {member}");
            }
        }
    }

    #[test]
    fn a_missing_thing_can_be_named() {
        let draft = Draft::from(MeshError::not_found("asset", "a")).naming("asset_id");
        assert_eq!(document(draft).1["member"], "asset_id");
        let other = Draft::from(MeshError::invalid("amount", "no")).naming("asset_id");
        assert_eq!(other.member(), Some("amount"));
    }
}
