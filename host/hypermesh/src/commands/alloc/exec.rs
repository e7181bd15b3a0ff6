//! `alloc exec`: runs a native command inside a lease, on the machine whose kernel enforces it.
//!
//! The node isn't asked to start anything: the caller's own process joins, with the caller's own rights. In each cgroup
//! of the lease a leaf `cli-<pid>` is made; this program is started again as `__join`, which writes itself into the
//! leaves and then becomes the command (see [`crate::hidden`]); when it ends, the leaves are removed.
//!
//! Ctrl-C reaches the command from the terminal; SIGTERM and SIGHUP are passed on. What the command leaves running stays
//! in the lease, and the lease's end ends it.

use crate::failure::Failure;
use crate::hidden;
use anyhow::{Context, bail};
use hypermesh_wire::allocations::Enforcement;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

/// Stands in the lease's join files for the name of a group that the joiner makes.
const LEAF: &str = "{leaf}";
/// What a shell adds to a signal's number in an exit code.
const SIGNALLED: i32 = 128;

/// Runs `command` in the lease's cgroups and exits as it does.
///
/// # Errors
/// When the lease has no cgroup here, when its cgroups can't be written, or when the command can't be started.
pub(crate) fn run(lease: &Enforcement, command: &[OsString]) -> anyhow::Result<()> {
    if lease.join.is_empty() {
        bail!(
            "allocation {} has no cgroup: its limits are not enforced here, or it has ended",
            lease.allocation_id
        );
    }
    let leaves = Leaves::make(&lease.join)?;
    let status = wait(&leaves, command)?;
    leaves.remove();
    let code = status.code().unwrap_or_else(|| SIGNALLED + status.signal().unwrap_or(0));
    match u8::try_from(code) {
        Ok(0) => Ok(()),
        Ok(code) => Err(Failure::Quiet(code).into()),
        Err(_) => Err(Failure::EXPLAINED.into()),
    }
}

fn wait(leaves: &Leaves, command: &[OsString]) -> anyhow::Result<ExitStatus> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // Registered before the start: from here on a signal is for the command, and the leaves are always removed.
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hang_up = signal(SignalKind::hangup())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut quit = signal(SignalKind::quit())?;
        let program = std::env::current_exe().context("this program's own file can't be found")?;
        let mut child = Command::new(program)
            .arg(hidden::JOIN)
            .args(&leaves.folders)
            .arg(hidden::SEPARATOR)
            .args(command)
            .spawn()
            .context("could not start the command")?;
        loop {
            tokio::select! {
                status = child.wait() => return Ok(status?),
                _ = terminate.recv() => pass_on(&child, Signal::TERM),
                _ = hang_up.recv() => pass_on(&child, Signal::HUP),
                // The terminal has sent these to the command already.
                _ = interrupt.recv() => {}
                _ = quit.recv() => {}
            }
        }
    })
}

fn pass_on(child: &Child, signal: Signal) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // It has not been waited for, so the id is its own; if it has ended there is nothing to tell.
        let _ = kill_process(pid, signal);
    }
}

/// The cgroups that the command joins. Those that were made for it are removed when this is dropped.
struct Leaves {
    /// All of them, in the order in which they are joined.
    folders: Vec<PathBuf>,
    /// Those that were made.
    made: Vec<PathBuf>,
}

impl Leaves {
    fn make(join: &[String]) -> anyhow::Result<Self> {
        let mut leaves = Self { folders: Vec::new(), made: Vec::new() };
        let name = format!("cli-{}", std::process::id());
        for file in join {
            let path = file.replace(LEAF, &name);
            let folder = Path::new(&path).parent().unwrap_or(Path::new("/"));
            if path != *file {
                leaves.add(folder)?;
            }
            leaves.folders.push(folder.to_owned());
        }
        Ok(leaves)
    }

    fn add(&mut self, leaf: &Path) -> anyhow::Result<()> {
        let group = leaf.parent().unwrap_or(Path::new("/"));
        std::fs::create_dir(leaf).with_context(|| explain(group))?;
        self.made.push(leaf.to_owned());
        inherit_cpuset(group, leaf).with_context(|| format!("could not set up {}", leaf.display()))
    }

    fn remove(mut self) {
        for folder in std::mem::take(&mut self.made) {
            match std::fs::remove_dir(&folder) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                    crate::say!(
                        "the command left processes behind; they stay in the lease: {}",
                        folder.display()
                    );
                }
                Err(error) => crate::say!("could not remove {}: {error}", folder.display()),
            }
        }
    }
}

impl Drop for Leaves {
    fn drop(&mut self) {
        for folder in &self.made {
            // After a failure that is told already.
            let _ = std::fs::remove_dir(folder);
        }
    }
}

fn explain(cgroup: &Path) -> String {
    format!(
        "could not make a cgroup below {}: the node must run on this machine, the lease be active, and this user be \
         allowed to write there",
        cgroup.display()
    )
}

/// A v1 cpuset begins empty and takes nobody in until it has CPUs and memory nodes (`cpuset(7)`).
fn inherit_cpuset(parent: &Path, leaf: &Path) -> io::Result<()> {
    for name in ["cpuset.cpus", "cpuset.mems"] {
        let file = leaf.join(name);
        match std::fs::read_to_string(&file) {
            // On v2 an empty one means the parent's.
            Ok(text) if text.trim().is_empty() && !leaf.join("cgroup.controllers").exists() => {
                std::fs::write(&file, std::fs::read_to_string(parent.join(name))?)?;
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enforcement(join: &[String]) -> Enforcement {
        Enforcement {
            allocation_id: "a1".into(),
            cgroup_version: "v1".into(),
            cgroups: vec![],
            join: join.to_vec(),
            entries: vec![],
            usage: None,
            read_at: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    fn entries(folder: &Path) -> usize {
        std::fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn a_lease_without_cgroups_is_refused_with_the_reason() {
        let error = run(&enforcement(&[]), &["true".into()]).unwrap_err();
        assert!(error.to_string().contains("a1 has no cgroup"), "{error}");
    }

    #[test]
    fn leaves_are_made_where_they_are_asked_for_and_all_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let leaf = format!("{}/{{leaf}}/cgroup.procs", folder.path().display());
        let shared = format!("{}/cgroup.procs", folder.path().display());
        let error =
            Leaves::make(&[leaf.clone(), "/nowhere/at/all/{leaf}/cgroup.procs".into()]).err().unwrap();
        assert!(format!("{error:#}").contains("could not make a cgroup below /nowhere/at/all"), "{error:#}");
        assert_eq!(entries(folder.path()), 0);

        let leaves = Leaves::make(&[leaf, shared]).unwrap();
        assert_eq!((entries(folder.path()), leaves.made.len()), (1, 1));
        assert_eq!(leaves.folders[1], folder.path());
        leaves.remove();
        assert_eq!(entries(folder.path()), 0);
    }

    #[test]
    fn an_empty_cpuset_takes_its_parent_s() {
        let folder = tempfile::tempdir().unwrap();
        let leaf = folder.path().join("leaf");
        std::fs::create_dir(&leaf).unwrap();
        std::fs::write(folder.path().join("cpuset.cpus"), "0-1\n").unwrap();
        std::fs::write(leaf.join("cpuset.cpus"), "\n").unwrap();
        inherit_cpuset(folder.path(), &leaf).unwrap();
        assert_eq!(std::fs::read_to_string(leaf.join("cpuset.cpus")).unwrap(), "0-1\n");
    }
}
