//! cgroup v2: the plan of limits, the files that count, and finding a parent that may be used
//! (kernel: `Documentation/admin-guide/cgroup-v2.rst`).
//!
//! A group hands controllers down only while no process lives in it directly. So the node moves itself into
//! `<own>/node` when it is alone in its own (delegated) group; else it needs an explicit parent or the root. Nothing
//! but the own process is ever moved, and only controllers that are missing are enabled.

use crate::detect::Place;
use crate::kernel_fs::{Folders, keyed, make_group, number, processes, read_optional, words, write};
use crate::search::left_behind;
use crate::setting::{Facts, IfMissing, Setting};
use crate::tree::{Hierarchy, TOP};
use crate::v1::{configured_base, make_node, quota_and_period};
use crate::{CgroupError, GroupUsage, Limits};
use hypermesh_model::Bytes;
use std::path::{Path, PathBuf};

/// The controllers that leases use.
const CONTROLLERS: [&str; 4] = ["cpu", "memory", "pids", "io"];
/// The leaf that the node itself moves to; also the name to give `DelegateSubgroup=` of a systemd unit.
const NODE_LEAF: &str = "node";

/// What to write, in order.
pub(crate) fn plan(limits: &Limits, facts: Facts) -> Vec<Setting> {
    let mut plan = Vec::new();
    if let Some(cpu) = limits.cpu {
        let (quota, period) = quota_and_period(cpu);
        plan.push(Setting::new("cpu", "cpu", "cpu.max", format!("{quota} {period}")));
    }
    if let Some(memory) = limits.memory {
        plan.push(Setting {
            expected: (memory.0 / facts.page_size * facts.page_size).to_string(),
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
    if let Some(pids) = limits.pids {
        plan.push(Setting::new("pids", "pids", "pids.max", pids.to_string()));
    }
    plan
}

/// What the kernel has counted.
pub(crate) fn usage(dir: &Path) -> Result<GroupUsage, CgroupError> {
    let quota = read_optional(&dir.join("cpu.max"))?;
    let throttled = match quota {
        Some(quota) if !quota.starts_with("max") => keyed(&dir.join("cpu.stat"), "nr_throttled")?,
        Some(_) | None => None,
    };
    Ok(GroupUsage {
        cpu_time_ns: keyed(&dir.join("cpu.stat"), "usage_usec")?.map(|us| us.saturating_mul(1000)),
        memory_current: number(&dir.join("memory.current"))?.map(Bytes),
        memory_peak: number(&dir.join("memory.peak"))?.map(Bytes),
        oom_kills: keyed(&dir.join("memory.events"), "oom_kill")?,
        throttled_periods: throttled,
        io_bytes: read_optional(&dir.join("io.stat"))?.map(|text| sum_io(&text)),
    })
}

/// Adds up `rbytes=` and `wbytes=` of all devices.
fn sum_io(text: &str) -> u64 {
    let bytes = |word: &str| {
        word.strip_prefix("rbytes=").or_else(|| word.strip_prefix("wbytes="))?.parse::<u64>().ok()
    };
    text.split_whitespace().filter_map(bytes).fold(0, u64::saturating_add)
}

/// Hands the controllers that a group has down to its children, those that are not yet.
///
/// # Errors
/// The kernel's first refusal; what could be enabled is.
pub(crate) fn enable(dir: &Path) -> Result<(), CgroupError> {
    let have = words(&dir.join("cgroup.controllers"))?;
    let file = dir.join("cgroup.subtree_control");
    let enabled = words(&file)?;
    let missing = |c: &&&str| have.iter().any(|h| h == **c) && !enabled.iter().any(|e| e == **c);
    let orders: Vec<String> = CONTROLLERS.iter().filter(missing).map(|c| format!("+{c}")).collect();
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
            Ok(Hierarchy { controllers: Vec::new(), is_unified: true, node: dir })
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
    use hypermesh_model::MilliCpu;

    #[test]
    fn the_plan_forbids_swap_and_ends_the_whole_lease() {
        let limits =
            Limits { cpu: Some(MilliCpu(500)), memory: Some(Bytes::mib(64)), pids: Some(16), gpus: None };
        let plan = plan(&limits, Facts { page_size: 4096, has_swap: true });
        let written: Vec<_> = plan.iter().map(|s| (s.file, s.value.as_str())).collect();
        assert_eq!(
            written,
            [
                ("cpu.max", "50000 100000"),
                ("memory.max", "67108864"),
                ("memory.swap.max", "0"),
                ("memory.oom.group", "1"),
                ("pids.max", "16")
            ]
        );
    }

    #[test]
    fn io_adds_up_over_devices() {
        assert_eq!(
            sum_io("8:0 rbytes=10 wbytes=5 rios=1 wios=1 dbytes=9 dios=0\n8:16 rbytes=1 wbytes=2"),
            18
        );
        assert_eq!(sum_io(""), 0);
    }
}
