//! The groups of this node over all hierarchies: made, listed and removed together.
//!
//! On v1 one lease is a folder in each hierarchy; on v2 it is one folder. A lease exists as soon as one hierarchy has
//! it, so that what a crash left half made is found and removed. Not every hierarchy holds every lease: see [`Holds`].

use crate::kernel_fs::{Folders, children, make_group, processes};
use crate::{CgroupError, FoundLease, GroupEntry, io, marks};
use hypermesh_model::LeaseId;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The folder that all nodes of a machine share below their parent.
pub(crate) const TOP: &str = "hypermesh";
/// How long a removal waits for processes that are exiting; they leave their group within milliseconds of their end.
const REMOVE_DEADLINE: Duration = Duration::from_secs(2);
/// First and longest pause between two tries of a removal.
const PAUSES: (Duration, Duration) = (Duration::from_micros(100), Duration::from_millis(10));
/// Longest leaf name: a prefix and an id, far below the 255 bytes of a file name.
const MAX_LEAF_NAME: usize = 128;

/// Which leases have a group in a hierarchy. Each costs a folder, and a write a process that joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holds {
    /// All.
    Every,
    /// blkio on v1. A rate holds only for what is in the very group that has it (throttling there knows no hierarchy), so
    /// processes of a lease with rates are directly in the lease's group; those of others are in leaves where the kernel
    /// `counts`, and nowhere else.
    Rates { counts: bool },
    /// All, without leaves: cpuset on v1, which takes processes anywhere, and where a leaf would have to be given the
    /// lease's cores again and again.
    Flat,
}

/// One hierarchy, with this node's folder in it.
pub(crate) struct Hierarchy {
    /// The v1 controllers that it has; empty for cgroup2.
    pub(crate) controllers: Vec<String>,
    /// Whether it is cgroup2: the only one on v2, the shadow on hybrid.
    pub(crate) is_unified: bool,
    /// `<parent>/hypermesh/<node>`.
    pub(crate) node: PathBuf,
    pub(crate) holds: Holds,
}

/// All hierarchies; the one with `cgroup.kill`, if any, comes first, so that a process that joins is killable first.
pub(crate) struct Tree {
    pub(crate) folders: Box<dyn Folders>,
    pub(crate) hierarchies: Vec<Hierarchy>,
}

impl Hierarchy {
    pub(crate) fn dir(&self, lease: &LeaseId, leaf: Option<&str>) -> PathBuf {
        let dir = self.node.join(lease.as_str());
        match leaf {
            Some(leaf) => dir.join(leaf),
            None => dir,
        }
    }

    pub(crate) fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|c| c == controller)
    }

    /// The group that processes of the leaf or lease are in; `None` where they stay outside.
    pub(crate) fn joined(&self, lease: &LeaseId, leaf: Option<&str>) -> Option<PathBuf> {
        match self.holds {
            Holds::Every => Some(self.dir(lease, leaf)),
            Holds::Rates { .. } => {
                let existing = |dir: PathBuf| Some(dir).filter(|dir| dir.is_dir());
                existing(self.dir(lease, leaf)).or_else(|| existing(self.dir(lease, None)))
            }
            // A lease that an earlier build made has none.
            Holds::Flat => Some(self.dir(lease, None)).filter(|own| own.is_dir()),
        }
    }

    /// Whether the group is to be made here.
    fn makes(&self, lease: &LeaseId, leaf: Option<&str>, wanted: &[&str]) -> bool {
        match (self.holds, leaf) {
            (Holds::Every, _) | (Holds::Flat, None) => true,
            (Holds::Rates { counts }, None) => counts || wanted.iter().any(|controller| self.has(controller)),
            (Holds::Rates { counts }, Some(_)) => {
                let own = self.dir(lease, None);
                counts && own.is_dir() && !io::has_rates(&own)
            }
            (Holds::Flat, Some(_)) => false,
        }
    }
}

impl Tree {
    /// Where the group's folders may be, one a hierarchy.
    pub(crate) fn dirs(&self, lease: &LeaseId, leaf: Option<&str>) -> Vec<PathBuf> {
        self.hierarchies.iter().map(|h| h.dir(lease, leaf)).collect()
    }

    /// The folders that processes of the group are in, one a hierarchy that they join.
    pub(crate) fn joined(&self, lease: &LeaseId, leaf: Option<&str>) -> Vec<PathBuf> {
        self.hierarchies.iter().filter_map(|h| h.joined(lease, leaf)).collect()
    }

