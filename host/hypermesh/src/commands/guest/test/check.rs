//! What an execution gave, beside what was expected: one line for each difference.

use super::cases::{Content, Expect};
use anyhow::Context as _;
use hypermesh_client::{Client, ClientError, RawAnswer};
use hypermesh_wire::executions::{ExecutionStatus, LogLine, LogQuery, VmExecution};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// The cause of a command that exits with another code than 0.
const EXIT_CODE: &str = "exit_code";
/// The status of an answer where nothing else is expected.
const OK: u16 = 200;
/// Characters of an unexpected answer that are shown.
const SHOWN: usize = 500;

/// Everything that is not as expected.
///
/// # Errors
/// Where the node can't be asked, or a file of the project can't be read.
pub(super) fn failures(
    client: &Client,
    expect: &Expect,
    execution: &VmExecution,
    project: &Path,
) -> anyhow::Result<Vec<String>> {
    let mut failures = ended(expect, execution);
    failures.extend(result(expect, execution));
    failures.extend(exit_code(expect, execution));
    for (name, wanted) in &expect.outputs {
        match output(client, execution, name)? {
            Some(found) => failures.extend(content(&format!("output `{name}`"), wanted, found, project)?),
            None => failures.push(format!("no output `{name}`")),
        }
    }
    if let Some(wanted) = &expect.stdout {
        let mut found = Vec::new();
        client.stdout(&execution.id, 0, &mut found)?;
        let found = text(found);
        failures.extend(unlike("standard output", wanted, &found));
    }
    if let Some(wanted) = &expect.log
        && !logs(wanted, |query| client.logs(&execution.id, query).map(|page| (page.lines, page.next)))?
    {
        failures.push(format!("no line of the log holds {wanted:?}"));
    }
    Ok(failures)
}

fn ended(expect: &Expect, execution: &VmExecution) -> Vec<String> {
    let found = execution.cause.as_ref();
    let said =
        || found.map_or_else(|| "a result".to_owned(), |cause| format!("{}: {}", cause.kind, cause.message));
    let wanted = match (&expect.cause, expect.exit_code) {
        (Some(cause), _) => Some(cause.as_str()),
        // Ending otherwise than with 0 is what is expected then.
        (None, Some(code)) if code != 0 => Some(EXIT_CODE),
        (None, _) => None,
    };
    let mut failures = Vec::new();
    match wanted {
        None if execution.status != ExecutionStatus::Completed => {
            failures.push(format!("ended with {}", said()))
        }
        Some(wanted) if found.is_none_or(|cause| cause.kind != wanted) => {
            failures.push(format!("expected to end with {wanted}, ended with {}", said()));
        }
        None | Some(_) => {}
    }
    if let Some(wanted) = &expect.message
        && !found.is_some_and(|cause| cause.message.contains(wanted.as_str()))
    {
        failures.push(format!("expected a message with {wanted:?}, ended with {}", said()));
    }
    failures
}

fn result(expect: &Expect, execution: &VmExecution) -> Option<String> {
    let wanted = expect.result.as_ref()?;
    let found = execution.execution.output.as_deref().unwrap_or("null");
    let parsed: Option<Value> = serde_json::from_str(found).ok();
    (parsed.as_ref() != Some(wanted)).then(|| format!("expected the result {wanted}, got {found}"))
}

fn exit_code(expect: &Expect, execution: &VmExecution) -> Option<String> {
    let wanted = expect.exit_code?;
    let of_result = || {
        let result: Value = serde_json::from_str(execution.execution.output.as_deref()?).ok()?;
        result["exit_code"].as_i64()
    };
    let of_cause = || execution.cause.as_ref()?.data.get("code")?.as_i64();
    let found = of_result().or_else(of_cause);
    (found != Some(wanted)).then(|| match found {
        Some(found) => format!("expected exit code {wanted}, got {found}"),
        None => format!("expected exit code {wanted}, got none"),
    })
}

/// `None` where both are alike.
fn unlike(what: &str, wanted: &str, found: &str) -> Option<String> {
    (wanted != found).then(|| format!("{what}: expected {wanted:?}, got {found:?}"))
}

fn output(client: &Client, execution: &VmExecution, name: &str) -> Result<Option<Vec<u8>>, ClientError> {
    let mut bytes = Vec::new();
    match client.download_output(&execution.id, name, &mut bytes, &mut |_| {}) {
        Ok(_) => Ok(Some(bytes)),
        Err(error) if error.status() == Some(404) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a line of the log holds `wanted`. `page` gives lines, and from where to go on.
fn logs(
    wanted: &str,
    page: impl Fn(&LogQuery) -> Result<(Vec<LogLine>, u64), ClientError>,
) -> Result<bool, ClientError> {
    let mut query = LogQuery::default();
    loop {
        let (lines, next) = page(&query)?;
        if lines.iter().any(|line| line.message.contains(wanted)) {
            return Ok(true);
        }
        if lines.is_empty() {
            return Ok(false);
        }
        query.after = Some(next);
    }
}

/// Everything of an HTTP answer that is not as expected.
///
/// # Errors
/// Where the node can't be asked, or a file of the project can't be read.
pub(super) fn answer_failures(
    client: &Client,
    expect: &Expect,
    service: &str,
    answer: &RawAnswer,
    project: &Path,
) -> anyhow::Result<Vec<String>> {
    let mut failures = Vec::new();
    let wanted = expect.status.unwrap_or(OK);
    if answer.status != wanted {
        let said: String = text(answer.body.clone()).chars().take(SHOWN).collect();
        failures.push(format!("expected the status {wanted}, got {}: {said}", answer.status));
    }
    for (name, wanted) in &expect.headers {
        let name = name.to_ascii_lowercase();
        let found = answer.headers.iter().filter(|(found, _)| *found == name);
        let found: Vec<&str> = found.map(|(_, value)| value.as_str()).collect();
        if !found.contains(&wanted.as_str()) {
            failures.push(format!("header `{name}`: expected {wanted:?}, got {found:?}"));
        }
    }
    if let Some(wanted) = &expect.body {
        failures.extend(content("body", wanted, answer.body.clone(), project)?);
    }
    if let Some(wanted) = &expect.log
        && !logs(wanted, |query| client.service_logs(service, query).map(|page| (page.lines, page.next)))?
    {
        failures.push(format!("no line of the log holds {wanted:?}"));
    }
    Ok(failures)
}

/// `None` where it is what is wanted.
fn content(what: &str, wanted: &Content, found: Vec<u8>, project: &Path) -> anyhow::Result<Option<String>> {
    let (wanted, found) = match wanted {
        Content::Text(wanted) => (wanted.clone(), text(found)),
        Content::File(file) => {
            let path = project.join(file);
            let bytes = fs::read(&path).with_context(|| format!("could not read {}", path.display()))?;
            if bytes == found {
                return Ok(None);
            }
            (text(bytes), text(found))
        }
        Content::Sha256(digest) => (digest.to_lowercase(), super::super::build::sha256(&found)),
    };
    Ok(unlike(what, &wanted, &found))
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}
