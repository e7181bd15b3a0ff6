//! `guest`: the author's loop. A project is written, built, tested in the jail, run, looked at and published.
//!
//! ```text
//! new ─▶ project ─▶ build ─▶ component ─▶ inspect
//!                                 ├─▶ test     a private node, every case of tests/cases.toml
//!                                 ├─▶ run      the running node, or a private one
//!                                 └─▶ publish  the node's catalog, and a registry
//! ```
//!
//! Compilers are the author's; their messages go to stderr as they come. Left to others: what a component may do and
//! whether it is admitted (the engine), running it (the node).

mod build;
mod embedded;
mod inspect;
mod new;
mod private;
mod project;
mod publish;
mod run;
mod test;
mod tools;

use crate::context::Context;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `guest …`
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a small project that builds at once
    New(new::Arguments),
    /// Build the project's component
    Build(Place),
    /// Test the logic on this machine, then the component in the real jail, with limits
    Test(test::Arguments),
    /// Build, upload and run on the running node, or on one that lives as long as the run
    Run(run::Arguments),
    /// Show what a component is, what it may do, and whether a node would admit it
    Inspect(inspect::Arguments),
    /// Build, inspect and upload as a new version
    Publish(publish::Arguments),
}

/// Which project.
#[derive(Debug, Clone, Args)]
pub(crate) struct Place {
    /// The project's folder [default: the one here, or above]
    #[arg(long, value_name = "DIR")]
    project: Option<PathBuf>,
}

/// Runs `guest …`.
pub(crate) fn run(context: &Context, command: Command) -> anyhow::Result<()> {
    match command {
        Command::New(arguments) => new::run(context, &arguments),
        Command::Build(place) => build::run(context, &place),
        Command::Test(arguments) => test::run(context, &arguments),
        Command::Run(arguments) => run::run(context, &arguments),
        Command::Inspect(arguments) => inspect::run(context, &arguments),
        Command::Publish(arguments) => publish::run(context, &arguments),
    }
}
