//! What an execution gave, beside what was expected: one line for each difference.

use super::cases::{Content, Expect};
use anyhow::Context as _;
use hypermesh_client::{Client, ClientError};
use hypermesh_wire::executions::{ExecutionStatus, LogQuery, VmExecution};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// The output that is a command's standard output.
const STDOUT: &str = "stdout";
/// The cause of a command that exits with another code than 0.
const EXIT_CODE: &str = "exit_code";

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
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    for (name, content) in &expect.outputs {
        let wanted = match content {
            Content::Text(text) => text.clone().into_bytes(),
            Content::File(file) => {
                let path = project.join(file);
                fs::read(&path).with_context(|| format!("could not read {}", path.display()))?
            }
            Content::Sha256(digest) => digest.to_lowercase().into_bytes(),
        };
        let Some(found) = output(client, execution, name)? else {
            failures.push(format!("no output `{name}`"));
            continue;
        };
        let found = match content {
            Content::Sha256(_) => super::super::build::sha256(&found).into_bytes(),
            Content::Text(_) | Content::File(_) => found,
        };
        failures.extend(unlike(&format!("output `{name}`"), &text(wanted), &text(found)));
    }
    if let Some(wanted) = &expect.stdout {
        let found = output(client, execution, STDOUT)?.map(text).unwrap_or_default();
        failures.extend(unlike("standard output", wanted, &found));
    }
    if let Some(wanted) = &expect.log
        && !logs(client, &execution.id, wanted)?
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

/// Whether a line of the log holds `wanted`.
fn logs(client: &Client, id: &str, wanted: &str) -> Result<bool, ClientError> {
    let mut query = LogQuery::default();
    loop {
        let page = client.logs(id, &query)?;
        if page.lines.iter().any(|line| line.message.contains(wanted)) {
            return Ok(true);
        }
        if page.lines.is_empty() {
            return Ok(false);
        }
        query.after = Some(page.next);
    }
}
