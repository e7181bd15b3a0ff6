//! Errors of commands, and the one place that turns any error into words and an exit code.
//!
//! The codes are the contract with scripts; the help lists them. A closed pipe on stdout (`hypermesh … | head`) is a
//! reader that has seen enough: success.

use crate::output::Style;
use hypermesh_client::ClientError;
use hypermesh_node::{ConfigError, NodeError};
use hypermesh_wire::problem::Problem;
use std::fmt::Write;
use std::io;

/// It was tried and failed.
const FAILED: u8 = 1;
/// The arguments make no sense; what `clap` exits with too.
const USAGE: u8 = 2;
/// The node refused.
const REFUSED: u8 = 3;
/// The node wants another token.
const UNAUTHORISED: u8 = 4;
/// There was no answer.
const UNREACHABLE: u8 = 5;
/// `EX_USAGE` of `sysexits.h`, which services use for configuration that makes no sense.
const CONFIGURATION: u8 = 64;

/// What a command says besides the errors of what it calls.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The arguments make no sense together with what the node says.
    #[error("{0}")]
    Usage(String),
    /// A file or variable that sets this program up is wrong.
    #[error("{0}")]
    Configuration(String),
    /// All is said already; only the exit code is left.
    #[error("exit code {0}")]
    Quiet(u8),
}

impl Failure {
    /// The end of a job that failed and was explained.
    pub(crate) const EXPLAINED: Self = Self::Quiet(FAILED);
    /// What was asked for was given up by the node, which said why.
    pub(crate) const REFUSED: Self = Self::Quiet(REFUSED);
}

/// Says on stderr what went wrong and gives the exit code.
pub(crate) fn report(error: &anyhow::Error, style: Style) -> u8 {
    let code = exit_code(error);
    if !is_quiet(error) {
        crate::say!("{}", describe(error, style));
    }
    code
}

/// The exit code that an error stands for.
pub(crate) fn exit_code(error: &anyhow::Error) -> u8 {
    if is_closed_pipe(error) {
        return 0;
    }
    code_of(error).unwrap_or(FAILED)
}

// By anyhow's own downcast, which sees what was given as context too; `chain()` doesn't.
fn code_of(error: &anyhow::Error) -> Option<u8> {
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return Some(match failure {
            Failure::Usage(_) => USAGE,
            Failure::Configuration(_) => CONFIGURATION,
            Failure::Quiet(code) => *code,
        });
    }
    if let Some(client) = error.downcast_ref::<ClientError>() {
        return Some(match client {
            ClientError::Configuration { .. } => CONFIGURATION,
            ClientError::Unreachable { .. } => UNREACHABLE,
            ClientError::Problem(problem) => of_status(problem.status),
            // Its status may say success or a redirect, which no node answers.
            ClientError::Unexpected { status, .. } => of_status(*status).max(FAILED),
            ClientError::Protocol { .. } | ClientError::Local { .. } => FAILED,
        });
    }
    if error.downcast_ref::<ConfigError>().is_some() {
        return Some(CONFIGURATION);
    }
    error.downcast_ref::<NodeError>().map(|node| if node.is_configuration() { CONFIGURATION } else { FAILED })
}

/// The exit code for an answer's status: a refusal is the caller's to change, a failure is the node's.
pub(crate) fn of_status(status: u16) -> u8 {
    match status {
        100..=399 => 0,
        401 => UNAUTHORISED,
        400..=499 => REFUSED,
        _ => FAILED,
    }
}

fn is_quiet(error: &anyhow::Error) -> bool {
    is_closed_pipe(error) || matches!(error.downcast_ref(), Some(Failure::Quiet(_)))
}

