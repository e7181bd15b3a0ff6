//! `guest publish`: a new version in the node's catalog, and from there in a registry.
//!
//! What would be refused isn't sent. The node pushes to the registry itself, since it has the credentials and the policy.

use super::Place;
use super::build::build;
use super::inspect::Inspection;
use super::project::Project;
use crate::commands::catalog;
use crate::context::Context;
use crate::failure::{Failure, of_status};
use crate::files::LocalFile;
use crate::job::package;
use anyhow::Context as _;
use clap::Args;
use hypermesh_client::{Client, ClientError};
use hypermesh_wire::catalog::{CatalogApplication, CatalogQuery, UploadQuery};
use hypermesh_wire::problem::Problem;
use serde_json::json;

/// `guest publish …`
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Its name in the catalog [default: the project's]
    #[arg(long)]
    name: Option<String>,
    /// Its version [default: the project's]
    #[arg(long)]
    version: Option<String>,
    /// Push it from the catalog to a registry, e.g. registry.example.org/team/word-count:1.0.0
    #[arg(long, value_name = "REFERENCE")]
    to: Option<String>,
}

/// Runs `guest publish`.
pub(super) fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let client = context.client()?;
    let project = Project::find(arguments.place.project.as_deref())?;
    let built = build(&project)?;
    let mut file = LocalFile::open(&built.path)?;
    let inspection = Inspection::of_file(&built.path)?;
    if !inspection.refusals.is_empty() {
        for refusal in &inspection.refusals {
            crate::say!("{}", context.talk.error(&format!("it would not be admitted: {refusal}")));
        }
        return Err(Failure::EXPLAINED.into());
    }
    let about = UploadQuery {
        name: Some(arguments.name.clone().unwrap_or_else(|| package::name_of(&built.path))),
        version: Some(arguments.version.clone().unwrap_or(project.version)),
        description: project.metadata.description,
    };
    let application = match published(&client, &about, &file.digest)? {
        Some(application) => {
            crate::say!("{} {} is there already", application.name, application.version);
            application
        }
        None => package::upload(&client, &mut file, &about).with_context(|| {
            let said = |text: &Option<String>| text.clone().unwrap_or_default();
            format!("publishing {} {}", said(&about.name), said(&about.version))
        })?,
    };
    if let Some(reference) = &arguments.to {
        push(&client, &application.id, reference).with_context(|| format!("pushing to {reference}"))?;
        crate::say!("pushed to {reference}");
    }
    context.output.show(&application, catalog::show)
}

/// The same component under the same name and version, so that publishing twice is not an error.
fn published(
    client: &Client,
    about: &UploadQuery,
    digest: &str,
) -> anyhow::Result<Option<CatalogApplication>> {
    let applications = client.applications(&CatalogQuery::default())?;
    Ok(applications.into_iter().find(|known| {
        Some(&known.name) == about.name.as_ref()
            && Some(&known.version) == about.version.as_ref()
            && known.digest == digest
    }))
}

fn push(client: &Client, id: &str, reference: &str) -> anyhow::Result<()> {
    let body = serde_json::to_vec(&json!({ "reference": reference }))?;
    let answer = client.raw("POST", &format!("/api/v1/catalog/applications/{id}/push"), Some(&body))?;
    if of_status(answer.status) == 0 {
        return Ok(());
    }
    Err(match serde_json::from_slice::<Problem>(&answer.body) {
        Ok(problem) => ClientError::Problem(Box::new(problem)),
        Err(_) => ClientError::Unexpected {
            status: answer.status,
            body: String::from_utf8_lossy(&answer.body).into_owned(),
        },
    }
    .into())
}
