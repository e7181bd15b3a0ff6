//! Which method of bounding a folder a machine offers, and what is missing for the others.

use crate::image::programs;
use crate::privilege::is_administrator;
use crate::quota;
use crate::sys::{SystemRoot, loop_device};
use rustix::fs::{FallocateFlags, fallocate};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// How a folder is bounded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method {
    /// A project quota on the filesystem that holds the folder of volumes.
    ProjectQuota,
    /// An ext4 image on a loop device.
    LoopImage,
    /// Neither.
    Unavailable {
        /// What is missing for each.
        reason: String,
    },
}

/// Which method is taken where both are there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Preference {
    /// A project quota, else an image.
    #[default]
    Quota,
    /// An image, whatever the filesystem offers: no process inside can pass its bound.
    Image,
}

/// What a folder of volumes would offer, without making anything that stays.
///
/// `folder` exists; `system_root` holds `proc`, `sys` and `dev`, and is `/` but for tests.
pub fn probe(folder: &Path, system_root: &Path, preference: Preference) -> Method {
    let system = SystemRoot::new(system_root);
    if !is_administrator() {
        return Method::Unavailable { reason: "this process has no CAP_SYS_ADMIN (it isn't root)".into() };
    }
    let quota = match preference {
        Preference::Quota => why_no_quota(folder),
        Preference::Image => Some("images are preferred".into()),
    };
    let Some(no_quota) = quota else { return Method::ProjectQuota };
    match why_no_image(folder, &system) {
        None => Method::LoopImage,
        Some(no_image) => {
            Method::Unavailable { reason: format!("no project quota ({no_quota}), no image ({no_image})") }
        }
    }
}

fn why_no_quota(folder: &Path) -> Option<String> {
    match quota::is_enforced(folder) {
        Ok(true) => None,
        Ok(false) => Some("the filesystem isn't mounted with prjquota".into()),
        Err(error) => Some(format!("the filesystem answers: {error}")),
    }
}

fn why_no_image(folder: &Path, system: &SystemRoot) -> Option<String> {
    if programs::find("mkfs.ext4").is_none() {
        return Some("mkfs.ext4 of e2fsprogs isn't installed".into());
    }
    if let Err(error) = loop_device::check(system) {
        return Some(format!("no loop devices: {error}"));
    }
    let reserved = reserve_a_block(folder);
    reserved.err().map(|error| format!("the filesystem can't reserve blocks: {error}"))
}

/// Whether the filesystem has fallocate(2): without it an image could not be written when the host is full.
fn reserve_a_block(folder: &Path) -> io::Result<()> {
    let path = folder.join(".reserve");
    let file: File = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
    let outcome = fallocate(&file, FallocateFlags::empty(), 0, 4096);
    std::fs::remove_file(&path)?;
    Ok(outcome?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_loop_devices_is_told_what_is_missing() {
        if !is_administrator() {
            eprintln!("SKIPPED a_machine_without_loop_devices_is_told_what_is_missing: no CAP_SYS_ADMIN");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let Method::Unavailable { reason } = probe(folder.path(), folder.path(), Preference::Image) else {
            panic!("a folder without dev/loop-control has no loop devices");
        };
        assert!(reason.contains("images are preferred"), "{reason}");
        assert!(reason.contains("no loop devices") || reason.contains("mkfs.ext4"), "{reason}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "probing leaves nothing");
    }

    #[test]
    fn who_may_not_mount_is_told_so() {
        // Capabilities belong to a thread: this one gives them up, the test program keeps them.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let found = std::thread::spawn(move || {
            let none = rustix::thread::CapabilitySet::empty();
            let sets = rustix::thread::CapabilitySets { effective: none, permitted: none, inheritable: none };
            rustix::thread::set_capabilities(None, sets).unwrap();
            probe(&path, Path::new("/"), Preference::Quota)
        });
        let found = found.join().unwrap();
        assert!(
            matches!(&found, Method::Unavailable { reason } if reason.contains("CAP_SYS_ADMIN")),
            "{found:?}"
        );
    }
}
