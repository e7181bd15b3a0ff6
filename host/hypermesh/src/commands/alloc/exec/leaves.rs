//! The cgroups that a command joins: those that are there, and the leaves that are made for it and removed after it.

use anyhow::Context;
use std::io;
use std::path::{Path, PathBuf};

/// Stands in the lease's join files for the name of a group that the joiner makes.
const LEAF: &str = "{leaf}";

/// The cgroups that the command joins. Those that were made for it are removed when this is dropped.
pub(super) struct Leaves {
    /// All of them, in the order in which they are joined.
    folders: Vec<PathBuf>,
    /// Those that were made.
    made: Vec<PathBuf>,
}

impl Leaves {
    /// Makes what the join files of a lease ask for: all or nothing.
    ///
    /// # Errors
    /// When a group can't be made.
    pub(super) fn make(join: &[String]) -> anyhow::Result<Self> {
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

    /// The groups to join, in order.
    pub(super) fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// Removes what was made, and says what can't be.
    pub(super) fn remove(mut self) {
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

    fn entries(folder: &Path) -> usize {
        std::fs::read_dir(folder).unwrap().count()
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
        assert_eq!(leaves.folders()[1], folder.path());
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