/// Only our own stdout: a connection that the node closes is a [`ClientError`] and stays one.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io = match error.downcast_ref::<ClientError>() {
        Some(ClientError::Local { source, .. }) => Some(source),
        _ => error.downcast_ref::<io::Error>(),
    };
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn describe(error: &anyhow::Error, style: Style) -> String {
    let mut text = style.error("error:");
    let mut said = String::new();
    for cause in error.chain() {
        let cause = crate::human::printable(&cause.to_string());
        // Some libraries repeat their cause in their own words.
        if !said.contains(&cause) {
            let separator = if said.is_empty() { " " } else { ": " };
            said.push_str(separator);
            said.push_str(&cause);
        }
    }
    text.push_str(&said);
    if let Some(client) = error.downcast_ref::<ClientError>() {
        advise(client, &mut text);
    }
    text
}

fn advise(error: &ClientError, text: &mut String) {
    // Writing to a String can't fail.
    let _ = match error {
        ClientError::Unreachable { .. } => write!(text, "\n  is a node running? start one: hypermesh serve"),
        ClientError::Problem(problem) => {
            explain(problem, text);
            Ok(())
        }
        ClientError::Configuration { .. }
        | ClientError::Unexpected { .. }
        | ClientError::Protocol { .. }
        | ClientError::Local { .. } => Ok(()),
    };
}

fn explain(problem: &Problem, text: &mut String) {
    if let Some(member) = &problem.member {
        let _ = write!(text, "\n  where: {}", crate::human::printable(member));
    }
    // A single reason is what the detail says already.
    if problem.reasons.len() > 1 {
        for reason in &problem.reasons {
            let _ = write!(text, "\n  - {}", crate::human::plain(reason));
        }
    }
    if problem.status == 401 {
        let _ = write!(
            text,
            "\n  the token is in the file `token` of the node's data folder: set --data-dir or HYPERMESH_TOKEN"
        );
    }
    if problem.status >= 500 {
        let _ = write!(text, "\n  request {} in the node's log", problem.request_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};

    fn problem(status: u16) -> ClientError {
        ClientError::Problem(Box::new(Problem {
            problem_type: "about:blank".into(),
            title: "Refused".into(),
            status,
            detail: "because".into(),
            instance: "/".into(),
            timestamp: jiff::Timestamp::UNIX_EPOCH,
            request_id: "r1".into(),
            member: Some("amount".into()),
            reasons: vec!["one".into(), serde_json::json!({ "dimension": "memory" })],
        }))
    }

    #[test]
    fn each_kind_of_error_has_its_exit_code() {
        let unreachable = || ClientError::Unreachable { url: "u".into(), source: "x".into() };
        let cases = [
            (anyhow!("it failed"), 1),
            (Failure::Usage("x".into()).into(), 2),
            (Failure::Configuration("x".into()).into(), 64),
            (Failure::Quiet(42).into(), 42),
            (Failure::EXPLAINED.into(), 1),
            (problem(400).into(), 3),
            (problem(401).into(), 4),
            (problem(403).into(), 3),
            (problem(409).into(), 3),
            (problem(422).into(), 3),
            (problem(500).into(), 1),
            (problem(501).into(), 1),
            (ClientError::Unexpected { status: 302, body: String::new() }.into(), 1),
            (ClientError::Protocol { source: "x".into() }.into(), 1),
            (ClientError::Configuration { reason: "x".into() }.into(), 64),
            (unreachable().into(), 5),
            (io::Error::from(io::ErrorKind::BrokenPipe).into(), 0),
            (io::Error::from(io::ErrorKind::StorageFull).into(), 1),
        ];
        for (error, code) in cases {
            assert_eq!(exit_code(&error), code, "{error:?}");
        }
        let wrapped: anyhow::Result<()> = Err(unreachable()).context("while waiting");
        assert_eq!(exit_code(&wrapped.unwrap_err()), 5);
    }

    #[test]
    fn a_refusal_is_told_with_every_reason() {
        let text = describe(&problem(409).into(), Style::PLAIN);
        assert_eq!(text, "error: Refused: because\n  where: amount\n  - one\n  - dimension memory");
    }

    #[test]
    fn causes_are_told_once_and_cannot_write_to_the_terminal() {
        let error = anyhow!("deep \u{1b}[31m").context("outer: deep \u{fffd}[31m").context("top");
        assert_eq!(describe(&error, Style::PLAIN), "error: top: outer: deep \u{fffd}[31m");
    }
}
