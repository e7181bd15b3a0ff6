//! What `/metrics` says of leases and GPUs, gathered when somebody asks: a node that nobody scrapes reads nothing for it.

use crate::Mesh;
use crate::allocation::Readings;
use crate::error::MeshError;
use hypermesh_hardware::GpuSample;
use hypermesh_model::{CpuMode, Lease};
use hypermesh_sandbox::{Pressure, Stall};
use hypermesh_telemetry::{
    CpuSample, GpuSample as ShownGpu, IoSample, LeaseSample, MemorySample, PressureSample, StallSample,
};
use std::time::Duration;

/// The period of a quota that the kernel is given unless the quota would be too small for it.
const QUOTA_PERIOD: Duration = Duration::from_millis(100);

impl Mesh {
    /// Reads every lease's groups and gives all metrics as text, with the GPUs as last sampled. Some ten small files a
    /// lease, on a thread of its own.
    ///
    /// # Errors
    /// When no thread can be had for it.
    pub async fn metrics_text(&self) -> Result<String, MeshError> {
        self.blocking_mesh(|mesh| {
            let leases = mesh.leases();
            mesh.metrics.set_lease_phases(leases.iter().map(|lease| lease.status));
            let live = || leases.iter().filter(|lease| lease.status.has_group());
            let entries = live().flat_map(|lease| lease.receipt.entries.iter().map(|entry| entry.state));
            mesh.metrics.set_enforcement(entries);
            // One that ended meanwhile is left out.
            mesh.metrics.set_leases(live().filter_map(|lease| mesh.sample_of(lease)).collect());
            mesh.metrics.set_gpus(mesh.shown_gpus());
            Ok(mesh.metrics.encode())
        })
        .await
    }

    fn sample_of(&self, lease: &Lease) -> Option<LeaseSample> {
        let Readings { group, processes, pressure } = self.read_groups(&lease.id).ok()?;
        let folder = lease.grant.storage.and_then(|_| self.volumes.usage(&lease.id));
        let limited = lease.grant.cpu.filter(|_| lease.grant.cpu_mode == CpuMode::Limited);
        let uses = self.machine.gpu_uses(&lease.grant.gpus, &processes);
        let cgroup = format!("/hypermesh/{}/{}", self.node_id, lease.id);
        Some(LeaseSample {
            started: Some(lease.start_time),
            cpu: CpuSample {
                usage: group.cpu_time_ns.map(Duration::from_nanos),
                periods: group.periods,
                throttled_periods: group.throttled_periods,
                throttled: group.throttled_ns.map(Duration::from_nanos),
                quota: limited.map(|cpu| QUOTA_PERIOD * cpu.0 / 1000),
                period: limited.map(|_| QUOTA_PERIOD),
                shares: lease.grant.cpu.map(|cpu| (u64::from(cpu.0) * 1024 / 1000).max(2)),
                ..CpuSample::default()
            },
            memory: MemorySample {
                usage: group.memory_current,
                working_set: group.memory_working_set,
                rss: group.memory_anon,
                cache: group.memory_file,
                swap: group.swap,
                max_usage: group.memory_peak,
                limit_hits: group.memory_limit_hits,
                oom_events: group.oom,
                limit: lease.grant.memory,
            },
            processes: Some(processes.len() as u64),
            threads: group.pids_current,
            io: IoSample {
                read_bytes: group.io_read_bytes.map(hypermesh_model::Bytes),
                written_bytes: group.io_write_bytes.map(hypermesh_model::Bytes),
                reads: group.io_read_ops,
                writes: group.io_write_ops,
            },
            storage_used: folder.as_ref().map(|folder| folder.used),
            storage_limit: folder.map(|folder| folder.size),
            pressure: PressureSample {
                cpu: stalls(pressure.cpu),
                memory: stalls(pressure.memory),
                io: stalls(pressure.io),
            },
            gpu_memory: uses.into_iter().filter_map(|gpu| Some((gpu.uuid, gpu.memory_of_lease?))).collect(),
            ..LeaseSample::new(cgroup, lease.id.clone(), lease.requester.clone())
        })
    }

    fn shown_gpus(&self) -> Vec<ShownGpu> {
        let inventory = &self.machine.inventory().gpus;
        let show = |sample: &GpuSample| {
            let gpu = inventory.gpus.iter().find(|gpu| gpu.uuid == sample.uuid);
            ShownGpu {
                index: sample.index,
                uuid: sample.uuid.clone(),
                pci_bus_id: gpu.and_then(|gpu| gpu.pci.clone()),
                minor: gpu.and_then(|gpu| gpu.minor),
                model: gpu.and_then(|gpu| gpu.model.clone()),
                driver_version: inventory.driver.clone(),
                sm_clock_mhz: sample.clocks.sm,
                memory_clock_mhz: sample.clocks.memory,
                temperature_celsius: sample.temperature_celsius,
                power_watts: sample.power_watts,
                energy_millijoules: sample.energy_millijoules,
                pcie_replays: sample.pcie.replays.map(u64::from),
                utilization_percent: sample.utilization_percent,
                memory_utilization_percent: sample.memory_utilization_percent,
                encoder_percent: sample.encoder_percent,
                decoder_percent: sample.decoder_percent,
                memory_free: sample.memory_free,
                memory_used: sample.memory_used,
                memory_reserved: sample.memory_reserved,
                ..ShownGpu::default()
            }
        };
        self.machine.gpu_samples().iter().map(show).collect()
    }
}

fn stalls(pressure: Option<Pressure>) -> StallSample {
    let total = |stall: Option<Stall>| stall.map(|stall| Duration::from_micros(stall.total_us));
    StallSample {
        waiting: pressure.and_then(|pressure| total(pressure.some)),
        stalled: pressure.and_then(|pressure| total(pressure.full)),
    }
}
