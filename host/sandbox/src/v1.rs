//! cgroup v1: the plan of limits, and opening the hierarchies
//! (kernel: `Documentation/admin-guide/cgroup-v1`, `Documentation/scheduler/sched-bwc.rst`).
//!
//! A v1 memory group made below one without `use_hierarchy` does not count its children (kernels before 5.11); it is
//! set once in `hypermesh`. The quota's period is written before the quota, since the kernel checks them as a pair.

use crate::detect::{Layout, Place, configured_parent};
use crate::kernel_fs::{Folders, make_group, number, write};
use crate::search::left_behind;
use crate::setting::{Facts, IfMissing, Setting};
use crate::tree::{Hierarchy, Holds, TOP};
use crate::{CgroupError, Limits, cpu, cpuset, io, usage};
use hypermesh_model::CpuMode;
use std::path::{Path, PathBuf};

/// How often a folder is made again that another node's `close` removed meanwhile.
const MAKE_TRIES: u32 = 5;
/// What no limit is called in the files of the memory and the cpu controller.
const NONE: &str = "-1";
const SOFT_LIMIT_NOTE: &str =
    "cgroup v1 takes what is above it back first when the machine runs short, and promises nothing";

/// What to write, in order. The GPU filter is in [`crate::devices`], cores are in [`crate::cpuset`].
pub(crate) fn plan(limits: &Limits, facts: &Facts) -> Vec<Setting> {
    let mut plan = cpu::plan_v1(limits);
    let pages = |bytes: u64| (bytes / facts.page_size * facts.page_size).to_string();
    if let Some(memory) = limits.memory {
        let (value, expected) = (memory.0.to_string(), pages(memory.0));
        plan.push(Setting {
            expected: expected.clone(),
            ..Setting::new("memory", "memory", "memory.limit_in_bytes", value.clone())
        });
        // memory + swap: the same number forbids swap. After memory, since the kernel wants memory <= memory + swap.
        plan.push(Setting {
            expected,
            if_missing: if facts.has_swap { IfMissing::Unenforced } else { IfMissing::LeaveOut },
            ..Setting::new("swap", "memory", "memory.memsw.limit_in_bytes", value)
        });
    }
    if let Some(request) = limits.memory_request {
        let file = "memory.soft_limit_in_bytes";
        plan.push(Setting {
            expected: pages(request.0),
            ..Setting::new("memory_request", "memory", file, request.0.to_string())
                .best_effort(SOFT_LIMIT_NOTE)
        });
    }
    if let Some(pids) = limits.pids {
        plan.push(Setting::new("pids", "pids", "pids.max", pids.to_string()));
    }
    plan.extend(limits.io.iter().flat_map(io::plan_v1));
    plan
}

/// What makes a live group hold exactly these limits, in order; `grows` says that its memory limit does.
pub(crate) fn changes(limits: &Limits, facts: &Facts, grows: bool) -> Vec<Setting> {
    let reset = |controller, file, value: &str| Setting::new("", controller, file, value.to_owned());
    let mut steps = vec![reset("cpu", "cpu.cfs_burst_us", "0")];
    let has_cpu = |mode: &[CpuMode]| limits.cpu.is_some() && mode.contains(&limits.cpu_mode);
    if !has_cpu(&[CpuMode::Limited]) {
        steps.push(reset("cpu", "cpu.cfs_quota_us", NONE));
    }
    if !has_cpu(&[CpuMode::Limited, CpuMode::Shared]) {
        steps.push(reset("cpu", "cpu.shares", "1024"));
    }
    if limits.memory.is_none() {
        steps.push(reset("memory", "memory.limit_in_bytes", NONE));
        steps.push(reset("memory", "memory.memsw.limit_in_bytes", NONE));
    }
    if limits.memory_request.is_none() {
        steps.push(reset("memory", "memory.soft_limit_in_bytes", NONE));
    }
    if limits.pids.is_none() {
        steps.push(reset("pids", "pids.max", "max"));
    }
    steps.extend(plan(limits, facts));
    let place = |file: &str| steps.iter().position(|step| step.file == file);
    if grows
        && let (Some(memory), Some(sum)) =
            (place("memory.limit_in_bytes"), place("memory.memsw.limit_in_bytes"))
    {
        steps.swap(memory, sum);
    }
    steps
}

