//! What the kernel has counted for a group, from the files of v1 and v2 (`Documentation/admin-guide/cgroup-v1`,
//! `cgroup-v2.rst`) into one shape. A file or key that this kernel lacks is an unknown number, never zero.
//!
//! Some of v1's counters do not reach the group above: they are added up over the groups below.

use crate::kernel_fs::{children, keyed, keyed_in, number, read_optional};
use crate::tree::Tree;
use crate::{CgroupError, GroupUsage};
use hypermesh_model::{Bytes, LeaseId};
use std::path::Path;

/// On v1 and hybrid hosts.
pub(crate) fn on_v1(tree: &Tree, lease: &LeaseId, leaf: Option<&str>) -> Result<GroupUsage, CgroupError> {
    let mut usage = GroupUsage::default();
    if let Some(dir) = tree.dir_of("cpuacct", lease, leaf) {
        usage.cpu_time_ns = number(&dir.join("cpuacct.usage"))?;
    } else if let Some(dir) = tree.unified_dir(lease, leaf) {
        usage.cpu_time_ns = keyed(&dir.join("cpu.stat"), "usage_usec")?.map(micros);
    }
    if let Some(stat) = quota_on_v1(tree, lease, leaf)? {
        usage.periods = keyed_in(&stat, "nr_periods");
        usage.throttled_periods = keyed_in(&stat, "nr_throttled");
        usage.throttled_ns = keyed_in(&stat, "throttled_time");
    }
    if let Some(dir) = tree.dir_of("memory", lease, leaf) {
        memory_on_v1(&dir, &mut usage)?;
    }
    if let Some(dir) = tree.dir_of("pids", lease, leaf) {
        pids(&dir, &mut usage)?;
    }
    if let Some(dir) = tree.dir_of("blkio", lease, leaf) {
        let bytes = io_text(&dir, "io_service_bytes")?.map(|text| sum_v1_io(&text).unwrap_or_default());
        let ops = io_text(&dir, "io_serviced")?.map(|text| sum_v1_io(&text).unwrap_or_default());
        io(&mut usage, bytes, ops);
    }
    Ok(usage)
}

/// What is counted of a CPU quota on v1, and only where there is one.
fn quota_on_v1(tree: &Tree, lease: &LeaseId, leaf: Option<&str>) -> Result<Option<String>, CgroupError> {
    let Some(dir) = tree.dir_of("cpu", lease, leaf) else { return Ok(None) };
    let quota = read_optional(&dir.join("cpu.cfs_quota_us"))?;
    if quota.is_none_or(|quota| quota.starts_with('-')) {
        return Ok(None);
    }
    Ok(Some(read_optional(&dir.join("cpu.stat"))?.unwrap_or_default()))
}

/// How often the lease's quota held it back, on v1 and hybrid hosts.
pub(crate) fn throttled_on_v1(tree: &Tree, lease: &LeaseId) -> Result<Option<u64>, CgroupError> {
    Ok(quota_on_v1(tree, lease, None)?.and_then(|stat| keyed_in(&stat, "nr_throttled")))
}

/// The same on v2.
pub(crate) fn throttled_on_v2(dir: &Path) -> Result<Option<u64>, CgroupError> {
    let quota = read_optional(&dir.join("cpu.max"))?;
    if quota.is_none_or(|quota| quota.starts_with("max")) {
        return Ok(None);
    }
    keyed(&dir.join("cpu.stat"), "nr_throttled")
}

