//! `events`: what happened on the node, and what happens.

use crate::context::Context;
use crate::human;
use crate::output::Style;
use clap::Args;
use hypermesh_client::{Notice, Start};
use hypermesh_wire::events::Event;

/// `events …`
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Go on with what happens; without --after, from now
    #[arg(short, long)]
    follow: bool,
    /// Only events after this number [default: all that the node still has]
    #[arg(long, value_name = "NUMBER")]
    after: Option<u64>,
}

/// Runs `events …`.
pub(crate) fn run(context: &Context, arguments: Arguments) -> anyhow::Result<()> {
    let start = match (arguments.follow, arguments.after) {
        (true, None) => Start::Now,
        (true, Some(after)) => Start::After(after),
        (false, after) => Start::RecordedAfter(after.unwrap_or(0)),
    };
    for notice in context.client()?.events(start) {
        match notice? {
            Notice::Event(event) => context.output.show_next(&event, line)?,
            Notice::Gone { oldest } => {
                let from = oldest.map_or_else(String::new, |oldest| format!(" before {oldest}"));
                crate::say!("{}", context.talk.faint(&format!("events{from} are no longer kept")));
            }
        }
    }
    Ok(())
}

fn line(event: &Event, style: Style) -> String {
    let number = style.faint(&format!("{:>6}  {:.3}", event.sequence, event.at));
    let data = match human::plain(&event.data) {
        data if data.is_empty() || data == human::UNKNOWN => String::new(),
        data => format!("  {}", style.faint(&data)),
    };
    format!("{number}  {:<20}  {}{data}\n", human::printable(&event.kind), human::printable(&event.subject))
}
