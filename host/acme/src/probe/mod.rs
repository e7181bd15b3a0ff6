//! Whether an account controls an identifier: looking at it from outside.
//!
//! The server asks a [`Probe`]; [`NetworkProbe`] is the real one. It asks a [`Resolve`] for addresses and records, so
//! that names of our own zone are answered by our own zone. A probe is told what to look at by strangers, which is why
//! every address that is connected to passes `guard` first, after every redirect again, and is then connected to
//! itself, never looked up a second time. Fails by [`ProbeFailure`], which the client gets to read.

mod caa;
mod dns;
mod guard;
mod http;
mod network;
mod response;
mod tls;

use crate::identifier::Identifier;
use crate::problem::{Problem, ProblemKind};
use crate::record::ChallengeKind;
use async_trait::async_trait;
pub use caa::CaaRecord;
pub use network::{NetworkProbe, Reach};
use std::net::IpAddr;
use thiserror::Error;

/// What is to be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// How.
    pub kind: ChallengeKind,
    /// Where; never a wildcard name, but its base.
    pub identifier: Identifier,
    /// Whether the names below it are asked for, which CAA records tell apart.
    pub wildcard: bool,
    /// The challenge's token.
    pub token: String,
    /// The token, a full stop and the thumbprint of the account's key (RFC 8555, 8.1).
    pub key_authorization: String,
    /// The account's URL, for CAA records that name accounts (RFC 8657).
    pub account_url: String,
}

/// Why a challenge was not met.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{detail}")]
pub struct ProbeFailure {
    /// `connection`, `dns`, `tls`, `caa`, `incorrectResponse`, `unauthorized` or `serverInternal`.
    pub kind: ProblemKind,
    /// A sentence for the person who runs the client.
    pub detail: String,
}

impl ProbeFailure {
    /// A failure of a kind.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }
}

impl From<ProbeFailure> for Problem {
    fn from(failure: ProbeFailure) -> Self {
        Self::new(failure.kind, failure.detail)
    }
}

/// Looks at what an account says it controls.
#[async_trait]
pub trait Probe: Send + Sync {
    /// Whether the challenge is met now, and CAA records allow to issue. Takes 30 seconds at most.
    ///
    /// # Errors
    /// [`ProbeFailure`].
    async fn prove(&self, attempt: &Attempt) -> Result<(), ProbeFailure>;

    /// Whether CAA records allow to issue (RFC 8659). Asked again when a certificate is made long after the proof.
    ///
    /// # Errors
    /// [`ProbeFailure`] of kind `caa` or `dns`.
    async fn permits(&self, attempt: &Attempt) -> Result<(), ProbeFailure>;
}

/// Why a question to DNS has no answer. That a name or a type does not exist is an answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ResolveError {
    /// Nobody answered in time.
    #[error("no answer in time")]
    Timeout,
    /// A server answered that it can't; its words.
    #[error("{0}")]
    Failed(String),
}

/// Asks DNS. Aliases (CNAME) are followed by who implements it; every method answers within 5 seconds.
#[async_trait]
pub trait Resolve: Send + Sync {
    /// The addresses of a name, of both families; none if there are none.
    ///
    /// # Errors
    /// [`ResolveError`].
    async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, ResolveError>;

    /// The TXT records at a name, the strings of each joined; none if there are none.
    ///
    /// # Errors
    /// [`ResolveError`].
    async fn txt(&self, name: &str) -> Result<Vec<Vec<u8>>, ResolveError>;

    /// The CAA records at exactly this name; none if there are none. Names above it are asked for by the caller.
    ///
    /// # Errors
    /// [`ResolveError`].
    async fn caa(&self, name: &str) -> Result<Vec<CaaRecord>, ResolveError>;
}
