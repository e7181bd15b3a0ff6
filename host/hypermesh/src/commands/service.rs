//! `service`: HTTP guests that the node serves. One is made by `run --http`.

use crate::context::Context;
use crate::human;
use crate::job::follow;
use crate::output::Style;
use crate::table::{Table, fields};
use clap::Subcommand;
use hypermesh_client::{Client, ClientError};
use hypermesh_wire::executions::{LogLine, LogQuery};
use hypermesh_wire::services::{Service, ServiceUsage};

/// `service …`
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List services
    List,
    /// Show one service
    Show {
        /// Its name
        name: String,
    },
    /// Print what its guests logged
    Logs {
        /// Its name
        name: String,
        /// Go on until the service ends
        #[arg(short, long)]
        follow: bool,
    },
    /// End a service and remove it, with its log and the lease that was made for it
    Delete {
        /// Its name
        name: String,
    },
}

/// Seconds that the node may hold back a page of the log.
const WAIT: u32 = 20;

/// Runs `service …`.
pub(crate) fn run(context: &Context, command: Command) -> anyhow::Result<()> {
    let client = context.client()?;
    let output = context.output;
    match command {
        Command::List => output.show(&client.services()?, |services, style| list(services, style)),
        Command::Show { name } => output.show(&client.service(&name)?, show),
        Command::Logs { name, follow } => each_line(&client, &name, follow, |line| {
            output.show_next(line, |line, style| follow::format_line(line, style) + "\n")
        }),
        Command::Delete { name } => {
            output.show(&client.remove_service(&name)?, |answer, _| human::printable(&answer.message) + "\n")
        }
    }
}

/// Gives each line of a service's log to `show`, with `follow` until the service has ended.
///
/// # Errors
/// What the node says, and what `show` does.
pub(crate) fn each_line(
    client: &Client,
    name: &str,
    follow: bool,
    mut show: impl FnMut(&LogLine) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut query = LogQuery { after: None, limit: None, wait: follow.then_some(WAIT) };
    loop {
        let page = match client.service_logs(name, &query) {
            Ok(page) => page,
            // Removed while it was followed.
            Err(error) if query.after.is_some() && is_gone(&error) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        page.lines.iter().try_for_each(&mut show)?;
        if page.complete || (!follow && page.lines.is_empty()) {
            return Ok(());
        }
        query.after = Some(page.next);
    }
}

fn is_gone(error: &ClientError) -> bool {
    error.status() == Some(404)
}

fn list(services: &[Service], style: Style) -> String {
    let mut table =
        Table::new(&["NAME", "STATUS", ">REQUESTS", ">FAILED", ">RUNNING", ">CPU", "PATH", "LEASE"]);
    for service in services {
        let usage = &service.usage;
        table.row([
            service.name.clone(),
            human::named(&service.status),
            usage.requests.to_string(),
            (usage.requests - usage.answered.min(usage.requests)).to_string(),
            usage.running.to_string(),
            human::seconds(usage.cpu_time),
            service.path.clone(),
            service.allocation_id.clone(),
        ]);
    }
    table.render(style)
}

fn show(service: &Service, style: Style) -> String {
    let limits = format!(
        "{} at the same time, {} s each, bodies up to {}, {} of memory each",
        service.concurrency,
        service.timeout,
        human::bytes(Some(service.max_body)),
        human::bytes(service.memory_per_request)
    );
    let lease = if service.owns_allocation { "its own" } else { "given" };
    let mut members = vec![
        ("name", service.name.clone()),
        ("url", service.url.clone()),
        ("status", human::named(&service.status)),
        ("limits", limits),
        ("requests", requests(&service.usage)),
        ("cpu", human::seconds(service.usage.cpu_time)),
        ("vm", service.vm_asset_id.clone()),
        ("package", service.catalog_id.clone()),
        ("allocation", format!("{} ({lease})", service.allocation_id)),
        ("requester", service.requester_id.clone()),
        ("made", format!("{:.0}", service.created_at)),
    ];
    if let Some(reason) = &service.end_reason {
        members.push(("ended", reason.clone()));
    }
    if service.dropped_log_lines > 0 {
        members.push(("log lines dropped", service.dropped_log_lines.to_string()));
    }
    fields(&members, style)
}

fn requests(usage: &ServiceUsage) -> String {
    let mut text = format!("{} answered", usage.answered);
    for (kind, count) in &usage.failures {
        text.push_str(&format!(", {} {}", human::plain(count), human::printable(kind)));
    }
    if usage.turned_away > 0 {
        text.push_str(&format!(", {} turned away", usage.turned_away));
    }
    format!("{text}; {} run, {} wait", usage.running, usage.waiting)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_failure_is_named() {
        let usage: ServiceUsage = serde_json::from_value(json!({
            "requests": 9, "answered": 5, "failures": { "trap": 3, "abandoned": 1 }, "turned_away": 2, "running": 1,
            "waiting": 0, "cpu_time": null
        }))
        .unwrap();
        assert_eq!(requests(&usage), "5 answered, 1 abandoned, 3 trap, 2 turned away; 1 run, 0 wait");
    }
}
