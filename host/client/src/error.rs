//! What can go wrong between a caller and a node, cut by what the caller can do about it.
//!
//! `Display` says what happened; the cause beneath is `source()`.

use hypermesh_wire::problem::Problem;
use std::error::Error;
use std::io;

/// The longest part of an unexpected answer that an error repeats, in characters: enough to recognise a proxy's page.
const MAX_QUOTED: usize = 200;

/// Why a call gave no result.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address or the token can't be used at all; nothing was sent.
    #[error("{reason}")]
    Configuration {
        /// What is wrong with which of them.
        reason: String,
    },
    /// No answer: nothing listens there, or the connection broke, or nothing came in time.
    #[error("no answer from {url}")]
    Unreachable {
        /// The node's address.
        url: String,
        /// What the connection said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The node refused or failed, and says why.
    #[error("{}: {}", .0.title, .0.detail)]
    Problem(Box<Problem>),
    /// An answer that is neither a result nor a problem document: something else listens there.
    #[error("unexpected answer, status {status}: {}", quoted(.body))]
    Unexpected {
        /// The HTTP status.
        status: u16,
        /// The answer.
        body: String,
    },
    /// An answer that can't be read as what the contract says.
    #[error("the answer does not follow the contract")]
    Protocol {
        /// Where it departs.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The caller's own reader or writer failed.
    #[error("{what}")]
    Local {
        /// Which side of the transfer.
        what: &'static str,
        /// What it said.
        #[source]
        source: io::Error,
    },
}

impl ClientError {
    /// The HTTP status of a refusal; `None` where there was no answer of that kind.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Problem(problem) => Some(problem.status),
            Self::Unexpected { status, .. } => Some(*status),
            Self::Configuration { .. }
            | Self::Unreachable { .. }
            | Self::Protocol { .. }
            | Self::Local { .. } => None,
        }
    }

    /// Sorts an error of the HTTP library: did the connection fail, or is what came over it wrong?
    pub(crate) fn from_http(url: &str, error: ureq::Error) -> Self {
        use ureq::Error as E;
        let unreachable = matches!(
            error,
            E::Io(_) | E::Timeout(_) | E::ConnectionFailed | E::HostNotFound | E::BodyStalled
        );
        match unreachable {
            true => Self::Unreachable { url: url.to_owned(), source: Box::new(error) },
            false => Self::Protocol { source: Box::new(error) },
        }
    }
}

fn quoted(body: &str) -> String {
    let mut characters = body.trim().chars();
    let head: String = characters.by_ref().take(MAX_QUOTED).filter(|c| !c.is_control()).collect();
    if characters.next().is_some() { format!("{head}…") } else { head }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_answer_is_quoted_in_part_and_without_control_characters() {
        let error = ClientError::Unexpected { status: 502, body: format!("\u{1b}[31m{}", "x".repeat(500)) };
        let text = error.to_string();
        assert!(text.starts_with("unexpected answer, status 502: [31mxxx"), "{text}");
        assert!(text.ends_with('…') && text.chars().count() < 260, "{text}");
    }
}