/// On v2.
pub(crate) fn on_v2(dir: &Path) -> Result<GroupUsage, CgroupError> {
    let mut usage = GroupUsage::default();
    let stat = read_optional(&dir.join("cpu.stat"))?.unwrap_or_default();
    usage.cpu_time_ns = keyed_in(&stat, "usage_usec").map(micros);
    if read_optional(&dir.join("cpu.max"))?.is_some_and(|quota| !quota.starts_with("max")) {
        usage.periods = keyed_in(&stat, "nr_periods");
        usage.throttled_periods = keyed_in(&stat, "nr_throttled");
        usage.throttled_ns = keyed_in(&stat, "throttled_usec").map(micros);
    }
    usage.memory_current = number(&dir.join("memory.current"))?.map(Bytes);
    usage.memory_peak = number(&dir.join("memory.peak"))?.map(Bytes);
    usage.swap = number(&dir.join("memory.swap.current"))?.map(Bytes);
    let stat = read_optional(&dir.join("memory.stat"))?.unwrap_or_default();
    memory_parts(&mut usage, &stat, ["anon", "file", "inactive_file"]);
    let events = read_optional(&dir.join("memory.events"))?.unwrap_or_default();
    usage.memory_limit_hits = keyed_in(&events, "max");
    usage.oom = keyed_in(&events, "oom");
    usage.oom_kills = keyed_in(&events, "oom_kill");
    pids(dir, &mut usage)?;
    if let Some(text) = read_optional(&dir.join("io.stat"))? {
        io(
            &mut usage,
            Some(sum_v2_io(&text, "rbytes=", "wbytes=")),
            Some(sum_v2_io(&text, "rios=", "wios=")),
        );
    }
    Ok(usage)
}

fn micros(us: u64) -> u64 {
    us.saturating_mul(1000)
}

fn memory_on_v1(dir: &Path, usage: &mut GroupUsage) -> Result<(), CgroupError> {
    usage.memory_current = number(&dir.join("memory.usage_in_bytes"))?.map(Bytes);
    usage.memory_peak = number(&dir.join("memory.max_usage_in_bytes"))?.map(Bytes);
    let stat = read_optional(&dir.join("memory.stat"))?.unwrap_or_default();
    memory_parts(usage, &stat, ["total_rss", "total_cache", "total_inactive_file"]);
    usage.swap = keyed_in(&stat, "total_swap").map(Bytes);
    usage.memory_limit_hits = number(&dir.join("memory.failcnt"))?;
    usage.oom_kills =
        below(dir, &|dir| keyed(&dir.join("memory.oom_control"), "oom_kill"), u64::saturating_add)?;
    usage.oom = usage.oom_kills;
    Ok(())
}

/// What cannot be taken back without harm is all but the page cache that was not used lately: what the kubelet and
/// cAdvisor call the working set.
fn memory_parts(usage: &mut GroupUsage, stat: &str, [anon, file, inactive_file]: [&str; 3]) {
    usage.memory_anon = keyed_in(stat, anon).map(Bytes);
    usage.memory_file = keyed_in(stat, file).map(Bytes);
    if let (Some(current), Some(inactive)) = (usage.memory_current, keyed_in(stat, inactive_file)) {
        usage.memory_working_set = Some(Bytes(current.0.saturating_sub(inactive)));
    }
}

/// A fork that failed is counted where the limit is since Linux 6.11 on v2, else only in the forking process's group.
fn pids(dir: &Path, usage: &mut GroupUsage) -> Result<(), CgroupError> {
    usage.pids_current = number(&dir.join("pids.current"))?;
    usage.pids_limit_hits = below(dir, &|dir| keyed(&dir.join("pids.events"), "max"), u64::max)?;
    Ok(())
}

/// A counter of the group, with what `join` makes of it and the sum of those below.
fn below(
    dir: &Path,
    counter: &dyn Fn(&Path) -> Result<Option<u64>, CgroupError>,
    join: fn(u64, u64) -> u64,
) -> Result<Option<u64>, CgroupError> {
    let Some(own) = counter(dir)? else { return Ok(None) };
    let mut sum: u64 = 0;
    for child in children(dir)? {
        sum = sum.saturating_add(below(&child, counter, join)?.unwrap_or(0));
    }
    Ok(Some(join(own, sum)))
}

/// Reads and writes.
type ReadWrite = (u64, u64);

fn io(usage: &mut GroupUsage, bytes: Option<ReadWrite>, ops: Option<ReadWrite>) {
    usage.io_read_bytes = bytes.map(|(read, _)| read);
    usage.io_write_bytes = bytes.map(|(_, written)| written);
    usage.io_bytes = bytes.map(|(read, written)| read.saturating_add(written));
    usage.io_read_ops = ops.map(|(read, _)| read);
    usage.io_write_ops = ops.map(|(_, written)| written);
}

