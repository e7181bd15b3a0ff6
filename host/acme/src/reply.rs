//! An answer, before it is an HTTP response.
//!
//! Every part of it is named as the header it becomes; the edge copies them and decides nothing.

use crate::problem::Problem;
use serde::Serialize;

/// A link to another resource (RFC 8288).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// How it is related: `index`, `up`, `next`, `terms-of-service`.
    pub rel: &'static str,
    /// Where it is.
    pub url: String,
}

/// What a client gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// `Location`.
    pub location: Option<String>,
    /// `Link`, one header each.
    pub links: Vec<Link>,
    /// `Retry-After`, seconds.
    pub retry_after: Option<u64>,
    /// `Content-Type`; none where the body is empty.
    pub content_type: Option<&'static str>,
    /// `Replay-Nonce`.
    pub nonce: Option<String>,
    /// Whether `Cache-Control: no-store` is said.
    pub no_store: bool,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// An answer without a body.
    pub(crate) fn empty(status: u16) -> Self {
        Self {
            status,
            location: None,
            links: Vec::new(),
            retry_after: None,
            content_type: None,
            nonce: None,
            no_store: false,
            body: Vec::new(),
        }
    }

    /// A document.
    pub(crate) fn json(status: u16, document: &impl Serialize) -> Self {
        match serde_json::to_vec(document) {
            Ok(body) => Self { content_type: Some("application/json"), body, ..Self::empty(status) },
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "an answer can't be written");
                Self::from(Problem::internal())
            }
        }
    }

    /// A certificate and those above it.
    pub(crate) fn pem(chain: &str) -> Self {
        let content_type = Some("application/pem-certificate-chain");
        Self { content_type, body: chain.as_bytes().to_vec(), ..Self::empty(200) }
    }

    pub(crate) fn at(self, location: String) -> Self {
        Self { location: Some(location), ..self }
    }

    pub(crate) fn linked(mut self, rel: &'static str, url: String) -> Self {
        self.links.push(Link { rel, url });
        self
    }

    pub(crate) fn retry_after(self, seconds: Option<u64>) -> Self {
        Self { retry_after: seconds, ..self }
    }
}

impl From<Problem> for Reply {
    fn from(problem: Problem) -> Self {
        // Serialising a problem can't fail: its keys are strings and its numbers are finite.
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        Self {
            location: problem.location,
            retry_after: problem.retry_after,
            content_type: Some("application/problem+json"),
            body,
            ..Self::empty(problem.status)
        }
    }
}
