//! A folder that looks like a pure cgroup v2 machine, for tests where the kernel is v1 or not ours to change.
//!
//! What the kernel does on mkdir and rmdir is imitated: a new group gets its files, its controllers are those that the
//! parent hands down, and a group with only kernel files can be removed. Limits are plain files that keep what is written.

use crate::kernel_fs::Folders;
use std::fs;
use std::io;
use std::path::Path;

/// Makes groups as the kernel would.
pub(crate) struct FixtureFolders;

impl Folders for FixtureFolders {
    fn make(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)?;
        let above = path.parent().ok_or(io::ErrorKind::NotFound)?;
        let handed = fs::read_to_string(above.join("cgroup.subtree_control"))?.replace('+', "");
        fill(path, handed.trim())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let is_group = |child: &Path| child.join("cgroup.procs").exists();
        let has_children = fs::read_dir(path)?.filter_map(Result::ok).any(|entry| is_group(&entry.path()));
        let has_processes = !fs::read_to_string(path.join("cgroup.procs"))?.trim().is_empty();
        if has_children || has_processes {
            return Err(rustix::io::Errno::BUSY.into());
        }
        fs::remove_dir_all(path)
    }
}

fn fill(group: &Path, controllers: &str) -> io::Result<()> {
    let pressure = "some avg10=1.50 avg60=0.25 avg300=0.00 total=1234";
    let mut files = vec![
        ("cpu.pressure", pressure),
        ("memory.pressure", pressure),
        ("io.pressure", pressure),
        ("cgroup.freeze", "0"),
        ("cgroup.controllers", controllers),
        ("cgroup.subtree_control", ""),
        ("cgroup.procs", ""),
        ("cgroup.events", "populated 0\nfrozen 0"),
        ("cgroup.kill", ""),
        (
            "cpu.stat",
            "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\nnr_periods 9\nnr_throttled 4\nthrottled_usec 70",
        ),
    ];
    // A kernel that refuses every quota: what is a folder can't be written.
    if controllers == "refusing" {
        fs::create_dir(group.join("cpu.max"))?;
    }
    let controllers = controllers.replace("refusing", "cpu");
    for file in &mut files {
        if file.0 == "cgroup.controllers" {
            file.1 = &controllers;
        }
    }
    for controller in controllers.split_whitespace() {
        files.extend(match controller {
            "cpu" if group.join("cpu.max").is_dir() => vec![],
            "cpu" => vec![("cpu.max", "max 100000"), ("cpu.weight", "100"), ("cpu.max.burst", "0")],
            "memory" => vec![
                ("memory.max", "max"),
                ("memory.high", "max"),
                ("memory.low", "0"),
                ("memory.swap.max", "max"),
                ("memory.swap.current", "0"),
                ("memory.oom.group", "0"),
                ("memory.current", "4194304"),
                ("memory.peak", "8388608"),
                ("memory.reclaim", ""),
                ("memory.stat", "anon 3145728\nfile 1048576\ninactive_anon 0\ninactive_file 524288"),
                ("memory.events", "low 0\nhigh 0\nmax 5\noom 2\noom_kill 1"),
            ],
            "pids" => vec![("pids.max", "max"), ("pids.current", "3"), ("pids.events", "max 2")],
            "io" => {
                vec![("io.stat", "254:0 rbytes=100 wbytes=28 rios=7 wios=1 dbytes=0 dios=0"), ("io.max", "")]
            }
            // What is effective stays CPU 1, whatever is written: a plain file.
            "cpuset" => vec![
                ("cpuset.cpus", ""),
                ("cpuset.mems", ""),
                ("cpuset.cpus.effective", "1"),
                ("cpuset.mems.effective", "0"),
            ],
            other => panic!("the fixture knows no {other}"),
        });
    }
    files.iter().try_for_each(|(name, text)| fs::write(group.join(name), format!("{text}\n")))
}

/// Lays out `proc` and a v2 mount whose root has the controllers, with this process in the group `own`.
pub(crate) fn machine(root: &Path, controllers: &str, own: &str, pids: &[u32]) {
    let procfs = root.join("proc/self");
    fs::create_dir_all(&procfs).unwrap();
    let mount = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
    fs::write(procfs.join("mountinfo"), mount).unwrap();
    fs::write(procfs.join("cgroup"), format!("0::{own}\n")).unwrap();
    let top = root.join("sys/fs/cgroup");
    fs::create_dir_all(&top).unwrap();
    fill(&top, controllers).unwrap();
    // The real root has neither of these.
    fs::remove_file(top.join("cgroup.events")).unwrap();
    fs::remove_file(top.join("cgroup.kill")).unwrap();
    let group = top.join(own.trim_start_matches('/'));
    if group != top {
        fs::create_dir_all(&group).unwrap();
        fill(&group, controllers).unwrap();
    }
    let lines: String = pids.iter().map(|pid| format!("{pid}\n")).collect();
    fs::write(group.join("cgroup.procs"), lines).unwrap();
}