    /// The way into a leaf.
    pub(crate) fn entry(&self, lease: &LeaseId, leaf: &str) -> Result<GroupEntry, CgroupError> {
        let mut entry = GroupEntry::default();
        for hierarchy in &self.hierarchies {
            let Some(dir) = hierarchy.joined(lease, Some(leaf)) else { continue };
            if hierarchy.is_unified {
                entry.into = Some(open_file(&dir, OFlags::RDONLY | OFlags::DIRECTORY)?);
            } else {
                entry.join.push(open_file(&dir.join("cgroup.procs"), OFlags::WRONLY)?);
            }
        }
        Ok(entry)
    }

    /// The v1 hierarchy of a controller.
    pub(crate) fn of(&self, controller: &str) -> Option<&Hierarchy> {
        self.hierarchies.iter().find(|h| h.has(controller))
    }

    /// The group's folder in the v1 hierarchy of a controller.
    pub(crate) fn dir_of(&self, controller: &str, lease: &LeaseId, leaf: Option<&str>) -> Option<PathBuf> {
        Some(self.of(controller)?.dir(lease, leaf))
    }

    /// The group's folder in cgroup2.
    pub(crate) fn unified_dir(&self, lease: &LeaseId, leaf: Option<&str>) -> Option<PathBuf> {
        Some(self.hierarchies.iter().find(|h| h.is_unified)?.dir(lease, leaf))
    }

    /// Makes the group wherever it belongs, and where the `wanted` controllers are; what was made now, for
    /// [`Tree::undo`]. On failure nothing stays.
    pub(crate) fn make(
        &self,
        lease: &LeaseId,
        leaf: Option<&str>,
        wanted: &[&str],
    ) -> Result<Vec<PathBuf>, CgroupError> {
        let mut made = Vec::with_capacity(self.hierarchies.len());
        for hierarchy in self.hierarchies.iter().filter(|h| h.makes(lease, leaf, wanted)) {
            let dir = hierarchy.dir(lease, leaf);
            match make_group(self.folders.as_ref(), &dir) {
                Ok(true) => made.push(dir),
                Ok(false) => {}
                Err(error) => {
                    self.undo(&made);
                    return Err(error);
                }
            }
        }
        Ok(made)
    }

    /// Removes groups that were just made and hold nothing.
    pub(crate) fn undo(&self, made: &[PathBuf]) {
        for dir in made.iter().rev() {
            if let Err(error) = self.folders.remove(dir) {
                tracing::warn!(group = %dir.display(), %error, "a group that was just made stays behind");
            }
        }
    }

    /// Removes the group and all below it everywhere.
    pub(crate) fn remove(&self, lease: &LeaseId, leaf: Option<&str>) -> Result<(), CgroupError> {
        let deadline = Instant::now() + REMOVE_DEADLINE;
        self.dirs(lease, leaf).iter().try_for_each(|dir| remove_below(self.folders.as_ref(), dir, deadline))
    }

    /// Removes the group everywhere, if nothing is in it or below it; whether that was so.
    pub(crate) fn remove_empty(&self, lease: &LeaseId, leaf: Option<&str>) -> Result<bool, CgroupError> {
        for path in self.dirs(lease, leaf) {
            match self.folders.remove(&path) {
                Ok(()) => {}
                Err(error) if crate::error::is_missing(&error) => {}
                Err(error) if is_busy(&error) => return Ok(false),
                Err(source) => return Err(CgroupError::Io { action: "remove", path, source }),
            }
        }
        Ok(true)
    }

    /// The processes of the group and of all groups below it, over all hierarchies.
    pub(crate) fn processes(
        &self,
        lease: &LeaseId,
        leaf: Option<&str>,
    ) -> Result<BTreeSet<u32>, CgroupError> {
        let mut found = BTreeSet::new();
        for dir in self.dirs(lease, leaf) {
            collect_processes(&dir, &mut found)?;
        }
        Ok(found)
    }

    /// The names of the groups below the lease's, over all hierarchies.
    pub(crate) fn leaves(&self, lease: &LeaseId) -> Result<BTreeSet<String>, CgroupError> {
        let mut found = BTreeSet::new();
        for dir in self.dirs(lease, None) {
            let names = children(&dir)?.into_iter();
            found.extend(names.filter_map(|leaf| leaf.file_name()?.to_str().map(str::to_owned)));
        }
        Ok(found)
    }