/// The controllers of hierarchies that a lease joins only for some of its limits.
pub(crate) fn wanted(limits: &Limits) -> Vec<&'static str> {
    if limits.io.is_some_and(|rule| !rule.limits.is_empty()) { vec!["blkio"] } else { Vec::new() }
}

/// Makes `<parent>/hypermesh/<node>` in one hierarchy.
pub(crate) fn open(
    place: &Place,
    parent: Option<&str>,
    node: &str,
    folders: &dyn Folders,
) -> Result<Hierarchy, CgroupError> {
    let base = match parent {
        Some(parent) => configured_base(place, parent, folders)?,
        None => left_behind(&place.mount, &place.own, node).unwrap_or_else(|| place.own.clone()),
    };
    let top = base.join(TOP);
    let has = |controller: &str| place.controllers.iter().any(|c| c == controller);
    let holds = holds(place);
    let prepare = |top: &Path| match (has("memory"), holds) {
        (true, _) => use_hierarchy(top),
        (false, Holds::Flat) => cpuset::fill(&place.mount, top),
        (false, Holds::Every | Holds::Rates { .. }) => Ok(()),
    };
    let node = make_node(&top, node, folders, prepare)?;
    if holds == Holds::Flat {
        cpuset::prepare(&place.mount, &node)?;
    }
    let is_unified = place.controllers.is_empty();
    Ok(Hierarchy { controllers: place.controllers.clone(), is_unified, node, holds })
}

/// Which leases join a hierarchy. A cpuset that shares its mount with others is left alone: every lease would need cores
/// of its own there.
fn holds(place: &Place) -> Holds {
    match place.controllers.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["cpuset"] => Holds::Flat,
        ["blkio"] => Holds::Rates { counts: usage::counts_io(&place.mount) },
        _others => Holds::Every,
    }
}

/// The configured folder under which `hypermesh` goes; it is made if it is missing and never removed.
pub(crate) fn configured_base(
    place: &Place,
    parent: &str,
    folders: &dyn Folders,
) -> Result<PathBuf, CgroupError> {
    let base = configured_parent(&place.mount, parent)?;
    let mut missing: Vec<&Path> = base.ancestors().take_while(|dir| !dir.is_dir()).collect();
    missing.reverse();
    missing.iter().try_for_each(|dir| make_group(folders, dir).map(|_made| ()))?;
    Ok(base)
}

/// Makes `hypermesh` and the node's folder. Another node that stops may remove the empty `hypermesh` in between.
pub(crate) fn make_node(
    top: &Path,
    node: &str,
    folders: &dyn Folders,
    prepare: impl Fn(&Path) -> Result<(), CgroupError>,
) -> Result<PathBuf, CgroupError> {
    let dir = top.join(node);
    let mut tries = 0;
    loop {
        make_group(folders, top)?;
        match prepare(top).and_then(|()| make_group(folders, &dir)) {
            Ok(_made) => return Ok(dir),
            Err(error) if error.is_missing() && tries < MAKE_TRIES => tries += 1,
            Err(error) => return Err(error),
        }
    }
}

fn use_hierarchy(top: &Path) -> Result<(), CgroupError> {
    let file = top.join("memory.use_hierarchy");
    if number(&file)? == Some(0) { write(&file, "1") } else { Ok(()) }
}

