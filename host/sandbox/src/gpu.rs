//! The device filter of a GPU lease on v1: every NVIDIA minor of the machine that was not granted is denied.
//!
//! `nvidiactl` (minor 255) and the dynamic majors of `nvidia-uvm` stay open; without a GPU's own node they give no
//! access to it. The filter acts when a device is opened: what a process holds open already, it keeps.
//!
//! `devices.list` shows no denials while everything else is allowed, so it cannot prove the filter. The kernel can be
//! asked: a scratch child that starts with nothing is refused (EPERM) every device that its parent denies
//! (`Documentation/admin-guide/cgroup-v1/devices.rst`, "Hierarchy").

use crate::CgroupError;
use crate::kernel_fs::{Folders, make_group, write};
use crate::setting::Mode;
use hypermesh_model::{EnforcementEntry, EnforcementState};
use rustix::io::Errno;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// NVIDIA's character device major (`Documentation/admin-guide/devices.txt`).
const MAJOR: u32 = 195;
/// Distinguishes scratch groups of calls at the same time. The leading dot keeps them apart from leaves.
static SCRATCH: AtomicU64 = AtomicU64::new(0);

/// The minors that a lease must not open.
pub(crate) fn denied(all: &[u32], allowed: &[u32]) -> Vec<u32> {
    all.iter().filter(|minor| !allowed.contains(minor)).copied().collect()
}

/// A rule in the notation of `devices.deny`.
fn rule(minor: u32) -> String {
    format!("c {MAJOR}:{minor} rwm")
}

/// All rules, as the receipt shows them.
pub(crate) fn rules(minors: &[u32]) -> String {
    minors.iter().map(|minor| rule(*minor)).collect::<Vec<_>>().join(", ")
}

/// Denies (or not) and asks the kernel what it denies.
///
/// # Errors
/// When the kernel refuses a rule or the scratch group.
pub(crate) fn settle(
    folders: &dyn Folders,
    dir: &Path,
    denied: &[u32],
    mode: Mode,
) -> Result<EnforcementEntry, CgroupError> {
    let file = dir.join("devices.deny");
    if mode == Mode::Write {
        denied.iter().try_for_each(|minor| write(&file, &rule(*minor)))?;
    }
    let held = held_back(folders, dir, denied)?;
    let complete = held == denied;
    Ok(EnforcementEntry {
        limit: "gpu".to_owned(),
        state: if complete { EnforcementState::Enforced } else { EnforcementState::Unenforced },
        requested: rules(denied),
        actual: Some(rules(&held)),
        file: Some(file.display().to_string()),
        reason: (!complete).then(|| "the kernel would let a child group open more".to_owned()),
    })
}

/// Those of the minors that the kernel denies to everything in the group.
fn held_back(folders: &dyn Folders, dir: &Path, minors: &[u32]) -> Result<Vec<u32>, CgroupError> {
    let scratch = dir.join(format!(".device-probe-{}", SCRATCH.fetch_add(1, Ordering::Relaxed)));
    make_group(folders, &scratch)?;
    let ask = || -> Result<Vec<u32>, CgroupError> {
        write(&scratch.join("devices.deny"), "a")?;
        let mut held = Vec::new();
        for minor in minors {
            match write(&scratch.join("devices.allow"), &rule(*minor)) {
                Ok(()) => {}
                Err(CgroupError::Write { source, .. })
                    if source.raw_os_error() == Some(Errno::PERM.raw_os_error()) =>
                {
                    held.push(*minor);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(held)
    };
    let held = ask();
    folders.remove(&scratch).map_err(|source| CgroupError::Io { action: "remove", path: scratch, source })?;
    held
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_granted_is_denied() {
        assert_eq!(denied(&[0, 1, 2], &[1]), [0, 2]);
        assert_eq!(denied(&[0], &[]), [0]);
        assert_eq!(denied(&[], &[3]), [] as [u32; 0]);
        assert_eq!(rules(&[0, 2]), "c 195:0 rwm, c 195:2 rwm");
    }
}
