//! `alloc`: leases on a part of the machine.

mod change;
mod create;
mod exec;
mod size;
mod usage;
mod view;

use crate::context::Context;
use crate::human;
use crate::parse;
use anyhow::bail;
use clap::Subcommand;
use hypermesh_wire::allocations::{AllocationQuery, AllocationStatus, Phase};
use std::ffi::OsString;

/// `alloc …`
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lease a part of the machine
    Create(Box<create::Create>),
    /// List leases
    List {
        /// Only of this asset
        #[arg(long, value_name = "ID")]
        asset: Option<String>,
        /// pending, active, completed, cancelled or failed
        #[arg(long, value_parser = parse::name::<AllocationStatus>)]
        status: Option<AllocationStatus>,
        /// queued, reserved, pending, active, frozen, completed, cancelled or failed
        #[arg(long, value_parser = parse::name::<Phase>)]
        phase: Option<Phase>,
    },
    /// Show one lease
    Get {
        /// Its id
        id: String,
    },
    /// Change the size of a lease
    Resize(Box<change::Resize>),
    /// Move the end of a lease; a frozen one goes on
    Renew(change::Renew),
    /// End a lease and whatever runs in it; one that waits is withdrawn
    Release {
        /// Its id
        id: String,
    },
    /// Move a running process into a lease, and say what does not move with it
    Attach {
        /// The lease's id
        id: String,
        /// The process
        pid: u32,
    },
    /// Show what a lease uses
    Usage {
        /// Its id
        id: String,
        /// Go on until the lease ends
        #[arg(short, long)]
        follow: bool,
        /// Time between two readings: 1 to 60 seconds
        #[arg(long, default_value = "1", value_parser = clap::value_parser!(u64).range(1..=60), value_name = "SECONDS")]
        interval: u64,
    },
    /// Show who waits for room, and until when
    Queue,
    /// Show what the kernel holds for a lease, read now
    Enforcement {
        /// Its id
        id: String,
    },
    /// Run a command inside a lease, on this machine; the exit code is the command's
    Exec {
        /// The lease's id
        id: String,
        /// The command and its arguments
        #[arg(last = true, required = true, value_name = "COMMAND")]
        command: Vec<OsString>,
    },
}

/// Runs `alloc …`.
pub(crate) fn run(context: &Context, command: Command) -> anyhow::Result<()> {
    let client = context.client()?;
    let output = context.output;
    match command {
        Command::Create(options) => create::run(context, &client, *options),
        Command::List { asset, status, phase } => {
            let query = AllocationQuery { asset_id: asset, status, phase, ..AllocationQuery::default() };
            output.show(&client.allocations(&query)?, |leases, style| view::list(leases, style))
        }
        Command::Get { id } => output.show(&client.allocation(&id)?, view::show),
        Command::Resize(options) => change::resize(context, &client, &options),
        Command::Renew(options) => change::renew(context, &client, &options),
        Command::Release { id } => {
            output.show(&client.release(&id)?, |answer, _| human::printable(&answer.message) + "\n")
        }
        Command::Attach { id, pid } => output.show(&client.attach(&id, pid)?, change::attached),
        Command::Usage { id, follow: false, .. } => output.show(&client.usage(&id)?, usage::show),
        Command::Usage { id, follow: true, interval } => usage::follow(context, &client, &id, interval),
        Command::Queue => output.show(&client.queue()?, |entries, style| view::queue(entries, style)),
        Command::Enforcement { id } => output.show(&client.enforcement(&id)?, view::receipt),
        Command::Exec { id, command } => {
            let lease = client.allocation(&id)?;
            if lease.phase != Phase::Active {
                bail!("allocation {id} is {}, not active", human::named(&lease.phase));
            }
            exec::run(&client.enforcement(&id)?, &lease.resources.gpus, &command)
        }
    }
}
