//! `dns`: the records of the node's zone, the zone as a file, and questions to the node's server.

use crate::context::{Context, Service};
use crate::human;
use crate::output::{Style, print};
use crate::parse;
use crate::table::{Table, fields};
use anyhow::Context as _;
use clap::{Args, Subcommand};
use hypermesh_wire::trustchain::{
    ChangeDnsRecord, CreateDnsRecord, DnsQuery, DnsRecord, DnsRecordType, ResolveDns,
};
use std::path::PathBuf;

/// `dns …`
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List records
    List {
        /// Only those of this name
        domain: Option<String>,
    },
    /// Add a record
    Add(Add),
    /// Change a record
    Change(Change),
    /// Remove a record
    Remove {
        /// Its id
        id: String,
    },
    /// Ask the node's DNS server
    Resolve {
        /// The name
        domain: String,
        /// A, AAAA, CNAME, TXT, MX, SRV, CAA, TLSA, NS or SOA
        #[arg(long = "type", default_value = "A", value_parser = record_type, value_name = "TYPE")]
        record_type: DnsRecordType,
    },
    /// Show the zone: where it is served, and its key
    Zone,
    /// Write the zone to stdout, as a zone file
    Export,
    /// Add the records of a zone file
    Import {
        /// The file
        file: PathBuf,
    },
}

/// `dns add …`
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// The name, within the node's zone
    domain: String,
    /// A, AAAA, CNAME, TXT, MX, SRV, CAA, TLSA or NS
    #[arg(value_parser = record_type, value_name = "TYPE")]
    record_type: DnsRecordType,
    /// The value
    value: String,
    #[command(flatten)]
    numbers: Numbers,
}

/// `dns change …`
#[derive(Debug, Args)]
pub(crate) struct Change {
    /// The record's id
    id: String,
    /// The name, within the node's zone
    #[arg(long)]
    domain: Option<String>,
    /// The value
    #[arg(long)]
    value: Option<String>,
    #[command(flatten)]
    numbers: Numbers,
}

/// The numbers of a record.
#[derive(Debug, Args)]
struct Numbers {
    /// How long others may keep it, seconds
    #[arg(long, value_name = "SECONDS")]
    ttl: Option<u32>,
    /// MX and SRV: lower goes first
    #[arg(long)]
    priority: Option<u16>,
    /// SRV: the share among equal priorities
    #[arg(long)]
    weight: Option<u16>,
    /// SRV: the port
    #[arg(long)]
    port: Option<u16>,
}

/// A type in any case.
fn record_type(text: &str) -> Result<DnsRecordType, String> {
    parse::name(&text.to_uppercase())
}

/// Runs `dns …`.
pub(crate) fn run(context: &Context, command: Command) -> anyhow::Result<()> {
    let client = context.client_of(Service::TrustChain)?;
    let output = context.output;
    match command {
        Command::List { domain } => {
            let query = DnsQuery { domain, ..DnsQuery::default() };
            output.show(&client.dns_records(&query)?, |all, style| records(all, style))
        }
        Command::Add(Add { domain, record_type, value, numbers }) => {
            let Numbers { ttl, priority, weight, port } = numbers;
            let wanted = CreateDnsRecord { domain, record_type, value, ttl, priority, weight, port };
            output.show(&client.create_dns_record(&wanted)?, one)
        }
        Command::Change(Change { id, domain, value, numbers }) => {
            let Numbers { ttl, priority, weight, port } = numbers;
            let change = ChangeDnsRecord { domain, value, ttl, priority, weight, port, record_type: None };
            output.show(&client.change_dns_record(&id, &change)?, one)
        }
        Command::Remove { id } => {
            output.show(&client.remove_dns_record(&id)?, |answer, _| human::printable(&answer.message) + "\n")
        }
        Command::Resolve { domain, record_type } => {
            let found = client.resolve_name(&ResolveDns { domain, record_type: Some(record_type) })?;
            output.show(&found, |all, style| records(all, style))
        }
        Command::Zone => output.show(&client.zone()?, |zone, style| {
            fields(
                &[
                    ("name", zone.name.clone()),
                    ("records", zone.records.to_string()),
                    ("served at", zone.addresses.join(" ")),
                    ("DS", zone.ds.trim().to_owned()),
                    ("DNSKEY", zone.dnskey.trim().to_owned()),
                ],
                style,
            )
        }),
        Command::Export => Ok(print(&client.export_zone()?)?),
        Command::Import { file } => {
            let text = std::fs::read_to_string(&file)
                .with_context(|| format!("could not read {}", file.display()))?;
            output.show(&client.import_zone(&text)?, |imported, _| {
                format!("{} records were new\n", imported.added)
            })
        }
    }
}

fn one(record: &DnsRecord, style: Style) -> String {
    records(std::slice::from_ref(record), style)
}

fn records(records: &[DnsRecord], style: Style) -> String {
    let mut table = Table::new(&["ID", "NAME", "TYPE", ">TTL", "VALUE", "STATUS"]);
    for record in records {
        let numbers = [record.priority, record.weight, record.port];
        let mut value: Vec<String> = numbers.into_iter().flatten().map(|number| number.to_string()).collect();
        value.push(record.value.clone());
        table.row([
            record.id.clone(),
            record.domain.clone(),
            human::named(&record.record_type),
            record.ttl.to_string(),
            value.join(" "),
            human::named(&record.status),
        ]);
    }
    table.render(style)
}
