//! Following an execution to its end: its log goes to stderr as it comes, its progress to a bar.

use crate::bar::{self, Progress};
use crate::human;
use crate::output::Style;
use hypermesh_client::{Client, ClientError};
use hypermesh_wire::executions::{LogLine, LogQuery, VmExecution};
use indicatif::ProgressBar;

/// Seconds that the node may hold back an empty page of the log.
const WAIT_FOR_LINE: u32 = 20;
/// Seconds that the node may hold back the execution, when its log is silent: not so long that a line waits.
const WAIT_FOR_END: u32 = 1;

/// Shows an execution's log until it ends, and gives its end.
///
/// # Errors
/// When the node can't be reached any more. The execution goes on.
pub(crate) fn follow(client: &Client, id: &str, style: Style) -> Result<VmExecution, ClientError> {
    let bar = bar::guest();
    let mut query = LogQuery { after: None, limit: None, wait: Some(WAIT_FOR_LINE) };
    let mut ended: Option<VmExecution> = None;
    let outcome = loop {
        let page = match client.logs(id, &query) {
            Ok(page) => page,
            Err(error) => break Err(error),
        };
        for line in &page.lines {
            show(&bar, line, style);
        }
        query.after = Some(page.next);
        if !page.lines.is_empty() {
            continue;
        }
        // An empty page after the end: everything is shown.
        if let Some(execution) = ended.take() {
            break Ok(execution);
        }
        match client.execution(id, WAIT_FOR_END) {
            Ok(execution) if execution.status.is_final() => {
                query.wait = Some(0);
                ended = Some(execution);
            }
            Ok(_) => bar.tick(),
            Err(error) => break Err(error),
        }
    };
    bar.finish_and_clear();
    outcome
}

fn show(bar: &ProgressBar, line: &LogLine, style: Style) {
    if line.level == "progress"
        && let Ok(progress) = serde_json::from_str::<Progress>(&line.message)
    {
        bar::advance(bar, &progress);
    } else {
        bar.suspend(|| crate::say!("{}", format_line(line, style)));
    }
}

/// A line of a log for people.
pub(crate) fn format_line(line: &LogLine, style: Style) -> String {
    let level = format!("{:>8}", human::printable(&line.level));
    let level = match line.level.as_str() {
        "error" => style.error(&level),
        "warn" => style.warning(&level),
        _ => style.faint(&level),
    };
    format!("{level}  {}", human::printable(&line.message))
}
