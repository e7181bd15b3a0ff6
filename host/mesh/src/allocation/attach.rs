//! Putting a running process into a lease, and saying what does not come with it.
//!
//! The kernel moves a process's future charges only (`cgroup-v2.rst`, "Memory Ownership"): pages that it holds stay
//! charged where they were, and files that it has open stay open, devices among them.

use super::event_data;
use crate::Mesh;
use crate::error::MeshError;
use hypermesh_model::{Bytes, EventKind, LeaseId, LeaseStatus};
use hypermesh_sandbox::CgroupError;
use hypermesh_store::Batch;
use serde_json::json;
use std::fs;
use std::path::PathBuf;

/// Most device files that are named.
const MAX_NAMED: usize = 16;

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// The process.
    pub pid: u32,
    /// Its command, as the kernel shortens it (`/proc/PID/comm`).
    pub command: Option<String>,
    /// Its threads, all of which moved.
    pub threads: u32,
    /// The groups that it is in now, absolute.
    pub moved: Vec<String>,
    /// What does not come with it.
    pub stays: Vec<Stays>,
}

/// Something of a process that a lease does not get hold of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stays {
    /// `memory`, `devices`, `children`.
    pub what: &'static str,
    /// What about it, for people.
    pub detail: String,
    /// How much, where it is an amount.
    pub bytes: Option<Bytes>,
}

impl Mesh {
    /// Moves a running process, with all its threads, into a lease. Its children stay where they are; what it starts
    /// from now on is in the lease.
    ///
    /// # Errors
    /// [`MeshError::NotFound`]; [`MeshError::Conflict`] when the lease is not active; [`MeshError::Unfit`] for a process
    /// that is gone or can't be moved.
    pub async fn attach(&self, id: &LeaseId, pid: u32) -> Result<Attached, MeshError> {
        let lease = self.lease(id)?;
        if lease.status != LeaseStatus::Active || lease.for_execution {
            let detail = format!("allocation `{id}` is not active, or belongs to an execution");
            return Err(MeshError::Conflict { detail });
        }
        if self.cgroups.unavailable_reason().is_some() {
            let detail = format!("allocation `{id}` has no cgroup here: its limits are not enforced");
            return Err(MeshError::Conflict { detail });
        }
        let Some(_changing) = self.changing.enter(id) else {
            return Err(MeshError::Conflict {
                detail: format!("allocation `{id}` is being changed right now"),
            });
        };
        let proc = self.machine.system_root().join("proc").join(pid.to_string());
        let group = id.clone();
        let attached = self
            .blocking_mesh(move |mesh| {
                let before = Process::read(proc);
                let leaf = format!("attach-{pid}");
                mesh.cgroups.attach(&group, &leaf, pid).map_err(refused)?;
                let moved = mesh.cgroups.join_files(&group, &leaf);
                Ok(Attached {
                    pid,
                    command: before.command.clone(),
                    threads: before.threads,
                    moved: moved
                        .iter()
                        .filter_map(|file| Some(file.parent()?.display().to_string()))
                        .collect(),
                    stays: before.stays(),
                })
            })
            .await?;
        let mut batch = Batch::new();
        let mut data = event_data(&lease);
        data["pid"] = json!(pid);
        data["command"] = json!(attached.command);
        batch.event(EventKind::AllocationAttached, id.as_str(), data);
        self.commit(batch, "recording an attached process").await?;
        Ok(attached)
    }
}

fn refused(error: CgroupError) -> MeshError {
    if error.is_about_process() {
        return MeshError::unfit("pid", error.to_string());
    }
    MeshError::internal("attaching a process")(Box::new(error))
}

/// A process as `/proc` shows it before it is moved (proc(5)).
struct Process {
    command: Option<String>,
    threads: u32,
    resident: Option<Bytes>,
    devices: Vec<String>,
    children: usize,
}

impl Process {
    fn read(folder: PathBuf) -> Self {
        let status = fs::read_to_string(folder.join("status")).unwrap_or_default();
        let member = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let kib = |text: &str| text.strip_suffix("kB")?.trim().parse::<u64>().ok();
        let children = fs::read_dir(folder.join("task")).into_iter().flatten().flatten().map(|task| {
            let text = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            text.split_whitespace().count()
        });
        Self {
            command: member("Name:").map(str::to_owned),
            threads: member("Threads:").and_then(|n| n.parse().ok()).unwrap_or(0),
            resident: member("VmRSS:").and_then(kib).map(|kib| Bytes(kib.saturating_mul(1024))),
            children: children.sum(),
            devices: devices(&folder.join("fd")),
        }
    }

    fn stays(&self) -> Vec<Stays> {
        let mut stays = Vec::new();
        if let Some(resident) = self.resident.filter(|resident| resident.0 > 0) {
            let detail = format!(
                "{resident} that it holds already stay charged to where it was; only what it takes from now on counts"
            );
            stays.push(Stays { what: "memory", detail, bytes: Some(resident) });
        }
        if !self.devices.is_empty() {
            let detail = format!("devices that it has open stay open to it: {}", self.devices.join(", "));
            stays.push(Stays { what: "devices", detail, bytes: None });
        }
        if self.children > 0 {
            let detail =
                format!("{} children that it has already stay where they are; attach each", self.children);
            stays.push(Stays { what: "children", detail, bytes: None });
        }
        stays
    }
}

/// Device files that the process has open, terminals and the harmless ones of every process left out.
fn devices(fds: &std::path::Path) -> Vec<String> {
    let harmless =
        ["/dev/null", "/dev/zero", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx", "/dev/full"];
    let targets =
        fs::read_dir(fds).into_iter().flatten().flatten().filter_map(|fd| fs::read_link(fd.path()).ok());
    let mut found: Vec<String> = targets
        .filter_map(|target| target.to_str().map(str::to_owned))
        .filter(|path| {
            path.starts_with("/dev/") && !path.starts_with("/dev/pts/") && !path.starts_with("/dev/shm/")
        })
        .filter(|path| !harmless.contains(&path.as_str()))
        .collect();
    found.sort();
    found.dedup();
    found.truncate(MAX_NAMED);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_is_named_with_its_amount() {
        let folder = tempfile::tempdir().unwrap();
        let proc = folder.path();
        fs::create_dir_all(proc.join("fd")).unwrap();
        fs::create_dir_all(proc.join("task/7")).unwrap();
        fs::write(proc.join("task/7/children"), "8 9 ").unwrap();
        fs::write(proc.join("status"), "Name:\ttrainer\nVmRSS:\t    2048 kB\nThreads:\t3\n").unwrap();
        for (fd, target) in ["/dev/null", "/dev/nvidia0", "/dev/pts/1", "/etc/passwd"].iter().enumerate() {
            std::os::unix::fs::symlink(target, proc.join("fd").join(fd.to_string())).unwrap();
        }
        let process = Process::read(proc.to_owned());
        assert_eq!((process.command.as_deref(), process.threads), (Some("trainer"), 3));
        let stays = process.stays();
        assert_eq!(stays.iter().map(|s| s.what).collect::<Vec<_>>(), ["memory", "devices", "children"]);
        assert_eq!(stays[0].bytes, Some(Bytes::mib(2)));
        assert!(stays[1].detail.ends_with(": /dev/nvidia0"), "{}", stays[1].detail);
        assert!(Process::read(proc.join("gone")).stays().is_empty());
    }
}
