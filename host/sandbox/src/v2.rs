//! cgroup v2: the plan of limits, and finding a parent that may be used
//! (kernel: `Documentation/admin-guide/cgroup-v2.rst`).
//!
//! A group hands controllers down only while no process lives in it directly. So the node moves itself into
//! `<own>/node` when it is alone in its own (delegated) group; else it needs an explicit parent or the root. Nothing
//! but the own process is ever moved, and only controllers that are missing are enabled.

use crate::detect::Place;
use crate::kernel_fs::{Folders, make_group, processes, words, write};
use crate::search::left_behind;
use crate::setting::{Facts, IfMissing, Setting};
use crate::tree::{Hierarchy, Holds, TOP};
use crate::v1::{configured_base, make_node};
use crate::{CgroupError, Limits, cpu, io};
use hypermesh_model::CpuMode;
use std::path::{Path, PathBuf};

/// The controllers that leases use; their leaves use all but the last, since cores are given to the lease.
const CONTROLLERS: [&str; 5] = ["cpu", "memory", "pids", "io", "cpuset"];
/// The leaf that the node itself moves to; also the name to give `DelegateSubgroup=` of a systemd unit.
const NODE_LEAF: &str = "node";

/// What to write, in order. Cores are in [`crate::cpuset`].
pub(crate) fn plan(limits: &Limits, facts: &Facts) -> Vec<Setting> {
    let mut plan = cpu::plan_v2(limits);
    let pages = |bytes: u64| (bytes / facts.page_size * facts.page_size).to_string();
    if let Some(memory) = limits.memory {
        plan.push(Setting {
            expected: pages(memory.0),
            ..Setting::new("memory", "memory", "memory.max", memory.0.to_string())
        });
        plan.push(Setting {
            if_missing: if facts.has_swap { IfMissing::Unenforced } else { IfMissing::LeaveOut },
            ..Setting::new("swap", "memory", "memory.swap.max", "0".to_owned())
        });
        // A lease that lost one process to the OOM killer is broken: it ends as a whole. Before Linux 4.19 it can't.
        plan.push(Setting {
            if_missing: IfMissing::LeaveOut,
            ..Setting::new("oom_group", "memory", "memory.oom.group", "1".to_owned())
        });
    }
    if let Some(request) = limits.memory_request {
        let setting = Setting {
            expected: pages(request.0),
            ..Setting::new("memory_request", "memory", "memory.low", request.0.to_string())
        };
        plan.push(match facts.kept_above {
            Some(kept) if kept < request.0 => setting.best_effort(
                "the group above keeps less, so the kernel may take it when the machine runs short",
            ),
            Some(_) | None => setting,
        });
    }
    if let Some(pids) = limits.pids {
        plan.push(Setting::new("pids", "pids", "pids.max", pids.to_string()));
    }
    plan.extend(limits.io.iter().flat_map(io::plan_v2));
    plan
}

/// What makes a live group hold exactly these limits, in order.
pub(crate) fn changes(limits: &Limits, facts: &Facts) -> Vec<Setting> {
    let reset = |controller, file, value: &str| Setting::new("", controller, file, value.to_owned());
    let mut steps = vec![reset("cpu", "cpu.max.burst", "0")];
    let has_cpu = |mode: &[CpuMode]| limits.cpu.is_some() && mode.contains(&limits.cpu_mode);
    if !has_cpu(&[CpuMode::Limited]) {
        steps.push(reset("cpu", "cpu.max", "max 100000"));
    }
    if !has_cpu(&[CpuMode::Limited, CpuMode::Shared]) {
        steps.push(reset("cpu", "cpu.weight", "100"));
    }
    if limits.memory.is_none() {
        steps.push(reset("memory", "memory.max", "max"));
        steps.push(reset("memory", "memory.swap.max", "max"));
    }
    if limits.memory_request.is_none() {
        steps.push(reset("memory", "memory.low", "0"));
    }
    if limits.pids.is_none() {
        steps.push(reset("pids", "pids.max", "max"));
    }
    steps.extend(plan(limits, facts));
    steps
}

/// Hands the controllers that a group has down to its children, those that are not yet.
///
/// # Errors
/// The kernel's first refusal; what could be enabled is.
pub(crate) fn enable(dir: &Path) -> Result<(), CgroupError> {
    hand_down(dir, &CONTROLLERS)
}

/// The same for the leaves of a lease.
///
/// # Errors
/// As for `enable`.
pub(crate) fn enable_for_leaves(dir: &Path) -> Result<(), CgroupError> {
    hand_down(dir, &CONTROLLERS[..CONTROLLERS.len() - 1])
}

fn hand_down(dir: &Path, controllers: &[&str]) -> Result<(), CgroupError> {
    let have = words(&dir.join("cgroup.controllers"))?;
    let file = dir.join("cgroup.subtree_control");
    let enabled = words(&file)?;
    let missing = |c: &&&str| have.iter().any(|h| h == **c) && !enabled.iter().any(|e| e == **c);
    let orders: Vec<String> = controllers.iter().filter(missing).map(|c| format!("+{c}")).collect();
    if orders.is_empty() || write(&file, &orders.join(" ")).is_ok() {
        return Ok(());
    }
    // One refused controller (cpu with real-time processes) refuses the whole line: each on its own, then.
    let results: Vec<_> = orders.iter().map(|order| write(&file, order)).collect();
    results.into_iter().collect()
}

