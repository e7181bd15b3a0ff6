//! The machine as the domain sees it: what it has, what it is doing, how the node is.

use crate::Mesh;
use crate::allocation::Pool;
use crate::assets::gpu_groups;
use hypermesh_hardware::{Hardware, Inventory, Sample, Usage, filesystem};
use hypermesh_model::{AssetId, Bytes, GpuUuid, Timestamp};
use std::path::PathBuf;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

/// How often the machine is sampled.
pub(crate) const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);
/// How often memory that others hold is computed: it reads two files a lease.
const FOREIGN_INTERVAL: u32 = 5;
/// Above this, in percent, memory or disk is worth a warning. A busy CPU is not: that is what it is for.
const WARN_PERCENT: f64 = 95.0;

/// How a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub enum NodeState {
    Healthy,
    Warning,
    Critical,
    Offline,
}

/// Health of this node, as measured last. `None`: not measurable, or not yet.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the names and units (percent) are the contract's")]
pub struct NodeReport {
    pub status: NodeState,
    pub reasons: Vec<String>,
    pub cpu_usage: Option<f64>,
    pub memory_usage: Option<f64>,
    pub disk_usage: Option<f64>,
    pub uptime: Option<f64>,
    pub measured_at: Timestamp,
    pub executions_possible: bool,
}

#[derive(Debug, Default)]
struct Latest {
    sample: Option<Sample>,
    usage: Option<Usage>,
    disk_usage: Option<f64>,
    at: Option<Timestamp>,
}

/// The machine.
#[derive(Debug)]
pub struct Machine {
    hardware: Hardware,
    data_folder: PathBuf,
    inventory: Inventory,
    latest: RwLock<Latest>,
}

impl Machine {
    /// Takes the inventory. Blocks while GPUs are asked (at most some seconds).
    pub fn measure(system_root: PathBuf, data_folder: PathBuf) -> Self {
        let hardware = Hardware::new(system_root).with_data_folder(&data_folder);
        let inventory = hardware.inventory();
        Self { hardware, data_folder, inventory, latest: RwLock::default() }
    }

    /// What it has.
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// What can be leased of it.
    pub fn pool(&self) -> Pool {
        let capacity = &self.inventory.capacity;
        let gpus = self.inventory.gpus.gpus.iter().filter_map(|g| g.uuid.clone()).collect();
        Pool { cpu: capacity.cpu, memory: capacity.memory, foreign_memory: Bytes(0), gpus }
    }

    /// Device minors of these GPUs; `None` where the machine has no GPU that a filter could be about.
    pub fn gpu_minors(&self, granted: &[GpuUuid]) -> Option<Vec<u32>> {
        let gpus = &self.inventory.gpus.gpus;
        let is_granted = |uuid: &Option<GpuUuid>| uuid.as_ref().is_some_and(|u| granted.contains(u));
        (!gpus.is_empty())
            .then(|| gpus.iter().filter(|g| is_granted(&g.uuid)).filter_map(|g| g.minor).collect())
    }

    fn sample(&self) {
        let sample = self.hardware.sample();
        let disk = filesystem(&self.data_folder).ok();
        let mut latest = self.latest.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(earlier) = &latest.sample {
            latest.usage = Some(sample.usage_since(earlier));
        }
        latest.sample = Some(sample);
        latest.disk_usage = disk.map(|fs| 100.0 - fs.free.as_gb() * 100.0 / fs.total.as_gb().max(1e-9));
        latest.at = Some(Timestamp::now());
    }
}

impl Mesh {
    /// GPUs of one asset.
    pub(crate) fn gpu_group(&self, asset: &AssetId) -> Vec<GpuUuid> {
        let groups = gpu_groups(&self.machine.inventory);
        groups.into_iter().find(|(id, _)| id == asset.as_str()).map_or_else(Vec::new, |(_, group)| group.uuid)
    }