/// Opens every hierarchy that is needed. What cannot be opened is named in the second value, by controller.
pub(crate) fn open_all(
    layout: &Layout,
    parent: Option<&str>,
    node: &str,
    wants_devices: bool,
    folders: &dyn Folders,
) -> (Vec<Hierarchy>, Vec<(String, String)>) {
    let (mut open_ones, mut refused): (Vec<Hierarchy>, Vec<_>) = (Vec::new(), Vec::new());
    if let Some(place) = &layout.unified {
        match open(place, parent, node, folders) {
            Ok(shadow) => open_ones.push(shadow),
            Err(error) => tracing::warn!(reason = error.reason(), "no shadow group in cgroup2"),
        }
    }
    let shadow_has =
        |name: &str, ones: &[Hierarchy]| ones.iter().any(|shadow| shadow.node.join(name).exists());
    let (can_kill, counts_cpu) = (shadow_has("cgroup.kill", &open_ones), shadow_has("cpu.stat", &open_ones));
    for place in &layout.v1 {
        // A hierarchy costs a folder a group and a write a process: those that nothing would use are left out.
        let needed = place.controllers.iter().any(|c| match c.as_str() {
            "freezer" => !can_kill,
            "cpuacct" => !counts_cpu,
            "devices" => wants_devices,
            _ => true,
        });
        if !needed {
            continue;
        }
        match open(place, parent, node, folders) {
            Ok(hierarchy) => open_ones.push(hierarchy),
            Err(error) => refused.extend(place.controllers.iter().map(|c| (c.clone(), error.reason()))),
        }
    }
    (open_ones, refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::IoRule;
    use hypermesh_model::{Bytes, EnforcementState, IoLimits, MilliCpu};
    use proptest::prelude::*;

    fn facts() -> Facts {
        Facts { page_size: 4096, has_swap: false, mems: "0".into(), kept_above: None }
    }

    fn files(steps: &[Setting]) -> Vec<&str> {
        steps.iter().map(|step| step.file).collect()
    }

    #[test]
    fn memory_comes_before_memory_and_swap_and_is_rounded_to_pages() {
        let limits = Limits { memory: Some(Bytes(10_000)), ..Limits::default() };
        let plan = plan(&limits, &facts());
        assert_eq!(plan.iter().map(|s| s.limit).collect::<Vec<_>>(), ["memory", "swap"]);
        assert!(plan.iter().all(|s| s.value == "10000" && s.expected == "8192"));
    }

    #[test]
    fn the_sum_of_memory_and_swap_is_raised_first_and_lowered_last() {
        let limits = Limits { memory: Some(Bytes(8192)), ..Limits::default() };
        let pair = |grows| -> Vec<String> {
            let steps = changes(&limits, &facts(), grows);
            let files =
                files(&steps).into_iter().filter(|f| f.ends_with("limit_in_bytes") && !f.contains("soft"));
            files.map(str::to_owned).collect()
        };
        assert_eq!(pair(true), ["memory.memsw.limit_in_bytes", "memory.limit_in_bytes"]);
        assert_eq!(pair(false), ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"]);
    }

    #[test]
    fn a_request_is_a_promise_that_v1_does_not_keep() {
        let limits = Limits { memory_request: Some(Bytes(8192)), ..Limits::default() };
        let plan = plan(&limits, &facts());
        assert_eq!((plan.len(), plan[0].if_held), (1, EnforcementState::BestEffort));
    }

    #[test]
    fn only_some_limits_need_a_hierarchy_of_their_own() {
        assert!(wanted(&Limits { cpu: Some(MilliCpu(1)), ..Limits::default() }).is_empty());
        let limits = Limits {
            io: Some(IoRule {
                device: (8, 0),
                limits: IoLimits { read_bps: Some(1), ..IoLimits::default() },
            }),
            ..Limits::default()
        };
        assert_eq!(wanted(&limits), ["blkio"]);
    }

    proptest! {
        #[test]
        fn every_limit_is_named_once_and_every_file_is_settled_by_a_change(
            cpu: Option<u32>, burst: Option<u64>, memory: Option<u64>, request: Option<u64>, pids: Option<u32>,
            mode in 0..3, grows: bool,
        ) {
            let cpu_mode = [CpuMode::Shared, CpuMode::Limited, CpuMode::Pinned][usize::try_from(mode).unwrap()];
            let limits = Limits {
                cpu: cpu.map(MilliCpu), cpu_mode, cpu_burst_us: burst, memory: memory.map(Bytes),
                memory_request: request.map(Bytes), pids, ..Limits::default()
            };
            let mut names: Vec<&str> = plan(&limits, &facts()).iter().map(|s| s.limit).collect();
            let count = names.len();
            names.sort_unstable();
            names.dedup();
            prop_assert_eq!(names.len(), count);
            let steps = changes(&limits, &facts(), grows);
            let held = files(&steps);
            for file in ["cpu.cfs_quota_us", "cpu.shares", "cpu.cfs_burst_us", "memory.limit_in_bytes", "pids.max"] {
                prop_assert!(held.contains(&file), "{file}");
            }
            prop_assert_eq!(held[0], "cpu.cfs_burst_us");
        }
    }
}
