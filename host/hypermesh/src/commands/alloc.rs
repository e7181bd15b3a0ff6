//! `alloc`: leases on a part of the machine.

use crate::commands::attach;
use crate::context::Context;
use crate::human;
use crate::output::Style;
use crate::parse;
use crate::table::{Table, fields};
use anyhow::bail;
use clap::{ArgGroup, Args, Subcommand};
use hypermesh_client::Client;
use hypermesh_model::Bytes;
use hypermesh_wire::allocations::{
    Allocation, AllocationQuery, AllocationStatus, CreateAllocation, Enforcement, Requirements,
};
use hypermesh_wire::assets::{Asset, AssetQuery, AssetType};
use std::ffi::OsString;

/// `alloc …`
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lease a part of the machine
    Create(Create),
    /// List leases
    List {
        /// Only of this asset
        #[arg(long, value_name = "ID")]
        asset: Option<String>,
        /// pending, active, completed, cancelled or failed
        #[arg(long, value_parser = parse::name::<AllocationStatus>)]
        status: Option<AllocationStatus>,
    },
    /// Show one lease
    Get {
        /// Its id
        id: String,
    },
    /// End a lease and whatever runs in it
    Release {
        /// Its id
        id: String,
    },
    /// Show what the kernel holds for a lease, read now
    Enforcement {
        /// Its id
        id: String,
    },
    /// Run a command inside a lease, on this machine; the exit code is the command's
    Exec {
        /// The lease's id
        id: String,
        /// The command and its arguments
        #[arg(last = true, required = true, value_name = "COMMAND")]
        command: Vec<OsString>,
    },
}

/// How much of what.
#[derive(Debug, Default, Args)]
#[command(group = ArgGroup::new("what").args(["asset", "cpu", "memory", "gpus"]).required(true).multiple(true))]
pub(crate) struct Create {
    /// Lease this asset [default: the node's cpu, memory or gpu, by what is asked for]
    #[arg(long, value_name = "ID", requires = "amount")]
    asset: Option<String>,
    /// How much of --asset, in its unit
    #[arg(long, requires = "asset", value_parser = parse::amount)]
    amount: Option<f64>,
    /// CPU share, percent of the whole pool
    #[arg(long, value_parser = parse::percent, value_name = "PERCENT")]
    cpu: Option<f64>,
    /// Memory, e.g. 256MiB
    #[arg(long, value_parser = parse::size, value_name = "SIZE")]
    memory: Option<Bytes>,
    /// Processes and threads
    #[arg(long)]
    pids: Option<u32>,
    /// Whole GPUs
    #[arg(long)]
    gpus: Option<u32>,
    /// For how long: seconds, or with s, m, h or d
    #[arg(long, default_value = "1h", value_parser = parse::seconds, value_name = "TIME")]
    duration: u64,
}

/// Runs `alloc …`.
pub(crate) fn run(context: &Context, command: Command) -> anyhow::Result<()> {
    let client = context.client()?;
    let output = context.output;
    match command {
        Command::Create(options) => {
            let request = request(&client, options)?;
            output.show(&client.allocate(&request)?, show)
        }
        Command::List { asset, status } => {
            let query = AllocationQuery { asset_id: asset, status, ..AllocationQuery::default() };
            output.show(&client.allocations(&query)?, |leases, style| list(leases, style))
        }
        Command::Get { id } => output.show(&client.allocation(&id)?, show),
        Command::Release { id } => {
            output.show(&client.release(&id)?, |answer, _| human::printable(&answer.message) + "\n")
        }
        Command::Enforcement { id } => output.show(&client.enforcement(&id)?, receipt),
        Command::Exec { id, command } => {
            let lease = client.allocation(&id)?;
            if lease.status != AllocationStatus::Active {
                bail!("allocation {id} is {}, not active", human::named(&lease.status));
            }
            attach::run(&client.enforcement(&id)?, &command)
        }
    }
}

fn request(client: &Client, options: Create) -> anyhow::Result<CreateAllocation> {
    let assets = if options.asset.is_some() { Vec::new() } else { client.assets(&AssetQuery::default())? };
    plan(&assets, options)
}

/// The request for what is wanted: the first dimension is leased from its asset, the others are its requirements.
///
/// # Errors
/// When the node has no such asset.
fn plan(assets: &[Asset], options: Create) -> anyhow::Result<CreateAllocation> {
    let mut requirements = Requirements {
        cpu: options.cpu,
        memory: options.memory.map(|memory| format!("{} B", memory.0)),
        pids: options.pids,
        gpus: options.gpus,
    };
    let (asset_id, amount) = match (options.asset, options.amount) {
        (Some(asset), Some(amount)) => (asset, amount),
        _ => {
            let (asset_type, amount) = if let Some(gpus) = requirements.gpus.take() {
                (AssetType::Gpu, f64::from(gpus))
            } else if let Some(cpu) = requirements.cpu.take() {
                (AssetType::Cpu, cpu)
            } else if let Some(memory) = options.memory {
                requirements.memory = None;
                (AssetType::Memory, memory.as_gb())
            } else {
                bail!("nothing is asked for");
            };
            (best(assets, asset_type, amount)?.id.clone(), amount)
        }
    };
    Ok(CreateAllocation { asset_id, amount, duration: options.duration, requirements })
}

/// The asset of a type that has the amount free; else the first, whose refusal says what is short.
fn best(assets: &[Asset], asset_type: AssetType, amount: f64) -> anyhow::Result<&Asset> {
    let of_type = || assets.iter().filter(move |asset| asset.asset_type == asset_type);
    match of_type().find(|asset| asset.allocation.available_capacity >= amount).or_else(|| of_type().next()) {
        Some(asset) => Ok(asset),
        None => bail!("this node has no {} asset", human::named(&asset_type)),
    }
}

