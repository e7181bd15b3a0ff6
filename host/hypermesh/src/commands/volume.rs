//! `volume`: the folders of leases, live ones and those that were kept.

use crate::context::Context;
use crate::human;
use crate::table::Table;
use clap::Subcommand;

/// `volume …`
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List folders
    List,
    /// Remove a kept folder with what is in it
    Remove {
        /// The id of the lease that it was made for
        lease: String,
    },
}

/// Runs `volume …`.
pub(crate) fn run(context: &Context, command: Command) -> anyhow::Result<()> {
    let client = context.client()?;
    match command {
        Command::List => context.output.show(&client.volumes()?, |volumes, style| {
            let mut table = Table::new(&["LEASE", "STATE", ">USED", ">SIZE", "BOUNDED BY", "PATH"]);
            for volume in volumes {
                table.row([
                    volume.allocation_id.clone(),
                    if volume.kept { "kept" } else { "live" }.into(),
                    human::bytes(volume.used),
                    human::bytes(Some(volume.size)),
                    volume.method.clone(),
                    volume.path.clone(),
                ]);
            }
            table.render(style)
        }),
        Command::Remove { lease } => context
            .output
            .show(&client.remove_volume(&lease)?, |answer, _| human::printable(&answer.message) + "\n"),
    }
}
