//! `array`, and `run --array`: one operation over many parameters.
//!
//! An array is the node's: it goes on when this program ends, and `array follow` shows its results again.

mod follow;
mod spec;

use crate::context::Context;
use crate::failure::Failure;
use crate::human;
use crate::output::Style;
use crate::table::{Table, fields};
use clap::{Args, Subcommand};
use follow::follow;
use hypermesh_client::Client;
use hypermesh_wire::arrays::{ArrayItem, ArrayItemQuery, ArrayQuery, ArrayStatus, CreateArray, VmArray};
use hypermesh_wire::catalog::CatalogApplication;
use hypermesh_wire::executions::ExecuteVm;
use spec::Items;

/// Over which parameters `run` runs, and how.
#[derive(Debug, Args)]
#[command(next_help_heading = "Array options")]
pub(crate) struct Fan {
    /// Run over many parameters: NAME=1,2,4 or NAME=1..100 or NAME=1..100:5 (several: every combination), or a file with
    /// a JSON object of parameters a line
    #[arg(long = "array", value_name = "NAME=VALUES|FILE", conflicts_with = "output_dir")]
    specs: Vec<String>,
    /// At most so many at a time [default: as many as the node has CPUs]
    #[arg(long, requires = "specs", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    parallel: Option<u32>,
    /// Start nothing more after so many failures
    #[arg(long, requires = "specs", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    max_failures: Option<u32>,
    /// Print results as they come, not by index
    #[arg(long, requires = "specs")]
    unordered: bool,
}

/// An array to begin, and how its results are wanted.
#[derive(Debug)]
pub(crate) struct Request {
    array: CreateArray,
    unordered: bool,
}

impl Fan {
    /// What differs from index to index; `None` where one execution is meant.
    ///
    /// # Errors
    /// [`Failure::Usage`] for what can't be read so.
    pub(crate) fn items(&self) -> anyhow::Result<Option<Items>> {
        if self.specs.is_empty() { Ok(None) } else { spec::read(&self.specs).map(Some) }
    }

    /// The request for all of it.
    pub(crate) fn request(&self, execution: ExecuteVm, items: Items) -> Request {
        let mut array = CreateArray {
            parallelism: self.parallel,
            max_failures: self.max_failures,
            ..CreateArray::new(execution)
        };
        match items {
            Items::List(items) => array.items = Some(items),
            Items::Matrix(values) => array.matrix = Some(values),
            Items::Range(range) => array.range = Some(range),
        }
        Request { array, unordered: self.unordered }
    }
}

/// Begins an array, follows it and prints its results.
///
/// # Errors
/// What the node says; [`Failure::EXPLAINED`] where not every index gave a result.
pub(crate) fn run_over(
    context: &Context,
    client: &Client,
    application: &CatalogApplication,
    request: Request,
) -> anyhow::Result<()> {
    let begun = client.create_array(&request.array)?;
    let told = format!("{} {}: {}", application.name, application.version, begun.id);
    crate::say!("{}", context.talk.faint(&told));
    conclude(context, &follow(context, client, &begun, request.unordered)?)
}

/// `array …`
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List arrays
    List,
    /// Show one array
    Show {
        /// Its id
        id: String,
        /// With its indexes
        #[arg(long)]
        items: bool,
    },
    /// Print an array's results, and go on until it ends
    Follow {
        /// Its id
        id: String,
        /// Print results as they came, not by index
        #[arg(long)]
        unordered: bool,
    },
    /// End an array: kill what runs, drop what waits
    Cancel {
        /// Its id
        id: String,
    },
}

/// Runs `array …`.
pub(crate) fn run(context: &Context, command: Command) -> anyhow::Result<()> {
    let client = context.client()?;
    let output = context.output;
    match command {
        Command::List => {
            output.show(&client.arrays(&ArrayQuery::default())?, |arrays, style| list(arrays, style))
        }
        Command::Show { id, items: false } => output.show(&client.array(&id)?, show),
        Command::Show { id, items: true } => {
            output.show(&all_items(&client, &id)?, |items, style| table_of(items, style))
        }
        Command::Follow { id, unordered } => {
            let array = client.array(&id)?;
            conclude(context, &follow(context, &client, &array, unordered)?)
        }
        Command::Cancel { id } => output.show(&client.cancel_array(&id)?, |answer, _| {
            let reason =
                answer.reason.as_ref().map_or_else(String::new, |r| format!(": {}", human::printable(r)));
            format!("{}{reason}\n", if answer.cancelled { "cancelled" } else { "not cancelled" })
        }),
    }
}

