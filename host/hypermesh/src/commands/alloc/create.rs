//! `alloc create`: which asset is leased for what is wanted, and waiting for one that has to wait.

use super::size::{Size, text};
use super::view;
use crate::context::Context;
use crate::failure::Failure;
use crate::human;
use crate::output::Style;
use crate::parse;
use anyhow::bail;
use clap::{ArgGroup, Args};
use hypermesh_client::Client;
use hypermesh_model::Bytes;
use hypermesh_wire::allocations::{
    Allocation, AllocationPlan, CpuMode, CreateAllocation, GpuWish, MAX_GPUS, OnExpiry, Phase, Requirements,
};
use hypermesh_wire::assets::{Asset, AssetQuery, AssetType};
use jiff::Timestamp;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How often a waiting lease is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// What a shell reports after Ctrl-C.
const INTERRUPTED: u8 = 130;

/// How much of what, when, and on which terms.
#[derive(Debug, Default, Args)]
#[command(group = ArgGroup::new("what")
    .args(["asset", "cpu", "cpu_millis", "memory", "storage", "gpus"]).required(true).multiple(true))]
pub(crate) struct Create {
    /// Lease this asset [default: the node's cpu, memory, storage or gpu, by what is asked for]
    #[arg(long, value_name = "ID", requires = "amount")]
    asset: Option<String>,
    /// How much of --asset, in its unit
    #[arg(long, requires = "asset", value_parser = parse::amount)]
    amount: Option<f64>,
    #[command(flatten)]
    size: Size,
    #[command(flatten)]
    how: How,
    /// For how long: seconds, or with s, m, h or d
    #[arg(long, default_value = "1h", value_parser = parse::seconds, value_name = "TIME")]
    duration: u64,
    #[command(flatten)]
    terms: Terms,
    /// Make nothing; show what would be granted, or what is short and when it would fit
    #[arg(long)]
    dry_run: bool,
    /// A key of your own: the same request sent twice makes one lease
    #[arg(long, value_parser = parse::key, conflicts_with = "dry_run")]
    key: Option<String>,
}

/// How CPU time and GPUs are given.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Resources")]
struct How {
    /// shared (at least so much), limited (never more) or pinned (whole cores of its own)
    #[arg(long, value_parser = parse::name::<CpuMode>, value_name = "MODE")]
    cpu_mode: Option<CpuMode>,
    /// GPUs
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_GPUS)))]
    gpus: Option<u32>,
    /// Only GPUs of this model
    #[arg(long, value_name = "NAME", requires = "gpus")]
    gpu_model: Option<String>,
    /// Only this GPU; may be given several times
    #[arg(long, value_name = "UUID", requires = "gpus")]
    gpu_uuid: Vec<String>,
    /// Only GPUs with so much memory
    #[arg(long, value_parser = parse::size, value_name = "SIZE", requires = "gpus")]
    gpu_min_memory: Option<Bytes>,
    /// MIG instances in place of whole GPUs
    #[arg(long, requires = "gpus")]
    mig: bool,
    /// Share each GPU in time, with so much of its memory: watched, not enforced
    #[arg(long, value_parser = parse::size, value_name = "SIZE", requires = "gpus")]
    gpu_memory: Option<Bytes>,
}

/// When it begins, and how it is treated.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Terms")]
struct Terms {
    /// 0 to 100; a higher one goes first [default: 50]
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=100))]
    priority: Option<u8>,
    /// A lease of a higher priority may end it
    #[arg(long)]
    preemptible: bool,
    /// How long it is safe from that
    #[arg(long, value_parser = parse::seconds, value_name = "TIME", requires = "preemptible")]
    min_runtime: Option<u64>,
    /// Wait for room, at most so long; Ctrl-C withdraws it
    #[arg(long, value_parser = parse::seconds, value_name = "TIME", num_args = 0..=1, default_missing_value = "7d")]
    wait: Option<u64>,
    /// Reserve it for a time: 2030-01-02T03:04:05Z, or +2h
    #[arg(long, value_parser = parse::time, value_name = "TIME", conflicts_with = "wait")]
    at: Option<Timestamp>,
    /// What happens when its time is over: kill or freeze
    #[arg(long, value_parser = parse::name::<OnExpiry>, value_name = "WHAT")]
    on_expiry: Option<OnExpiry>,
    /// How long it stays frozen, in which a renewal lets it go on [default with freeze: 30]
    #[arg(long, value_parser = parse::seconds, value_name = "TIME", requires = "on_expiry")]
    grace: Option<u64>,
    /// How long before its end the warning event comes; 0 for none [default: 60, at most half of the lease]
    #[arg(long, value_parser = parse::seconds_or_none, value_name = "TIME")]
    warn: Option<u64>,
    /// Keep its folder when it ends
    #[arg(long, requires = "storage")]
    keep_storage: bool,
}

