//! `cert rotate`, `cert history` and `cert policy`: certificates replaced before their time is over.

use super::{given, read};
use crate::context::Context;
use crate::human;
use crate::output::Style;
use crate::table::Table;
use clap::{Args, Subcommand};
use hypermesh_client::Client;
use hypermesh_wire::trustchain::{
    CreateRotationPolicy, ExecuteRotation, RotationPolicy, RotationQuery, RotationRecord, RotationType,
};
use std::path::PathBuf;

/// `cert rotate …`
#[derive(Debug, Args)]
pub(crate) struct Rotate {
    /// The certificate
    id: String,
    /// Take the old one back at once: its key is known to others
    #[arg(long)]
    emergency: bool,
    /// A certificate signing request with the new key, PEM; else the node makes one
    #[arg(long, value_name = "FILE")]
    csr: Option<PathBuf>,
    /// Write PREFIX.pem (with those above it) and PREFIX.key
    #[arg(long, value_name = "PREFIX")]
    out: Option<PathBuf>,
}

/// `cert policy …`
#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// List policies
    List,
    /// Have a certificate replaced again and again
    Create {
        /// The certificate
        id: String,
        /// Longest time between two rotations, days [default: 90]
        #[arg(long, value_name = "DAYS")]
        interval: Option<u32>,
        /// How long before a rotation its warning comes, days; 0 for none [default: 7]
        #[arg(long, value_name = "DAYS")]
        warning: Option<u32>,
        /// How long the old certificate stays valid, days [default: 30]
        #[arg(long, value_name = "DAYS")]
        grace: Option<u32>,
    },
    /// Remove a policy; the certificate stays
    Remove {
        /// The policy's id
        id: String,
    },
}

/// Runs `cert rotate …`.
pub(super) fn rotate(context: &Context, client: &Client, wanted: Rotate) -> anyhow::Result<()> {
    let rotated = client.rotate(&ExecuteRotation {
        certificate_id: wanted.id,
        rotation_type: wanted.emergency.then_some(RotationType::Emergency),
        csr: wanted.csr.as_deref().map(read).transpose()?,
    })?;
    given(context, &rotated.new_certificate, wanted.out.as_deref())
}

/// Runs `cert history …`.
pub(super) fn history(context: &Context, client: &Client, id: Option<String>) -> anyhow::Result<()> {
    let query = RotationQuery { certificate_id: id, ..RotationQuery::default() };
    context.output.show(&client.rotation_history(&query)?, |all, style| records(all, style))
}

fn records(records: &[RotationRecord], style: Style) -> String {
    let mut table = Table::new(&["WHEN", "CERTIFICATE", "WHY", "STATUS", "NEW"]);
    for record in records {
        let new = record.new_certificate_id.clone().or_else(|| record.detail.clone());
        table.row([
            format!("{:.0}", record.executed_at),
            record.certificate_id.clone(),
            human::named(&record.rotation_type),
            human::named(&record.status),
            new.unwrap_or_default(),
        ]);
    }
    table.render(style)
}

/// Runs `cert policy …`.
pub(super) fn policy(context: &Context, client: &Client, command: Policy) -> anyhow::Result<()> {
    match command {
        Policy::List => context.output.show(&client.rotation_policies()?, |all, style| policies(all, style)),
        Policy::Create { id, interval, warning, grace } => {
            let made = client.create_rotation_policy(&CreateRotationPolicy {
                certificate_id: id,
                rotation_type: None,
                interval_days: interval,
                warning_days: warning,
                grace_period_days: grace,
                enabled: None,
            })?;
            context.output.show(&made, |made, style| policies(std::slice::from_ref(made), style))
        }
        Policy::Remove { id } => context
            .output
            .show(&client.remove_rotation_policy(&id)?, |answer, _| human::printable(&answer.message) + "\n"),
    }
}

fn policies(policies: &[RotationPolicy], style: Style) -> String {
    let mut table = Table::new(&["ID", "CERTIFICATE", "TYPE", ">DAYS", ">WARNING", ">GRACE", "ON", "NEXT"]);
    for policy in policies {
        table.row([
            policy.id.clone(),
            policy.certificate_id.clone(),
            human::named(&policy.rotation_type),
            policy.interval_days.to_string(),
            policy.warning_days.to_string(),
            policy.grace_period_days.to_string(),
            if policy.enabled { "yes" } else { "no" }.to_owned(),
            policy.next_rotation.map_or_else(String::new, |next| format!("{next:.0}")),
        ]);
    }
    table.render(style)
}