fn all_items(client: &Client, id: &str) -> anyhow::Result<Vec<ArrayItem>> {
    let mut query = ArrayItemQuery::default();
    let mut all = Vec::new();
    loop {
        let page = client.array_items(id, &query)?;
        if page.items.is_empty() {
            return Ok(all);
        }
        all.extend(page.items);
        query.after = Some(page.next);
    }
}

/// The last words on stderr, and the exit code.
fn conclude(context: &Context, array: &VmArray) -> anyhow::Result<()> {
    let talk = context.talk;
    let status = human::named(&array.status);
    let seconds = array.ended_at.map(|end| end.duration_since(array.created_at).as_secs_f64());
    let told = format!("{} in {}: {}", status, human::seconds(seconds), in_words(array));
    let reason = array.reason.as_ref().map_or_else(String::new, |r| format!(": {}", human::printable(r)));
    match array.status {
        ArrayStatus::Completed => {
            crate::say!("{}", talk.good(&told));
            Ok(())
        }
        ArrayStatus::Failed | ArrayStatus::Cancelled | ArrayStatus::Running => {
            crate::say!("{}", talk.error(&format!("{told}{reason}")));
            Err(Failure::EXPLAINED.into())
        }
    }
}

/// How many are where, leaving out what is nowhere.
fn in_words(array: &VmArray) -> String {
    let counts = array.counts;
    let mut words = vec![format!("{} of {} completed", counts.completed, array.size)];
    let more = [
        (counts.running, "running"),
        (counts.failed, "failed"),
        (counts.cancelled, "cancelled"),
        (counts.waiting, if array.status.is_final() { "dropped" } else { "waiting" }),
    ];
    words.extend(more.iter().filter(|(count, _)| *count > 0).map(|(count, name)| format!("{count} {name}")));
    words.join(", ")
}

fn list(arrays: &[VmArray], style: Style) -> String {
    let mut table = Table::new(&["ID", "STATUS", "OPERATION", ">SIZE", ">ENDED", ">FAILED", "CREATED"]);
    for array in arrays {
        let counts = array.counts;
        table.row([
            array.id.clone(),
            human::named(&array.status),
            array.operation.clone(),
            array.size.to_string(),
            (counts.completed + counts.failed + counts.cancelled).to_string(),
            counts.failed.to_string(),
            format!("{:.0}", array.created_at),
        ]);
    }
    table.render(style)
}

fn show(array: &VmArray, style: Style) -> String {
    let mut members = vec![
        ("id", array.id.clone()),
        ("status", human::named(&array.status)),
        ("progress", in_words(array)),
        ("operation", array.operation.clone()),
        ("vm", array.vm_asset_id.clone()),
        ("at a time", array.parallelism.to_string()),
        ("created", format!("{:.0}", array.created_at)),
    ];
    members.extend(array.max_failures.map(|most| ("most failures", most.to_string())));
    members.extend(array.ended_at.map(|end| ("ended", format!("{end:.0}"))));
    members.extend(array.reason.clone().map(|reason| ("reason", reason)));
    members.extend(array.cancelled_by.clone().map(|by| ("cancelled by", by)));
    fields(&members, style)
}

fn table_of(items: &[ArrayItem], style: Style) -> String {
    let mut table = Table::new(&[">INDEX", "STATUS", "EXECUTION", "PARAMETERS", "CAUSE"]);
    for item in items {
        table.row([
            item.index.to_string(),
            human::named(&item.status),
            item.execution_id.clone().unwrap_or_else(|| human::UNKNOWN.to_owned()),
            serde_json::to_string(&item.parameters).unwrap_or_default(),
            item.cause.as_ref().map_or_else(String::new, |cause| cause.kind.clone()),
        ]);
    }
    table.render(style)
}
