//! cgroup v1: the plan of limits, the files that count, and opening the hierarchies
//! (kernel: `Documentation/admin-guide/cgroup-v1`, `Documentation/scheduler/sched-bwc.rst`).
//!
//! A v1 memory group made below one without `use_hierarchy` does not count its children (kernels before 5.11); it is
//! set once in `hypermesh`. The quota's period is written before the quota, since the kernel checks them as a pair.

use crate::detect::{Layout, Place, configured_parent};
use crate::kernel_fs::{Folders, keyed, make_group, number, read_optional, write};
use crate::search::left_behind;
use crate::setting::{Facts, IfMissing, Setting};
use crate::tree::{Hierarchy, TOP, Tree};
use crate::{CgroupError, GroupUsage, Limits};
use hypermesh_model::{Bytes, LeaseId, MilliCpu};
use std::path::{Path, PathBuf};

/// The period over which a CPU quota holds, in microseconds: the kernel's default, short enough for interactive work.
const PERIOD_US: u64 = 100_000;
/// The kernel's smallest quota, in microseconds (`min_cfs_quota_period`).
const MIN_QUOTA_US: u64 = 1000;
/// How often a folder is made again that another node's `close` removed meanwhile.
const MAKE_TRIES: u32 = 5;

/// Quota and period in microseconds. Below 10 milli-CPU the quota would be under the kernel's minimum; the period grows
/// instead, up to the kernel's longest, 1 s.
pub(crate) fn quota_and_period(cpu: MilliCpu) -> (u64, u64) {
    let milli = u64::from(cpu.0.max(1));
    let quota = milli * PERIOD_US / 1000;
    if quota >= MIN_QUOTA_US { (quota, PERIOD_US) } else { (MIN_QUOTA_US, MIN_QUOTA_US * 1000 / milli) }
}

