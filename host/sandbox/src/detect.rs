//! What is mounted, and where in it this process is: `/proc/self/mountinfo` and `/proc/self/cgroup` (proc(5),
//! cgroups(7)), read below a root that tests can set.
//!
//! Only mounts count: `/proc/cgroups` names controllers that may be mounted nowhere, and v1 controllers may share a
//! mount (`cpu,cpuacct`). Inside a container the mount may show only a part of the hierarchy; a group's folder is
//! therefore its path less the mount's own root.

use crate::{CgroupError, CgroupVersion};
use std::path::{Path, PathBuf};

/// The v1 controllers that this crate uses.
pub(crate) const V1_CONTROLLERS: [&str; 8] =
    ["cpu", "cpuacct", "memory", "pids", "devices", "freezer", "blkio", "cpuset"];

/// A mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Those of [`V1_CONTROLLERS`] that it has; empty for cgroup2.
    pub(crate) controllers: Vec<String>,
    /// Where it is mounted, system root included.
    pub(crate) mount: PathBuf,
    /// The folder of this process's own group.
    pub(crate) own: PathBuf,
}

/// All that is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) version: CgroupVersion,
    pub(crate) v1: Vec<Place>,
    pub(crate) unified: Option<Place>,
}

/// Reads what is mounted.
pub(crate) fn detect(system_root: &Path) -> Result<Layout, CgroupError> {
    detect_of(system_root, "self")
}

/// Reads what is mounted; `own` is then where another process is, by its id.
pub(crate) fn detect_of(system_root: &Path, process: &str) -> Result<Layout, CgroupError> {
    let mounts = crate::kernel_fs::read(&system_root.join("proc/self/mountinfo"))?;
    let own = crate::kernel_fs::read(&system_root.join("proc").join(process).join("cgroup"))?;
    Ok(layout(system_root, &mounts, &own))
}

fn layout(system_root: &Path, mountinfo: &str, self_cgroup: &str) -> Layout {
    let own = own_paths(self_cgroup);
    let mut v1: Vec<Place> = Vec::new();
    let mut unified = None;
    for mount in mountinfo.lines().filter_map(parse_mount) {
        let own_path = own.iter().find(|o| match &mount.controllers {
            None => o.is_v2,
            Some(names) => !o.is_v2 && o.controllers.iter().any(|c| names.contains(c)),
        });
        let point = system_root.join(mount.point.trim_start_matches('/'));
        let own = own_folder(&point, &mount.root, own_path.map_or("/", |o| o.path.as_str()));
        let place = Place { controllers: mount.controllers.clone().unwrap_or_default(), mount: point, own };
        let seen = |p: &Place| p.controllers.iter().any(|c| place.controllers.contains(c));
        match mount.controllers {
            None => _ = unified.get_or_insert(place),
            Some(names) if names.is_empty() || v1.iter().any(seen) => {}
            Some(_) => v1.push(place),
        }
    }
    let version = match (v1.is_empty(), &unified) {
        (true, None) => CgroupVersion::None,
        (true, Some(_)) => CgroupVersion::V2,
        (false, None) => CgroupVersion::V1,
        (false, Some(_)) => CgroupVersion::Hybrid,
    };
    Layout { version, v1, unified }
}

struct Mount {
    root: String,
    point: String,
    /// `None` for cgroup2.
    controllers: Option<Vec<String>>,
}

/// One line of mountinfo; `None` unless it is a cgroup mount.
fn parse_mount(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let mut fields = before.split(' ').skip(3);
    let (root, point) = (unescape(fields.next()?), unescape(fields.next()?));
    let mut fields = after.split(' ');
    let controllers = match fields.next()? {
        "cgroup2" => None,
        "cgroup" => {
            let options = fields.nth(1)?.split(',');
            Some(options.filter(|o| V1_CONTROLLERS.contains(o)).map(str::to_owned).collect())
        }
        _ => return None,
    };
    Some(Mount { root, point, controllers })
}

