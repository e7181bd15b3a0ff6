//! What beyond the plain limits works here: pinned CPUs, stopping a group, I/O limits, pressure, the device filter, and
//! whether the node's own group is its to divide. Each with what to do where it does not.

use super::{Finding, finding};
use crate::detect::{Layout, Place};
use crate::kernel_backend::DELEGATE;
use crate::{CgroupVersion, devices, kernel_fs};
use rustix::fs::{Access, access};
use std::path::{Path, PathBuf};

/// One finding a feature. Reads only; the one program that it has the kernel check is attached to nothing.
pub(super) fn features(system_root: &Path, layout: &Layout) -> Vec<Finding> {
    let machine = Machine { system_root, layout };
    vec![
        machine.cpuset(),
        machine.freezer(),
        machine.io(),
        machine.pressure(),
        machine.device_filter(),
        machine.delegation(),
    ]
}

struct Machine<'a> {
    system_root: &'a Path,
    layout: &'a Layout,
}

impl Machine<'_> {
    fn cpuset(&self) -> Finding {
        let missing = "no hierarchy has it: leases of whole cores are not enforced";
        self.controller("pinned cores", ["cpuset", "cpuset"], "the cpuset controller", missing)
    }

    fn io(&self) -> Finding {
        let v1 = "bandwidth and operations a second, of direct and synchronous I/O only";
        let what =
            if self.layout.version == CgroupVersion::V2 { "bandwidth and operations a second" } else { v1 };
        self.controller(
            "I/O limits",
            ["io", "blkio"],
            what,
            "no hierarchy has it: limits on I/O are not enforced",
        )
    }

    /// A controller, by what v2 and v1 call it.
    fn controller(&self, name: &str, [v2, v1]: [&str; 2], what: &str, missing: &str) -> Finding {
        let is_v2 = self.layout.version == CgroupVersion::V2;
        let has_it = match &self.layout.unified {
            Some(place) if is_v2 => {
                let have = kernel_fs::words(&place.own.join("cgroup.controllers")).unwrap_or_default();
                have.iter().any(|controller| controller == v2)
            }
            Some(_) | None => is_mounted(self.system_root, v1),
        };
        let advice = if is_v2 {
            "enable it in cgroup.subtree_control of the groups above (systemd: Delegate=yes)"
        } else {
            "mount it, or boot with cgroup2 alone"
        };
        if has_it { finding(name, what, true) } else { finding(name, format!("{missing}; {advice}"), false) }
    }

    /// The root group can't be frozen; any other tells whether the kernel has the file (Linux 5.2).
    fn freezer(&self) -> Finding {
        let name = "freezing";
        let below = |place: &Place| kernel_fs::children(&place.own).unwrap_or_default();
        let groups =
            self.layout.unified.iter().flat_map(|place| [vec![place.own.clone()], below(place)].concat());
        let groups: Vec<PathBuf> = groups.collect();
        if groups.iter().any(|group| group.join("cgroup.freeze").exists()) {
            finding(name, "cgroup.freeze", true)
        } else if is_mounted(self.system_root, "freezer") {
            finding(name, "the v1 freezer", true)
        } else if self.layout.unified.is_some() && groups.len() <= 1 {
            finding(name, "unknown until the first group is made (Linux 5.2 and later have it)", true)
        } else {
            let advice = "mount the v1 freezer, or use Linux 5.2 or later with cgroup2";
            finding(name, format!("none: leases that end frozen are killed at once; {advice}"), false)
        }
    }

    fn pressure(&self) -> Finding {
        let name = "pressure (PSI)";
        if !self.system_root.join("proc/pressure/cpu").exists() {
            let advice = "boot with psi=1 (Linux 4.20 and later)";
            finding(name, format!("this kernel measures none; {advice}"), false)
        } else if self.layout.unified.is_some() {
            finding(name, "per lease and for the machine", true)
        } else {
            let advice = "mount cgroup2 beside the v1 controllers to have it per lease";
            finding(name, format!("for the machine only; {advice}"), true)
        }
    }

    /// Matters only where there is a GPU.
    fn device_filter(&self) -> Finding {
        let name = "device filter";
        let is_root = rustix::process::geteuid().is_root();
        let v1 = self.layout.v1.iter().find(|place| place.controllers.iter().any(|c| c == "devices"));
        let usable = match (v1, &self.layout.unified) {
            (Some(place), _) if is_root => {
                Ok(format!("the v1 devices controller at {}", place.mount.display()))
            }
            (Some(_), None) => Err("the v1 devices controller needs root".to_owned()),
            (Some(_) | None, Some(_)) => {
                devices::can_load().map(|()| "a BPF program on the lease's cgroup2 group".to_owned())
            }
            (None, None) => Err("neither v1 devices nor cgroup2 is mounted".to_owned()),
        };
        match usable {
            Ok(mechanism) => finding(name, mechanism, true),
            Err(reason) if self.system_root.join("proc/driver/nvidia").exists() => {
                let advice = "run the node as root, or give it CAP_BPF, CAP_NET_ADMIN and CAP_SYS_ADMIN";
                finding(name, format!("none: {reason}; leases of GPUs are not enforced; {advice}"), false)
            }
            Err(reason) => {
                finding(name, format!("none ({reason}), and no NVIDIA driver that it would be for"), true)
            }
        }
    }

    fn delegation(&self) -> Finding {
        let name = "delegation";
        // On v1 every hierarchy has an own group; `cgroup cpu` and the others say whether they can be written.
        let Some(place) = self.layout.unified.as_ref().or(self.layout.v1.first()) else {
            return finding(name, "no cgroups", false);
        };
        let own = place.own.display();
        let files = ["", "cgroup.procs", "cgroup.subtree_control"].map(|file| place.own.join(file));
        let is_ours =
            files.iter().filter(|file| file.exists()).all(|file| access(file, Access::WRITE_OK).is_ok());
        if !is_ours {
            return finding(name, format!("{own} is not this user's; {DELEGATE}"), false);
        }
        if place.own == place.mount {
            return finding(name, "the node is in the root group and may divide it", true);
        }
        let above = place.own.parent().unwrap_or(&place.mount);
        let is_delegated = is_delegated(&place.own) || is_delegated(above);
        let has_systemd = self.system_root.join("run/systemd/system").exists();
        match (is_delegated, has_systemd) {
            (true, _) => finding(name, format!("{own} is delegated by systemd"), true),
            (false, false) => finding(name, format!("{own} is writable"), true),
            (false, true) => {
                let advice = "start the node as a unit or scope with Delegate=yes";
                let risk = "systemd may take its controllers away";
                finding(name, format!("{own} is writable but not delegated, so {risk}; {advice}"), false)
            }
        }
    }
}