/// Runs `alloc create`.
pub(crate) fn run(context: &Context, client: &Client, options: Create) -> anyhow::Result<()> {
    let (dry_run, key) = (options.dry_run, options.key.clone());
    let assets = if options.asset.is_some() { Vec::new() } else { client.assets(&AssetQuery::default())? };
    let request = plan(&assets, options)?;
    if dry_run {
        return context.output.show(&client.preview(&request)?, preview);
    }
    let create = || match &key {
        Some(key) => client.allocate_once(&request, key),
        None => client.allocate(&request),
    };
    let lease =
        if request.wait_s.is_some() { wait_for_room(context, client, || Ok(create()?))? } else { create()? };
    context.output.show(&lease, view::show)?;
    match lease.phase {
        Phase::Cancelled | Phase::Failed => Err(Failure::REFUSED.into()),
        Phase::Queued
        | Phase::Reserved
        | Phase::Pending
        | Phase::Active
        | Phase::Frozen
        | Phase::Completed => Ok(()),
    }
}

/// The request for what is wanted: the first dimension is leased from its asset, the others are its requirements.
///
/// # Errors
/// When the node has no such asset.
fn plan(assets: &[Asset], options: Create) -> anyhow::Result<CreateAllocation> {
    let mut requirements = requirements(&options);
    let (asset_id, amount) = match (options.asset, options.amount) {
        (Some(asset), Some(amount)) => (asset, amount),
        _ => first(assets, &options.size, &mut requirements)?,
    };
    let terms = options.terms;
    Ok(CreateAllocation {
        requirements,
        wait_s: terms.wait,
        start_time: terms.at,
        priority: terms.priority,
        preemptible: terms.preemptible.then_some(true),
        min_runtime_s: terms.min_runtime,
        on_expiry: terms.on_expiry,
        grace_s: terms.grace,
        warn_s: terms.warn,
        keep_storage: terms.keep_storage.then_some(true),
        ..CreateAllocation::new(asset_id, amount, options.duration)
    })
}

fn requirements(options: &Create) -> Requirements {
    let (size, how) = (&options.size, &options.how);
    let gpu = GpuWish {
        model: how.gpu_model.clone(),
        min_memory: how.gpu_min_memory.map(text),
        uuids: how.gpu_uuid.clone(),
        mig: how.mig.then_some(true),
        shared_memory: how.gpu_memory.map(text),
    };
    Requirements {
        cpu: size.cpu,
        cpu_millis: size.cpu_millis,
        cpu_mode: how.cpu_mode,
        cpu_burst_us: size.burst,
        memory: size.memory.map(text),
        memory_request: size.memory_request.map(text),
        pids: size.pids,
        io: size.io(),
        storage: size.storage.map(text),
        gpus: how.gpus,
        gpu: (gpu != GpuWish::default()).then_some(gpu),
    }
}

/// The asset of the first dimension that is wanted, and how much of it; takes it out of the requirements.
fn first(assets: &[Asset], size: &Size, requirements: &mut Requirements) -> anyhow::Result<(String, f64)> {
    let (asset_type, amount) = if let Some(gpus) = requirements.gpus.take() {
        (AssetType::Gpu, f64::from(gpus))
    } else if let Some(cpu) = requirements.cpu.take() {
        (AssetType::Cpu, cpu)
    } else if let (Some(memory), Some(_)) = (size.memory, size.cpu_millis) {
        // The cpu asset counts in percent: with another dimension to lease, millis can stay as they are.
        requirements.memory = None;
        (AssetType::Memory, memory.as_gb())
    } else if let (Some(storage), Some(_)) = (size.storage, size.cpu_millis) {
        requirements.storage = None;
        (AssetType::Storage, storage.as_gb())
    } else if let Some(millis) = requirements.cpu_millis.take() {
        (AssetType::Cpu, percent(assets, millis)?)
    } else if let Some(memory) = size.memory {
        requirements.memory = None;
        (AssetType::Memory, memory.as_gb())
    } else if let Some(storage) = size.storage {
        requirements.storage = None;
        (AssetType::Storage, storage.as_gb())
    } else {
        bail!("nothing is asked for");
    };
    Ok((best(assets, asset_type, amount)?.id.clone(), amount))
}

