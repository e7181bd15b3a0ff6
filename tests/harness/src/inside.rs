//! A native process inside a lease, below a leaf of its own: on v2 a group with children holds no process.

use hypermesh_wire::allocations::Enforcement;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A shell in a lease, and what it started. Dropping it ends the shell, not what left it.
#[derive(Debug)]
pub struct Inside {
    child: Child,
}

impl Inside {
    /// Starts `sh -c script` in a lease, as its receipt says how to join; it has joined before the first line of the script.
    ///
    /// # Panics
    /// When the lease has no group, the leaf can't be made, or `sh` can't be started.
    #[track_caller]
    pub fn join(lease: &Enforcement, script: &str) -> Self {
        assert!(!lease.join.is_empty(), "{} has no group to join", lease.allocation_id);
        let leaf = leaf();
        let files = lease.join.iter().map(|file| (file.contains("{leaf}"), file.replace("{leaf}", &leaf)));
        Self::spawn(files, script)
    }

    /// The same below cgroups of which nobody says how to join them: a leaf is made in each.
    ///
    /// # Panics
    /// When the leaf can't be made or `sh` can't be started.
    #[track_caller]
    pub fn start(cgroups: &[impl AsRef<Path>], script: &str) -> Self {
        let leaf = leaf();
        let file = |dir: &Path| dir.join(&leaf).join("cgroup.procs").display().to_string();
        Self::spawn(cgroups.iter().map(|dir| (true, file(dir.as_ref()))), script)
    }

    #[track_caller]
    fn spawn(files: impl Iterator<Item = (bool, String)>, script: &str) -> Self {
        let mut joining = String::new();
        for (is_made, file) in files {
            let dir = Path::new(&file).parent().expect("a folder");
            if is_made {
                fs::create_dir(dir).unwrap_or_else(|error| panic!("making {}: {error}", dir.display()));
            }
            joining.push_str(&format!("echo 0 > '{file}' || exit 99\n"));
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

    /// Its exit code, once it has ended by itself.
    ///
    /// # Panics
    /// When it doesn't end, or by a signal.
    #[track_caller]
    pub fn code(&mut self) -> i32 {
        let status =
            crate::until("the end of a shell", || self.child.try_wait().expect("it can be waited for"));
        status.code().unwrap_or_else(|| panic!("it ended otherwise: {status}"))
    }
}

fn leaf() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Drop for Inside {
    fn drop(&mut self) {
        // It has mostly been killed with its lease; either way it must be reaped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
