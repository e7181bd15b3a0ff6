//! `config`: the configuration that a node would start with, and where each value comes from.

use crate::cli::NodeOptions;
use crate::context::Context;
use crate::human;
use crate::table::Table;
use clap::Subcommand;
use hypermesh_node::{Config, ConfigError, ConfigSources, Setting};
use serde::Serialize;

/// `config …`
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print the configuration in effect
    Show {
        /// Say where each value comes from
        #[arg(long)]
        origin: bool,
        #[command(flatten)]
        options: NodeOptions,
    },
}

#[derive(Serialize)]
struct Line {
    key: &'static str,
    value: String,
    origin: String,
}

/// The configuration of a node with these flags.
///
/// # Errors
/// What is wrong with which source.
pub(crate) fn load(context: &Context, options: NodeOptions) -> Result<Config, ConfigError> {
    Config::load(ConfigSources {
        file: options.config,
        data_dir: context.given_data_dir.clone(),
        listen_trustchain: options.listen_trustchain,
        listen_stoq: options.listen_stoq,
        listen_hypermesh: options.listen_hypermesh,
        listen_dns: options.listen_dns,
        tls: options.tls.then_some(true),
        zone: options.zone,
        // A flag that isn't given says nothing, rather than no.
        allow_unenforced: options.allow_unenforced.then_some(true),
        cgroup_parent: options.cgroup_parent,
        log_format: options.log_format,
        log_filter: options.log_filter,
    })
}

/// Runs `config …`.
pub(crate) fn run(context: &Context, command: Command) -> anyhow::Result<()> {
    let Command::Show { origin, options } = command;
    let config = load(context, options)?;
    let lines: Vec<Line> = config
        .explain()
        .into_iter()
        .map(|Setting { key, value, origin }| Line { key, value, origin: origin.to_string() })
        .collect();
    let table = |lines: &[Line], style| {
        let heads: &[&str] = if origin { &["KEY", "VALUE", "FROM"] } else { &["KEY", "VALUE"] };
        let mut table = Table::new(heads);
        for line in lines {
            table.row([line.key.to_owned(), human::printable(&line.value), line.origin.clone()]);
        }
        table.render(style)
    };
    if origin {
        context.output.show(&lines, |_, style| table(&lines, style))
    } else {
        context.output.show(&config, |_, style| table(&lines, style))
    }
}