fn io_text(dir: &Path, name: &str) -> Result<Option<String>, CgroupError> {
    match read_optional(&dir.join(format!("blkio.throttle.{name}_recursive")))? {
        Some(text) => Ok(Some(text)),
        None => read_optional(&dir.join(format!("blkio.throttle.{name}"))),
    }
}

/// Adds up the `MAJ:MIN Read n` and `MAJ:MIN Write n` lines; `None` without any.
fn sum_v1_io(text: &str) -> Option<ReadWrite> {
    let mut sums = None;
    for line in text.lines() {
        let mut words = line.split_whitespace().skip(1);
        let (Some(kind), Some(count)) = (words.next(), words.next().and_then(|n| n.parse::<u64>().ok()))
        else {
            continue;
        };
        let (read, written) = sums.unwrap_or_default();
        match kind {
            "Read" => sums = Some((count.saturating_add(read), written)),
            "Write" => sums = Some((read, count.saturating_add(written))),
            _other => {}
        }
    }
    sums
}

/// Whether v1's throttle policy counts here: then the top group, which has seen all I/O since boot, has counted some.
/// Since Linux 6.10 ("blk-throttle: delay initialization until configuration") it counts only on devices that ever had
/// a rule, and a group in that hierarchy would cost time and tell nothing.
pub(crate) fn counts_io(mount: &Path) -> bool {
    io_text(mount, "io_service_bytes").is_ok_and(|text| text.is_some_and(|text| sum_v1_io(&text).is_some()))
}

/// Adds up two keys of `io.stat` over all devices.
fn sum_v2_io(text: &str, read: &str, written: &str) -> ReadWrite {
    let sum = |key: &str| {
        let counts = text.split_whitespace().filter_map(|word| word.strip_prefix(key)?.parse::<u64>().ok());
        counts.fold(0, u64::saturating_add)
    };
    (sum(read), sum(written))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_reads_and_writes_are_bytes() {
        let text = "8:0 Read 10\n8:0 Write 5\n8:0 Sync 15\n8:0 Total 15\n254:0 Read 1\nTotal 16";
        assert_eq!(sum_v1_io(text), Some((11, 5)));
        assert_eq!(sum_v1_io("Total 0"), None, "no device was counted");
    }

    #[test]
    fn io_adds_up_over_devices() {
        let text = "8:0 rbytes=10 wbytes=5 rios=1 wios=1 dbytes=9 dios=0\n8:16 rbytes=1 wbytes=2";
        assert_eq!(sum_v2_io(text, "rbytes=", "wbytes="), (11, 7));
        assert_eq!(sum_v2_io("", "rios=", "wios="), (0, 0));
    }

    #[test]
    fn counters_that_do_not_rise_are_added_up_and_those_that_do_are_not_counted_twice() {
        let top = tempfile::tempdir().unwrap();
        for (dir, count) in [("", 0), ("a", 2), ("b", 3)] {
            std::fs::create_dir_all(top.path().join(dir)).unwrap();
            std::fs::write(top.path().join(dir).join("events"), format!("max {count}\n")).unwrap();
        }
        let counter = |dir: &Path| keyed(&dir.join("events"), "max");
        assert_eq!(below(top.path(), &counter, u64::max).unwrap(), Some(5));
        std::fs::write(top.path().join("events"), "max 7\n").unwrap();
        assert_eq!(below(top.path(), &counter, u64::max).unwrap(), Some(7));
        assert_eq!(below(&top.path().join("none"), &counter, u64::max).unwrap(), None);
    }

    #[test]
    fn the_working_set_leaves_out_page_cache_that_nobody_used_lately() {
        let mut usage = GroupUsage { memory_current: Some(Bytes(100)), ..GroupUsage::default() };
        memory_parts(&mut usage, "anon 30\nfile 70\ninactive_file 60", ["anon", "file", "inactive_file"]);
        assert_eq!(usage.memory_working_set, Some(Bytes(40)));
        assert_eq!((usage.memory_anon, usage.memory_file), (Some(Bytes(30)), Some(Bytes(70))));
    }

    proptest! {
        #[test]
        fn summing_never_panics(text in "([0-9:]{0,5} (Read|Write|Total) [0-9]{0,25}\n){0,5}") { let _ = sum_v1_io(&text); }
    }
}
