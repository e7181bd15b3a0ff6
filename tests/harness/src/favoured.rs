//! Groups that go before their neighbours. A quota is a ceiling: that a lease also reaches it can be seen only where
//! others, who build and test on this machine too, don't take the CPU first.

use std::fs;
use std::path::{Path, PathBuf};

/// How many levels are favoured: the lease, its node, the folder of all nodes.
const LEVELS: usize = 3;

/// A group with the largest weight, until this is dropped.
#[derive(Debug)]
pub struct Favoured {
    file: PathBuf,
    before: String,
}

impl Favoured {
    /// The groups of a lease and those above them that are the product's. Empty where the kernel has no weights.
    pub fn of(cgroups: &[impl AsRef<Path>]) -> Vec<Self> {
        let levels = cgroups.iter().flat_map(|dir| dir.as_ref().ancestors().take(LEVELS));
        levels.filter_map(Self::new).collect()
    }

    fn new(dir: &Path) -> Option<Self> {
        // The largest weights of v1 and v2 (`Documentation/scheduler/sched-design-CFS.rst`, `cgroup-v2.rst`).
        let weights = [("cpu.shares", "262144"), ("cpu.weight", "10000")];
        weights.into_iter().find_map(|(name, most)| {
            let file = dir.join(name);
            let before = fs::read_to_string(&file).ok()?;
            fs::write(&file, most).ok()?;
            Some(Self { file, before })
        })
    }
}

impl Drop for Favoured {
    fn drop(&mut self) {
        // The lease's own group may be gone.
        let _ = fs::write(&self.file, self.before.trim());
    }
}
