//! Finding the folder that this node left in a hierarchy, wherever it was started then.
//!
//! A node's own group changes from one login session, container or unit to the next, on v1 even in one hierarchy and not
//! in another. Leases outlive a crash of the node, so a restarted one must not look for them only below its new own
//! group. The tree itself is the record: it is searched for `hypermesh/<node>`, nothing is kept elsewhere.
//!
//! Only a folder of the node's own user counts: in a hierarchy that users may write to, anyone could make one of that
//! name and would then hold the limits. Left to others: what happens when there is none. Never fails: a group that
//! cannot be listed, or vanishes meanwhile, is passed over.

use crate::kernel_fs::children;
use crate::tree::TOP;
use std::collections::VecDeque;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Levels of groups below the mount under which a node may have been started; a pod's container in a container is at
/// six (kubepods, class, pod, container, docker, container).
const MAX_DEPTH: usize = 8;
/// Folders looked at in one hierarchy: some tenths of a second at worst, once at start.
const MAX_FOLDERS: usize = 20_000;

/// The group below which `hypermesh/<node>` exists: the own one if it has it, else the one nearest to the mount, of
/// several there the first by name, so that every start decides the same.
pub(crate) fn left_behind(mount: &Path, own: &Path, node: &str) -> Option<PathBuf> {
    let found = if holds(own, node) { Some(own.to_owned()) } else { walk(mount, node, MAX_FOLDERS) };
    if let Some(base) = found.as_deref().filter(|base| *base != own) {
        tracing::info!(group = %base.display(), own = %own.display(), "keeping the group of an earlier start");
    }
    found
}

fn walk(mount: &Path, node: &str, max_folders: usize) -> Option<PathBuf> {
    let mut waiting = VecDeque::from([(mount.to_owned(), 0)]);
    let mut seen = 0;
    while let Some((group, depth)) = waiting.pop_front() {
        if seen == max_folders {
            tracing::warn!(mount = %mount.display(), seen, "too many groups to search for an earlier start's");
            return None;
        }
        seen += 1;
        if holds(&group, node) {
            return Some(group);
        }
        if depth < MAX_DEPTH {
            let mut below = children(&group).unwrap_or_default();
            below.sort();
            waiting.extend(below.into_iter().map(|child| (child, depth + 1)));
        }
    }
    None
}

/// Whether the node's folder is below this group and is ours. Links are not followed: the kernel makes none.
fn holds(group: &Path, node: &str) -> bool {
    let found = std::fs::symlink_metadata(group.join(TOP).join(node));
    found.is_ok_and(|found| found.is_dir() && found.uid() == rustix::process::geteuid().as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write as _;

    fn tree(groups: &[&str]) -> tempfile::TempDir {
        let mount = tempfile::tempdir().unwrap();
        groups.iter().for_each(|group| fs::create_dir_all(mount.path().join(group)).unwrap());
        mount
    }

    #[test]
    fn the_own_group_comes_first_then_the_nearest_then_the_first_by_name() {
        let mount =
            tree(&["s/3/hypermesh/n1", "s/1/hypermesh/n1", "own/hypermesh/n1", "s/hypermesh/n2", "x"]);
        let at = |own: &str, node: &str| left_behind(mount.path(), &mount.path().join(own), node);
        assert_eq!(at("s/3", "n1"), Some(mount.path().join("s/3")));
        assert_eq!(at("x", "n1"), Some(mount.path().join("own")));
        fs::remove_dir_all(mount.path().join("own")).unwrap();
        assert_eq!(at("x", "n1"), Some(mount.path().join("s/1")));
        assert_eq!(at("x", "n2"), Some(mount.path().join("s")));
        assert_eq!(at("x", "n3"), None, "another node's folder is not ours");
    }

    #[test]
    fn the_search_ends() {
        let deep = "1/2/3/4/5/6/7/8";
        let mount = tree(&[&format!("{deep}/hypermesh/n1"), &format!("{deep}/9/hypermesh/n2")]);
        assert_eq!(walk(mount.path(), "n1", MAX_FOLDERS), Some(mount.path().join(deep)));
        assert_eq!(walk(mount.path(), "n2", MAX_FOLDERS), None, "too deep");
        assert_eq!(walk(mount.path(), "n1", 5), None, "too many");
    }

    #[test]
    fn a_file_a_link_and_a_folder_of_another_user_are_not_taken() {
        let mount = tree(&["a/hypermesh", "b/hypermesh", "c/hypermesh/n1"]);
        fs::write(mount.path().join("a/hypermesh/n1"), "").unwrap();
        std::os::unix::fs::symlink("../../c", mount.path().join("b/hypermesh/n1")).unwrap();
        assert_eq!(walk(mount.path(), "n1", MAX_FOLDERS), Some(mount.path().join("c")));
        if !rustix::process::geteuid().is_root() {
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED a_file_a_link_and_a_folder_of_another_user_are_not_taken (the last): not root"
            );
            return;
        }
        std::os::unix::fs::chown(mount.path().join("c/hypermesh/n1"), Some(12345), None).unwrap();
        assert_eq!(walk(mount.path(), "n1", MAX_FOLDERS), None);
    }
}
