//! Moving a process that runs already into a leaf, in every hierarchy or in none.
//!
//! The kernel says EINVAL while it sets a thread group up, and EBUSY while a group changes: both pass, so a move is tried
//! again (as runc does, `WriteCgroupProc`). A process that ended is told from one that can't be moved.

use crate::detect::{Layout, Place, detect_of};
use crate::kernel_backend::KernelBackend;
use crate::kernel_fs::{read, write};
use crate::tree::Hierarchy;
use crate::{CgroupBackend, CgroupError};
use hypermesh_model::LeaseId;
use rustix::io::Errno;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Tries and the pause between them.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(30);
/// PF_KTHREAD of `include/linux/sched.h`, in field 9 of `/proc/<pid>/stat` (proc_pid_stat(5)).
const KERNEL_THREAD: u64 = 0x0020_0000;

/// See [`CgroupBackend::attach`].
pub(crate) fn attach(
    backend: &KernelBackend,
    lease: &LeaseId,
    leaf: &str,
    pid: u32,
) -> Result<(), CgroupError> {
    check_process(&backend.system_root, pid)?;
    let came_from = detect_of(&backend.system_root, &pid.to_string()).map_err(|error| gone(error, pid))?;
    backend.create_leaf(lease, leaf, None)?;
    let targets: Vec<(&Hierarchy, PathBuf)> = backend
        .tree
        .hierarchies
        .iter()
        .filter_map(|hierarchy| Some((hierarchy, hierarchy.joined(lease, Some(leaf))?)))
        .collect();
    for (index, (_, dir)) in targets.iter().enumerate() {
        if let Err(error) = move_process(dir, pid) {
            for (hierarchy, _) in &targets[..index] {
                move_back(&came_from, hierarchy, pid);
            }
            if let Err(error) = backend.remove_leaf(lease, leaf) {
                tracing::warn!(leaf, reason = error.reason(), "the leaf of a failed move stays behind");
            }
            return Err(error);
        }
    }
    Ok(())
}

/// Whether it is there and may be moved.
fn check_process(system_root: &Path, pid: u32) -> Result<(), CgroupError> {
    let refused = |reason| Err(CgroupError::NotAttachable { pid, reason });
    match pid {
        0 => return Err(CgroupError::NoProcess { pid }),
        1 => return refused("it is the machine's first process"),
        own if own == std::process::id() => return refused("it is the node itself"),
        _other => {}
    }
    let text = read(&system_root.join(format!("proc/{pid}/stat"))).map_err(|error| gone(error, pid))?;
    match parse_stat(&text) {
        None | Some(("Z" | "X", _)) => Err(CgroupError::NoProcess { pid }),
        Some((_, flags)) if flags & KERNEL_THREAD != 0 => refused("it is a thread of the kernel"),
        Some(_) => Ok(()),
    }
}

/// State and flags. The name before them is in parentheses and may hold anything.
fn parse_stat(text: &str) -> Option<(&str, u64)> {
    let mut fields = text[text.rfind(')')? + 1..].split_whitespace();
    let state = fields.next()?;
    Some((state, fields.nth(5)?.parse().ok()?))
}

/// A file of `/proc` that is not there means that the process is not.
fn gone(error: CgroupError, pid: u32) -> CgroupError {
    let has_ended = |source: &std::io::Error| source.raw_os_error() == Some(Errno::SRCH.raw_os_error());
    if let CgroupError::Io { source, .. } = &error
        && (error.is_missing() || has_ended(source))
    {
        return CgroupError::NoProcess { pid };
    }
    error
}

/// Moves a process with all its threads.
pub(crate) fn move_process(dir: &Path, pid: u32) -> Result<(), CgroupError> {
    let file = dir.join("cgroup.procs");
    let mut tries = 1;
    loop {
        let error = match write(&file, &pid.to_string()) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let CgroupError::Write { source, .. } = &error else { return Err(error) };
        let code = source.raw_os_error().map(Errno::from_raw_os_error);
        match code {
            Some(Errno::SRCH) => return Err(CgroupError::NoProcess { pid }),
            Some(Errno::INVAL | Errno::BUSY) if tries < TRIES => {
                tries += 1;
                std::thread::sleep(PAUSE);
            }
            Some(_) | None => return Err(error),
        }
    }
}

fn move_back(came_from: &Layout, hierarchy: &Hierarchy, pid: u32) {
    let is_it = |place: &&Place| place.controllers == hierarchy.controllers;
    let place =
        if hierarchy.is_unified { came_from.unified.as_ref() } else { came_from.v1.iter().find(is_it) };
    let moved = place.map(|place| move_process(&place.own, pid));
    match moved {
        Some(Ok(()) | Err(CgroupError::NoProcess { .. })) => {}
        Some(Err(error)) => tracing::warn!(pid, reason = error.reason(), "a process is half in a lease"),
        None => tracing::warn!(pid, "a process is half in a lease: where it was is not mounted here"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(pid: u32, stat: &str) -> Result<(), CgroupError> {
        let root = tempfile::tempdir().unwrap();
        let procfs = root.path().join("proc/4");
        std::fs::create_dir_all(&procfs).unwrap();
        std::fs::write(procfs.join("stat"), stat).unwrap();
        check_process(root.path(), pid)
    }

    #[test]
    fn only_processes_that_may_be_moved_are() {
        let stat = |state: &str, flags: u64| format!("4 (a) (b) {state} 1 4 4 0 -1 {flags} 0 0");
        check(4, &stat("S", 0x40_0100)).unwrap();
        let refused = |pid, stat: &str| check(pid, stat).unwrap_err();
        assert!(matches!(refused(4, &stat("I", 0x20_8040)), CgroupError::NotAttachable { .. }));
        assert!(matches!(refused(4, &stat("Z", 0)), CgroupError::NoProcess { pid: 4 }));
        assert!(matches!(refused(5, ""), CgroupError::NoProcess { pid: 5 }));
        assert!(matches!(refused(0, ""), CgroupError::NoProcess { pid: 0 }));
        assert!(matches!(refused(1, ""), CgroupError::NotAttachable { .. }));
        assert!(matches!(refused(std::process::id(), ""), CgroupError::NotAttachable { .. }));
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "\\PC{0,40}(\\) [A-Z]?( [0-9]{0,20}){0,9})?") { let _ = parse_stat(&text); }
    }
}
