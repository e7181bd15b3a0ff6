//! `alloc resize`, `alloc renew`, and how the answer of `alloc attach` is told.

use super::size::{Size, text};
use super::view;
use crate::context::Context;
use crate::human;
use crate::output::Style;
use crate::parse;
use crate::table::{Table, fields};
use clap::{ArgGroup, Args};
use hypermesh_client::Client;
use hypermesh_wire::allocations::{Attached, ResizeAllocation};

/// `alloc resize …`
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("change").args([
    "cpu", "cpu_millis", "burst", "memory", "memory_request", "pids", "io_read_bps", "io_write_bps", "io_read_iops",
    "io_write_iops", "storage",
]).required(true).multiple(true))]
pub(crate) struct Resize {
    /// The lease's id
    id: String,
    #[command(flatten)]
    size: Size,
    /// Shrink below what is in use: what does not fit is killed
    #[arg(long)]
    force: bool,
    /// Only if the lease is at this generation
    #[arg(long, value_name = "GENERATION")]
    if_match: Option<u64>,
}

/// `alloc renew …`
#[derive(Debug, Args)]
pub(crate) struct Renew {
    /// The lease's id
    id: String,
    /// It ends so long from now: seconds, or with s, m, h or d
    #[arg(long, default_value = "1h", value_parser = parse::seconds, value_name = "TIME")]
    duration: u64,
    /// Only if the lease is at this generation
    #[arg(long, value_name = "GENERATION")]
    if_match: Option<u64>,
}

/// Runs `alloc resize`.
pub(crate) fn resize(context: &Context, client: &Client, options: &Resize) -> anyhow::Result<()> {
    let size = &options.size;
    let change = ResizeAllocation {
        cpu: size.cpu,
        cpu_millis: size.cpu_millis,
        cpu_burst_us: size.burst,
        memory: size.memory.map(text),
        memory_request: size.memory_request.map(text),
        pids: size.pids,
        io: size.io(),
        storage: size.storage.map(text),
        force: options.force.then_some(true),
    };
    context.output.show(&client.resize(&options.id, &change, options.if_match)?, view::show)
}

/// Runs `alloc renew`.
pub(crate) fn renew(context: &Context, client: &Client, options: &Renew) -> anyhow::Result<()> {
    context.output.show(&client.renew(&options.id, options.duration, options.if_match)?, view::show)
}

/// What moved with a process, and what did not.
pub(crate) fn attached(answer: &Attached, style: Style) -> String {
    let command = answer.command.clone().unwrap_or_else(|| human::UNKNOWN.to_owned());
    let mut text = fields(
        &[
            ("allocation", answer.allocation_id.clone()),
            ("process", format!("{} {command}", answer.pid)),
            ("threads", answer.threads.to_string()),
            ("moved", answer.moved.join("\n")),
        ],
        style,
    );
    if !answer.stays.is_empty() {
        let mut table = Table::new(&["STAYS", ">BYTES", "WHY"]);
        for stays in &answer.stays {
            table.row([stays.what.clone(), human::bytes(stays.bytes), stays.detail.clone()]);
        }
        text.push('\n');
        text.push_str(&table.render(style));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use hypermesh_wire::allocations::Stays;

    #[test]
    fn what_did_not_move_is_told_with_its_size() {
        let stays =
            Stays { what: "charged_memory".into(), detail: "stays where it is".into(), bytes: Some(2048) };
        let answer = Attached {
            allocation_id: "a1".into(),
            pid: 42,
            command: Some("sleep".into()),
            threads: 1,
            moved: vec!["cpu".into(), "memory".into()],
            stays: vec![stays],
        };
        let text = attached(&answer, Style::PLAIN);
        assert!(
            text.contains("42 sleep") && text.contains("charged_memory  2 KiB  stays where it is"),
            "{text}"
        );
    }
}
