//! `serve`: runs a node in this process until SIGINT or SIGTERM.

use crate::cli::NodeOptions;
use crate::commands::config;
use crate::context::Context;
use crate::output::{Format, Style, print};
use crate::table::fields;
use anyhow::Context as _;
use clap::Args;
use hypermesh_node::{Bound, Node, Signals};
use tokio::runtime::{Builder, Runtime};

/// `serve …`
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    options: NodeOptions,
}

/// Runs `serve …`. The bound addresses are its data: one line with `-o json`, so that a script can read it and go on.
pub(crate) fn run(context: &Context, arguments: Arguments) -> anyhow::Result<()> {
    let config = config::load(context, arguments.options)?;
    hypermesh_node::init_logging(&config, context.talk.is_on())?;
    runtime()?.block_on(async {
        let node = Node::start(config).await?;
        let bound = node.bound();
        let text = match context.output.format {
            Format::Table => addresses(bound, context.output.style),
            Format::Json => serde_json::to_string(bound)? + "\n",
            Format::Yaml => serde_yaml_ng::to_string(bound)?,
        };
        let signals = Signals::watch()?;
        print(&text)?;
        Ok(node.run_until(signals).await?)
    })
}

/// The runtime of a node.
///
/// # Errors
/// When the system has no threads left.
pub(crate) fn runtime() -> anyhow::Result<Runtime> {
    Builder::new_multi_thread().enable_all().build().context("could not start the runtime's threads")
}

fn addresses(bound: &Bound, style: Style) -> String {
    let dns: Vec<_> = bound.dns.iter().map(ToString::to_string).collect();
    fields(
        &[
            ("hypermesh", bound.url(bound.hypermesh)),
            ("trustchain", bound.url(bound.trustchain)),
            ("stoq", bound.url(bound.stoq)),
            ("dns", dns.join(" ")),
        ],
        style,
    )
}
