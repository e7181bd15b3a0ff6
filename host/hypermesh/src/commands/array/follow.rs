//! Following an array to its end: results to stdout, a line each, and progress to stderr.
//!
//! Indexes come from the node in the order of their ends. Unless they are wanted so, each waits here until those before
//! it are printed; of an array that was stopped, what never began leaves gaps.

use crate::bar;
use crate::context::Context;
use hypermesh_client::{Client, ClientError};
use hypermesh_wire::arrays::{ArrayItem, ArrayItemQuery, ArrayItemStatus, ArrayOrder, VmArray};
use hypermesh_wire::executions::CauseView;
use indicatif::ProgressBar;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::io::IsTerminal;

/// Seconds that the node may hold back an empty page.
const WAIT: u32 = 20;
/// Without a terminal, progress is a line at each of so many parts.
const PARTS: u32 = 10;

/// A result, as it is printed.
#[derive(Debug, Serialize)]
struct Line {
    index: u32,
    parameters: Map<String, Value>,
    status: ArrayItemStatus,
    output: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<CauseView>,
    execution_id: Option<String>,
}

/// Prints an array's results until it has ended, and gives it as it is then.
///
/// # Errors
/// When the node can't be reached any more, or stdout fails. The array goes on.
pub(super) fn follow(
    context: &Context,
    client: &Client,
    array: &VmArray,
    unordered: bool,
) -> anyhow::Result<VmArray> {
    let progress = Progress::new(array.size);
    let mut query =
        ArrayItemQuery { order: Some(ArrayOrder::Ended), after: None, limit: None, wait: Some(WAIT) };
    let mut held: BTreeMap<u32, ArrayItem> = BTreeMap::new();
    let mut next = 0;
    let print = |item: ArrayItem| -> anyhow::Result<()> {
        let line = line(client, item)?;
        progress.bar.suspend(|| {
            context.output.show_next(&line, |line, _| serde_json::to_string(line).unwrap_or_default() + "\n")
        })
    };
    let array = loop {
        let page = client.array_items(&array.id, &query)?;
        query.after = Some(page.next);
        for item in page.items {
            if unordered {
                print(item)?;
            } else {
                held.insert(item.index, item);
            }
        }
        while let Some(item) = held.remove(&next) {
            print(item)?;
            next += 1;
        }
        let now = client.array(&array.id)?;
        progress.tell(&now);
        if page.complete {
            break now;
        }
    };
    held.into_values().try_for_each(print)?;
    progress.bar.finish_and_clear();
    Ok(array)
}

/// A result with what the array did not keep, if the execution still has it.
fn line(client: &Client, item: ArrayItem) -> Result<Line, ClientError> {
    let ArrayItem { index, parameters, status, execution_id, output, output_bytes, cause } = item;
    let output = match (output, output_bytes, &execution_id) {
        (None, Some(_), Some(id)) => match client.execution(id, 0) {
            Ok(execution) => execution.execution.output,
            Err(error) if error.status() == Some(404) => None,
            Err(error) => return Err(error),
        },
        (output, ..) => output,
    };
    let output = output.map(|text| serde_json::from_str(&text).unwrap_or(Value::String(text)));
    Ok(Line { index, parameters, status, output, cause, execution_id })
}

/// A bar on a terminal, lines elsewhere.
struct Progress {
    bar: ProgressBar,
    plain: bool,
    told: std::cell::Cell<u32>,
}

impl Progress {
    fn new(size: u32) -> Self {
        Self { bar: bar::array(size), plain: !std::io::stderr().is_terminal(), told: std::cell::Cell::new(0) }
    }

    fn tell(&self, array: &VmArray) {
        let counts = array.counts;
        let ended = counts.completed + counts.failed + counts.cancelled;
        self.bar.set_position(ended.into());
        self.bar.set_message(format!("{} running, {} failed", counts.running, counts.failed));
        let part = ended.saturating_mul(PARTS) / array.size.max(1);
        if self.plain && part > self.told.replace(part) {
            crate::say!("{ended} of {} ended, {} failed", array.size, counts.failed);
        }
    }
}
