//! `catalog`: packages, and installing them as vm assets.

use crate::context::Context;
use crate::files::LocalFile;
use crate::human;
use crate::job::package;
use crate::output::Style;
use crate::parse;
use crate::table::{Table, fields};
use clap::{Args, Subcommand};
use hypermesh_model::Bytes;
use hypermesh_wire::assets::{PrivacyLevel, ResourceLimits};
use hypermesh_wire::catalog::{CatalogApplication, CatalogQuery, Deprecate, Install, Installed, UploadQuery};
use std::path::PathBuf;

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
    /// Upload a component; one that is there already is not sent again
    #[command(alias = "add")]
    Import(Import),
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

/// A new package.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The component, a .wasm file
    file: PathBuf,
    /// Its name: a-z, 0-9 and - [default: made from the file's]
    #[arg(long)]
    name: Option<String>,
    /// Its version [default: 0.1.0, or the next one of that name]
    #[arg(long)]
    version: Option<String>,
    /// One line for people
    #[arg(long)]
    description: Option<String>,
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
        Command::Import(Import { file, name, version, description }) => {
            let mut file = LocalFile::open(&file)?;
            let name = Some(name.unwrap_or_else(|| package::name_of(&file.path)));
            let about = UploadQuery { name, version, description };
            let (application, is_new) = package::ensure(&client, &mut file, about)?;
            if !is_new {
                crate::say!(
                    "this component is there already, as {} {}",
                    application.name,
                    application.version
                );
            }
            output.show(&application, show)
        }
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

fn list(applications: &[CatalogApplication], style: Style) -> String {
    let mut table = Table::new(&["ID", "NAME", "VERSION", "TYPE", "STATUS", "SIZE", "DESCRIPTION"]);
    for application in applications {
        table.row([
            application.id.clone(),
            application.name.clone(),
            application.version.clone(),
            application.application_type.clone(),
            application.status.clone(),
            application.size.clone(),
            application.description.clone(),
        ]);
    }
    table.render(style)
}

fn show(application: &CatalogApplication, style: Style) -> String {
    let operations = application.operations.iter();
    let operations = operations.map(|operation| {
        format!("{}: {}\n  parameters {}", operation.name, operation.description, operation.parameters)
    });
    let capabilities = application.capabilities.iter();
    let capabilities =
        capabilities.map(|capability| format!("{}: {}", capability.import, capability.meaning));
    let unknown = || human::UNKNOWN.to_owned();
    let deprecated = application.deprecated.as_ref();
    let metadata = &application.metadata;
    fields(
        &[
            ("id", application.id.clone()),
            ("name", application.name.clone()),
            ("version", application.version.clone()),
            ("type", application.application_type.clone()),
            ("status", application.status.clone()),
            ("description", application.description.clone()),
            ("deprecated", deprecated.map_or_else(unknown, |d| format!("by {}: {}", d.by, d.reason))),
            ("uploaded by", application.author.clone()),
            ("written by", metadata.authors.clone().unwrap_or_else(unknown)),
            ("licence", metadata.licenses.clone().unwrap_or_else(unknown)),
            ("source", metadata.source.clone().unwrap_or_else(unknown)),
            ("size", application.size.clone()),
            ("sha256", application.digest.clone()),
            ("downloads", application.downloads.to_string()),
            ("vm asset", application.asset_id.clone().unwrap_or_else(unknown)),
            ("operations", operations.collect::<Vec<_>>().join("\n")),
            ("may", capabilities.collect::<Vec<_>>().join("\n")),
        ],
        style,
    )
}

fn show_installed(installed: &Installed, style: Style) -> String {
    fields(
        &[
            ("vm asset", installed.vm_asset.id.clone()),
            ("name", installed.vm_asset.name.clone()),
            ("status", installed.installation.status.clone()),
            ("log", installed.installation.logs.join("\n")),
        ],
        style,
    )
}
