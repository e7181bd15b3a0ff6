//! Ending every process of a group, until the kernel says that none is left.
//!
//! With `cgroup.kill` (Linux 5.14) the kernel does it in one step, forks included, and `cgroup.events` wakes us when
//! the group is empty. Without it: freeze, so that nothing can fork, SIGKILL each, thaw, and again until empty. The
//! second way also ends what joined a v1 group but not the shadow. Both end at one deadline, with the ids of who is left.
//!
//! A frozen v1 process dies only when it is thawed. So a frozen lease is thawed to be killed; when it is one leaf of it
//! that is killed, the others run for that moment and are frozen again.

use crate::CgroupError;
use crate::freeze::{Freezer, PAUSES, wait_event};
use crate::kernel_fs::write;
use crate::tree::Tree;
use hypermesh_model::LeaseId;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// How long processes may take to end: large ones free their memory first; those in uninterruptible I/O may take
/// longer, and the caller hears of them.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long a group may take to freeze before its processes are killed anyway.
const FREEZE_DEADLINE: Duration = Duration::from_millis(500);

/// Kills the group and all below it.
pub(crate) fn kill(tree: &Tree, lease: &LeaseId, leaf: Option<&str>) -> Result<(), CgroupError> {
    let started = Instant::now();
    let deadline = started + DEADLINE;
    if let Some(dir) = tree.unified_dir(lease, leaf) {
        let file = dir.join("cgroup.kill");
        match write(&file, "1").and_then(|()| wait_event(&file, "populated 0", deadline)) {
            // A deadline that passed is no error here: who is left is looked at below.
            Ok(_is_empty) => {}
            Err(error) if error.is_missing() => {}
            Err(error) => return Err(error),
        }
    }
    if tree.processes(lease, leaf)?.is_empty() {
        return Ok(());
    }
    let frozen_lease =
        leaf.and_then(|_| Freezer::of(tree, lease, None)).filter(|f| f.is_frozen().unwrap_or(false));
    if let Some(lease) = &frozen_lease {
        ignore_missing(lease.thaw())?;
    }
    let killed = kill_one_by_one(tree, lease, leaf, started, deadline);
    if let Some(lease) = &frozen_lease
        && let Err(error) = lease.freeze(FREEZE_DEADLINE)
        && !error.is_missing()
    {
        return killed.and(Err(error));
    }
    killed
}

fn kill_one_by_one(
    tree: &Tree,
    lease: &LeaseId,
    leaf: Option<&str>,
    started: Instant,
    deadline: Instant,
) -> Result<(), CgroupError> {
    let freezer = Freezer::of(tree, lease, leaf);
    let (mut pause, longest) = PAUSES;
    loop {
        let left = tree.processes(lease, leaf)?;
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let path = tree.dirs(lease, leaf).into_iter().next().unwrap_or_default();
            let waited_ms = started.elapsed().as_millis();
            return Err(CgroupError::StillPopulated { path, pids: left.into_iter().collect(), waited_ms });
        }
        kill_each(tree, lease, leaf, freezer.as_ref())?;
        std::thread::sleep(pause);
        pause = (pause * 2).min(longest);
    }
}

/// Freezes, kills all, thaws. A SIGKILL on a frozen v1 process takes effect when it is thawed.
fn kill_each(
    tree: &Tree,
    lease: &LeaseId,
    leaf: Option<&str>,
    freezer: Option<&Freezer>,
) -> Result<(), CgroupError> {
    if let Some(freezer) = freezer {
        // Better killed unfrozen than not at all.
        ignore_missing(freezer.freeze(FREEZE_DEADLINE).map(|_is_frozen| ()))?;
    }
    let killed = tree.processes(lease, leaf).map(|pids| signal_all(&pids));
    // Thawed even when the list could not be read: nobody else would.
    if let Some(freezer) = freezer {
        ignore_missing(freezer.thaw())?;
    }
    killed
}

fn signal_all(pids: &BTreeSet<u32>) {
    for pid in pids {
        // The node itself is never in a lease; if somebody put it there, it must not end itself.
        if *pid == std::process::id() {
            continue;
        }
        let Some(target) = i32::try_from(*pid).ok().and_then(Pid::from_raw) else { continue };
        if let Err(error) = kill_process(target, Signal::KILL) {
            tracing::debug!(pid, %error, "already gone or not ours");
        }
    }
}

fn ignore_missing(result: Result<(), CgroupError>) -> Result<(), CgroupError> {
    match result {
        Err(error) if error.is_missing() => Ok(()),
        other => other,
    }
}
