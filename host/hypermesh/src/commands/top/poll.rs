//! What `top` asks of the node, once a second: a handful of requests, and the usage of the leases that are active.

use hypermesh_client::{Client, ClientError};
use hypermesh_wire::allocations::{Allocation, AllocationQuery, AllocationUsage, Enforcement, Phase};
use hypermesh_wire::assets::{Asset, AssetQuery};
use hypermesh_wire::executions::{ExecutionQuery, VmExecution};
use hypermesh_wire::nodes::NodeHealth;
use std::collections::HashMap;
use std::time::Instant;

/// Most leases of which the usage is asked: what fits on a screen and little more.
const MAX_USAGES: usize = 32;
/// Executions that are shown: the youngest.
const MAX_EXECUTIONS: usize = 200;

/// The node at one moment; or why it can't be had.
pub(super) type Reading = Result<Box<Snapshot>, String>;

/// The node at one moment.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    pub(super) at: Instant,
    pub(super) health: Option<NodeHealth>,
    pub(super) assets: Vec<Asset>,
    pub(super) leases: Vec<Allocation>,
    /// By lease; one that could not be had is absent.
    pub(super) usages: HashMap<String, AllocationUsage>,
    /// The youngest first.
    pub(super) executions: Vec<VmExecution>,
}

/// Asks for everything.
pub(super) fn read(client: &Client) -> Reading {
    ask(client).map(Box::new).map_err(|error| error.to_string())
}

fn ask(client: &Client) -> Result<Snapshot, ClientError> {
    let mut leases = client.allocations(&AllocationQuery::default())?;
    leases.retain(|lease| !lease.phase.is_final());
    let active = leases.iter().filter(|lease| matches!(lease.phase, Phase::Active | Phase::Frozen));
    // One that ends meanwhile has none.
    let usages =
        active.take(MAX_USAGES).filter_map(|lease| Some((lease.id.clone(), client.usage(&lease.id).ok()?)));
    let usages = usages.collect();
    let mut executions = client.executions(&ExecutionQuery::default())?;
    executions.reverse();
    executions.truncate(MAX_EXECUTIONS);
    Ok(Snapshot {
        at: Instant::now(),
        health: client.nodes_health()?.into_iter().next(),
        assets: client.assets(&AssetQuery::default())?,
        leases,
        usages,
        executions,
    })
}

/// What the kernel holds for a lease.
pub(super) fn detail(client: &Client, lease: &str) -> Result<Enforcement, ClientError> {
    client.enforcement(lease)
}
