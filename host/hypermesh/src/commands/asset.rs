//! `asset`: the machine's hardware and what was registered.

use crate::context::Context;
use crate::human;
use crate::output::{Style, print};
use crate::parse;
use crate::table::{Table, fields};
use clap::{Args, Subcommand};
use hypermesh_wire::assets::{
    Asset, AssetQuery, AssetStatus, AssetType, CreateAsset, LocationInput, PrivacyLevel,
    RegistrableAssetType, SettableAssetStatus, UpdateAsset,
};
use serde_json::{Map, Value};

/// `asset …`
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List assets
    List(Filter),
    /// Show one asset
    Get {
        /// Its id
        id: String,
    },
    /// Register a service, container or application
    Create(Create),
    /// Change what may be changed
    Update(Update),
    /// Remove an asset
    Delete {
        /// Its id
        id: String,
    },
}

/// Which assets.
#[derive(Debug, Args)]
pub(crate) struct Filter {
    /// cpu, memory, gpu, storage, network, service, container, vm or application
    #[arg(long = "type", value_parser = parse::name::<AssetType>, value_name = "TYPE")]
    asset_type: Option<AssetType>,
    /// available, allocated, busy, maintenance or offline
    #[arg(long, value_parser = parse::name::<AssetStatus>)]
    status: Option<AssetStatus>,
    /// private, private_network, p2p, public_network or full_public
    #[arg(long, value_parser = parse::name::<PrivacyLevel>, value_name = "LEVEL")]
    privacy_level: Option<PrivacyLevel>,
    /// Who registered it
    #[arg(long)]
    owner: Option<String>,
}

/// What can be said about an asset.
#[derive(Debug, Args)]
struct Details {
    /// For people
    #[arg(long)]
    description: Option<String>,
    /// private, private_network, p2p, public_network or full_public
    #[arg(long, value_parser = parse::name::<PrivacyLevel>, value_name = "LEVEL")]
    privacy_level: Option<PrivacyLevel>,
    /// A JSON object with anything to know about it
    #[arg(long, value_parser = parse::object, value_name = "JSON")]
    specifications: Option<Map<String, Value>>,
    /// A network address, or any text
    #[arg(long)]
    address: Option<String>,
    /// A region's name
    #[arg(long)]
    region: Option<String>,
}

/// A new asset.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// service, container or application
    #[arg(long = "type", value_parser = parse::name::<RegistrableAssetType>, value_name = "TYPE")]
    asset_type: RegistrableAssetType,
    /// For people
    #[arg(long)]
    name: String,
    #[command(flatten)]
    details: Details,
}

/// A change.
#[derive(Debug, Args)]
pub(crate) struct Update {
    /// Its id
    id: String,
    /// For people
    #[arg(long)]
    name: Option<String>,
    /// available, maintenance or offline
    #[arg(long, value_parser = parse::name::<SettableAssetStatus>)]
    status: Option<SettableAssetStatus>,
    #[command(flatten)]
    details: Details,
}

impl Details {
    fn location(&self) -> Option<LocationInput> {
        let given = self.address.is_some() || self.region.is_some();
        given.then(|| LocationInput { address: self.address.clone(), region: self.region.clone() })
    }
}

/// Runs `asset …`.
pub(crate) fn run(context: &Context, command: Command) -> anyhow::Result<()> {
    let client = context.client()?;
    let output = context.output;
    match command {
        Command::List(filter) => {
            let query = AssetQuery {
                asset_type: filter.asset_type,
                status: filter.status,
                privacy_level: filter.privacy_level,
                owner: filter.owner,
                ..AssetQuery::default()
            };
            output.show(&client.assets(&query)?, |assets, style| list(assets).render(style))
        }
        Command::Get { id } => output.show(&client.asset(&id)?, show),
        Command::Create(Create { asset_type, name, details }) => {
            let location = details.location().unwrap_or_default();
            let asset = CreateAsset {
                asset_type,
                name,
                description: details.description.unwrap_or_default(),
                privacy_level: details.privacy_level,
                specifications: details.specifications.unwrap_or_default(),
                location,
            };
            output.show(&client.create_asset(&asset)?, show)
        }
        Command::Update(Update { id, name, status, details }) => {
            let location = details.location();
            let change = UpdateAsset {
                name,
                description: details.description,
                privacy_level: details.privacy_level,
                status,
                specifications: details.specifications,
                location,
            };
            output.show(&client.update_asset(&id, &change)?, show)
        }
        Command::Delete { id } => {
            output.show(&client.delete_asset(&id)?, |answer, _| human::printable(&answer.message) + "\n")
        }
    }
}

fn list(assets: &[Asset]) -> Table {
    let mut table = Table::new(&["ID", "TYPE", "NAME", "STATUS", ">FREE", ">TOTAL", "UNIT"]);
    for asset in assets {
        table.row([
            asset.id.clone(),
            human::named(&asset.asset_type),
            asset.name.clone(),
            human::named(&asset.status),
            human::number(asset.allocation.available_capacity),
            human::number(asset.allocation.total_capacity),
            asset.allocation.unit.clone(),
        ]);
    }
    table
}

fn show(asset: &Asset, style: Style) -> String {
    let amount = &asset.allocation;
    let capacity = format!(
        "{} of {} {} free, {} leased",
        human::number(amount.available_capacity),
        human::number(amount.total_capacity),
        amount.unit,
        human::number(amount.allocated_capacity),
    );
    let specifications = asset.specifications.iter();
    let specifications =
        specifications.map(|(name, value)| format!("{}: {}", human::printable(name), human::plain(value)));
    let mut members = vec![
        ("id", asset.id.clone()),
        ("type", human::named(&asset.asset_type)),
        ("name", asset.name.clone()),
        ("description", asset.description.clone()),
        ("owner", asset.owner.clone()),
        ("status", human::named(&asset.status)),
        ("privacy", human::named(&asset.privacy_level)),
        ("capacity", capacity),
        ("node", asset.location.node_id.clone()),
        ("specifications", specifications.collect::<Vec<_>>().join("\n")),
        ("updated", format!("{:.0}", asset.updated_at)),
    ];
    if let Some(package) = &asset.catalog_metadata {
        members.push(("package", format!("{} {}", package.catalog_id, package.version)));
    }
    if let Some(vm) = &asset.vm_config {
        let limits = &vm.resource_limits;
        members.push((
            "limits",
            format!("CPU {} %, memory {}", human::number(limits.max_cpu), limits.max_memory),
        ));
    }
    fields(&members, style)
}

/// Prints the hardware, narrow enough for 80 columns.
pub(crate) fn print_measured(assets: &[Asset], indent: &str, style: Style) -> anyhow::Result<()> {
    let mut table = Table::new(&["TYPE", "NAME", ">TOTAL", ">FREE", "UNIT"]);
    for asset in assets {
        table.row([
            human::named(&asset.asset_type),
            human::middle_cut(&asset.name, 36),
            human::number(asset.allocation.total_capacity),
            human::number(asset.allocation.available_capacity),
            asset.allocation.unit.clone(),
        ]);
    }
    let text: String = table.render(style).lines().map(|line| format!("{indent}{line}\n")).collect();
    Ok(print(&text)?)
}
