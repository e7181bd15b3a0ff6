//! Ending every process of a group, until the kernel says that none is left.
//!
//! With `cgroup.kill` (Linux 5.14) the kernel does it in one step, forks included, and `cgroup.events` wakes us when
//! the group is empty. Without it: freeze, so that nothing can fork, SIGKILL each, thaw, and again until empty. The
//! second way also ends what joined a v1 group but not the shadow. Both end at one deadline, with the ids of who is left.

use crate::CgroupError;
use crate::kernel_fs::{read_optional, write};
use crate::tree::Tree;
use hypermesh_model::LeaseId;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long processes may take to end: large ones free their memory first; those in uninterruptible I/O may take
/// longer, and the caller hears of them.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long a group may take to freeze before its processes are killed anyway.
const FREEZE_DEADLINE: Duration = Duration::from_millis(500);
/// First and longest pause between two looks at a group that gives no events.
const PAUSES: (Duration, Duration) = (Duration::from_micros(200), Duration::from_millis(10));

/// Kills the group and all below it.
pub(crate) fn kill(tree: &Tree, lease: &LeaseId, leaf: Option<&str>) -> Result<(), CgroupError> {
    let started = Instant::now();
    let deadline = started + DEADLINE;
    if let Some(dir) = tree.unified_dir(lease, leaf) {
        match write(&dir.join("cgroup.kill"), "1") {
            Ok(()) => wait_empty(&dir, deadline)?,
            Err(error) if error.is_missing() => {}
            Err(error) => return Err(error),
        }
    }
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
        freezer.freeze()?;
    }
    let killed = tree.processes(lease, leaf).map(|pids| signal_all(&pids));
    // Thawed even when the list could not be read: nobody else would.
    if let Some(freezer) = freezer {
        freezer.thaw()?;
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

/// The file that stops a group, v1 or v2.
enum Freezer {
    V1(PathBuf),
    V2(PathBuf),
}

impl Freezer {
    fn of(tree: &Tree, lease: &LeaseId, leaf: Option<&str>) -> Option<Self> {
        if let Some(dir) = tree.dir_of("freezer", lease, leaf) {
            return Some(Self::V1(dir.join("freezer.state")));
        }
        let file = tree.unified_dir(lease, leaf)?.join("cgroup.freeze");
        file.exists().then_some(Self::V2(file))
    }

    /// Asks for it and waits until it is so, or until [`FREEZE_DEADLINE`]: better kill unfrozen than not at all.
    fn freeze(&self) -> Result<(), CgroupError> {
        let deadline = Instant::now() + FREEZE_DEADLINE;
        let (file, order) = match self {
            Self::V1(file) => (file, "FROZEN"),
            Self::V2(file) => (file, "1"),
        };
        ignore_missing(write(file, order))?;
        let (mut pause, longest) = PAUSES;
        while !self.is_frozen()? && Instant::now() < deadline {
            std::thread::sleep(pause);
            pause = (pause * 2).min(longest);
        }
        Ok(())
    }

    fn is_frozen(&self) -> Result<bool, CgroupError> {
        match self {
            Self::V1(file) => Ok(read_optional(file)?.is_none_or(|state| state == "FROZEN")),
            Self::V2(file) => {
                let events = read_optional(&file.with_file_name("cgroup.events"))?;
                Ok(events.is_none_or(|text| text.lines().any(|line| line == "frozen 1")))
            }
        }
    }

    fn thaw(&self) -> Result<(), CgroupError> {
        match self {
            Self::V1(file) => ignore_missing(write(file, "THAWED")),
            Self::V2(file) => ignore_missing(write(file, "0")),
        }
    }
}

fn ignore_missing(result: Result<(), CgroupError>) -> Result<(), CgroupError> {
    match result {
        Err(error) if error.is_missing() => Ok(()),
        other => other,
    }
}

/// Waits for `populated 0`; the kernel wakes pollers of `cgroup.events` at every change. A deadline that passes is no
/// error here: the caller looks at who is left.
fn wait_empty(dir: &Path, deadline: Instant) -> Result<(), CgroupError> {
    let path = dir.join("cgroup.events");
    let wait = || -> io::Result<()> {
        let file = File::open(&path)?;
        let mut buffer = [0; 256];
        loop {
            let length = file.read_at(&mut buffer, 0)?;
            let populated =
                String::from_utf8_lossy(&buffer[..length]).lines().any(|line| line == "populated 1");
            let left = deadline.saturating_duration_since(Instant::now());
            if !populated || left.is_zero() {
                return Ok(());
            }
            let timeout = left.try_into().map_err(io::Error::other)?;
            match poll(&mut [PollFd::new(&file, PollFlags::PRI)], Some(&timeout)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    };
    match wait() {
        Err(error) if crate::error::is_missing(&error) => Ok(()),
        result => result.map_err(|source| CgroupError::Io { action: "watch", path, source }),
    }
}
