//! `demo`: a node in this process and a client that talks to it over REST, as anybody could.
//!
//! The node runs on the runtime's threads; the story (see `story`) is told from a blocking one. Ctrl-C stops the node
//! in order at any time.

use crate::cli::NodeOptions;
use crate::commands::story::Story;
use crate::commands::{config, serve};
use crate::context::{self, Context};
use crate::files::LocalFile;
use clap::Args;
use hypermesh_client::Client;
use hypermesh_node::{Node, Signals};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// `demo …`
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The file to work on [default: Cargo.lock here, else this program's own file]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Stop after the job, instead of serving until Ctrl-C
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    options: NodeOptions,
}

/// How long the end waits for a story that was interrupted: its requests have failed with the node.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Runs `demo …`.
pub(crate) fn run(context: &Context, arguments: Arguments) -> anyhow::Result<()> {
    let mut options = arguments.options;
    // The story is what one came for; a warning would still be said.
    options.log_filter = options.log_filter.or_else(|| Some("warn".to_owned()));
    let config = config::load(context, options)?;
    hypermesh_node::init_logging(&config, context.talk.is_on())?;
    let file = LocalFile::open(&chosen(arguments.file)?)?;
    let runtime = serve::runtime()?;
    let outcome = runtime.block_on(async {
        let data_dir = config.data_dir.clone();
        let node = Node::start(config).await?;
        node.install_samples().await?;
        let url = node.bound().url(node.bound().hypermesh);
        let trust = context::recorded_trust(&data_dir)?;
        let client = Client::trusting(&url, context::recorded_token(&data_dir)?, trust.as_ref())?;
        let token_file = context::token_file(&data_dir);
        let story = Story { client, style: context.output.style, talk: context.talk, token_file };
        let mut telling = tokio::task::spawn_blocking(move || story.tell(file));
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let told = tokio::select! {
            told = &mut telling => told?,
            _ = terminate.recv() => return Ok(node.stop().await?),
            _ = interrupt.recv() => return Ok(node.stop().await?),
        };
        match told {
            Ok(()) if !arguments.once => {
                crate::say!("\nserving on {url}; Ctrl-C stops the node");
                Ok(node.run_until(Signals::watch()?).await?)
            }
            told => {
                node.stop().await?;
                told
            }
        }
    });
    runtime.shutdown_timeout(LAST_WORDS);
    outcome
}

fn chosen(file: Option<PathBuf>) -> std::io::Result<PathBuf> {
    match file {
        Some(file) => Ok(file),
        None if Path::new("Cargo.lock").is_file() => Ok("Cargo.lock".into()),
        None => std::env::current_exe(),
    }
}
