//! An ACME server (RFC 8555, renewal information of RFC 9773) without sockets, and the probes that validate names.
//!
//! [`Acme`] has one method a resource, from a request's body to a [`Reply`]. Who is who is decided by signatures in
//! the body, so nothing here depends on how the bytes came; the HTTP edge copies a reply's parts into a response. ACME
//! speaks of HTTP by nature (URLs, status codes), yet no HTTP library is named.
//!
//! ```text
//! edge ─Post─▶ Acme ─▶ jws (form, url, account, signature, nonce) ─▶ account · order · authorization · finalize …
//!                │                                                        │             │
//!                ├─▶ Store: records, compare-and-swap                     │             ▼
//!                ├─▶ Probe: http-01, dns-01, tls-alpn-01, CAA ◀───────────┘        Authority: issue, revoke
//! ```
//!
//! Left to others: keeping the records ([`Store`]; [`MemoryStore`] for tests), signing certificates ([`Authority`],
//! which checks a request again, its signature included), finding addresses ([`Resolve`]). Fails by [`Problem`], which
//! is what a client gets; why something failed inside goes to the log.
#![forbid(unsafe_code)]

mod authority;
mod base64url;
mod id;
mod identifier;
mod json;
mod jwk;
mod jws;
mod nonce;
pub mod probe;
mod problem;
mod record;
mod reply;
mod server;
mod settings;
mod store;
mod x509;

pub use authority::{Authority, IssueRequest, Issued, Refused, RenewalWindow, RevocationReason, RevokeError};
pub use id::{AccountId, AuthorizationId, CertificateId, InvalidId, OrderId};
pub use identifier::{DnsName, Identifier, InvalidIdentifier};
pub use jwk::{InvalidJwk, Jwk};
pub use probe::{Attempt, Probe, ProbeFailure, Resolve};
pub use problem::{Problem, ProblemKind};
pub use record::{
    Account, AccountKey, AccountStatus, Authorization, AuthorizationStatus, Certificate, Challenge,
    ChallengeKind, ChallengeStatus, Order, OrderState,
};
pub use reply::{Link, Reply};
pub use server::{Acme, Method, Post, paths};
pub use settings::{
    Clock, ExternalAccounts, ExternalKeys, InvalidSettings, Limits, MAX_IDENTIFIERS, Settings,
};
pub use store::{ABSENT, Change, MemoryStore, Store, StoreError, Versioned};
