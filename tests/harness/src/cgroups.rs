//! What the kernel holds for one node, read and cleaned up without asking the node.
//!
//! A node's groups are the folders `hypermesh/<node id>` somewhere below the cgroup mounts, on v1 one a hierarchy. They
//! outlive the node on purpose, so every test ends by removing those of its own nodes, and only those.

use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

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

/// The names of the groups that a node holds, over all hierarchies.
pub fn leases_of(node: &str) -> BTreeSet<String> {
    let groups = of_node(node).into_iter().flat_map(|dir| children(&dir));
    groups.filter_map(|dir| Some(dir.file_name()?.to_str()?.to_owned())).collect()
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

/// The highest memory that the kernel has counted in a lease, in bytes; `None` where no folder of it says.
pub fn memory_peak(dirs: &[impl AsRef<Path>]) -> Option<u64> {
    dirs.iter().find_map(|dir| {
        let read = |name| fs::read_to_string(dir.as_ref().join(name));
        read("memory.max_usage_in_bytes").or_else(|_| read("memory.peak")).ok()?.trim().parse().ok()
    })
}

/// A native process inside a lease, below a leaf of its own: on v2 a group with children holds no process.
#[derive(Debug)]
pub struct Inside {
    child: Child,
}

impl Inside {
    /// Starts `sh -c script` in the cgroups of a lease; it joins each before the first line of the script.
    ///
    /// # Panics
    /// When the leaf can't be made or `sh` can't be started.
    #[track_caller]
    pub fn start(cgroups: &[impl AsRef<Path>], script: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let leaf = format!("test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let mut joining = String::new();
        for dir in cgroups {
            let dir = dir.as_ref().join(&leaf);
            fs::create_dir(&dir).unwrap_or_else(|error| panic!("making {}: {error}", dir.display()));
            joining.push_str(&format!("echo 0 > '{}/cgroup.procs' || exit 99\n", dir.display()));
        }
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(joining + script);
        shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self { child: shell.spawn().expect("sh starts") }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        // It has mostly been killed with its lease; either way it must be reaped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

fn remove_below(dir: &Path) -> io::Result<()> {
    children(dir).iter().try_for_each(|child| remove_below(child))?;
    match fs::remove_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