/// What to write, in order. The GPU filter is in [`crate::devices`].
pub(crate) fn plan(limits: &Limits, facts: Facts) -> Vec<Setting> {
    let mut plan = Vec::new();
    if let Some(cpu) = limits.cpu {
        let (quota, period) = quota_and_period(cpu);
        plan.push(Setting {
            before: vec![("cpu.cfs_period_us", period.to_string())],
            ..Setting::new("cpu", "cpu", "cpu.cfs_quota_us", quota.to_string())
        });
    }
    if let Some(memory) = limits.memory {
        let expected = (memory.0 / facts.page_size * facts.page_size).to_string();
        let value = memory.0.to_string();
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
    if let Some(pids) = limits.pids {
        plan.push(Setting::new("pids", "pids", "pids.max", pids.to_string()));
    }
    plan
}

/// What the kernel has counted.
pub(crate) fn usage(tree: &Tree, lease: &LeaseId, leaf: Option<&str>) -> Result<GroupUsage, CgroupError> {
    let mut usage = GroupUsage::default();
    if let Some(dir) = tree.dir_of("cpuacct", lease, leaf) {
        usage.cpu_time_ns = number(&dir.join("cpuacct.usage"))?;
    }
    if let Some(dir) = tree.dir_of("cpu", lease, leaf)
        && read_optional(&dir.join("cpu.cfs_quota_us"))?.is_some_and(|quota| !quota.starts_with('-'))
    {
        usage.throttled_periods = keyed(&dir.join("cpu.stat"), "nr_throttled")?;
    }
    if let Some(dir) = tree.dir_of("memory", lease, leaf) {
        usage.memory_current = number(&dir.join("memory.usage_in_bytes"))?.map(Bytes);
        usage.memory_peak = number(&dir.join("memory.max_usage_in_bytes"))?.map(Bytes);
        usage.oom_kills = oom_kills(&dir)?;
    }
    if let Some(dir) = tree.dir_of("blkio", lease, leaf) {
        // The hierarchy is only used where the kernel counts: no line for a device is no I/O.
        usage.io_bytes = io_text(&dir)?.map(|text| sum_io(&text).unwrap_or(0));
    }
    Ok(usage)
}

/// v1 counts an OOM kill only in the victim's own group, so the groups below are added up.
fn oom_kills(dir: &Path) -> Result<Option<u64>, CgroupError> {
    let Some(mut sum) = keyed(&dir.join("memory.oom_control"), "oom_kill")? else { return Ok(None) };
    for child in crate::kernel_fs::children(dir)? {
        sum += oom_kills(&child)?.unwrap_or(0);
    }
    Ok(Some(sum))
}

fn io_text(dir: &Path) -> Result<Option<String>, CgroupError> {
    match read_optional(&dir.join("blkio.throttle.io_service_bytes_recursive"))? {
        Some(text) => Ok(Some(text)),
        None => read_optional(&dir.join("blkio.throttle.io_service_bytes")),
    }
}

/// Adds up the `MAJ:MIN Read n` and `MAJ:MIN Write n` lines; `None` without any.
fn sum_io(text: &str) -> Option<u64> {
    let bytes = |line: &str| {
        let mut words = line.split_whitespace();
        let (_device, kind, bytes) = (words.next()?, words.next()?, words.next()?);
        if kind == "Read" || kind == "Write" { bytes.parse::<u64>().ok() } else { None }
    };
    let counted: Vec<u64> = text.lines().filter_map(bytes).collect();
    (!counted.is_empty()).then(|| counted.iter().fold(0, |sum: u64, n| sum.saturating_add(*n)))
}

/// Whether the throttle policy counts here: then the top group, which has seen all I/O since boot, has counted some.
/// Since Linux 6.10 ("blk-throttle: delay initialization until configuration") it counts only on devices that ever had
/// a rule, and a group in that hierarchy would cost time and tell nothing.
fn counts_io(mount: &Path) -> bool {
    io_text(mount).is_ok_and(|text| text.is_some_and(|text| sum_io(&text).is_some()))
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
    let has_memory = place.controllers.iter().any(|c| c == "memory");
    let node = make_node(&top, node, folders, |top| if has_memory { use_hierarchy(top) } else { Ok(()) })?;
    let is_unified = place.controllers.is_empty();
    Ok(Hierarchy { controllers: place.controllers.clone(), is_unified, node })
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
    let (mut open_ones, mut refused) = (Vec::new(), Vec::new());
    if let Some(place) = &layout.unified {
        match open(place, parent, node, folders) {
            Ok(shadow) => open_ones.push(shadow),
            Err(error) => tracing::warn!(reason = error.reason(), "no shadow group in cgroup2"),
        }
    }
    let can_kill = open_ones.iter().any(|shadow| shadow.node.join("cgroup.kill").exists());
    for place in &layout.v1 {
        // A hierarchy costs a folder a group and a write a process: those that nothing would use are left out.
        let needed = place.controllers.iter().any(|c| match c.as_str() {
            "freezer" => !can_kill,
            "devices" => wants_devices,
            "blkio" => counts_io(&place.mount),
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
    use proptest::prelude::*;

    const FACTS: Facts = Facts { page_size: 4096, has_swap: false };

    #[test]
    fn half_a_core_is_half_a_period() {
        assert_eq!(quota_and_period(MilliCpu(500)), (50_000, 100_000));
        assert_eq!(quota_and_period(MilliCpu(1)), (1000, 1_000_000));
        assert_eq!(quota_and_period(MilliCpu(0)), (1000, 1_000_000));
    }

    #[test]
    fn memory_comes_before_memory_and_swap_and_is_rounded_to_pages() {
        let limits = Limits { memory: Some(Bytes(10_000)), ..Limits::default() };
        let plan = plan(&limits, FACTS);
        assert_eq!(plan.iter().map(|s| s.limit).collect::<Vec<_>>(), ["memory", "swap"]);
        assert!(plan.iter().all(|s| s.value == "10000" && s.expected == "8192"));
    }

    #[test]
    fn only_reads_and_writes_are_bytes() {
        let text = "8:0 Read 10\n8:0 Write 5\n8:0 Sync 15\n8:0 Total 15\nTotal 15";
        assert_eq!(sum_io(text), Some(15));
        assert_eq!(sum_io("Total 0"), None, "no device was counted");
    }

    proptest! {
        #[test]
        fn a_quota_is_what_was_asked_within_the_kernel_s_bounds(milli in 1u32..1_000_000) {
            let (quota, period) = quota_and_period(MilliCpu(milli));
            prop_assert!(quota >= 1000 && (1000..=1_000_000).contains(&period));
            let share = f64::from(u32::try_from(quota).unwrap()) / f64::from(u32::try_from(period).unwrap());
            prop_assert!((share * 1000.0 - f64::from(milli)).abs() < 0.01 * f64::from(milli));
        }

        #[test]
        fn summing_never_panics(text in "([0-9:]{0,5} (Read|Write|Total) [0-9]{0,25}\n){0,5}") { let _ = sum_io(&text); }
    }
}