fn list(leases: &[Allocation], style: Style) -> String {
    let mut table = Table::new(&["ID", "STATUS", ">CPU", ">MEMORY", ">GPUS", "ENFORCED", "UNTIL"]);
    for lease in leases {
        let held = &lease.resources;
        table.row([
            lease.id.clone(),
            human::named(&lease.status),
            held.cpu_millis.map_or_else(|| human::UNKNOWN.into(), |millis| format!("{millis}m")),
            human::bytes(held.memory_bytes),
            held.gpus.len().to_string(),
            if lease.enforced { "yes" } else { "no" }.into(),
            format!("{:.0}", lease.end_time),
        ]);
    }
    table.render(style)
}

fn show(lease: &Allocation, style: Style) -> String {
    let held = &lease.resources;
    let cpu =
        held.cpu_millis.map(|millis| format!("{} of one CPU", human::number(f64::from(millis) / 1000.0)));
    let mut members = vec![
        ("id", lease.id.clone()),
        ("status", human::named(&lease.status)),
        ("asset", lease.asset_id.clone()),
        ("amount", format!("{} {}", human::number(lease.amount), lease.unit)),
        ("cpu", cpu.unwrap_or_else(|| "not limited".into())),
        ("memory", held.memory_bytes.map_or_else(|| "not limited".into(), |size| human::bytes(Some(size)))),
        ("pids", held.pids.map_or_else(|| "not limited".into(), |pids| pids.to_string())),
        ("gpus", if held.gpus.is_empty() { "none".into() } else { held.gpus.join("\n") }),
        ("enforced", if lease.enforced { "yes" } else { "no" }.into()),
        ("from", format!("{:.0}", lease.start_time)),
        ("until", format!("{:.0}", lease.end_time)),
        ("holder", lease.requester_id.clone()),
    ];
    if let Some(reason) = &lease.end_reason {
        members.push(("ended", reason.clone()));
    }
    fields(&members, style)
}

fn receipt(enforcement: &Enforcement, style: Style) -> String {
    let mut table = Table::new(&["LIMIT", "STATE", "ASKED", "KERNEL HAS", "WHERE"]);
    for entry in &enforcement.entries {
        table.row([
            entry.limit.clone(),
            human::named(&entry.state),
            entry.requested.clone(),
            entry.actual.clone().unwrap_or_else(|| human::UNKNOWN.into()),
            entry.file.clone().or_else(|| entry.reason.clone()).unwrap_or_default(),
        ]);
    }
    let mut text = table.render(style);
    if let Some(used) = &enforcement.usage {
        text.push('\n');
        text.push_str(&fields(
            &[
                ("cpu time", human::seconds(used.cpu_time)),
                ("memory", human::bytes(used.memory_current)),
                ("memory peak", human::bytes(used.memory_peak)),
                ("processes", used.processes.to_string()),
                ("oom kills", human::count(used.oom_kills)),
                ("throttled periods", human::count(used.throttled_periods)),
                ("read at", format!("{:.0}", enforcement.read_at)),
            ],
            style,
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn asset(id: &str, kind: &str, free: f64) -> Asset {
        serde_json::from_value(json!({
            "id": id, "type": kind, "name": id, "description": "", "owner": "node", "status": "available",
            "privacy_level": "private", "location": { "node_id": "n", "address": "", "region": "" },
            "specifications": {}, "proxy_address": null,
            "allocation": { "total_capacity": 100.0, "allocated_capacity": 0.0, "available_capacity": free, "unit": "u" },
            "created_at": "2026-01-02T03:04:05Z", "updated_at": "2026-01-02T03:04:05Z",
        }))
        .unwrap()
    }

    fn machine() -> Vec<Asset> {
        vec![
            asset("c", "cpu", 100.0),
            asset("m", "memory", 4.0),
            asset("g0", "gpu", 0.0),
            asset("g1", "gpu", 2.0),
        ]
    }

    #[test]
    fn the_first_dimension_names_the_asset_and_the_others_are_requirements() {
        let memory = Some(Bytes::mib(256));
        let both =
            plan(&machine(), Create { cpu: Some(25.0), memory, duration: 60, ..Create::default() }).unwrap();
        assert_eq!((both.asset_id.as_str(), both.amount), ("c", 25.0));
        let rest = Requirements { memory: Some("268435456 B".into()), ..Requirements::default() };
        assert_eq!(both.requirements, rest);

        let alone = plan(&machine(), Create { memory, pids: Some(9), ..Create::default() }).unwrap();
        assert_eq!((alone.asset_id.as_str(), alone.amount), ("m", 0.268_435_456));
        assert_eq!(alone.requirements, Requirements { pids: Some(9), ..Requirements::default() });

        let gpus = plan(&machine(), Create { gpus: Some(2), cpu: Some(5.0), ..Create::default() }).unwrap();
        assert_eq!((gpus.asset_id.as_str(), gpus.amount, gpus.requirements.cpu), ("g1", 2.0, Some(5.0)));
    }

    #[test]
    fn what_the_node_does_not_have_is_said() {
        let error = plan(&[], Create { gpus: Some(1), ..Create::default() }).unwrap_err();
        assert_eq!(error.to_string(), "this node has no gpu asset");
        let named = Create { asset: Some("x".into()), amount: Some(2.0), ..Create::default() };
        assert_eq!(plan(&[], named).unwrap().asset_id, "x");
    }
}
