//! What a client is told when something is refused: a problem document (RFC 7807) of a type that ACME defines.
//!
//! The types and their meaning are RFC 8555, 6.7, with those of RFC 9773 (`alreadyReplaced`) and of the draft on
//! profiles (`invalidProfile`). A detail is a sentence for the person who runs the client; what happened inside stays
//! in the log.

use crate::identifier::Identifier;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;

/// What precedes each type's name.
const NAMESPACE: &str = "urn:ietf:params:acme:error:";

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:literal;)*) => {
        /// A type of problem, RFC 8555, 6.7.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum ProblemKind {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl ProblemKind {
            /// Its name, without the namespace.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The status that it usually has as an answer.
            pub fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }
        }
    };
}

kinds! {
    /// The request names no account, or one that does not exist.
    AccountDoesNotExist = "accountDoesNotExist", 400;
    /// The certificate to replace is replaced by another order (RFC 9773, 7.4).
    AlreadyReplaced = "alreadyReplaced", 409;
    /// The certificate is revoked already.
    AlreadyRevoked = "alreadyRevoked", 400;
    /// The request for a certificate can't be accepted.
    BadCsr = "badCSR", 400;
    /// The nonce was not given out, is too old, or was used.
    BadNonce = "badNonce", 400;
    /// The key can't be used.
    BadPublicKey = "badPublicKey", 400;
    /// The reason is none that a client may give.
    BadRevocationReason = "badRevocationReason", 400;
    /// The signature is of an algorithm that is not accepted.
    BadSignatureAlgorithm = "badSignatureAlgorithm", 400;
    /// CAA records forbid to issue (RFC 8659).
    Caa = "caa", 403;
    /// The sub-problems say it.
    Compound = "compound", 400;
    /// The server could not connect to what it validates.
    Connection = "connection", 400;
    /// A DNS query failed during validation.
    Dns = "dns", 400;
    /// An external account binding is required.
    ExternalAccountRequired = "externalAccountRequired", 403;
    /// What was found is not what the challenge asks for.
    IncorrectResponse = "incorrectResponse", 403;
    /// A contact can't be used.
    InvalidContact = "invalidContact", 400;
    /// No such profile.
    InvalidProfile = "invalidProfile", 400;
    /// The request is malformed.
    Malformed = "malformed", 400;
    /// The order can't be finalized in its state.
    OrderNotReady = "orderNotReady", 403;
    /// A limit is reached.
    RateLimited = "rateLimited", 429;
    /// The server does not issue for the identifier.
    RejectedIdentifier = "rejectedIdentifier", 400;
    /// Something failed inside.
    ServerInternal = "serverInternal", 500;
    /// TLS failed during validation.
    Tls = "tls", 400;
    /// The account may not do it.
    Unauthorized = "unauthorized", 403;
    /// A contact's scheme is not supported.
    UnsupportedContact = "unsupportedContact", 400;
    /// The identifier's type is not supported.
    UnsupportedIdentifier = "unsupportedIdentifier", 400;
    /// The terms of service must be agreed to first.
    UserActionRequired = "userActionRequired", 403;
}

/// A problem as a client gets it. Kept in records too, as the reason why a challenge or an order failed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Problem {
    /// Its type.
    #[serde(rename = "type", deserialize_with = "kind_from_urn")]
    pub kind: ProblemKind,
    /// The status of the answer that it is.
    pub status: u16,
    /// A sentence for people.
    pub detail: String,
    /// The identifier that it is about.
    #[serde(default)]
    pub identifier: Option<Box<Identifier>>,
    /// One for each identifier, where several are at fault.
    #[serde(default)]
    pub subproblems: Vec<Problem>,
    /// Seconds after which to try again. A header of the answer.
    #[serde(skip)]
    pub retry_after: Option<u64>,
    /// The URL of what is in the way. A header of the answer.
    #[serde(skip)]
    pub location: Option<String>,
}

