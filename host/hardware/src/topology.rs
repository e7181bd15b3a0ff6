//! Cores and NUMA nodes, for those who give whole cores away: what shares a core, what is near to what.
//!
//! Read from sysfs (kernel `Documentation/admin-guide/cputopology.rst`, `Documentation/ABI/stable/sysfs-devices-node`),
//! and only for processors that are online **and** allowed to this process: its affinity, and the cpusets of its cgroups,
//! as [`crate::capacity`] counts them. A machine without NUMA files, or whose files contradict each other, is one node 0.
//! Without anything known there are no cores, and nothing can be pinned.

use crate::capacity::allowed_cpus;
use crate::cgroup::OwnCgroups;
use crate::cpu;
use crate::cpulist::CpuList;
use crate::memory::{MemorySample, kibibytes};
use crate::root::SystemRoot;
use hypermesh_model::Bytes;
use serde::Serialize;
use std::collections::BTreeSet;

const CPUS: &str = "/sys/devices/system/cpu";
const NODES: &str = "/sys/devices/system/node";

/// Distance of a node to itself (ACPI SLIT).
const LOCAL_DISTANCE: u32 = 10;

/// The processors that this process may use, by core and by node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CpuTopology {
    /// The cores, by their first processor. Each processor is in one.
    pub cores: Vec<CoreInfo>,
    /// The NUMA nodes, ascending; those without processors, or without any for us, included.
    pub nodes: Vec<NodeInfo>,
}

/// A physical core.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CoreInfo {
    /// Its logical processors (SMT siblings) that are online and allowed, ascending; at least one.
    pub cpus: Vec<u32>,
    /// Others may use a sibling of this core that this process may not: what is pinned to it doesn't have it alone.
    pub partial: bool,
    /// Its NUMA node: one of [`CpuTopology::nodes`].
    pub node: u32,
    /// Its physical package. `None` where the kernel doesn't say.
    pub package: Option<u32>,
    /// The highest frequency that it reaches, in MHz. `None` without cpufreq, as in most virtual machines.
    pub max_mhz: Option<u32>,
    /// How much it computes at that frequency against the machine's fastest core, which has 1024. Differs between cores
    /// of several kinds. `None` where the kernel doesn't say.
    pub capacity: Option<u32>,
}

/// A NUMA node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeInfo {
    /// Its number.
    pub id: u32,
    /// Its processors that are online and allowed, ascending.
    pub cpus: Vec<u32>,
    /// Its memory, in bytes.
    pub memory_total: Option<Bytes>,
    /// Whether this process may use its memory (`Mems_allowed`).
    pub memory_allowed: bool,
    /// Its distances to all [`CpuTopology::nodes`] in their order; 10 is itself. Empty where the kernel doesn't say.
    pub distances: Vec<u32>,
}

impl CpuTopology {
    pub(crate) fn read(root: &SystemRoot) -> Self {
        let cgroups = OwnCgroups::read(root);
        let (Some(online), Some(allowed)) = (cpu::online(root), allowed_cpus(root, &cgroups)) else {
            return Self::default();
        };
        let nodes = numa_nodes(root, &allowed).unwrap_or_else(|| one_node(root, &allowed));
        let cores = group(&allowed, |cpu| siblings(root, cpu));
        let describe =
            |(cpus, siblings): (Vec<u32>, CpuList)| describe(root, &online, &nodes, cpus, &siblings);
        Self { cores: cores.into_iter().map(describe).collect(), nodes }
    }
}

/// The processors that share a core with this one, itself included.
fn siblings(root: &SystemRoot, cpu: u32) -> Option<CpuList> {
    root.value(format!("{CPUS}/cpu{cpu}/topology/thread_siblings_list"))
}