    /// Health of this node.
    pub fn health(&self) -> NodeReport {
        let latest = self.machine.latest.read().unwrap_or_else(PoisonError::into_inner);
        let cpu_usage = latest.usage.as_ref().and_then(|u| u.cpu_percent);
        let memory_usage = latest.usage.as_ref().and_then(|u| u.memory_percent);
        let mut reasons = Vec::new();
        let mut warn = |what: &str, percent: Option<f64>| {
            if let Some(percent) = percent.filter(|p| *p > WARN_PERCENT) {
                reasons.push(format!("{what} is {percent:.1} % in use"));
            }
        };
        warn("memory", memory_usage);
        warn("the data folder's file system", latest.disk_usage);
        let mut status = if reasons.is_empty() { NodeState::Healthy } else { NodeState::Warning };
        let unavailable = self.cgroups.unavailable_reason();
        let executions_possible = unavailable.is_none() || self.settings.allow_unenforced;
        if let Some(reason) = unavailable {
            let then =
                if executions_possible { "limits are not enforced" } else { "allocations are refused" };
            reasons.push(format!("{then}: {reason}"));
            status = if executions_possible { NodeState::Warning } else { NodeState::Critical };
        }
        NodeReport {
            status,
            reasons,
            cpu_usage,
            memory_usage,
            disk_usage: latest.disk_usage,
            uptime: self.uptime_percent(),
            measured_at: latest.at.unwrap_or_else(Timestamp::now),
            executions_possible,
        }
    }

    /// Share of the time since this node's first start in which it ran; `None` before a second has passed.
    fn uptime_percent(&self) -> Option<f64> {
        let since_first = self.first_start.until(Timestamp::now()).as_secs_f64();
        let up = self.up_before.as_secs_f64() + self.started.elapsed().as_secs_f64();
        (since_first >= 1.0).then(|| (up * 100.0 / since_first).min(100.0))
    }

    /// Samples the machine for ever.
    pub(crate) async fn sample_for_ever(self) {
        let mut tick = tokio::time::interval(SAMPLE_INTERVAL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for round in 0u32.. {
            tick.tick().await;
            let mesh = self.clone();
            let sampled = tokio::task::spawn_blocking(move || {
                mesh.machine.sample();
                if round.is_multiple_of(FOREIGN_INTERVAL) {
                    mesh.measure_foreign_memory();
                }
                mesh.publish_metrics();
            });
            if let Err(error) = sampled.await {
                tracing::error!(%error, "the machine could not be sampled");
            }
        }
    }

    /// Memory in use less what leases use: what the system and other processes hold.
    pub(crate) fn measure_foreign_memory(&self) {
        let latest = self.machine.latest.read().unwrap_or_else(PoisonError::into_inner);
        let Some(memory) = latest.sample.as_ref().map(|s| &s.memory) else { return };
        let (Some(total), Some(available)) = (memory.total, memory.available) else { return };
        drop(latest);
        let of_lease =
            |id| self.cgroups.usage(id, None).ok().and_then(|u| u.memory_current).map_or(0, |m| m.0);
        let leased: u64 = self.ledger.ids().iter().map(of_lease).sum();
        let used = total.0.saturating_sub(available.0);
        self.ledger.set_foreign_memory(Bytes(used.saturating_sub(leased)));
    }

    fn publish_metrics(&self) {
        let latest = self.machine.latest.read().unwrap_or_else(PoisonError::into_inner);
        let cpu = latest.usage.as_ref().and_then(|u| u.cpu_percent).map(|percent| percent / 100.0);
        let available = latest.sample.as_ref().and_then(|s| s.memory.available).map(|bytes| bytes.0);
        self.metrics.set_machine(cpu, available);
        let active = self.ledger.ids().len();
        self.metrics.leases_active().set(i64::try_from(active).unwrap_or(i64::MAX));
        let store = self.store.statistics();
        self.metrics.set_store(store.transactions, store.batches);
    }

    /// The first sample, so that what others hold is known before the first lease.
    pub(crate) fn first_samples(&self) {
        self.machine.sample();
        self.measure_foreign_memory();
    }

    /// How long this run of the node has lasted.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }
}
