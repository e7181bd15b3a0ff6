//! The one binary: command line and node.
//!
//! Hidden subcommands come first, before a thread or an argument parser exists: they are what the node starts as
//! worker and compiler processes, and they must stay small. Everything else is a command of [`cli`]; only `serve` and
//! `demo` build a runtime, the others block.
//!
//! Data goes to stdout, talk to stderr. [`failure`] is the one place that turns errors into exit codes.
#![forbid(unsafe_code)]

mod bar;
mod cli;
mod commands;
mod context;
mod failure;
mod files;
mod hidden;
mod human;
mod job;
mod output;
mod parse;
mod table;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = hidden::dispatch(std::env::args_os()) {
        return code;
    }
    let cli = cli::Cli::parse();
    let style = output::Style::of_stderr(cli.global.color);
    match commands::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => ExitCode::from(failure::report(&error, style)),
    }
}