/// Every processor once, with those of its siblings that are allowed and in no earlier core; and all its siblings. One
/// that the kernel says nothing of is a core by itself.
fn group(allowed: &CpuList, siblings: impl Fn(u32) -> Option<CpuList>) -> Vec<(Vec<u32>, CpuList)> {
    let mut taken: BTreeSet<u32> = BTreeSet::new();
    let mut cores = Vec::new();
    for cpu in allowed.iter() {
        if taken.contains(&cpu) {
            continue;
        }
        let siblings = siblings(cpu).unwrap_or_default();
        let others = allowed.intersection(&siblings);
        let mut cpus: Vec<u32> =
            others.iter().filter(|other| !taken.contains(other) && *other != cpu).collect();
        cpus.push(cpu);
        cpus.sort_unstable();
        taken.extend(&cpus);
        cores.push((cpus, siblings));
    }
    cores
}

fn describe(
    root: &SystemRoot,
    online: &CpuList,
    nodes: &[NodeInfo],
    cpus: Vec<u32>,
    siblings: &CpuList,
) -> CoreInfo {
    // Siblings are alike: the first speaks for all.
    let first = cpus.first().copied().unwrap_or_default();
    let folder = format!("{CPUS}/cpu{first}");
    let khz = root.value::<u32>(format!("{folder}/cpufreq/cpuinfo_max_freq"));
    CoreInfo {
        partial: online.intersection(siblings).iter().any(|cpu| !cpus.contains(&cpu)),
        node: nodes.iter().find(|node| node.cpus.contains(&first)).map_or(0, |node| node.id),
        // -1 where the firmware doesn't say.
        package: root.value(format!("{folder}/topology/physical_package_id")),
        max_mhz: khz.map(|khz| khz / 1000).filter(|mhz| *mhz > 0),
        capacity: root.value(format!("{folder}/cpu_capacity")).filter(|capacity| *capacity > 0),
        cpus,
    }
}

/// The nodes that the kernel lists; `None` when it lists none, or they don't share the processors out among them.
fn numa_nodes(root: &SystemRoot, allowed: &CpuList) -> Option<Vec<NodeInfo>> {
    let online: CpuList =
        root.value(format!("{NODES}/online")).filter(|nodes: &CpuList| nodes.count() > 0)?;
    let mems = mems_allowed(root);
    let read = |id| {
        let folder = format!("{NODES}/node{id}");
        let cpus: CpuList = root.value(format!("{folder}/cpulist"))?;
        let distances = root.line(format!("{folder}/distance")).and_then(|text| distances(&text));
        Some(NodeInfo {
            id,
            cpus: cpus.intersection(allowed).iter().collect(),
            memory_total: root.text(format!("{folder}/meminfo")).and_then(|text| memory_total(&text)),
            memory_allowed: mems.as_ref().is_none_or(|mems| mems.contains(id)),
            distances: distances
                .filter(|all| Ok(online.count()) == u32::try_from(all.len()))
                .unwrap_or_default(),
        })
    };
    let nodes: Vec<NodeInfo> = online.iter().map(read).collect::<Option<_>>()?;
    let mut shared_out: Vec<u32> = nodes.iter().flat_map(|node| node.cpus.iter().copied()).collect();
    shared_out.sort_unstable();
    let is_partition = shared_out.iter().copied().eq(allowed.iter());
    if !is_partition {
        tracing::debug!("the NUMA nodes don't share the processors out; they are taken as one node");
    }
    is_partition.then_some(nodes)
}

fn one_node(root: &SystemRoot, allowed: &CpuList) -> Vec<NodeInfo> {
    vec![NodeInfo {
        id: 0,
        cpus: allowed.iter().collect(),
        memory_total: MemorySample::read(root).total,
        memory_allowed: true,
        distances: vec![LOCAL_DISTANCE],
    }]
}

/// The nodes whose memory this process may use.
fn mems_allowed(root: &SystemRoot) -> Option<CpuList> {
    let status = root.text("/proc/self/status")?;
    status.lines().find_map(|line| line.strip_prefix("Mems_allowed_list:")?.parse().ok())
}

/// `10 21`.
fn distances(text: &str) -> Option<Vec<u32>> {
    text.split_ascii_whitespace().map(|distance| distance.parse().ok()).collect()
}

/// `Node 0 MemTotal:       21063896 kB`.
fn memory_total(text: &str) -> Option<Bytes> {
    text.lines().find_map(|line| kibibytes(line.split_once("MemTotal:")?.1))
}

#[cfg(test)]
mod tests;
