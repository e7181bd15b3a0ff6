//! What the kernel holds for one node, read and cleaned up without asking the node.
//!
//! A node's groups are the folders `hypermesh/<node id>` somewhere below the cgroup mounts, on v1 one a hierarchy. They
//! outlive the node on purpose, so every test ends by removing those of its own nodes, and only those.

use rustix::process::Signal;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The folder that all nodes share.
const TOP: &str = "hypermesh";
/// How deep below a mount it is looked for: service managers nest a handful of levels.
const MAX_DEPTH: usize = 8;

/// The cgroup mounts of this machine, v1 and v2.
pub fn mounts() -> Vec<PathBuf> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mount = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        let kind = after.split(' ').next()?;
        let point = before.split(' ').nth(4)?;
        (kind == "cgroup" || kind == "cgroup2").then(|| PathBuf::from(point))
    };
    text.lines().filter_map(mount).collect()
}

/// The folders `hypermesh` of all hierarchies.
pub fn tops() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for mount in mounts() {
        find_tops(&mount, 0, &mut found);
    }
    found
}

fn find_tops(dir: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    for child in children(dir) {
        if child.ends_with(TOP) {
            found.push(child);
        } else if depth < MAX_DEPTH {
            find_tops(&child, depth + 1, found);
        }
    }
}

/// The folders of a node, one a hierarchy that it uses.
pub fn of_node(node: &str) -> Vec<PathBuf> {
    tops().into_iter().map(|top| top.join(node)).filter(|dir| dir.is_dir()).collect()
}

/// The names of the groups that a node holds, over all hierarchies, without those in which a worker only waits.
pub fn leases_of(node: &str) -> BTreeSet<String> {
    let groups: Vec<PathBuf> = of_node(node).into_iter().flat_map(|dir| children(&dir)).collect();
    let name = |dir: &PathBuf| Some(dir.file_name()?.to_str()?.to_owned());
    let parked: BTreeSet<String> = groups.iter().filter(|dir| is_parked(dir)).filter_map(name).collect();
    // What is no lease (the group of all that is not pinned) begins with a dot.
    let names = groups.iter().filter_map(name).filter(|name| !name.starts_with('.'));
    names.filter(|name| !parked.contains(name)).collect()
}

/// Whether a group's record says that a worker is parked in it.
fn is_parked(dir: &Path) -> bool {
    let record = |attribute: &str| {
        let mut text = vec![0u8; 1024];
        let read = rustix::fs::getxattr(dir, attribute, &mut text).ok()?;
        text.truncate(read);
        Some(text)
    };
    let record = record("user.hypermesh.lease").or_else(|| record("trusted.hypermesh.lease"));
    record.is_some_and(|text| text == b"{\"parked\":true}")
}

/// The groups directly below one. Empty when there is none: it may go at any time.
fn children(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let folder = |entry: io::Result<fs::DirEntry>| {
        let entry = entry.ok()?;
        entry.file_type().ok()?.is_dir().then(|| entry.path())
    };
    entries.filter_map(folder).collect()
}

/// The processes in these groups and below.
pub fn processes(dirs: &[impl AsRef<Path>]) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    for dir in dirs {
        let text = fs::read_to_string(dir.as_ref().join("cgroup.procs")).unwrap_or_default();
        found.extend(text.lines().filter_map(|line| line.trim().parse::<u32>().ok()));
        found.extend(processes(&children(dir.as_ref())));
    }
    found
}

/// Whether a process is there and does something: a zombie has ended.
pub fn is_running(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}

/// CPU time that the kernel has counted in a lease, in nanoseconds; `None` where no folder of it says.
pub fn cpu_time_ns(dirs: &[impl AsRef<Path>]) -> Option<u64> {
    dirs.iter().find_map(|dir| {
        if let Ok(text) = fs::read_to_string(dir.as_ref().join("cpuacct.usage")) {
            return text.trim().parse().ok();
        }
        let text = fs::read_to_string(dir.as_ref().join("cpu.stat")).ok()?;
        let microseconds: u64 =
            text.lines().find_map(|line| line.strip_prefix("usage_usec "))?.parse().ok()?;
        Some(microseconds * 1000)
    })
}

/// The logical CPU on which a process ran last, field 39 of its `stat` (proc(5)); `None` when it is gone.
pub fn processor(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field, a name in parentheses, may hold spaces; behind it comes the third.
    stat.rsplit_once(") ")?.1.split(' ').nth(36)?.parse().ok()
}

/// The logical CPUs on which a process may run; empty when it is gone.
pub fn allowed_cpus(pid: u32) -> BTreeSet<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap_or_default();
    let range = |text: &str| {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Some(first.parse::<u32>().ok()?..=last.parse::<u32>().ok()?)
    };
    list.trim().split(',').filter_map(range).flatten().collect()
}

/// The highest memory that the kernel has counted in a lease, in bytes; `None` where no folder of it says.
pub fn memory_peak(dirs: &[impl AsRef<Path>]) -> Option<u64> {
    dirs.iter().find_map(|dir| {
        let read = |name| fs::read_to_string(dir.as_ref().join(name));
        read("memory.max_usage_in_bytes").or_else(|_| read("memory.peak")).ok()?.trim().parse().ok()
    })
}

/// Kills what runs in a node's groups and removes them, and `hypermesh` above them where nobody else uses it.
pub(crate) fn clean(node: &str) {
    let dirs = of_node(node);
    super::until("ending what runs in the node's groups", || {
        let left = processes(&dirs);
        left.iter().copied().filter(|pid| *pid != std::process::id()).for_each(kill);
        left.is_empty().then_some(())
    });
    for dir in dirs {
        super::until("removing the node's groups", || remove_below(&dir).ok());
        if let Some(top) = dir.parent() {
            // Another node may live there.
            let _ = fs::remove_dir(top);
        }
    }
}

/// SIGKILL for a process of this test; one that has ended already is no failure.
pub fn kill(pid: u32) {
    crate::signal(pid, Signal::KILL);
}

fn remove_below(dir: &Path) -> io::Result<()> {
    children(dir).iter().try_for_each(|child| remove_below(child))?;
    match fs::remove_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