/// Finds a usable parent and makes `hypermesh/<node>` below it with the controllers enabled all the way down.
///
/// # Errors
/// When no parent can hand down at least one of cpu, memory and pids.
pub(crate) fn open(
    place: &Place,
    parent: Option<&str>,
    node: &str,
    folders: &dyn Folders,
) -> Result<Hierarchy, CgroupError> {
    if let Some(parent) = parent {
        return open_below(&configured_base(place, parent, folders)?, node, folders);
    }
    // In the own group the node may still have to make room for its children, as at a first start.
    let earlier = left_behind(&place.mount, &place.own, node).filter(|base| *base != place.own);
    if let Some(base) = earlier {
        let opened = open_below(&base, node, folders);
        // Without leases it was removed when it turned out unusable; with them, another place would hide them.
        if opened.is_ok() || base.join(TOP).join(node).exists() {
            return opened;
        }
    }
    let own = match own_parent(place, folders) {
        Ok(Some(own)) => open_below(&own, node, folders),
        Ok(None) => Err(CgroupError::Unavailable {
            reason: format!("{} also has processes that are not the node's", place.own.display()),
        }),
        Err(error) => Err(error),
    };
    match own {
        Ok(hierarchy) => Ok(hierarchy),
        Err(first) => open_below(&place.mount, node, folders).map_err(|second| CgroupError::Unavailable {
            reason: format!("{}; {}", first.reason(), second.reason()),
        }),
    }
}

/// The own group if the node is alone in it, after moving the node out of the way.
fn own_parent(place: &Place, folders: &dyn Folders) -> Result<Option<PathBuf>, CgroupError> {
    let own = &place.own;
    // The real root has no cgroup.events and may have processes beside children.
    if own == &place.mount && !own.join("cgroup.events").exists() {
        return Ok(Some(own.clone()));
    }
    if processes(own)? != [std::process::id()] {
        return Ok(None);
    }
    let above = own.parent().filter(|above| above.starts_with(&place.mount));
    if let Some(above) = above
        && own.ends_with(NODE_LEAF)
        && processes(above)?.is_empty()
    {
        return Ok(Some(above.to_owned()));
    }
    let leaf = own.join(NODE_LEAF);
    make_group(folders, &leaf)?;
    write(&leaf.join("cgroup.procs"), &std::process::id().to_string())?;
    Ok(Some(own.clone()))
}

fn open_below(base: &Path, node: &str, folders: &dyn Folders) -> Result<Hierarchy, CgroupError> {
    let refused = enable(base).err();
    let top = base.join(TOP);
    let dir = make_node(&top, node, folders, enable)?;
    let usable = enable(&dir).and_then(|()| words(&dir.join("cgroup.controllers")));
    match usable {
        Ok(have) if have.iter().any(|c| ["cpu", "memory", "pids"].contains(&c.as_str())) => {
            Ok(Hierarchy { controllers: Vec::new(), is_unified: true, node: dir, holds: Holds::Every })
        }
        unusable => {
            for made in [&dir, &top] {
                // Not empty when other nodes use it.
                if folders.remove(made).is_err() {
                    break;
                }
            }
            let reason = unusable.err().or(refused).map(|error| error.reason());
            Err(CgroupError::Unavailable {
                reason: reason
                    .unwrap_or_else(|| format!("{} hands down none of cpu, memory and pids", base.display())),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hypermesh_model::{Bytes, EnforcementState, MilliCpu};
    use proptest::prelude::*;

    fn facts() -> Facts {
        Facts { page_size: 4096, has_swap: true, mems: String::new(), kept_above: None }
    }

    #[test]
    fn the_plan_forbids_swap_and_ends_the_whole_lease() {
        let limits = Limits {
            cpu: Some(MilliCpu(500)),
            memory: Some(Bytes::mib(64)),
            pids: Some(16),
            ..Limits::default()
        };
        let plan = plan(&limits, &facts());
        let written: Vec<_> = plan.iter().map(|s| (s.file, s.value.as_str())).collect();
        assert_eq!(
            written,
            [
                ("cpu.max", "50000 100000"),
                ("cpu.weight", "50"),
                ("memory.max", "67108864"),
                ("memory.swap.max", "0"),
                ("memory.oom.group", "1"),
                ("pids.max", "16")
            ]
        );
    }

    #[test]
    fn a_request_holds_only_as_far_as_the_group_above_keeps_it() {
        let limits = Limits { memory_request: Some(Bytes(8192)), ..Limits::default() };
        let state = |kept_above| plan(&limits, &Facts { kept_above, ..facts() })[0].if_held;
        assert_eq!(state(None), EnforcementState::Enforced);
        assert_eq!(state(Some(8192)), EnforcementState::Enforced);
        assert_eq!(state(Some(0)), EnforcementState::BestEffort);
    }

    proptest! {
        #[test]
        fn a_change_settles_every_file_and_takes_the_burst_away_first(
            cpu: Option<u32>, burst: Option<u64>, memory: Option<u64>, request: Option<u64>, pids: Option<u32>, mode in 0..3,
        ) {
            let cpu_mode = [CpuMode::Shared, CpuMode::Limited, CpuMode::Pinned][usize::try_from(mode).unwrap()];
            let limits = Limits {
                cpu: cpu.map(MilliCpu), cpu_mode, cpu_burst_us: burst, memory: memory.map(Bytes),
                memory_request: request.map(Bytes), pids, ..Limits::default()
            };
            let steps = changes(&limits, &facts());
            prop_assert_eq!(steps[0].file, "cpu.max.burst");
            for file in ["cpu.max", "cpu.weight", "memory.max", "memory.swap.max", "memory.low", "pids.max"] {
                prop_assert_eq!(steps.iter().filter(|step| step.file == file).count(), 1, "{}", file);
            }
        }
    }
}