/// Mountinfo writes space, tab, newline and backslash as three octal digits.
fn unescape(field: &str) -> String {
    field.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

struct OwnPath {
    is_v2: bool,
    controllers: Vec<String>,
    path: String,
}

/// `7:cpu,cpuacct:/a/b` for v1, `0::/a/b` for v2.
fn own_paths(text: &str) -> Vec<OwnPath> {
    let parse = |line: &str| {
        let mut fields = line.splitn(3, ':');
        let (id, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        Some(OwnPath {
            is_v2: id == "0" && controllers.is_empty(),
            controllers: controllers.split(',').map(str::to_owned).collect(),
            path: path.to_owned(),
        })
    };
    text.lines().filter_map(parse).collect()
}

/// The folder of a group under a mount that shows the hierarchy from `root` down. A group outside of what the mount
/// shows (`/..` after a cgroup namespace, a foreign container path) is taken as the mount's top: all that can be seen.
fn own_folder(point: &Path, root: &str, path: &str) -> PathBuf {
    let below = if root == "/" { Some(path) } else { path.strip_prefix(root) };
    match below {
        Some(rest)
            if (rest.is_empty() || rest.starts_with('/')) && !rest.split('/').any(|part| part == "..") =>
        {
            let rest = rest.trim_start_matches('/');
            if rest.is_empty() { point.to_owned() } else { point.join(rest) }
        }
        Some(_) | None => point.to_owned(),
    }
}

/// The group under which `hypermesh` goes on a v1 hierarchy or below an explicit parent.
///
/// # Errors
/// [`CgroupError::InvalidParent`].
pub(crate) fn configured_parent(mount: &Path, parent: &str) -> Result<PathBuf, CgroupError> {
    let inside = parent.starts_with('/') && !parent.split('/').any(|part| part == ".." || part == ".");
    if !inside || parent.contains(['\n', '\0']) {
        return Err(CgroupError::InvalidParent { parent: parent.chars().take(80).collect() });
    }
    let parts = parent.split('/').filter(|part| !part.is_empty());
    Ok(parts.fold(mount.to_owned(), |path, part| path.join(part)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
36 31 0:33 / /sys/fs/cgroup/net_cls rw - cgroup cgroup rw,net_cls
40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate
50 31 0:32 / /mnt/again rw - cgroup cgroup rw,memory";

    #[test]
    fn hybrid_with_controllers_on_one_mount() {
        let own = "9:memory:/a/b\n8:cpu,cpuacct:/\n1:name=systemd:/x\n0::/s";
        let found = layout(Path::new("/r"), HYBRID, own);
        assert_eq!(found.version, CgroupVersion::Hybrid);
        assert_eq!(found.v1.len(), 2, "net_cls and systemd are not ours, memory counts once");
        assert_eq!(found.v1[0].controllers, ["cpu", "cpuacct"]);
        assert_eq!(found.v1[0].own, Path::new("/r/sys/fs/cgroup/cpu,cpuacct"));
        assert_eq!(found.v1[1].own, Path::new("/r/sys/fs/cgroup/memory/a/b"));
        assert_eq!(found.unified.unwrap().own, Path::new("/r/sys/fs/cgroup/unified/s"));
    }

    #[test]
    fn pure_v1_pure_v2_and_none() {
        let v1: String = HYBRID.lines().filter(|l| !l.contains("cgroup2")).collect::<Vec<_>>().join("\n");
        assert_eq!(layout(Path::new("/"), &v1, "").version, CgroupVersion::V1);
        let v2 = "40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
                  30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw";
        let found = layout(Path::new("/"), v2, "1:name=systemd:/x\n0::/user.slice/a b");
        assert_eq!(found.version, CgroupVersion::V2, "a named v1 hierarchy has no controllers");
        assert_eq!(found.unified.unwrap().own, Path::new("/sys/fs/cgroup/user.slice/a b"));
        assert_eq!(
            layout(Path::new("/"), "1 2 0:1 / / rw - ext4 /dev/vda rw", "").version,
            CgroupVersion::None
        );
    }

    #[test]
    fn a_container_sees_only_a_part() {
        let point = Path::new("/cg");
        assert_eq!(own_folder(point, "/docker/c1", "/docker/c1"), point);
        assert_eq!(own_folder(point, "/docker/c1", "/docker/c1/app"), point.join("app"));
        assert_eq!(
            own_folder(point, "/docker/c1", "/docker/c12"),
            point,
            "another group with the same beginning"
        );
        assert_eq!(own_folder(point, "/", "/../../x"), point);
    }

    #[test]
    fn parents_stay_below_the_mount() {
        let mount = Path::new("/cg");
        assert_eq!(configured_parent(mount, "/hypermesh.slice/").unwrap(), mount.join("hypermesh.slice"));
        assert_eq!(configured_parent(mount, "/").unwrap(), mount);
        for bad in ["", "x", "/../etc", "/a/../../b", "/a/.", "/a\0"] {
            assert!(configured_parent(mount, bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_mounted_every_folder_is_below_its_mount(
            mounts in "([ -~]{0,60}(/\\.\\.)?( - cgroup2? c rw,(cpu|memory))?\n){0,6}", own in "([0-9]:[a-z,]{0,8}:/[ -~]{0,20}\n){0,6}",
        ) {
            let found = layout(Path::new("/r"), &mounts, &own);
            for place in found.v1.iter().chain(&found.unified) {
                prop_assert!(place.own.starts_with(&place.mount) && place.mount.starts_with("/r"));
            }
        }

        #[test]
        fn each_controller_has_one_place(pick in proptest::collection::vec(0usize..8, 0..12)) {
            let lines: Vec<String> = pick.iter().map(|i| {
                let c = V1_CONTROLLERS[*i];
                format!("1 2 0:{i} / /cg/{c} rw - cgroup cgroup rw,{c}")
            }).collect();
            let found = layout(Path::new("/"), &lines.join("\n"), "");
            let mut all: Vec<_> = found.v1.iter().flat_map(|p| p.controllers.clone()).collect();
            let count = all.len();
            all.sort();
            all.dedup();
            prop_assert_eq!(all.len(), count);
            prop_assert_eq!(found.version == CgroupVersion::V1, count > 0);
        }
    }
}
