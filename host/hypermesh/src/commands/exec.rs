//! `exec`: executions, their logs and outputs.

use crate::bar;
use crate::context::Context;
use crate::human;
use crate::job::{follow, summary};
use crate::output::Style;
use crate::table::{Table, fields};
use anyhow::Context as _;
use clap::Subcommand;
use hypermesh_client::Client;
use hypermesh_wire::executions::{ExecutionQuery, LogQuery, VmExecution};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// `exec …`
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List executions
    List {
        /// Only of this vm asset
        #[arg(long, value_name = "ID")]
        vm: Option<String>,
    },
    /// Show one execution
    Get {
        /// Its id
        id: String,
    },
    /// Print an execution's log
    Logs {
        /// Its id
        id: String,
        /// Go on until it ends
        #[arg(short, long)]
        follow: bool,
    },
    /// End an execution
    Cancel {
        /// Its id
        id: String,
    },
    /// Fetch a file that the guest wrote
    Output {
        /// The execution's id
        id: String,
        /// The file's name
        name: String,
        /// Where to write it [default: stdout]
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
}

/// Seconds that the node may hold back a page of the log.
const WAIT: u32 = 20;

/// Runs `exec …`.
pub(crate) fn run(context: &Context, command: Command) -> anyhow::Result<()> {
    let client = context.client()?;
    let output = context.output;
    match command {
        Command::List { vm } => {
            let query = ExecutionQuery { vm_asset_id: vm, ..ExecutionQuery::default() };
            output.show(&client.executions(&query)?, |executions, style| list(executions, style))
        }
        Command::Get { id } => output.show(&client.execution(&id, 0)?, show),
        Command::Logs { id, follow } => logs(context, &client, &id, follow),
        Command::Cancel { id } => output.show(&client.cancel(&id)?, |answer, _| {
            let reason = answer
                .reason
                .as_ref()
                .map_or_else(String::new, |reason| format!(": {}", human::printable(reason)));
            format!("{}{reason}\n", if answer.cancelled { "cancelled" } else { "not cancelled" })
        }),
        Command::Output { id, name, to: None } => {
            client.download_output(&id, &name, &mut io::stdout().lock(), &mut |_| {})?;
            Ok(io::stdout().flush()?)
        }
        Command::Output { id, name, to: Some(path) } => {
            let length = download(&client, &id, &name, &path)?;
            crate::say!("{}: {}", path.display(), human::bytes(Some(length)));
            Ok(())
        }
    }
}

/// Copies an output to a file. On failure nothing is left at `path`.
///
/// # Errors
/// When the node refuses or the file can't be written.
pub(crate) fn download(client: &Client, id: &str, name: &str, path: &Path) -> anyhow::Result<u64> {
    let what = || format!("could not write {}", path.display());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let partial = folder.join(format!(".hypermesh-{}.partial", std::process::id()));
    let mut file = File::create(&partial).with_context(what)?;
    let bar = bar::transfer(name, 0);
    let outcome = client.download_output(id, name, &mut file, &mut |received| {
        bar.set_length(received);
        bar.set_position(received);
    });
    bar.finish_and_clear();
    let renamed = match outcome {
        Ok(length) => std::fs::rename(&partial, path).map(|()| length).with_context(what),
        Err(error) => Err(error.into()),
    };
    if renamed.is_err() {
        // What matters is told by the error.
        let _ = std::fs::remove_file(&partial);
    }
    renamed
}

fn logs(context: &Context, client: &Client, id: &str, follow: bool) -> anyhow::Result<()> {
    let mut query = LogQuery { after: None, limit: None, wait: follow.then_some(WAIT) };
    let mut ended = !follow;
    loop {
        let page = client.logs(id, &query)?;
        for line in &page.lines {
            context.output.show_next(line, |line, style| follow::format_line(line, style) + "\n")?;
        }
        query.after = Some(page.next);
        if page.lines.is_empty() {
            if ended {
                return Ok(());
            }
            // Asked again with a wait of a second at most: a log that is silent doesn't become a busy loop.
            ended = client.execution(id, 1)?.status.is_final();
            query.wait = if ended { None } else { Some(WAIT) };
        }
    }
}

fn list(executions: &[VmExecution], style: Style) -> String {
    let mut table = Table::new(&["ID", "STATUS", "OPERATION", "CAUSE", ">CPU", ">PEAK", "QUEUED"]);
    for execution in executions {
        let used = &execution.execution.resource_usage;
        table.row([
            execution.id.clone(),
            human::named(&execution.status),
            execution.request.operation.clone(),
            execution.cause.as_ref().map_or_else(String::new, |cause| cause.kind.clone()),
            human::seconds(used.cpu_time),
            human::bytes(used.memory_peak),
            format!("{:.0}", execution.execution.queued_at),
        ]);
    }
    table.render(style)
}

fn show(execution: &VmExecution, style: Style) -> String {
    let outputs = execution.outputs.iter();
    let outputs = outputs.map(|output| format!("{} ({})", output.name, human::bytes(Some(output.size))));
    let exit = execution.execution.exit_code.map_or_else(|| human::UNKNOWN.into(), |code| code.to_string());
    let mut members = vec![
        ("id", execution.id.clone()),
        ("how", summary::usage(execution, Style::PLAIN)),
        ("operation", execution.request.operation.clone()),
        ("vm", execution.vm_asset_id.clone()),
        ("allocation", execution.allocation_id.clone()),
        ("exit code", exit),
        ("proofs", summary::proofs(execution)),
        ("outputs", outputs.collect::<Vec<_>>().join("\n")),
    ];
    if let Some(cause) = summary::cause(execution) {
        members.push(("cause", cause));
    }
    if execution.dropped_log_lines > 0 {
        members.push(("log lines dropped", execution.dropped_log_lines.to_string()));
    }
    if let Some(result) = &execution.execution.output {
        members.push(("result", pretty(result)));
    }
    fields(&members, style)
}

/// JSON text for reading; text that isn't JSON as it is.
pub(crate) fn pretty(result: &str) -> String {
    let value: Result<serde_json::Value, _> = serde_json::from_str(result);
    value
        .and_then(|value| serde_json::to_string_pretty(&value))
        .unwrap_or_else(|_| human::printable_lines(result))
}
