//! Stopping and continuing a group: v2's `cgroup.freeze` (also of the shadow on hybrid hosts), else v1's freezer
//! (`Documentation/admin-guide/cgroup-v1/freezer-subsystem.rst`).
//!
//! Both stop what is below, and what is forked or joins meanwhile. v2 wakes whoever polls `cgroup.events` when all have
//! stopped; v1 is asked again and again.

use crate::CgroupError;
use crate::kernel_fs::{keyed, read, write};
use crate::tree::Tree;
use hypermesh_model::LeaseId;
use rustix::event::{PollFd, PollFlags, poll};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long the processes of a lease may take to stop: they do at once, unless they are in uninterruptible sleep.
const DEADLINE: Duration = Duration::from_secs(2);
/// First and longest pause between two looks at a group that gives no events.
pub(crate) const PAUSES: (Duration, Duration) = (Duration::from_micros(200), Duration::from_millis(10));

/// The file that stops a group, v1 or v2.
pub(crate) enum Freezer {
    V1(PathBuf),
    V2(PathBuf),
}

impl Freezer {
    /// `None` where the kernel has neither.
    pub(crate) fn of(tree: &Tree, lease: &LeaseId, leaf: Option<&str>) -> Option<Self> {
        if let Some(dir) = tree.dir_of("freezer", lease, leaf) {
            return Some(Self::V1(dir.join("freezer.state")));
        }
        let file = tree.unified_dir(lease, leaf)?.join("cgroup.freeze");
        file.exists().then_some(Self::V2(file))
    }

    /// Asks for it and waits until it is so, at most so long; whether it is so.
    pub(crate) fn freeze(&self, within: Duration) -> Result<bool, CgroupError> {
        let deadline = Instant::now() + within;
        match self {
            Self::V2(file) => {
                write(file, "1")?;
                wait_event(file, "frozen 1", deadline)
            }
            Self::V1(file) => {
                let (mut pause, longest) = PAUSES;
                loop {
                    // Again each time: it catches what was forked since.
                    write(file, "FROZEN")?;
                    if self.is_frozen()? {
                        return Ok(true);
                    }
                    if Instant::now() >= deadline {
                        return Ok(false);
                    }
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(longest);
                }
            }
        }
    }

    pub(crate) fn is_frozen(&self) -> Result<bool, CgroupError> {
        match self {
            Self::V1(file) => Ok(read(file)? == "FROZEN"),
            Self::V2(file) => {
                Ok(keyed(&file.with_file_name("cgroup.events"), "frozen")?.is_some_and(|frozen| frozen == 1))
            }
        }
    }

    pub(crate) fn thaw(&self) -> Result<(), CgroupError> {
        match self {
            Self::V1(file) => write(file, "THAWED"),
            Self::V2(file) => write(file, "0"),
        }
    }
}

/// See [`crate::CgroupBackend::freeze`].
pub(crate) fn freeze(tree: &Tree, lease: &LeaseId) -> Result<(), CgroupError> {
    let (freezer, started) = (required(tree, lease)?, Instant::now());
    if freezer.freeze(DEADLINE)? {
        return Ok(());
    }
    freezer.thaw()?;
    let path = tree.dirs(lease, None).into_iter().next().unwrap_or_default();
    Err(CgroupError::NotFrozen { path, waited_ms: started.elapsed().as_millis() })
}

/// See [`crate::CgroupBackend::thaw`].
pub(crate) fn thaw(tree: &Tree, lease: &LeaseId) -> Result<(), CgroupError> {
    required(tree, lease)?.thaw()
}

/// See [`crate::CgroupBackend::is_frozen`].
pub(crate) fn is_frozen(tree: &Tree, lease: &LeaseId) -> Result<bool, CgroupError> {
    Freezer::of(tree, lease, None).map_or(Ok(false), |freezer| freezer.is_frozen())
}

fn required(tree: &Tree, lease: &LeaseId) -> Result<Freezer, CgroupError> {
    Freezer::of(tree, lease, None).ok_or_else(|| CgroupError::Unavailable {
        reason: "this kernel has neither cgroup.freeze nor the v1 freezer".to_owned(),
    })
}

/// Waits until `cgroup.events` beside `file` has that line; whether it has. The kernel wakes pollers at every change.
pub(crate) fn wait_event(file: &Path, line: &str, deadline: Instant) -> Result<bool, CgroupError> {
    let path = file.with_file_name("cgroup.events");
    let wait = || -> io::Result<bool> {
        let events = File::open(&path)?;
        let mut buffer = [0; 256];
        loop {
            let length = events.read_at(&mut buffer, 0)?;
            if String::from_utf8_lossy(&buffer[..length]).lines().any(|held| held == line) {
                return Ok(true);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            let timeout = left.try_into().map_err(io::Error::other)?;
            match poll(&mut [PollFd::new(&events, PollFlags::PRI)], Some(&timeout)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    };
    wait().map_err(|source| CgroupError::Io { action: "watch", path, source })
}
