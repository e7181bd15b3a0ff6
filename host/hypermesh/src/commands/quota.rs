//! `quota`: how much each requester may hold.

use crate::context::Context;
use crate::human;
use crate::output::Style;
use crate::parse;
use crate::table::Table;
use clap::{ArgGroup, Args, Subcommand};
use hypermesh_model::Bytes;
use hypermesh_wire::quotas::{Quota, QuotaLimits};

/// `quota …`
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show who may hold how much, and what they hold
    List,
    /// Limit what a requester may hold; a dimension that is not given is not limited
    Set(Set),
    /// Lift a requester's quota
    Remove {
        /// The requester: the name of a token
        requester: String,
    },
}

/// `quota set …`
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("limit")
    .args(["cpu_millis", "memory", "storage", "gpus", "leases"]).required(true).multiple(true))]
pub(crate) struct Set {
    /// The requester: the name of a token
    requester: String,
    /// Thousandths of one CPU
    #[arg(long, value_parser = parse::millis, value_name = "MILLIS")]
    cpu_millis: Option<u32>,
    /// Memory, e.g. 4GiB
    #[arg(long, value_parser = parse::size, value_name = "SIZE")]
    memory: Option<Bytes>,
    /// Storage
    #[arg(long, value_parser = parse::size, value_name = "SIZE")]
    storage: Option<Bytes>,
    /// GPUs
    #[arg(long)]
    gpus: Option<u32>,
    /// Leases
    #[arg(long)]
    leases: Option<u32>,
}

/// Runs `quota …`.
pub(crate) fn run(context: &Context, command: Command) -> anyhow::Result<()> {
    let client = context.client()?;
    match command {
        Command::List => context.output.show(&client.quotas()?, |quotas, style| list(quotas, style)),
        Command::Set(set) => {
            let limits = QuotaLimits {
                cpu_millis: set.cpu_millis,
                memory_bytes: set.memory.map(|size| size.0),
                storage_bytes: set.storage.map(|size| size.0),
                gpus: set.gpus,
                leases: set.leases,
            };
            let quota = client.set_quota(&set.requester, &limits)?;
            context.output.show(&quota, |quota, style| list(std::slice::from_ref(quota), style))
        }
        Command::Remove { requester } => context
            .output
            .show(&client.remove_quota(&requester)?, |answer, _| human::printable(&answer.message) + "\n"),
    }
}

fn list(quotas: &[Quota], style: Style) -> String {
    let mut table = Table::new(&["REQUESTER", ">CPU", ">MEMORY", ">STORAGE", ">GPUS", ">LEASES"]);
    let of = |used: String, limit: Option<String>| match limit {
        Some(limit) => format!("{used} of {limit}"),
        None => used,
    };
    let size =
        |used: u64, limit: Option<u64>| of(human::bytes(Some(used)), limit.map(|n| human::bytes(Some(n))));
    let count = |used: u64, limit: Option<u32>| of(used.to_string(), limit.map(|n| n.to_string()));
    for Quota { requester_id, limits, used } in quotas {
        table.row([
            requester_id.clone(),
            of(format!("{}m", used.cpu_millis), limits.cpu_millis.map(|n| format!("{n}m"))),
            size(used.memory_bytes, limits.memory_bytes),
            size(used.storage_bytes, limits.storage_bytes),
            count(used.gpus, limits.gpus),
            count(used.leases, limits.leases),
        ]);
    }
    table.render(style)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hypermesh_wire::quotas::QuotaUse;

    #[test]
    fn use_is_told_beside_its_limit() {
        let limits = QuotaLimits { memory_bytes: Some(1 << 30), leases: Some(0), ..QuotaLimits::default() };
        let used = QuotaUse { cpu_millis: 500, memory_bytes: 1 << 20, ..QuotaUse::default() };
        let text = list(&[Quota { requester_id: "ann".into(), limits, used }], Style::PLAIN);
        assert!(text.ends_with("ann        500m  1 MiB of 1 GiB      0 B     0  0 of 0\n"), "{text}");
    }
}
