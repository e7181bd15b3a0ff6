//! What each command does, one file a group.

pub(crate) mod acme;
pub(crate) mod alloc;
pub(crate) mod api;
pub(crate) mod array;
pub(crate) mod asset;
pub(crate) mod ca;
pub(crate) mod catalog;
pub(crate) mod cert;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod demo;
pub(crate) mod dns;
mod doctor;
pub(crate) mod events;
pub(crate) mod exec;
pub(crate) mod guest;
pub(crate) mod log;
pub(crate) mod quota;
pub(crate) mod run;
pub(crate) mod schedule;
pub(crate) mod serve;
pub(crate) mod service;
mod status;
mod story;
pub(crate) mod token;
mod top;
pub(crate) mod volume;

use crate::cli::{Cli, Command};
use crate::context::Context;

/// Does what was asked.
///
/// # Errors
/// Whatever went wrong; [`crate::failure`] knows what to say and which code to exit with.
pub(crate) fn run(cli: Cli) -> anyhow::Result<()> {
    let context = Context::new(cli.global);
    match cli.command {
        Command::Demo(arguments) => demo::run(&context, arguments),
        Command::Serve(arguments) => serve::run(&context, arguments),
        Command::Status => status::run(&context),
        Command::Top => top::run(&context),
        Command::Doctor(options) => doctor::run(&context, options),
        Command::Asset(command) => asset::run(&context, command),
        Command::Alloc(command) => alloc::run(&context, command),
        Command::Quota(command) => quota::run(&context, command),
        Command::Volume(command) => volume::run(&context, command),
        Command::Token(command) => token::run(&context, command),
        Command::Run(arguments) => run::run(&context, *arguments),
        Command::Service(command) => service::run(&context, command),
        Command::Exec(command) => exec::run(&context, command),
        Command::Guest(command) => guest::run(&context, command),
        Command::Array(command) => array::run(&context, command),
        Command::Schedule(command) => schedule::run(&context, command),
        Command::Catalog(command) => catalog::run(&context, command),
        Command::Cert(command) => cert::run(&context, *command),
        Command::Ca(command) => ca::run(&context, command),
        Command::Dns(command) => dns::run(&context, command),
        Command::Log(command) => log::run(&context, command),
        Command::Acme(command) => acme::run(&context, command),
        Command::Api(arguments) => api::run(&context, arguments),
        Command::Events(arguments) => events::run(&context, arguments),
        Command::Config(command) => config::run(&context, command),
        Command::Completions(arguments) => completions::run(&arguments),
    }
}