/// Thousandths of one CPU as percent of the pool: the lowest of the limits that the cpu asset shows.
fn percent(assets: &[Asset], millis: u32) -> anyhow::Result<f64> {
    let cpu = best(assets, AssetType::Cpu, 0.0)?;
    let limits =
        cpu.specifications.get("capacity_limits").and_then(|limits| limits.as_array()).into_iter().flatten();
    match limits.filter_map(|limit| limit["value"].as_u64()).min().and_then(|pool| u32::try_from(pool).ok()) {
        Some(pool) if millis <= pool => Ok(f64::from(millis) * 100.0 / f64::from(pool)),
        Some(pool) => bail!("{millis}m of CPU are asked for; this node has {pool}m"),
        None => bail!("the node does not say how much CPU it has; use --cpu PERCENT"),
    }
}

/// The asset of a type that has the amount free; else the first, whose refusal says what is short.
fn best(assets: &[Asset], asset_type: AssetType, amount: f64) -> anyhow::Result<&Asset> {
    let of_type = || assets.iter().filter(move |asset| asset.asset_type == asset_type);
    match of_type().find(|asset| asset.allocation.available_capacity >= amount).or_else(|| of_type().next()) {
        Some(asset) => Ok(asset),
        None => bail!("this node has no {} asset", human::named(&asset_type)),
    }
}

/// Makes the lease and waits until it holds what was asked or never will; tells where it stands meanwhile.
fn wait_for_room(
    context: &Context,
    client: &Client,
    create: impl FnOnce() -> anyhow::Result<Allocation>,
) -> anyhow::Result<Allocation> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // Registered before the request: a lease that was made is withdrawn whenever the signal comes.
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut lease = create()?;
        let mut told = String::new();
        while lease.phase == Phase::Queued || lease.phase == Phase::Pending {
            tell(context, &lease, &mut told);
            if interrupted(&mut interrupt, &mut terminate).await {
                let answer = client.release(&lease.id)?;
                crate::say!("{}", human::printable(&answer.message));
                return Err(Failure::Quiet(INTERRUPTED).into());
            }
            lease = client.allocation(&lease.id)?;
        }
        Ok(lease)
    })
}

/// Whether a signal came before it is time to look again.
async fn interrupted(interrupt: &mut Signal, terminate: &mut Signal) -> bool {
    tokio::select! {
        biased;
        _ = interrupt.recv() => true,
        _ = terminate.recv() => true,
        () = tokio::time::sleep(LOOK) => false,
    }
}

/// Says where the lease stands, if that is news.
fn tell(context: &Context, lease: &Allocation, told: &mut String) {
    let Some(place) = &lease.queue else { return };
    let eta = place.eta.map_or_else(
        || "nobody can say when it begins".to_owned(),
        |eta| format!("begins {eta:.0} at the latest, if nobody renews"),
    );
    let news = format!("{} waits at position {}; {eta}", lease.id, place.position);
    if news != *told {
        crate::say!("{}", context.talk.faint(&news));
        *told = news;
    }
}

