//! Whether a certificate is to be trusted, and why: each rule of RFC 5280 §6 with its section and verdict.
//!
//! A library says yes or no; this says what it looked at. Paths to the given roots are looked for among the given
//! certificates within a budget (`path`), each is judged by every rule (`rules`), and the best is told: the first
//! valid one, else the one that breaks the fewest rules. Time, trust and what is known of revocation are passed in.
//! Nothing here fails: what is no path is an explanation too.

#[cfg(test)]
mod cases;
mod path;
mod rules;
#[cfg(test)]
mod tests;

use crate::certificate::{Certificate, ExtendedKeyUsage, KeyUsages};
use crate::revocation::Revocation;
use hypermesh_model::Timestamp;
use std::fmt;

/// What a certificate is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// To be a TLS server.
    Server,
    /// To be a TLS client.
    Client,
    /// To sign code.
    CodeSigning,
}

impl Purpose {
    fn extended(self) -> ExtendedKeyUsage {
        match self {
            Self::Server => ExtendedKeyUsage::ServerAuth,
            Self::Client => ExtendedKeyUsage::ClientAuth,
            Self::CodeSigning => ExtendedKeyUsage::CodeSigning,
        }
    }

    /// What the key must be good for: TLS 1.3 and code are signed.
    fn key_usages(self) -> KeyUsages {
        match self {
            Self::Server | Self::Client | Self::CodeSigning => KeyUsages::DIGITAL_SIGNATURE,
        }
    }
}

/// What a rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It is kept.
    Pass,
    /// It is broken: the certificate is not to be trusted.
    Fail,
    /// A SHOULD is broken.
    Warn,
    /// It couldn't be looked at; the detail says why.
    Unchecked,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Warn => "warn",
            Self::Unchecked => "unchecked",
        })
    }
}

/// A rule and its verdict on one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its name, e.g. `path-length`.
    pub name: &'static str,
    /// Where it is written, e.g. `RFC 5280 §6.1.4 (m)`.
    pub reference: &'static str,
    /// What it says.
    pub verdict: Verdict,
    /// What was found.
    pub detail: String,
    /// The certificate that it is about: its subject, or its serial if it has none.
    pub subject: String,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({}, {})", self.subject, self.detail, self.name, self.reference)
    }
}

/// Why a certificate is to be trusted, or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Whether no rule is broken. One that nobody could look at, such as an unknown revocation, doesn't count; who
    /// must know asks [`Self::warnings`].
    pub valid: bool,
    /// The certificate first, the root last; without a root if none was found.
    pub path: Vec<Certificate>,
    /// Every rule, from the root to the certificate.
    pub rules: Vec<Rule>,
}

impl Explanation {
    /// The rules that are broken.
    pub fn errors(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(|rule| rule.verdict == Verdict::Fail)
    }

    /// The rules that are broken in a way that can be lived with, or that nobody could look at.
    pub fn warnings(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(|rule| matches!(rule.verdict, Verdict::Warn | Verdict::Unchecked))
    }
}

/// What is asked, beside the certificates.
struct Question<'a> {
    roots: &'a [Certificate],
    at: Timestamp,
    purpose: Option<Purpose>,
    host: Option<&'a str>,
    revoked: &'a dyn Fn(&Certificate) -> Revocation,
}

/// Explains a certificate: is there a path over `others` to one of `roots` that keeps every rule at this time, for this
/// purpose, and for this host (a DNS name or an address)? `revoked` is asked about each but the root.
///
/// At most eight paths of at most eight certificates are judged, and at most 128 signatures verified in finding them.
pub fn explain(
    leaf: &Certificate,
    others: &[Certificate],
    roots: &[Certificate],
    at: Timestamp,
    purpose: Option<Purpose>,
    host: Option<&str>,
    revoked: &dyn Fn(&Certificate) -> Revocation,
) -> Explanation {
    let question = Question { roots, at, purpose, host, revoked };
    let judged = |path: Vec<Certificate>| {
        let rules = rules::judge(&path, &question);
        let valid = rules.iter().all(|rule| rule.verdict != Verdict::Fail);
        Explanation { valid, path, rules }
    };
    let (first, more) = path::find(leaf, others, roots);
    let mut best = judged(first);
    for path in more {
        if best.valid {
            break;
        }
        let next = judged(path);
        if next.errors().count() < best.errors().count() {
            best = next;
        }
    }
    best
}
