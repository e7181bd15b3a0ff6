//! Where this process stands in the cgroup trees: its own group and every ancestor that can be seen.
//!
//! `/proc/self/cgroup` names the group within each hierarchy, `/proc/self/mountinfo` says where the hierarchy is
//! mounted and which part of it (cgroups(7)). v1 controllers may be mounted alone or together (`cpu,cpuacct`), and
//! beside v2 ("hybrid"); all are the same here. What the files in a group say is left to [`crate::capacity`]; nothing
//! is ever written.

use crate::root::SystemRoot;
use procfs::ProcessCGroups;
use procfs::process::{MountInfo, MountInfos};
use std::path::{Component, Path, PathBuf};

/// Which tree of groups.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Hierarchy {
    /// The v1 tree of a controller, by the controller's name.
    V1(&'static str),
    /// The v2 tree.
    V2,
}

/// The groups of this process in all trees.
#[derive(Debug)]
pub(crate) struct OwnCgroups {
    groups: Vec<procfs::ProcessCGroup>,
    mounts: Vec<MountInfo>,
}

impl OwnCgroups {
    pub(crate) fn read(root: &SystemRoot) -> Self {
        Self {
            groups: root.parse("/proc/self/cgroup").map(|ProcessCGroups(groups)| groups).unwrap_or_default(),
            mounts: root.parse("/proc/self/mountinfo").map(|MountInfos(mounts)| mounts).unwrap_or_default(),
        }
    }

    /// The own group and its ancestors up to the mount point, innermost first, as absolute paths of the measured
    /// machine. Empty when the tree isn't there or isn't mounted.
    pub(crate) fn chain(&self, hierarchy: Hierarchy) -> Vec<PathBuf> {
        let Some(group) = self.groups.iter().find(|group| match hierarchy {
            Hierarchy::V1(controller) => group.controllers.iter().any(|name| name == controller),
            Hierarchy::V2 => group.hierarchy == 0 && group.controllers.is_empty(),
        }) else {
            return Vec::new();
        };
        let mounts: Vec<&MountInfo> = self.mounts.iter().filter(|mount| mounts(mount, hierarchy)).collect();
        let group = Path::new(&group.pathname);
        let seen = mounts.iter().find_map(|mount| Some((*mount, below(group, &unescape(&mount.root))?)));
        // A container's mount may show only its own group under a name that its namespace hides: the mount point is
        // then the own group.
        let seen = seen.or_else(|| mounts.first().map(|mount| (*mount, PathBuf::new())));
        let Some((mount, relative)) = seen else { return Vec::new() };
        let top = PathBuf::from(unescape(&mount.mount_point.to_string_lossy()));
        relative.ancestors().map(|part| top.join(part)).map(|path| path.components().collect()).collect()
    }
}

fn mounts(mount: &MountInfo, hierarchy: Hierarchy) -> bool {
    match hierarchy {
        Hierarchy::V1(controller) => {
            mount.fs_type == "cgroup" && mount.super_options.contains_key(controller)
        }
        Hierarchy::V2 => mount.fs_type == "cgroup2",
    }
}

/// The part of `group` below `root`; `None` when it lies elsewhere. A group outside of the cgroup namespace is shown
/// with `..`, which is never followed.
fn below(group: &Path, root: &str) -> Option<PathBuf> {
    let relative = group.strip_prefix(root).ok()?;
    let inside = relative.components().all(|part| matches!(part, Component::Normal(_)));
    inside.then(|| relative.to_owned())
}

/// Undoes the octal escapes (`\040` for a space) that the kernel puts in mountinfo and the `procfs` crate leaves.
pub(crate) fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let octal = match rest {
            [b'\\', digits @ ..] => digits.get(..3).and_then(|digits| std::str::from_utf8(digits).ok()),
            _ => None,
        };
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[4..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::fixture::Fixture;
    use proptest::prelude::*;

    fn chain(cgroup: &str, mountinfo: &str, hierarchy: Hierarchy) -> Vec<String> {
        let fixture = Fixture::new(&[("/proc/self/cgroup", cgroup), ("/proc/self/mountinfo", mountinfo)]);
        let chain = OwnCgroups::read(&fixture.root()).chain(hierarchy);
        chain.into_iter().map(|path| path.to_str().unwrap().to_owned()).collect()
    }

    const HYBRID: &str = "22 27 0:21 / /proc rw,relatime - proc proc rw\n\
        32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
        33 31 0:30 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

    #[test]
    fn every_ancestor_in_a_hybrid_tree() {
        let cgroup = "4:memory:/a/b\n2:cpuacct,cpu:/\n1:name=systemd:/x\n0::/user.slice/c\n";
        let memory = chain(cgroup, HYBRID, Hierarchy::V1("memory"));
        assert_eq!(memory, ["/sys/fs/cgroup/memory/a/b", "/sys/fs/cgroup/memory/a", "/sys/fs/cgroup/memory"]);
        assert_eq!(chain(cgroup, HYBRID, Hierarchy::V1("cpu")), ["/sys/fs/cgroup/cpu,cpuacct"]);
        assert_eq!(chain(cgroup, HYBRID, Hierarchy::V2).len(), 3);
        assert!(chain(cgroup, HYBRID, Hierarchy::V1("cpuset")).is_empty());
    }

    #[test]
    fn a_container_without_a_cgroup_namespace_sees_only_its_part() {
        let mounts = "33 31 0:30 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        let inner = chain("4:memory:/docker/abc/x\n", mounts, Hierarchy::V1("memory"));
        assert_eq!(inner, ["/sys/fs/cgroup/memory/x", "/sys/fs/cgroup/memory"]);
        let hidden = chain("4:memory:/\n", mounts, Hierarchy::V1("memory"));
        assert_eq!(hidden, ["/sys/fs/cgroup/memory"]);
    }

    #[test]
    fn a_group_outside_of_the_namespace_is_not_followed() {
        let chain =
            chain("0::/../../other\n", "41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n", Hierarchy::V2);
        assert_eq!(chain, ["/sys/fs/cgroup"]);
    }

    #[test]
    fn mountinfo_escapes_are_undone() {
        assert_eq!(unescape(r"/mnt/my\040disk\134x"), r"/mnt/my disk\x");
        assert_eq!(unescape(r"\04"), r"\04");
        assert_eq!(unescape(r"\999"), r"\999");
    }

    proptest! {
        #[test]
        fn unescaping_never_panics(text in "[\\\\0-9a-zé]{0,20}|\\PC{0,20}") { let _ = unescape(&text); }

        #[test]
        fn the_chain_never_leaves_the_mount(group in "(/|\\.|[a-z]){0,12}", root in "/([a-z]|/|\\.){0,6}") {
            let mounts = format!("41 31 0:38 {root} /sys/fs/cgroup rw - cgroup2 cgroup rw\n");
            for path in chain(&format!("0::{group}\n"), &mounts, Hierarchy::V2) {
                prop_assert!(path.starts_with("/sys/fs/cgroup") && path.split('/').all(|part| part != ".."), "{}", path);
            }
        }
    }
}
