//! The machine as the domain sees it: what it has, what it is doing, how the node is.

use crate::Mesh;
use crate::allocation::GpuUse;
use crate::assets::gpu_groups;
use hypermesh_hardware::{
    CoreInfo, GpuInfo, GpuSample, Hardware, Inventory, NodeInfo, Sample, Usage, filesystem,
};
use hypermesh_model::{AssetId, Bytes, GpuUuid, Lease, Timestamp};
use hypermesh_planner as planner;
use hypermesh_sandbox::{GpuAccess, MigAccess};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
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
    disk_used: Option<Bytes>,
    at: Option<Timestamp>,
}

/// The machine.
#[derive(Debug)]
pub struct Machine {
    hardware: Hardware,
    system_root: PathBuf,
    data_folder: PathBuf,
    inventory: Inventory,
    latest: RwLock<Latest>,
}

impl Machine {
    /// Takes the inventory. Blocks while GPUs are asked (at most some seconds).
    pub fn measure(system_root: PathBuf, data_folder: PathBuf, nvml_library: Option<PathBuf>) -> Self {
        let hardware = Hardware::new(system_root.clone()).with_data_folder(&data_folder);
        let hardware = match nvml_library {
            Some(library) => hardware.with_nvml_library(library),
            None => hardware,
        };
        let inventory = hardware.inventory();
        Self { hardware, system_root, data_folder, inventory, latest: RwLock::default() }
    }

    /// What it has.
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// Where `proc` and `sys` are.
    pub(crate) fn system_root(&self) -> &Path {
        &self.system_root
    }

    /// What can be leased of it.
    pub fn capacity(&self) -> planner::Machine {
        let Inventory { capacity, topology, storage, gpus, .. } = &self.inventory;
        let core = |core: &CoreInfo| planner::Core { cpus: core.cpus.clone(), node: core.node };
        let node = |node: &NodeInfo| planner::NumaNode { id: node.id, memory: node.memory_total };
        planner::Machine {
            cpu: capacity.cpu,
            cores: topology.cores.iter().map(core).collect(),
            nodes: topology.nodes.iter().map(node).collect(),
            memory: capacity.memory,
            storage: storage.as_ref().map_or(Bytes(0), |filesystem| filesystem.total),
            gpus: gpus.gpus.iter().flat_map(leasable).collect(),
        }
    }

    /// Which device nodes a lease of these GPUs may open; `None` where the machine has no GPU that a filter could be about.
    pub(crate) fn gpu_access(&self, granted: &[GpuUuid]) -> Option<GpuAccess> {
        let gpus = &self.inventory.gpus.gpus;
        let is_granted = |uuid: &Option<GpuUuid>| uuid.as_ref().is_some_and(|u| granted.contains(u));
        let instances = gpus.iter().flat_map(|gpu| {
            let granted = gpu.instances.iter().filter(|instance| is_granted(&instance.uuid));
            granted.filter_map(|instance| {
                Some(MigAccess {
                    minor: gpu.minor?,
                    gpu_instance: instance.gpu_instance?,
                    compute_instance: instance.compute_instance,
                })
            })
        });
        (!gpus.is_empty()).then(|| GpuAccess {
            minors: gpus.iter().filter(|g| is_granted(&g.uuid)).filter_map(|g| g.minor).collect(),
            instances: instances.collect(),
        })
    }

    /// The block device of the data folder, for limits on I/O; `None` where it has none of its own.
    pub(crate) fn data_device(&self) -> Option<(u32, u32)> {
        let device = self.inventory.storage.as_ref()?.device.as_ref()?;
        Some((device.major, device.minor))
    }

    /// What all GPUs were doing last.
    pub(crate) fn gpu_samples(&self) -> Vec<GpuSample> {
        let latest = self.latest.read().unwrap_or_else(PoisonError::into_inner);
        latest.sample.as_ref().and_then(|sample| sample.gpus.clone()).unwrap_or_default()
    }

    /// What these GPUs are doing, and how much of each these processes hold.
    pub(crate) fn gpu_uses(&self, gpus: &[GpuUuid], processes: &[u32]) -> Vec<GpuUse> {
        let latest = self.latest.read().unwrap_or_else(PoisonError::into_inner);
        let samples = latest.sample.as_ref().and_then(|sample| sample.gpus.as_deref()).unwrap_or_default();
        let of = |uuid: &GpuUuid| {
            let found = samples.iter().find(|sample| self.is_on(sample, uuid));
            let mine = |sample: &&GpuSample| -> Option<Bytes> {
                let mine =
                    sample.processes.as_ref()?.iter().filter(|process| processes.contains(&process.pid));
                Some(Bytes(mine.filter_map(|process| process.memory_used).map(|memory| memory.0).sum()))
            };
            GpuUse {
                uuid: uuid.clone(),
                utilization_percent: found.and_then(|sample| sample.utilization_percent),
                memory_used: found.and_then(|sample| sample.memory_used),
                memory_of_lease: found.as_ref().and_then(mine),
                power_watts: found.and_then(|sample| sample.power_watts),
                temperature_celsius: found.and_then(|sample| sample.temperature_celsius).map(f64::from),
            }
        };
        gpus.iter().map(of).collect()
    }

    /// Whether a sample is of this GPU, or of the one that this MIG instance is a part of.
    fn is_on(&self, sample: &GpuSample, uuid: &GpuUuid) -> bool {
        let is_parent =
            |gpu: &&GpuInfo| gpu.instances.iter().any(|instance| instance.uuid.as_ref() == Some(uuid));
        let parent = self.inventory.gpus.gpus.iter().find(is_parent).and_then(|gpu| gpu.uuid.as_ref());
        sample.uuid.as_ref() == Some(uuid) || (parent.is_some() && sample.uuid.as_ref() == parent)
    }

