//! v2: what leases ask to keep of memory reaches them only if the groups above keep as much (`memory.low` in
//! `Documentation/admin-guide/cgroup-v2.rst`: "the effective low boundary is limited by ... all ancestor cgroups").
//!
//! So the node's folder keeps the sum of its leases, and `hypermesh` that of its nodes. What is above belongs to the
//! operator; it is read once, for the receipts. A kernel without the file keeps nothing, and the lease's own entry says
//! so; here that is no failure.

use crate::CgroupError;
use crate::kernel_fs::{children, read_optional, write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

const LOW: &str = "memory.low";

/// The sum over the leases of this node.
pub(crate) struct Reserved {
    node: PathBuf,
    total: Mutex<u64>,
}

impl Reserved {
    /// Adds up what the leases of an earlier start keep.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(crate) fn open(node: &Path) -> Result<Self, CgroupError> {
        Ok(Self { node: node.to_owned(), total: Mutex::new(sum_below(node)?) })
    }

    /// What a lease keeps now.
    pub(crate) fn of(dir: &Path) -> Result<u64, CgroupError> {
        Ok(read_optional(&dir.join(LOW))?.map_or(0, |text| amount(&text)))
    }

    /// Whether no lease keeps anything, so that there is nothing to look at.
    pub(crate) fn is_empty(&self) -> bool {
        *self.total.lock().unwrap_or_else(PoisonError::into_inner) == 0
    }

    /// A lease keeps `now` instead of `before`.
    ///
    /// # Errors
    /// When the kernel refuses the sum.
    pub(crate) fn change(&self, before: u64, now: u64) -> Result<(), CgroupError> {
        if before == now {
            return Ok(());
        }
        let mut total = self.total.lock().unwrap_or_else(PoisonError::into_inner);
        *total = total.saturating_sub(before).saturating_add(now);
        write_low(&self.node, *total)?;
        match self.node.parent() {
            Some(top) => write_low(top, sum_below(top)?),
            None => Ok(()),
        }
    }
}

/// What the group above `hypermesh` keeps: `None` when it is the real root or keeps everything.
pub(crate) fn kept_by(base: &Path) -> Option<u64> {
    let text = read_optional(&base.join(LOW)).ok().flatten()?;
    (text != "max").then(|| amount(&text))
}

fn sum_below(dir: &Path) -> Result<u64, CgroupError> {
    children(dir)?.iter().try_fold(0, |sum: u64, child| Ok(sum.saturating_add(Reserved::of(child)?)))
}

fn amount(text: &str) -> u64 {
    if text == "max" { u64::MAX } else { text.parse().unwrap_or(0) }
}

fn write_low(dir: &Path, bytes: u64) -> Result<(), CgroupError> {
    let text = if bytes == u64::MAX { "max".to_owned() } else { bytes.to_string() };
    match write(&dir.join(LOW), &text) {
        Err(error) if error.is_missing() => Ok(()),
        written => written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_groups_above_keep_the_sum() {
        let top = tempfile::tempdir().unwrap();
        for (dir, low) in [("", "0"), ("n1", "0"), ("n1/a", "5"), ("n1/b", "7"), ("n2", "100")] {
            fs::create_dir_all(top.path().join(dir)).unwrap();
            fs::write(top.path().join(dir).join(LOW), low).unwrap();
        }
        let held = |dir: &str| fs::read_to_string(top.path().join(dir).join(LOW)).unwrap();
        let reserved = Reserved::open(&top.path().join("n1")).unwrap();
        assert!(!reserved.is_empty());
        reserved.change(0, 8).unwrap();
        assert_eq!((held("n1"), held("")), ("20".into(), "120".into()));
        reserved.change(20, 0).unwrap();
        assert_eq!((held("n1"), held("")), ("0".into(), "100".into()));
        assert!(reserved.is_empty());
        assert_eq!(kept_by(top.path()), Some(100));
        assert_eq!(kept_by(&top.path().join("nowhere")), None);
    }
}
