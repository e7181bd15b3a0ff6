//! Groups in every hierarchy of this machine, as a session manager would make them, for tests that start a node in one.
//! Needs root. They go away with the value, and nothing but them does.
#![allow(dead_code, reason = "each test program uses a part of it")]

use hypermesh_sandbox::CgroupVersion;
use rustix::fs::{Access, access};
use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// One parent a hierarchy, and the same groups below each.
pub(crate) struct Groups {
    parents: Vec<PathBuf>,
}

impl Groups {
    /// Makes the groups, on v2 with the controllers that a unit with `Delegate=yes` gets.
    pub(crate) fn make(test: &str, version: CgroupVersion, names: &[&str]) -> Self {
        let name = format!("hypermesh-test-{}-{test}", std::process::id());
        let groups = Self { parents: mounts().iter().map(|mount| mount.join(&name)).collect() };
        for parent in &groups.parents {
            fs::create_dir(parent).unwrap();
            if version == CgroupVersion::V2 {
                for group in [parent.parent().unwrap(), parent] {
                    fs::write(group.join("cgroup.subtree_control"), "+cpu +memory +pids").unwrap();
                }
            }
            for name in names {
                let group = parent.join(name);
                fs::create_dir(&group).unwrap();
                copy_cpuset(&group);
            }
        }
        groups
    }

    /// Where a group is, in each hierarchy.
    pub(crate) fn folders(&self, name: &str) -> Vec<PathBuf> {
        self.parents.iter().map(|parent| parent.join(name)).collect()
    }

    /// Gives a group to a user, as systemd does for a unit with `Delegate=yes` and `User=` (systemd,
    /// `docs/CGROUP_DELEGATION.md`): the folder and the files that organise it, none that limits it.
    pub(crate) fn delegate(&self, name: &str, user: u32) {
        for group in self.folders(name) {
            chown(&group, Some(user), Some(user)).unwrap();
            for file in ["cgroup.procs", "cgroup.subtree_control", "cgroup.threads", "tasks"] {
                if group.join(file).exists() {
                    chown(group.join(file), Some(user), Some(user)).unwrap();
                }
            }
        }
    }

    /// Starts a command in a group, as a user, and waits until it is there. Its standard output is piped.
    pub(crate) fn start(
        &self,
        name: &str,
        user: u32,
        command: &[&str],
        environment: &[(&str, &str)],
    ) -> Child {
        use std::io::Write as _;
        use std::os::unix::process::CommandExt as _;
        // It waits on a line until it was moved: only root may do that.
        let mut child = Command::new("sh")
            .args(["-c", "read -r _go && exec \"$@\"", "sh"])
            .args(command)
            .envs(environment.iter().copied())
            .current_dir("/")
            .uid(user)
            .gid(user)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        for group in self.folders(name) {
            fs::write(group.join("cgroup.procs"), child.id().to_string()).unwrap();
        }
        child.stdin.take().unwrap().write_all(b"go\n").unwrap();
        child
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        self.parents.iter().for_each(|parent| remove(parent));
    }
}

fn remove(group: &Path) {
    let below = fs::read_dir(group).into_iter().flatten().filter_map(Result::ok);
    below.filter(|entry| entry.path().is_dir()).for_each(|entry| remove(&entry.path()));
    if let Err(error) = fs::remove_dir(group) {
        eprintln!("{} stays: {error}", group.display());
    }
}

/// Where hierarchies are mounted and may be written to, without systemd's own (`name=systemd`).
fn mounts() -> Vec<PathBuf> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let is_cgroup = |line: &&str| line.contains(" - cgroup") && !line.contains("name=");
    let points = text.lines().filter(is_cgroup).map(|line| PathBuf::from(line.split(' ').nth(4).unwrap()));
    points.filter(|point| access(point, Access::WRITE_OK).is_ok()).collect()
}

/// A v1 cpuset takes processes only when it has CPUs and memory nodes.
fn copy_cpuset(group: &Path) {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        for target in [group.parent().unwrap(), group] {
            let held = fs::read_to_string(target.join(file));
            // On v2 an empty one inherits.
            if held.is_ok_and(|held| held.trim().is_empty()) && target.join("cgroup.clone_children").exists()
            {
                let above = fs::read_to_string(target.parent().unwrap().join(file)).unwrap();
                fs::write(target.join(file), above).unwrap();
            }
        }
    }
}