impl Problem {
    /// A problem with its type's usual status.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            status: kind.status(),
            detail: detail.into(),
            identifier: None,
            subproblems: Vec::new(),
            retry_after: None,
            location: None,
        }
    }

    /// A malformed request.
    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::Malformed, detail)
    }

    /// Something that the account may not do.
    pub(crate) fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::Unauthorized, detail)
    }

    /// A resource that is not there.
    pub(crate) fn not_found(what: &str) -> Self {
        Self::malformed(format!("there is no such {what}")).with_status(404)
    }

    /// A failure inside: the client learns no more than that.
    pub(crate) fn internal() -> Self {
        Self::new(ProblemKind::ServerInternal, "the server failed; try again later")
    }

    /// A limit that is reached, and after how many seconds to try again.
    pub(crate) fn limited(detail: impl Into<String>, retry_after: u64) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(ProblemKind::RateLimited, detail) }
    }

    pub(crate) fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    pub(crate) fn about(self, identifier: &Identifier) -> Self {
        Self { identifier: Some(Box::new(identifier.clone())), ..self }
    }

    /// One problem out of several: the only one as it is, more as the sub-problems of one.
    ///
    /// Their common type if they have one, `compound` otherwise (RFC 8555, 6.7.1).
    pub(crate) fn from_several(mut problems: Vec<Self>, detail: &str) -> Option<Self> {
        let first = problems.first()?;
        if problems.len() == 1 {
            return problems.pop();
        }
        let one_kind = problems.iter().all(|problem| problem.kind == first.kind);
        let kind = if one_kind { first.kind } else { ProblemKind::Compound };
        Some(Self { subproblems: problems, ..Self::new(kind, detail) })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.name(), self.detail)
    }
}

impl std::error::Error for Problem {}

/// Algorithms that requests may be signed with, for `badSignatureAlgorithm` (RFC 8555, 6.2).
pub(crate) const ALGORITHMS: [&str; 4] = ["ES256", "ES384", "EdDSA", "RS256"];

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", &format!("{NAMESPACE}{}", self.kind.name()))?;
        map.serialize_entry("status", &self.status)?;
        map.serialize_entry("detail", &self.detail)?;
        if let Some(identifier) = &self.identifier {
            map.serialize_entry("identifier", identifier)?;
        }
        if self.kind == ProblemKind::BadSignatureAlgorithm {
            map.serialize_entry("algorithms", &ALGORITHMS)?;
        }
        if !self.subproblems.is_empty() {
            map.serialize_entry("subproblems", &self.subproblems)?;
        }
        map.end()
    }
}

fn kind_from_urn<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<ProblemKind, D::Error> {
    use serde::de::{Error, IntoDeserializer};
    let text = String::deserialize(deserializer)?;
    let name = text.strip_prefix(NAMESPACE).ok_or_else(|| D::Error::custom("not a type of ACME's"))?;
    ProblemKind::deserialize(name.into_deserializer())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identifier::DnsName;

    #[test]
    fn a_problem_is_written_as_the_rfc_has_it_and_reads_back() {
        let name = Identifier::Dns(DnsName::parse("a.test").unwrap());
        let one = Problem::new(ProblemKind::RejectedIdentifier, "no").about(&name);
        let two = Problem::new(ProblemKind::Caa, "forbidden");
        let both = Problem::from_several(vec![one.clone(), two], "several").unwrap();
        let text = serde_json::to_string(&both).unwrap();
        assert!(text.starts_with(r#"{"type":"urn:ietf:params:acme:error:compound","status":400"#), "{text}");
        assert!(text.contains(r#""identifier":{"type":"dns","value":"a.test"}"#), "{text}");
        assert_eq!(serde_json::from_str::<Problem>(&text).unwrap(), both);
        assert_eq!(Problem::from_several(vec![one.clone()], "several"), Some(one));
        assert_eq!(Problem::from_several(Vec::new(), "none"), None);
    }

    #[test]
    fn a_refused_algorithm_comes_with_those_that_are_not() {
        let text = serde_json::to_string(&Problem::new(ProblemKind::BadSignatureAlgorithm, "no")).unwrap();
        assert!(text.contains(r#""algorithms":["ES256","ES384","EdDSA","RS256"]"#), "{text}");
    }
}
