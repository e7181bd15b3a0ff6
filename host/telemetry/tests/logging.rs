//! The log as a process writes it: on stderr, filtered, in both formats, with the error's chain.
#![allow(clippy::unwrap_used, reason = "test code")]

use hypermesh_model::error_chain;
use hypermesh_telemetry::{LogFormat, LoggingError, init_logging};
use serde_json::Value;
use std::process::Command;

const FORMAT: &str = "HYPERMESH_LOGGING_TEST";

/// Not a test by itself: the process whose stderr the others read. A process has one log.
#[test]
fn child_that_logs() {
    let Ok(format) = std::env::var(FORMAT) else { return };
    let format = if format == "json" { LogFormat::Json } else { LogFormat::Text };
    init_logging(format, "logging=info,warn", false).unwrap();
    let io = std::io::Error::other("no such disk");
    tracing::info!(node = "n1", error = error_chain(&io), "hello");
    tracing::debug!("not wanted");
    let again = init_logging(LogFormat::Text, "info", false);
    assert!(matches!(again, Err(LoggingError::AlreadySet(_))));
}

fn log(format: &str) -> Vec<String> {
    let out = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_logs", "--nocapture"])
        .env(FORMAT, format)
        .output()
        .unwrap();
    assert!(out.status.success());
    assert!(!String::from_utf8_lossy(&out.stdout).contains("hello"), "stdout is for data");
    String::from_utf8(out.stderr).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn text_is_one_line_without_escapes() {
    let lines = log("text");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains("INFO") && lines[0].contains("hello node=\"n1\"") && !lines[0].contains('\u{1b}')
    );
}

#[test]
fn json_is_one_object_a_line() {
    let lines = log("json");
    assert_eq!(lines.len(), 1, "{lines:?}");
    let object: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(object["message"], "hello");
    assert_eq!(object["node"], "n1");
    assert_eq!(object["error"], "no such disk");
    assert_eq!(object["level"], "INFO");
}
