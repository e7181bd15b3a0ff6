//! `catalog`: packages, installing them as vm assets, and their way to other nodes and registries.

mod registry;
mod show;

use crate::context::Context;
use crate::human;
use crate::job::package;
use crate::parse;
use clap::{Args, Subcommand};
use hypermesh_model::Bytes;
use hypermesh_wire::assets::{PrivacyLevel, ResourceLimits};
use hypermesh_wire::catalog::{CatalogQuery, Deprecate, Install};
pub(crate) use show::show;
use show::{list, show_installed};

/// `catalog …`
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List packages, of each name the newest version first
    List(Filters),
    /// Find packages: every word must stand in name, description, author, metadata or an operation
    Search {
        /// The words
        #[arg(required = true)]
        words: Vec<String>,
    },
    /// Show one package: its operations and what it may do
    #[command(alias = "get")]
    Show {
        /// Its id, its name, or a name and a requirement, e.g. hash-files@^1.2
        package: String,
    },
    /// List the versions of a package, newest first
    Versions {
        /// Its name
        name: String,
    },
    /// Upload a component, or an archive as `export` writes it; a component that is there already is not sent again
    #[command(alias = "add")]
    Import(registry::Import),
    /// Write a package, with its signatures, as an OCI image layout into a tar archive
    Export(registry::Export),
    /// Pull a package from a registry
    Pull(registry::Pull),
    /// Push a package and its signatures to a registry
    Push(registry::Push),
    /// Sign a package with a key that stays here; cosign verifies it once it is pushed
    Sign(registry::Sign),
    /// Verify, on this machine, that a package or archive is whole and signed by a key
    Verify(registry::Verify),
    /// Install a package as a vm asset
    Install(Options),
    /// Say that a version should not be chosen any more; it still runs
    Deprecate {
        /// Its id, or name@version
        package: String,
        /// Why, and what to use instead
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Take a deprecation back
    Undeprecate {
        /// Its id, or name@version
        package: String,
    },
    /// Remove a package that nothing uses
    Remove {
        /// Its id, or name@version
        package: String,
    },
}

/// Which packages are listed.
#[derive(Debug, Args)]
pub(crate) struct Filters {
    /// Only this name
    #[arg(long)]
    name: Option<String>,
    /// Only this type, e.g. job
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Only this status: available, installed or deprecated
    #[arg(long)]
    status: Option<String>,
}

/// How a package is installed.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Its id, its name, or a name and a requirement, e.g. hash-files@^1.2
    package: String,
    /// CPU share of each execution, percent of the pool
    #[arg(long, value_parser = parse::percent, value_name = "PERCENT")]
    cpu: Option<f64>,
    /// Memory of each execution, e.g. 256MiB
    #[arg(long, value_parser = parse::size, value_name = "SIZE")]
    memory: Option<Bytes>,
    /// Bytes that each execution may write to its outputs, e.g. 64MiB
    #[arg(long, value_parser = parse::size, value_name = "SIZE")]
    storage: Option<Bytes>,
    /// Longest execution: seconds, or with s, m, h or d
    #[arg(long, value_parser = parse::seconds, value_name = "TIME")]
    timeout: Option<u64>,
    /// private, private_network, p2p, public_network or full_public
    #[arg(long, value_parser = parse::name::<PrivacyLevel>, value_name = "LEVEL")]
    privacy_level: Option<PrivacyLevel>,
}

impl Options {
    fn limits(&self) -> ResourceLimits {
        let default = ResourceLimits::default();
        let text = |size: Bytes| format!("{} B", size.0);
        ResourceLimits {
            max_cpu: self.cpu.unwrap_or(default.max_cpu),
            max_memory: self.memory.map_or(default.max_memory, text),
            max_storage: self.storage.map_or(default.max_storage, text),
            max_execution_time: self.timeout.unwrap_or(default.max_execution_time),
        }
    }
}

/// Runs `catalog …`.
pub(crate) fn run(context: &Context, command: Command) -> anyhow::Result<()> {
    let client = context.client()?;
    let output = context.output;
    match command {
        Command::List(Filters { name, kind, status }) => {
            let query = CatalogQuery { name, application_type: kind, status, ..CatalogQuery::default() };
            output.show(&client.applications(&query)?, |found, style| list(found, style))
        }
        Command::Search { words } => {
            let query = CatalogQuery { q: Some(words.join(" ")), ..CatalogQuery::default() };
            output.show(&client.applications(&query)?, |found, style| list(found, style))
        }
        Command::Show { package } => output.show(&package::find(&client, &package)?, show),
        Command::Versions { name } => {
            let query = CatalogQuery { name: Some(name), ..CatalogQuery::default() };
            output.show(&client.applications(&query)?, |found, style| list(found, style))
        }
        Command::Deprecate { package, reason } => {
            let id = package::find(&client, &package)?.id;
            output.show(&client.deprecate(&id, &Deprecate { reason })?, show)
        }
        Command::Undeprecate { package } => {
            let id = package::find(&client, &package)?.id;
            output.show(&client.undeprecate(&id)?, show)
        }
        Command::Remove { package } => {
            let id = package::find(&client, &package)?.id;
            output
                .show(&client.remove_application(&id)?, |answer, _| human::printable(&answer.message) + "\n")
        }
        Command::Import(arguments) => registry::import(context, &client, arguments),
        Command::Export(arguments) => registry::export(&client, &arguments),
        Command::Pull(arguments) => registry::pull(context, &client, arguments),
        Command::Push(arguments) => registry::push(context, &client, arguments),
        Command::Sign(arguments) => registry::sign(context, &client, &arguments),
        Command::Verify(arguments) => registry::verify(context, &client, &arguments),
        Command::Install(options) => {
            let application = package::find(&client, &options.package)?;
            let request = Install {
                catalog_id: application.id,
                privacy_level: options.privacy_level,
                resource_limits: Some(options.limits()),
            };
            if let Some(deprecated) = &application.deprecated {
                let warning = format!("{} is deprecated: {}", application.version, deprecated.reason);
                crate::say!("{}", context.talk.warning(&human::printable(&warning)));
            }
            output.show(&client.install(&request)?, show_installed)
        }
    }
}