/// Since version 251 systemd marks what it delegates (systemd, `docs/CGROUP_DELEGATION.md`).
fn is_delegated(group: &Path) -> bool {
    let mark = |name| xattr::get(group, name).ok().flatten().is_some_and(|value| value == b"1");
    mark("trusted.delegate") || mark("user.delegate")
}

/// Whether a v1 hierarchy with the controller is mounted, also one that the limits don't use.
fn is_mounted(system_root: &Path, controller: &str) -> bool {
    let mounts = kernel_fs::read(&system_root.join("proc/self/mountinfo")).unwrap_or_default();
    let has_it = |line: &str| {
        let options = line.split_once(" - cgroup ").and_then(|(_, rest)| rest.split(' ').nth(1));
        options.is_some_and(|options| options.split(',').any(|option| option == controller))
    };
    mounts.lines().any(has_it)
}

#[cfg(test)]
mod tests {
    use super::super::probe;
    use super::*;
    use std::fs;

    fn found(root: &Path, name: &str) -> Finding {
        probe(root).into_iter().find(|finding| finding.name == name).unwrap()
    }

    #[test]
    fn on_v2_it_says_what_is_missing_and_what_to_do() {
        let root = tempfile::tempdir().unwrap();
        crate::fixture::machine(root.path(), "cpu memory pids", "/unit", &[1]);
        for (name, advice) in [
            ("pinned cores", "subtree_control"),
            ("I/O limits", "subtree_control"),
            ("pressure (PSI)", "psi=1"),
        ] {
            let finding = found(root.path(), name);
            assert!(!finding.ok && finding.value.contains(advice), "{finding:?}");
        }
        fs::create_dir_all(root.path().join("proc/pressure")).unwrap();
        fs::write(root.path().join("proc/pressure/cpu"), "").unwrap();
        assert_eq!(found(root.path(), "pressure (PSI)").value, "per lease and for the machine");
        fs::write(root.path().join("sys/fs/cgroup/unit/cgroup.controllers"), "cpu memory pids io").unwrap();
        assert!(found(root.path(), "I/O limits").ok);
        fs::write(root.path().join("sys/fs/cgroup/unit/cgroup.freeze"), "0").unwrap();
        assert_eq!(found(root.path(), "freezing").value, "cgroup.freeze");
    }

    #[test]
    fn on_v1_it_looks_at_every_mount() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("proc/self")).unwrap();
        let mount =
            |controllers: &str| format!("1 2 0:1 / /cg/{controllers} rw - cgroup cgroup rw,{controllers}\n");
        let mounts = ["cpu,cpuacct", "cpuset", "freezer"].map(mount).concat();
        fs::write(root.path().join("proc/self/mountinfo"), mounts).unwrap();
        fs::write(root.path().join("proc/self/cgroup"), "1:cpu,cpuacct:/\n").unwrap();
        assert!(found(root.path(), "pinned cores").ok);
        assert_eq!(found(root.path(), "freezing").value, "the v1 freezer");
        let io = found(root.path(), "I/O limits");
        assert!(!io.ok && io.value.contains("mount it"), "{io:?}");
        let filter = found(root.path(), "device filter");
        assert!(filter.ok && filter.value.contains("no NVIDIA driver"), "{filter:?}");
        fs::create_dir_all(root.path().join("proc/driver/nvidia")).unwrap();
        let filter = found(root.path(), "device filter");
        assert!(!filter.ok && filter.value.contains("neither v1 devices nor cgroup2"), "{filter:?}");
    }

    #[test]
    fn under_systemd_a_group_should_be_delegated() {
        let root = tempfile::tempdir().unwrap();
        crate::fixture::machine(root.path(), "cpu memory pids", "/unit", &[1]);
        let unit = root.path().join("sys/fs/cgroup/unit");
        assert!(found(root.path(), "delegation").ok);
        fs::create_dir_all(root.path().join("run/systemd/system")).unwrap();
        let bare = found(root.path(), "delegation");
        assert!(!bare.ok && bare.value.contains("Delegate=yes"), "{bare:?}");
        if xattr::set(&unit, "user.delegate", b"1").is_ok() {
            let marked = found(root.path(), "delegation");
            assert!(marked.ok && marked.value.contains("delegated by systemd"), "{marked:?}");
        }
    }
}
