//! How packages are shown: as rows, and one in full.

use crate::human;
use crate::output::Style;
use crate::table::{Table, fields};
use hypermesh_wire::catalog::{CatalogApplication, Installed};

pub(super) fn list(applications: &[CatalogApplication], style: Style) -> String {
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

pub(crate) fn show(application: &CatalogApplication, style: Style) -> String {
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
    let signed: Vec<String> = application.signatures.iter().map(|s| format!("key {}", s.key_id)).collect();
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
            ("manifest", application.manifest_digest.clone().unwrap_or_else(unknown)),
            ("pulled from", application.origin.clone().unwrap_or_else(unknown)),
            ("signed by", if signed.is_empty() { unknown() } else { signed.join("\n") }),
            ("downloads", application.downloads.to_string()),
            ("vm asset", application.asset_id.clone().unwrap_or_else(unknown)),
            ("operations", operations.collect::<Vec<_>>().join("\n")),
            ("may", capabilities.collect::<Vec<_>>().join("\n")),
        ],
        style,
    )
}

pub(super) fn show_installed(installed: &Installed, style: Style) -> String {
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