fn preview(plan: &AllocationPlan, style: Style) -> String {
    let mut text = match &plan.resources {
        Some(resources) => view::resources(resources, style),
        None => String::new(),
    };
    for reason in &plan.reasons {
        let (asked, free) = (human::number(reason.requested), human::number(reason.available));
        text.push_str(&format!(
            "{}: {asked} {unit} asked, {free} {unit} free\n",
            human::printable(&reason.dimension),
            unit = human::printable(&reason.unit)
        ));
    }
    let verdict = match (plan.fits, plan.fits_at) {
        (true, _) => style.good("fits now"),
        (false, Some(at)) => style.warning(&format!("fits at {at:.0}, if nobody renews")),
        (false, None) => style.error("does not fit"),
    };
    text.push_str(&format!("{verdict}\n"));
    if let Some(place) = &plan.would_wait {
        let eta = place.eta.map_or_else(|| human::UNKNOWN.to_owned(), |eta| format!("{eta:.0}"));
        text.push_str(&format!("with --wait: position {}, begins {eta}\n", place.position));
    }
    if !plan.would_preempt.is_empty() {
        text.push_str(&format!("would end: {}\n", human::printable(&plan.would_preempt.join(", "))));
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
            "specifications": { "capacity_limits": [{ "value": 4000 }, { "value": 2000 }] }, "proxy_address": null,
            "allocation": { "total_capacity": 100.0, "allocated_capacity": 0.0, "available_capacity": free, "unit": "u" },
            "created_at": "2026-01-02T03:04:05Z", "updated_at": "2026-01-02T03:04:05Z",
        }))
        .unwrap()
    }

    fn machine() -> Vec<Asset> {
        vec![
            asset("c", "cpu", 100.0),
            asset("m", "memory", 4.0),
            asset("s", "storage", 4.0),
            asset("g0", "gpu", 0.0),
            asset("g1", "gpu", 2.0),
        ]
    }

    fn sized(size: Size) -> Create {
        Create { size, duration: 60, ..Create::default() }
    }

    #[test]
    fn the_first_dimension_names_the_asset_and_the_others_are_requirements() {
        let memory = Some(Bytes::mib(256));
        let both = plan(&machine(), sized(Size { cpu: Some(25.0), memory, ..Size::default() })).unwrap();
        assert_eq!((both.asset_id.as_str(), both.amount), ("c", 25.0));
        let rest = Requirements { memory: Some("268435456 B".into()), ..Requirements::default() };
        assert_eq!(both.requirements, rest);

        let alone = plan(&machine(), sized(Size { memory, pids: Some(9), ..Size::default() })).unwrap();
        assert_eq!((alone.asset_id.as_str(), alone.amount), ("m", 0.268_435_456));
        assert_eq!(alone.requirements, Requirements { pids: Some(9), ..Requirements::default() });

        let how = How { gpus: Some(2), mig: true, ..How::default() };
        let size = Size { cpu: Some(5.0), ..Size::default() };
        let gpus = plan(&machine(), Create { how, ..sized(size) }).unwrap();
        assert_eq!((gpus.asset_id.as_str(), gpus.amount, gpus.requirements.cpu), ("g1", 2.0, Some(5.0)));
        assert_eq!(gpus.requirements.gpu.and_then(|gpu| gpu.mig), Some(true));

        let folder = plan(&machine(), sized(Size { storage: memory, ..Size::default() })).unwrap();
        assert_eq!((folder.asset_id.as_str(), folder.requirements.storage), ("s", None));
    }

    #[test]
    fn millis_are_percent_of_the_pool_only_where_nothing_else_is_leased() {
        let size = |memory| Size { cpu_millis: Some(500), memory, ..Size::default() };
        let alone = plan(&machine(), sized(size(None))).unwrap();
        assert_eq!((alone.asset_id.as_str(), alone.amount, alone.requirements.cpu_millis), ("c", 25.0, None));
        let both = plan(&machine(), sized(size(Some(Bytes::mib(1))))).unwrap();
        assert_eq!((both.asset_id.as_str(), both.requirements.cpu_millis), ("m", Some(500)));
        let much = plan(&machine(), sized(Size { cpu_millis: Some(2001), ..Size::default() }));
        assert_eq!(much.unwrap_err().to_string(), "2001m of CPU are asked for; this node has 2000m");
    }

    #[test]
    fn what_the_node_does_not_have_is_said() {
        let how = How { gpus: Some(1), ..How::default() };
        let error = plan(&[], Create { how, ..Create::default() }).unwrap_err();
        assert_eq!(error.to_string(), "this node has no gpu asset");
        let named = Create { asset: Some("x".into()), amount: Some(2.0), ..Create::default() };
        assert_eq!(plan(&[], named).unwrap().asset_id, "x");
    }

    #[test]
    fn a_plan_says_what_is_short_and_when_it_would_fit() {
        let plan: AllocationPlan = serde_json::from_value(json!({
            "fits": false, "resources": null, "fits_at": "2030-01-02T03:04:05Z", "would_preempt": ["a1"],
            "reasons": [{ "dimension": "memory", "requested": 8.0, "available": 1.5, "unit": "GB", "fits_at": null }],
            "would_wait": { "position": 2, "eta": null, "wait_until": null },
        }))
        .unwrap();
        assert_eq!(
            preview(&plan, Style::PLAIN),
            "memory: 8 GB asked, 1.5 GB free\nfits at 2030-01-02T03:04:05Z, if nobody renews\n\
             with --wait: position 2, begins -\nwould end: a1\n"
        );
    }
}