    /// GPUs and MIG instances that don't answer now: fallen off the bus, or waiting for a reset.
    pub(crate) fn lost_gpus(&self) -> Vec<GpuUuid> {
        let latest = self.latest.read().unwrap_or_else(PoisonError::into_inner);
        let samples = latest.sample.as_ref().and_then(|sample| sample.gpus.as_deref()).unwrap_or_default();
        let lost: Vec<&GpuSample> = samples.iter().filter(|sample| sample.lost).collect();
        let all = self.inventory.gpus.gpus.iter().flat_map(leasable).map(|gpu| gpu.uuid);
        all.filter(|uuid| lost.iter().any(|sample| self.is_on(sample, uuid))).collect()
    }

    /// GPUs on which a process runs that none of these is.
    fn busy_gpus(&self, leased: &BTreeSet<u32>) -> Vec<GpuUuid> {
        let latest = self.latest.read().unwrap_or_else(PoisonError::into_inner);
        let samples = latest.sample.as_ref().and_then(|sample| sample.gpus.as_deref()).unwrap_or_default();
        let foreign = |sample: &&GpuSample| {
            sample
                .processes
                .as_ref()
                .is_some_and(|all| all.iter().any(|process| !leased.contains(&process.pid)))
        };
        samples.iter().filter(foreign).filter_map(|sample| sample.uuid.clone()).collect()
    }

    fn sample(&self) {
        let sample = self.hardware.sample();
        let disk = filesystem(&self.data_folder).ok();
        let mut latest = self.latest.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(earlier) = &latest.sample {
            latest.usage = Some(sample.usage_since(earlier));
        }
        latest.sample = Some(sample);
        latest.disk_used = disk.as_ref().map(|fs| Bytes(fs.total.0.saturating_sub(fs.free.0)));
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
                    mesh.measure_foreign();
                    // What others gave back may be what somebody waits for.
                    if mesh.ledger.waiting() > 0 {
                        mesh.wake_life();
                    }
                }
                mesh.watch_gpus();
                mesh.publish_metrics();
            });
            if let Err(error) = sampled.await {
                tracing::error!(%error, "the machine could not be sampled");
            }
        }
    }

    /// What the system and other processes hold: memory, disk and GPUs in use, less what leases hold of them.
    pub(crate) fn measure_foreign(&self) {
        let leases = self.tables.leases.filter(|lease| lease.status.has_group());
        let of_lease = |lease: &Lease| {
            self.cgroups.memory_current(&lease.id).ok().flatten().map_or(0, |memory| memory.0)
        };
        let leased: u64 = leases.iter().map(of_lease).sum();
        let folders: u64 = leases.iter().filter_map(|lease| lease.grant.storage).map(|size| size.0).sum();
        let (memory, disk) = {
            let latest = self.machine.latest.read().unwrap_or_else(PoisonError::into_inner);
            let memory = latest.sample.as_ref().and_then(|s| Some((s.memory.total?, s.memory.available?)));
            (memory, latest.disk_used)
        };
        let holds_gpu = |lease: &&Lease| !lease.grant.gpus.is_empty();
        let processes =
            leases.iter().filter(holds_gpu).filter_map(|lease| self.cgroups.processes(&lease.id, None).ok());
        let leased_processes: BTreeSet<u32> = processes.flatten().collect();
        let used = memory.map_or(0, |(total, available)| total.0.saturating_sub(available.0));
        self.ledger.set_foreign(planner::Foreign {
            memory: Bytes(used.saturating_sub(leased)),
            storage: Bytes(disk.map_or(0, |used| used.0.saturating_sub(folders))),
            gpus: self.machine.busy_gpus(&leased_processes),
        });
    }

    fn publish_metrics(&self) {
        let latest = self.machine.latest.read().unwrap_or_else(PoisonError::into_inner);
        let cpu = latest.usage.as_ref().and_then(|u| u.cpu_percent).map(|percent| percent / 100.0);
        let available = latest.sample.as_ref().and_then(|s| s.memory.available).map(|bytes| bytes.0);
        self.metrics.set_machine(cpu, available);
        let active = self.ledger.read(planner::Book::len);
        self.metrics.leases_active().set(i64::try_from(active).unwrap_or(i64::MAX));
        let waiting = self.ledger.waiting();
        self.metrics.queue_length().set(i64::try_from(waiting).unwrap_or(i64::MAX));
        let store = self.store.statistics();
        self.metrics.set_store(store.transactions, store.batches);
    }

    /// The first sample, so that what others hold is known before the first lease.
    pub(crate) fn first_samples(&self) {
        self.machine.sample();
        self.measure_foreign();
    }

    /// How long this run of the node has lasted.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }
}

/// A device and its MIG instances, as the planner counts them. What has no UUID can't be leased.
fn leasable(gpu: &GpuInfo) -> Vec<planner::Gpu> {
    let divided = gpu.mig == Some(true);
    let whole = gpu.uuid.clone().map(|uuid| planner::Gpu {
        uuid,
        model: gpu.model.clone(),
        memory: gpu.memory,
        node: gpu.numa_node,
        parent: None,
        divided,
    });
    let instance = |instance: &hypermesh_hardware::MigInstance| {
        Some(planner::Gpu {
            uuid: instance.uuid.clone()?,
            model: gpu.model.clone(),
            memory: instance.memory,
            node: gpu.numa_node,
            parent: Some(gpu.uuid.clone()?),
            divided: false,
        })
    };
    whole.into_iter().chain(gpu.instances.iter().filter_map(instance)).collect()
}