    /// Saves the record with the lease; without it a lease is found by its name only.
    pub(crate) fn save_record(&self, lease: &LeaseId, record: &str) {
        let Some(first) = self.hierarchies.first() else { return };
        let dir = first.dir(lease, None);
        if let Err(error) = marks::set(&dir, marks::LEASE, record) {
            tracing::debug!(group = %dir.display(), %error, "the kernel keeps no record here");
        }
    }

    /// The leases that any hierarchy holds.
    pub(crate) fn leases(&self) -> Result<Vec<FoundLease>, CgroupError> {
        let mut found: BTreeMap<String, FoundLease> = BTreeMap::new();
        for hierarchy in &self.hierarchies {
            for dir in children(&hierarchy.node)? {
                // Ids of leases begin with a letter or digit, what is not a lease with a dot.
                let name =
                    dir.file_name().and_then(|name| name.to_str()).filter(|name| !name.starts_with('.'));
                let Some(id) = name.map(str::to_owned) else { continue };
                let lease =
                    found.entry(id.clone()).or_insert(FoundLease { id, record: None, populated: false });
                lease.record = lease.record.take().or_else(|| marks::get(&dir, marks::LEASE));
                if !lease.populated {
                    let mut pids = BTreeSet::new();
                    collect_processes(&dir, &mut pids)?;
                    lease.populated = !pids.is_empty();
                }
            }
        }
        Ok(found.into_values().collect())
    }

    /// Removes the node's folders and `hypermesh` above them where empty.
    pub(crate) fn close(&self) {
        for hierarchy in &self.hierarchies {
            let top = hierarchy.node.parent().unwrap_or(&hierarchy.node);
            for dir in [hierarchy.node.as_path(), top] {
                if let Err(error) = self.folders.remove(dir) {
                    tracing::debug!(group = %dir.display(), %error, "not removed");
                    break;
                }
            }
        }
    }
}

fn open_file(path: &Path, how: OFlags) -> Result<OwnedFd, CgroupError> {
    rustix::fs::open(path, how | OFlags::CLOEXEC, Mode::empty()).map_err(|error| CgroupError::Io {
        action: "open",
        path: path.to_owned(),
        source: error.into(),
    })
}

/// Checks that a name is one path component and not hidden.
pub(crate) fn check_leaf(name: &str) -> Result<(), CgroupError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_' || b == b'.';
    let starts_well = name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    if starts_well && name.len() <= MAX_LEAF_NAME && name.bytes().all(allowed) {
        Ok(())
    } else {
        Err(CgroupError::InvalidName { name: name.chars().take(80).collect() })
    }
}

fn collect_processes(dir: &Path, found: &mut BTreeSet<u32>) -> Result<(), CgroupError> {
    found.extend(processes(dir)?);
    children(dir)?.iter().try_for_each(|child| collect_processes(child, found))
}

/// Something is in the folder, or below it.
fn is_busy(error: &std::io::Error) -> bool {
    [Errno::BUSY, Errno::NOTEMPTY].iter().any(|busy| error.raw_os_error() == Some(busy.raw_os_error()))
}

/// rmdir first: the kernel says EBUSY when there is something below, and mostly there is not.
fn remove_below(folders: &dyn Folders, dir: &Path, deadline: Instant) -> Result<(), CgroupError> {
    let (mut pause, longest) = PAUSES;
    loop {
        let source = match folders.remove(dir) {
            Ok(()) => return Ok(()),
            Err(e) if crate::error::is_missing(&e) => return Ok(()),
            Err(e) => e,
        };
        let below = children(dir)?;
        if !is_busy(&source) || (below.is_empty() && Instant::now() >= deadline) {
            return Err(CgroupError::Io { action: "remove", path: dir.to_owned(), source });
        }
        if below.is_empty() {
            std::thread::sleep(pause);
            pause = (pause * 2).min(longest);
        }
        below.iter().try_for_each(|child| remove_below(folders, child, deadline))?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn leaf_names_stay_inside_the_lease() {
        for bad in ["", ".", "..", "a/b", "-a", ".device-probe", "a b", "a\n", &"a".repeat(129)] {
            assert!(check_leaf(bad).is_err(), "{bad:?}");
        }
        check_leaf("exec-0198c2").unwrap();
        check_leaf("attach-1-42").unwrap();
    }

    proptest! {
        #[test]
        fn a_good_leaf_name_is_one_component(name in "\\PC{0,140}") {
            if check_leaf(&name).is_ok() {
                let path = Path::new("/x").join(&name);
                prop_assert_eq!(path.parent(), Some(Path::new("/x")));
            }
        }
    }
}
