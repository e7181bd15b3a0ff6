//! Capacity: how much of the machine this node may hand out. The minimum of what the host has, what each cgroup from
//! the own one up to the root allows, and where the process may run.
//!
//! Every limit that was found is listed with its file, so that a node that offers less than its machine can say why.
//! What other processes use is not taken off here. Nothing known means nothing to hand out: capacity is then zero.

use crate::cgroup::{Hierarchy, OwnCgroups};
use crate::cpu;
use crate::cpulist::CpuList;
use crate::memory::MemorySample;
use crate::root::SystemRoot;
use hypermesh_model::{Bytes, MilliCpu};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// v1 files say "no limit" with the highest multiple of the page size in an `i64`. Anything from here on is that.
const V1_UNLIMITED: u64 = 1 << 62;

/// Where the kernel tells the affinity of this process.
const STATUS: &str = "/proc/self/status";

/// What sets a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum LimitSource {
    /// The processors that are online.
    #[serde(rename = "online")]
    Online,
    /// The processors that this process may run on (sched_setaffinity(2)).
    #[serde(rename = "affinity")]
    Affinity,
    /// A cgroup's CPU time in each period.
    #[serde(rename = "cgroup quota")]
    CgroupQuota,
    /// A cgroup's processors.
    #[serde(rename = "cpuset")]
    Cpuset,
    /// The memory that the kernel manages.
    #[serde(rename = "total")]
    Total,
    /// A cgroup's memory.
    #[serde(rename = "cgroup limit")]
    CgroupLimit,
}

/// One limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CapacityLimit<T> {
    /// What sets it.
    pub source: LimitSource,
    /// What it allows.
    pub value: T,
    /// The kernel file that says so, absolute; `None` where several do.
    pub file: Option<String>,
}

/// How much may be handed out, and why not more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MachineCapacity {
    /// The lowest of [`Self::cpu_limits`]; zero when there are none.
    pub cpu: MilliCpu,
    /// All that was found, in the order host, affinity, cgroups from the own one upwards.
    pub cpu_limits: Vec<CapacityLimit<MilliCpu>>,
    /// The lowest of [`Self::memory_limits`]; zero when there are none.
    pub memory: Bytes,
    /// All that was found, in the order host, cgroups from the own one upwards.
    pub memory_limits: Vec<CapacityLimit<Bytes>>,
}

impl MachineCapacity {
    pub(crate) fn read(root: &SystemRoot) -> Self {
        let cgroups = OwnCgroups::read(root);
        let cpu_limits = cpu_limits(root, &cgroups);
        let memory_limits = memory_limits(root, &cgroups);
        Self { cpu: lowest(&cpu_limits), cpu_limits, memory: lowest(&memory_limits), memory_limits }
    }
}

fn lowest<T: Copy + Ord + Default>(limits: &[CapacityLimit<T>]) -> T {
    limits.iter().map(|limit| limit.value).min().unwrap_or_default()
}

fn cpu_limits(root: &SystemRoot, cgroups: &OwnCgroups) -> Vec<CapacityLimit<MilliCpu>> {
    let Some(online) = cpu::online(root) else { return Vec::new() };
    let whole = |cpus: u32| MilliCpu(cpus.saturating_mul(1000));
    let mut limits =
        vec![CapacityLimit { source: LimitSource::Online, value: whole(online.count()), file: None }];
    if let Some(allowed) = affinity(root) {
        let file = Some(shown(root, Path::new(STATUS)));
        limits.push(CapacityLimit {
            source: LimitSource::Affinity,
            value: whole(online.count_in(&allowed)),
            file,
        });
    }
    let mut add = |source, file: PathBuf, value: Option<MilliCpu>| {
        limits.extend(value.map(|value| CapacityLimit { source, value, file: Some(shown(root, &file)) }));
    };
    for group in cgroups.chain(Hierarchy::V1("cpu")) {
        add(LimitSource::CgroupQuota, group.join("cpu.cfs_quota_us"), v1_quota(root, &group));
    }
    for group in cgroups.chain(Hierarchy::V2) {
        let file = group.join("cpu.max");
        let quota = v2_quota(root, &file);
        add(LimitSource::CgroupQuota, file, quota);
    }
    for (file, cpus) in cpusets(root, cgroups) {
        add(LimitSource::Cpuset, file, Some(whole(online.count_in(&cpus))));
    }
    limits
}

