//! What the kernel counts of processes: their children, their CPU time, their memory.
//!
//! Fields of `/proc/<pid>/stat`, of `status` and of `smaps_rollup` (proc(5)). All of it is read from outside, so that what
//! is measured needs no help from the node.

use crate::error::BenchError;
use hypermesh_harness::Node;
use std::fs;

/// The kernel counts CPU time of processes in hundredths of a second for user space (`USER_HZ`, proc_pid_stat(5)).
const TICKS_PER_SECOND: f64 = 100.0;
/// Fields of `stat` behind the name, from 0: the parent, the CPU time, that of children which were waited for.
const PARENT: usize = 1;
const OWN_TICKS: usize = 11;
const CHILDREN_TICKS: usize = 13;

/// CPU time in seconds, user and system.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct CpuTime {
    /// Of the process.
    pub(crate) own: f64,
    /// Of its children that have ended.
    pub(crate) children: f64,
}

/// Memory of a process in MB of 10^6 bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Memory {
    /// Resident, what is shared with others counted whole.
    pub(crate) rss: f64,
    /// Resident, what is shared divided by those who share it: sums over processes are what the machine lacks.
    pub(crate) pss: f64,
}

fn read(pid: u32, name: &str) -> Result<String, BenchError> {
    let path = format!("/proc/{pid}/{name}");
    fs::read_to_string(&path).map_err(BenchError::io(format!("reading {path}")))
}

/// What stands behind the name, which may hold spaces, from the state on.
fn stat(text: &str) -> Option<Vec<&str>> {
    Some(text.rsplit_once(") ")?.1.split_whitespace().collect())
}

/// CPU time so far.
///
/// # Errors
/// When there is no such process.
pub(crate) fn cpu_time(pid: u32) -> Result<CpuTime, BenchError> {
    let text = read(pid, "stat")?;
    let seconds = |fields: &[&str], first: usize| -> Option<f64> {
        let ticks = fields.get(first..first + 2)?.iter().map(|field| field.parse::<f64>().ok());
        Some(ticks.sum::<Option<f64>>()? / TICKS_PER_SECOND)
    };
    stat(&text)
        .and_then(|fields| {
            Some(CpuTime { own: seconds(&fields, OWN_TICKS)?, children: seconds(&fields, CHILDREN_TICKS)? })
        })
        .ok_or_else(|| BenchError::Unexpected(format!("/proc/{pid}/stat said: {text}")))
}

/// Memory now.
///
/// # Errors
/// When there is no such process, or the kernel does not tell us.
pub(crate) fn memory(pid: u32) -> Result<Memory, BenchError> {
    let text = read(pid, "smaps_rollup")?;
    let mb = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kib * 1024.0 / 1e6)
    };
    match (mb("Rss:"), mb("Pss:")) {
        (Some(rss), Some(pss)) => Ok(Memory { rss, pss }),
        _ => Err(BenchError::Unexpected(format!("/proc/{pid}/smaps_rollup said: {text}"))),
    }
}

/// The processes whose parent this is.
pub(crate) fn children(parent: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let text = read(*pid, "stat").unwrap_or_default();
        stat(&text).and_then(|fields| fields.get(PARENT)?.parse::<u32>().ok()) == Some(parent)
    })
    .collect()
}

/// The zygote of a node: its child that forks the workers, which are the zygote's children.
///
/// # Errors
/// When it has none.
pub(crate) fn zygote(node: &Node) -> Result<u32, BenchError> {
    let is_zygote = |pid: &u32| {
        let arguments = read(*pid, "cmdline").unwrap_or_default();
        arguments.split('\0').any(|argument| argument == "__zygote")
    };
    let found = children(node.pid()).into_iter().find(is_zygote);
    found.ok_or_else(|| BenchError::Unexpected("the node has no zygote".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_of_this_process() {
        let own = std::process::id();
        let memory = memory(own).unwrap();
        assert!(memory.rss > 0.0 && memory.pss > 0.0 && memory.pss <= memory.rss, "{memory:?}");
        assert!(cpu_time(own).unwrap().own >= 0.0);
        assert!(children(std::os::unix::process::parent_id()).contains(&own));
        assert!(cpu_time(u32::MAX).is_err());
    }

    #[test]
    fn a_name_with_spaces_and_parentheses_is_no_field() {
        let fields = stat("7 (a) b) S 1 7 7 0 -1 0 0 0 0 0 11 12 13 14").unwrap();
        assert_eq!((fields[PARENT], fields[OWN_TICKS], fields[CHILDREN_TICKS]), ("1", "11", "13"));
    }
}