/// The processors that are online and that this process may use: its affinity, and the cpuset of each of its cgroups.
pub(crate) fn allowed_cpus(root: &SystemRoot, cgroups: &OwnCgroups) -> Option<CpuList> {
    let online = cpu::online(root)?;
    let sets = cpusets(root, cgroups).into_iter().map(|(_, cpus)| cpus);
    Some(affinity(root).into_iter().chain(sets).fold(online, |left, set| left.intersection(&set)))
}

/// Not sched_getaffinity(2): it speaks of the calling thread, which may be pinned on its own, and not of the process.
fn affinity(root: &SystemRoot) -> Option<CpuList> {
    root.text(STATUS)?.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")?.parse().ok())
}

/// The cpusets of the own cgroups and their ancestors, with the files that say so.
fn cpusets(root: &SystemRoot, cgroups: &OwnCgroups) -> Vec<(PathBuf, CpuList)> {
    let v1 = cgroups.chain(Hierarchy::V1("cpuset")).into_iter().map(|g| g.join("cpuset.effective_cpus"));
    let v2 = cgroups.chain(Hierarchy::V2).into_iter().map(|group| group.join("cpuset.cpus.effective"));
    let read = |file: PathBuf| {
        let cpus = root.value::<CpuList>(&file).filter(|cpus| cpus.count() > 0)?;
        Some((file, cpus))
    };
    v1.chain(v2).filter_map(read).collect()
}

/// kernel `Documentation/scheduler/sched-bwc.rst`; a quota of -1 is none.
fn v1_quota(root: &SystemRoot, group: &Path) -> Option<MilliCpu> {
    milli_cpu(root.value(group.join("cpu.cfs_quota_us"))?, root.value(group.join("cpu.cfs_period_us"))?)
}

/// `"max 100000"` or `"50000 100000"`: kernel `Documentation/admin-guide/cgroup-v2.rst`.
fn v2_quota(root: &SystemRoot, file: &Path) -> Option<MilliCpu> {
    let text = root.text(file)?;
    let (quota, period) = text.trim().split_once(' ')?;
    milli_cpu(quota.parse().ok()?, period.parse().ok()?)
}

/// Rounded down: a thousandth that isn't whole can't be leased.
fn milli_cpu(quota: i64, period: u64) -> Option<MilliCpu> {
    let quota = u64::try_from(quota).ok().filter(|quota| *quota > 0)?;
    let milli = quota.saturating_mul(1000).checked_div(period)?;
    Some(MilliCpu(u32::try_from(milli).unwrap_or(u32::MAX)))
}

fn memory_limits(root: &SystemRoot, cgroups: &OwnCgroups) -> Vec<CapacityLimit<Bytes>> {
    let total = MemorySample::read(root).total;
    let file = Some(shown(root, Path::new("/proc/meminfo")));
    let host = total.map(|value| CapacityLimit { source: LimitSource::Total, value, file });
    let v1 =
        cgroups.chain(Hierarchy::V1("memory")).into_iter().map(|group| group.join("memory.limit_in_bytes"));
    // "max" is not a number, and so no limit.
    let v2 = cgroups.chain(Hierarchy::V2).into_iter().map(|group| group.join("memory.max"));
    let limit = |file: PathBuf| {
        let value = Bytes(root.value(&file).filter(|limit| *limit < V1_UNLIMITED)?);
        Some(CapacityLimit { source: LimitSource::CgroupLimit, value, file: Some(shown(root, &file)) })
    };
    host.into_iter().chain(v1.chain(v2).filter_map(limit)).collect()
}

fn shown(root: &SystemRoot, file: &Path) -> String {
    root.path(file).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests;
